"""The body store in a folder of this machine, or of one that all machines share."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from gateway.bodies import BodiesFull, BodyError, BodyMissing, Kept, checked_key, claim_for, verified
from gateway.durable_files import remove_older, sync_folder, write_durably, written_at
from streams.events import ClaimCheck

SHARDS = tuple(f"{number:02x}" for number in range(256))
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FileBodies:
    """Bodies as files below a folder, one folder of 256 by the first two digits of the hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            # Made beforehand and synced once: a folder made during a put could vanish in a crash with the file in it.
            for shard in SHARDS:
                (folder / "sha256" / shard).mkdir(parents=True, exist_ok=True)
            for made in (folder / "sha256", folder, folder.parent):
                sync_folder(made)
        except OSError as error:
            raise _refusal(error, f"the body store {folder} cannot be used", "make that folder writable, or set ESPMAIL_BODIES") from error

    def put(self, data: bytes) -> ClaimCheck:
        claim = claim_for(data)
        try:
            write_durably(self._folder / claim.key, data)
        except OSError as error:
            raise _refusal(error, f"the body store {self._folder} took no body") from error
        return claim

    def get(self, claim: ClaimCheck) -> bytes:
        try:
            return verified(claim, (self._folder / checked_key(claim)).read_bytes())
        except FileNotFoundError:
            raise BodyMissing(f"the body store {self._folder} has no {claim.key}") from None
        except OSError as error:
            raise _refusal(error, f"the body store {self._folder} cannot be read") from error

    def kept(self) -> Iterator[Kept]:
        try:
            for path in (self._folder / "sha256").glob("??/*"):
                with contextlib.suppress(FileNotFoundError):
                    yield _kept(self._folder, path)
        except OSError as error:
            raise _refusal(error, f"the body store {self._folder} cannot be read") from error

    def remove(self, key: str, before: datetime) -> bool:
        path = self._folder / key
        try:
            return remove_older(path, before)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _refusal(error, f"the body store {self._folder} did not give up {key}", "make it writable") from error


def _kept(folder: Path, path: Path) -> Kept:
    return Kept(path.relative_to(folder).as_posix(), path.stat().st_size, written_at(path))


def _refusal(error: OSError, what: str, to_do: str = "look at the disk") -> BodyError:
    kind = BodiesFull if error.errno in FULL else BodyError
    return kind(f"{what} ({error.strerror or error}); {to_do}")
