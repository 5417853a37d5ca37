"""Topics expansions and request-controls: what became of each request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RequestExpanded:
    """One chunk became emails and skips; the request is expanded when all `chunks` have been."""

    request_id: str
    at: datetime
    content_hash: str
    chunk: int
    chunks: int
    people: int
    queued: int
    skipped: int
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class RequestScheduled:
    """The request is sound and waits: for its time (`due_at`), or for approval (`due_at` is none)."""

    request_id: str
    at: datetime
    due_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class RequestRejected:
    """Nothing of the request goes out. `problems` names everything found, for people."""

    request_id: str
    at: datetime
    content_hash: str
    reason: str
    problems: list[str]


@dataclass(frozen=True, slots=True)
class RequestConflicted:
    """Another request came under a request_id that was taken; nothing of it goes out, the first one is untouched."""

    request_id: str
    at: datetime
    content_hash: str
    taken_by: str


@dataclass(frozen=True, slots=True)
class RequestCancelled:
    request_id: str
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecipientSkipped:
    """One address (or one person without any) gets nothing, and why; `reason` is a code."""

    request_id: str
    at: datetime
    email_id: str
    user_id: str
    to: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class RequestControl:
    """The current say over a request (compacted topic request-controls): running, paused, cancelled, approved or rejected.

    `content_hash` is of the request that took the id; empty where a control came before any request. `waits` are the
    offsets of its records that wait for approval, in the request's partition of message-requests. `approved` outlasts a pause.
    """

    request_id: str
    at: datetime
    state: str
    by: str
    content_hash: str
    waits: list[int]
    approved: bool = False
