"""The status of one email, and how events move it: one fold for the ledger, the projections and every count.

    step(status, attempt, event) -> (status, attempt)

Every (status, attempt) has a standing, and a step takes the higher of two. So the fold gives one answer for any order
of the events and any number of repeats (reliability.md, row S-02): a late EmailQueued never takes a sent mail back.

`attempt` means, in a status as in the events:
- EmailQueued, EmailRequeued: the attempt that comes next, from 1;
- EmailAttempting, EmailSent, EmailDeferred, EmailFailed, EmailInDoubt: the attempt they speak of;
- EmailExpired, EmailSuppressed, EmailCancelled: how many attempts had been made (0: none); RecipientSkipped: 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from streams import events


class EmailState(StrEnum):
    """What can be said of one email; the words that stand in tables and on screens."""

    SKIPPED = "skipped"
    QUEUED = "queued"
    ATTEMPTING = "attempting"
    IN_DOUBT = "in_doubt"
    DEFERRED = "deferred"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"
    SENT = "sent"


TERMINAL = frozenset(
    {EmailState.SKIPPED, EmailState.SUPPRESSED, EmailState.CANCELLED, EmailState.EXPIRED, EmailState.FAILED, EmailState.SENT}
)

TRANSITIONS: dict[type, EmailState] = {
    events.RecipientSkipped: EmailState.SKIPPED,
    events.EmailQueued: EmailState.QUEUED,
    events.EmailRequeued: EmailState.QUEUED,
    events.EmailAttempting: EmailState.ATTEMPTING,
    events.EmailInDoubt: EmailState.IN_DOUBT,
    events.EmailDeferred: EmailState.DEFERRED,
    events.EmailSuppressed: EmailState.SUPPRESSED,
    events.EmailCancelled: EmailState.CANCELLED,
    events.EmailExpired: EmailState.EXPIRED,
    events.EmailFailed: EmailState.FAILED,
    events.EmailSent: EmailState.SENT,
}

# (how final, stage within one attempt): compared as (how final, attempt, stage).
STANDING: dict[EmailState, tuple[int, int]] = {
    EmailState.SKIPPED: (0, 0),  # below queued: where a second expansion decided otherwise, the mail that exists is the truth
    EmailState.QUEUED: (1, 0),  # the next attempt outranks everything said of the one before
    EmailState.ATTEMPTING: (1, 1),
    EmailState.IN_DOUBT: (1, 2),
    EmailState.DEFERRED: (1, 3),  # above the doubt: the lost owner came back and knows that nothing was handed over
    EmailState.SUPPRESSED: (2, 0),
    EmailState.CANCELLED: (3, 0),
    EmailState.EXPIRED: (4, 0),
    EmailState.FAILED: (5, 0),  # holds a server's answer, so it outranks the ends that only we decided
    EmailState.SENT: (6, 0),  # evidence of delivery settles everything, whenever it comes
}


def step(status: EmailState | None, attempt: int, event: Any) -> tuple[EmailState, int]:
    """The standing after `event` (a class of TRANSITIONS; KeyError for another); `status` is none before the first."""
    return stepped(status, attempt, type(event), getattr(event, "attempt", 0))


def stepped(status: EmailState | None, attempt: int, kind: type, of_attempt: int) -> tuple[EmailState, int]:
    """As `step`, for an event of this class that speaks of this attempt."""
    said = TRANSITIONS[kind], of_attempt
    return said if status is None else max((status, attempt), said, key=_standing)


def fold(history: Iterable[Any]) -> tuple[EmailState, int] | None:
    """Where one email stands after all its events; none without any."""
    status, attempt = None, 0
    for event in history:
        status, attempt = step(status, attempt, event)
    return None if status is None else (status, attempt)


def attempts_made(status: EmailState, attempt: int) -> int:
    """How often the email has been offered, or is being offered, to an MTA."""
    return attempt - 1 if status is EmailState.QUEUED else attempt


def _standing(position: tuple[EmailState, int]) -> tuple[int, int, int]:
    status, attempt = position
    final, stage = STANDING[status]
    return final, attempt, stage
