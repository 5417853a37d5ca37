"""Topic deliveries: every attempt and every outcome."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class EmailAttempting:
    """The MTA is about to be offered this email. `lane`, `partition`, `offset` say where its EmailQueued stands."""

    email_id: str
    request_id: str | None
    at: datetime
    attempt: int
    owner: str
    address_hash: str
    lane: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class EmailSent:
    """The MTA took responsibility (its 250 is `reply`)."""

    email_id: str
    request_id: str | None
    at: datetime
    attempt: int
    message_id: str
    mta: str
    reply: str
    size: int


@dataclass(frozen=True, slots=True)
class EmailDeferred:
    """A temporary failure, provably before the MTA took the mail; offered again at `retry_at`."""

    email_id: str
    request_id: str | None
    at: datetime
    attempt: int
    reason: str
    reply: str
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class EmailFailed:
    email_id: str
    request_id: str | None
    at: datetime
    attempt: int
    reason: str
    reply: str


@dataclass(frozen=True, slots=True)
class EmailExpired:
    """Its time was over, or would be before another attempt; `reply` is what the last one was told, if that is what ended it."""

    email_id: str
    request_id: str | None
    at: datetime
    attempt: int
    reason: str
    reply: str = ""


@dataclass(frozen=True, slots=True)
class EmailSuppressed:
    email_id: str
    request_id: str | None
    at: datetime
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class EmailCancelled:
    email_id: str
    request_id: str | None
    at: datetime
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class EmailInDoubt:
    """Nobody can say whether the MTA took it: a crash, or a failure between the final dot and the reply."""

    email_id: str
    request_id: str | None
    at: datetime
    attempt: int
    reason: str
    message_id: str
    lane: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class EmailRequeued:
    """A doubt was resolved as not delivered (by policy, evidence or an operator): it will be offered again."""

    email_id: str
    request_id: str | None
    at: datetime
    attempt: int
    by: str
    reason: str
