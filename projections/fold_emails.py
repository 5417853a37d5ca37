"""What happened to one email: its row, its line in the timeline, and the counts of its request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from projections.fold_requests import counted
from projections.rows import Key, Row, Rows, Where, found, update
from streams import events
from streams.domain.states import TERMINAL, EmailState, attempts_made, stepped

# What feedback says of an email, and how bad that is: the worst is what the row shows. Any other kind is worth 0.
FEEDBACK = {"unsubscribed": 1, "soft_bounce": 2, "hard_bounce": 3, "complaint": 4}
QUEUED = EmailState.QUEUED.value
ENDED = frozenset(state.value for state in TERMINAL - {EmailState.SKIPPED})


def keys(event: Any) -> Iterable[Key]:
    yield _email(event)
    if event.request_id is not None:
        yield "message_request", (event.request_id,)


def feedback_keys(event: Any) -> Iterable[Key]:
    return () if event.email_id is None else (_email(event),)


# -- emails.*, expansions --------------------------------------------------------------------------------------------


def queued(rows: Rows, event: events.EmailQueued, where: Where) -> None:
    """A further attempt is queued as a further record of the same email: the newest one says where the text stands."""
    row = found(rows, _email(event))
    values: dict[str, Any] = {"queued_at": min(row["queued_at"] or event.queued_at, event.queued_at)}
    if row["text_attempt"] is None or event.attempt > row["text_attempt"]:
        values |= _text(event, where)
    _stand(rows, row, event, values)
    _record(rows, event, where, event.queued_at)


def skipped(rows: Rows, event: events.RecipientSkipped, where: Where) -> None:
    row = found(rows, _email(event))
    values: dict[str, Any] = {}
    if row["text_attempt"] is None:
        values = {"user_id": event.user_id, "send_to": event.to, "text_attempt": 0}
    _stand(rows, row, event, values, event.reason, event.detail)
    _record(rows, event, where, event.at)


def _text(event: events.EmailQueued, where: Where) -> dict[str, Any]:
    return {
        "inbound_id": event.inbound_id,
        "user_id": event.user_id,
        "purpose": event.purpose,
        "recipient": event.recipient,
        "send_to": event.to,
        "send_from": _from(event.content),
        "subject": event.subject,
        "message_id": event.message_id,
        "expires_at": event.expires_at,
        "max_attempts": event.max_attempts,
        "text_topic": where.topic,
        "text_partition": where.partition,
        "text_offset": where.offset,
        "text_attempt": event.attempt,
    }


def _from(content: events.Composed | events.Relayed) -> str | None:
    """The From header of a text that we wrote; a relayed one stays in its original."""
    headers = content.headers if isinstance(content, events.Composed) else ()
    return next((header.value for header in headers if header.name.lower() == "from"), None)


# -- deliveries ------------------------------------------------------------------------------------------------------
# All events of an email stand on one partition of `deliveries`, so what only they set is simply the last one's word.


def delivery(rows: Rows, event: Any, where: Where, **values: Any) -> None:
    """Any event of `deliveries`; `values` are what this one sets beside the status."""
    row = found(rows, _email(event))
    late = row["status"] in ENDED and not isinstance(event, events.EmailSent)
    said = {} if late else {"next_attempt_at": None, **values}  # a thawed worker's late word stands in the timeline, nowhere else
    _stand(rows, row, event, said, getattr(event, "reason", ""))
    _record(rows, event, where, event.at)


def attempting(rows: Rows, event: events.EmailAttempting, where: Where) -> None:
    delivery(rows, event, where, last_attempt_at=event.at)


def sent(rows: Rows, event: events.EmailSent, where: Where) -> None:
    delivery(rows, event, where, sent_at=event.at, last_reply=event.reply, mta=event.mta, message_id=event.message_id)


def deferred(rows: Rows, event: events.EmailDeferred, where: Where) -> None:
    delivery(rows, event, where, last_reply=event.reply, next_attempt_at=event.retry_at)


def failed(rows: Rows, event: events.EmailFailed, where: Where) -> None:
    delivery(rows, event, where, last_reply=event.reply)


def expired(rows: Rows, event: events.EmailExpired, where: Where) -> None:
    delivery(rows, event, where, **({"last_reply": event.reply} if event.reply else {}))


# -- feedback --------------------------------------------------------------------------------------------------------


def bounced(rows: Rows, event: events.EmailBounced, where: Where) -> None:
    _feedback(rows, event, where, f"{event.kind}_bounce", f"{event.status} {event.diagnostic}".strip())


def complained(rows: Rows, event: events.EmailComplained, where: Where) -> None:
    _feedback(rows, event, where, "complaint", event.source)


def unsubscribed(rows: Rows, event: events.Unsubscribed, where: Where) -> None:
    _feedback(rows, event, where, "unsubscribed", event.source)


def _feedback(rows: Rows, event: Any, where: Where, kind: str, said: str) -> None:
    """The worst feedback stays, of equals the first in time: providers repeat and reorder what they report."""
    if event.email_id is None:
        return
    row = found(rows, _email(event))
    if row["feedback"] is None or _worse(kind, event.at, row):
        update(rows, _email(event), feedback=kind, feedback_at=event.at)
    _record(rows, event, where, event.at, reason=kind, reply=said)


def _worse(kind: str, at: datetime, row: Row) -> bool:
    new, old = FEEDBACK.get(kind, 0), FEEDBACK.get(row["feedback"], 0)
    return new > old or (new == old and at < row["feedback_at"])


# -- all -------------------------------------------------------------------------------------------------------------


def _email(event: Any) -> Key:
    return "text_of_email", (event.email_id,)


class Standing(NamedTuple):
    """Where an email stands, in the words of its row."""

    status: str
    attempt: int
    attempts: int
    terminal: bool
    ended: bool  # the end of a mail; a skip is none


@lru_cache(maxsize=10_000)
def _standing(status: str | None, attempt: int, kind: type, of_attempt: int) -> Standing:
    """After an event of this class and attempt. Few questions are asked again and again."""
    after, attempt = stepped(None if status is None else EmailState(status), attempt, kind, of_attempt)
    return Standing(after.value, attempt, attempts_made(after, attempt), after in TERMINAL, after.value in ENDED)


def _stand(rows: Rows, row: Row, event: Any, values: dict[str, Any], reason: str = "", detail: str = "") -> None:
    """Move the email to where it stands after `event`, and count it there; a stale or repeated event moves nothing."""
    before, kind = row["status"], event.__class__
    after = _standing(before, row["attempt"], kind, getattr(event, "attempt", 0))
    if after[:2] != (before, row["attempt"]):
        row.update(
            status=after.status,
            attempt=after.attempt,
            attempts=after.attempts,
            # A second queueing is said by two topics at once (EmailRequeued, EmailQueued): whichever comes first, no reason stands.
            reason="" if after.status == QUEUED else reason,
            detail=detail,
            ended_at=event.at if after.terminal else None,
        )
    row.update(values, request_id=event.request_id)
    if after.status != before and event.request_id is not None:
        counted(rows, event, before, after.status, ended=after.ended)


def _record(rows: Rows, event: Any, where: Where, at: datetime, reason: str | None = None, reply: str | None = None) -> None:
    rows["email_event", (where.topic, where.partition, where.offset)] = {
        "topic": where.topic,
        "partition": where.partition,
        "offset": where.offset,
        "email_id": event.email_id,
        "at": at,
        "event": type(event).__name__,
        "attempt": getattr(event, "attempt", None),
        "reason": getattr(event, "reason", None) if reason is None else reason,
        "reply": getattr(event, "reply", None) if reply is None else reply,
    }
