"""The body store: bytes too big for a record, kept under their own hash (claim check).

Content addressed and write-once: the key is the SHA-256 of the bytes, so a repeated put is harmless and a damaged copy is
mended by the next put. Every call here blocks; on an event loop run it in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from gateway.durable_files import remove_older, sync_folder, write_durably, written_at
from streams.errors import UserError
from streams.events import ClaimCheck
from streams.settings import Settings, SettingsError

KEY = re.compile(r"sha256/[0-9a-f]{2}/[0-9a-f]{64}")
SHARDS = tuple(f"{number:02x}" for number in range(256))
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class BodyError(UserError):
    """The body store could not serve; what was asked may be tried again."""


class BodiesFull(BodyError):
    """No room for another body."""


class BodyMissing(BodyError):
    """Nothing is kept under this key."""


class BodyDamaged(BodyError):
    """What is kept under this key is not what was put there."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing in a body store: a body, or what a crash in the middle of a put left. `at`: when it was put last."""

    key: str
    size: int
    at: datetime


class Bodies(Protocol):
    """Where claim-checked bytes are."""

    def put(self, data: bytes) -> ClaimCheck:
        """Keep `data`; on return it survives a crash of this machine (files) or is S3's (s3). May be repeated.

        Raises BodiesFull, or BodyError for any other refusal; then nothing half-written can be read.
        """

    def get(self, claim: ClaimCheck) -> bytes:
        """The bytes of `claim`, verified against its hash and size. Raises BodyMissing, BodyDamaged or BodyError."""


class BodyStore(Bodies, Protocol):
    """The same, for whoever tidies it."""

    def kept(self) -> Iterator[Kept]:
        """Everything in the store, lazily. Raises BodyError."""

    def remove(self, key: str, before: datetime) -> bool:
        """Remove what kept() listed; false if it is gone, or was put again at `before` or later. Raises BodyError.

        Files: a put at the same time is either seen or comes after. S3 has no such lock: a put within the same moment is lost,
        so `before` must be longer ago than any sender tries again.
        """


def claim_for(data: bytes) -> ClaimCheck:
    """The claim check that `data` has in every store."""
    digest = hashlib.sha256(data).hexdigest()
    return ClaimCheck(f"sha256/{digest[:2]}/{digest}", digest, len(data))


def open_bodies(settings: Settings) -> BodyStore:
    """The store that the settings name. Raises SettingsError for a place that cannot be one, BodyError if it cannot be made."""
    place = settings.bodies
    if not place:
        return FileBodies(settings.var / "bodies")
    scheme, separator, rest = place.partition("://")
    if not separator:
        return FileBodies(Path(place))
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise SettingsError(f"ESPMAIL_BODIES takes a folder or s3://bucket/prefix, not {place!r}")
    from gateway.bodies_s3 import S3Bodies, client  # boto3 takes a third of a second to import, and most installations keep files

    return S3Bodies(client(), bucket, prefix)


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


def checked_key(claim: ClaimCheck) -> str:
    """The key, known to be one of ours: a record's text is never a path. Raises BodyMissing."""
    if not KEY.fullmatch(claim.key):
        raise BodyMissing(f"{claim.key[:80]!r} is no key of a body store")
    return claim.key


def verified(claim: ClaimCheck, data: bytes) -> bytes:
    """`data`, if it is what the claim check says. Raises BodyDamaged."""
    if len(data) != claim.size or hashlib.sha256(data).hexdigest() != claim.sha256:
        raise BodyDamaged(f"{claim.key} holds {len(data)} bytes that are not the {claim.size} that were put there")
    return data


def _refusal(error: OSError, what: str, to_do: str = "look at the disk") -> BodyError:
    kind = BodiesFull if error.errno in FULL else BodyError
    return kind(f"{what} ({error.strerror or error}); {to_do}")
