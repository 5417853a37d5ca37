"""The API's bearer token: made at the first start, kept in the var folder for its owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from streams.errors import UserError

NAME = "web.token"
MIN_LENGTH = 32


def load_token(var: Path) -> str:
    """The installation's token, made if there is none. Safe to call from several processes at once. Raises UserError."""
    path = var / NAME
    try:
        if not path.exists():
            var.mkdir(parents=True, exist_ok=True)
            _make(path)
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot use {path} ({error}); make it readable for this user, or set ESPMAIL_VAR") from None
    if len(token) < MIN_LENGTH:
        raise UserError(f"{path} holds no token of {MIN_LENGTH} characters or more; remove it, and the next start makes a new one")
    return token


def _make(path: Path) -> None:
    """Whole or not at all; another process's counts if it was faster."""
    descriptor, draft = tempfile.mkstemp(prefix=f"{NAME}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_urlsafe(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
