"""What a body store is: it keeps bytes too big for a record, under their own hash (claim check).

Content addressed and write-once: the key is the SHA-256 of the bytes, so a repeated put is harmless and a damaged copy is
mended by the next put. Every call here blocks; on an event loop run it in a thread.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from streams.errors import UserError
from streams.events import ClaimCheck

KEY = re.compile(r"sha256/[0-9a-f]{2}/[0-9a-f]{64}")


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
