"""The key that signs unsubscribe links: made at the first start, kept in the var folder, rotated without breaking old mail."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from streams.domain.outgoing.unsubscribe import Keyring
from streams.errors import UserError

NAME = "unsubscribe.key"
KEY_BYTES = 32


class KeyFileError(UserError):
    """There is no key to sign with; a new one in its place would make the links of mail sent before dead."""


def load_keyring(var: Path) -> Keyring:
    """The installation's keyring, made if there is none. Safe to call from several processes at once.

    The file has one hexadecimal secret a line, the newest first. Raises KeyFileError.
    """
    path = var / NAME
    try:
        if not path.exists():
            var.mkdir(parents=True, exist_ok=True)
            _make(var)
        return Keyring(tuple(bytes.fromhex(line) for line in path.read_text("ascii").split()))
    except OSError as error:
        raise KeyFileError(f"cannot use {path} ({error.strerror}); make it readable for this user, or set ESPMAIL_VAR") from error
    except ValueError as error:
        raise KeyFileError(
            f"{path} is damaged ({error}); restore it from a backup, or every unsubscribe link sent so far is dead"
        ) from None


def rotate(var: Path, keep: int = 4) -> Keyring:
    """Sign with a new secret from now on; links of the `keep` newest secrets, this one included, stay good."""
    kept = [secrets.token_bytes(KEY_BYTES), *load_keyring(var).secrets][:keep]
    _write(var, kept).replace(var / NAME)
    return Keyring(tuple(kept))


def _make(var: Path) -> None:
    """A first key; that of another process counts if it was faster."""
    draft = _write(var, [secrets.token_bytes(KEY_BYTES)])
    try:
        os.link(draft, var / NAME)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _write(var: Path, kept: list[bytes]) -> Path:
    """A durable file of these secrets beside the real one, for its owner alone."""
    descriptor, name = tempfile.mkstemp(prefix=f"{NAME}.", dir=var)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write("".join(f"{secret.hex()}\n" for secret in kept))
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
