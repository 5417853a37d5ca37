"""Topics feedback and suppressions: what came back about addresses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class EmailBounced:
    """A DSN or provider event about an email; `kind` is hard or soft."""

    feedback_id: str
    at: datetime
    email_id: str | None
    address_hash: str
    kind: str
    status: str
    diagnostic: str
    source: str


@dataclass(frozen=True, slots=True)
class EmailComplained:
    feedback_id: str
    at: datetime
    email_id: str | None
    address_hash: str
    source: str


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    feedback_id: str
    at: datetime
    email_id: str | None
    address_hash: str
    purpose: str
    source: str


@dataclass(frozen=True, slots=True)
class Resubscribed:
    feedback_id: str
    at: datetime
    address_hash: str
    purpose: str
    by: str


@dataclass(frozen=True, slots=True)
class Suppression:
    """The current state of an address for a purpose ("*": every purpose); keyed by the address's hash."""

    address_hash: str
    purpose: str
    suppressed: bool
    reason: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class SoftBounces:
    """The soft bounces of an address that still count: the last of each day, oldest first. None up to `since` does."""

    address_hash: str
    since: datetime | None
    at: list[datetime]
