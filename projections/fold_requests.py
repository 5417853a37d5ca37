"""What became of one message request: its head, its chunks, its counts, and the state that these amount to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from projections.rows import Key, Row, Rows, Where, found, update
from streams import events
from streams.domain.states import TERMINAL, EmailState

MAX_WARNINGS = 50  # kept per request, the first in the alphabet: a choice that no order of events changes
STATUSES = tuple(state.value for state in EmailState)
OPEN = tuple(state.value for state in EmailState if state not in TERMINAL)


def keys(event: Any) -> Iterable[Key]:
    return (_request(event),)


def chunk_keys(event: events.RequestExpanded) -> Iterable[Key]:
    return _request(event), _chunk(event)


# -- message-requests: one partition a request, so the first record is the request, and a later word replaces an earlier


def submitted(rows: Rows, event: events.MessageRequest, where: Where) -> None:
    """The first record is the request; chunks, copies from the delay wheel and conflicting ones change nothing."""
    if found(rows, _request(event))["head_offset"] is not None:
        return
    _set(
        rows,
        event,
        content_hash=event.content_hash,
        subject=event.subject,
        sender=event.sender,
        reply_to=event.reply_to,
        send_to=event.send_to,
        priority=event.priority,
        public=event.public,
        creator_id=event.creator.user_id,
        creator_email=event.creator.email,
        site=event.site.domain,
        created_at=event.created_at,
        submitted_at=event.submitted_at,
        not_before=event.not_before,
        expires_at=event.expires_at,
        recipients_total=event.recipients_total,
        chunks=event.chunks,
        head_partition=where.partition,
        head_offset=where.offset,
    )


def cancel_asked(rows: Rows, event: events.MessageRequestCancelled, _: Where) -> None:
    _set(rows, event, cancel_asked_at=found(rows, _request(event))["cancel_asked_at"] or event.at)


def approved(rows: Rows, event: events.MessageRequestApproved, _: Where) -> None:
    if found(rows, _request(event))["approved_at"] is None:
        _set(rows, event, approved_at=event.at, approved_by=event.by)


def paused(rows: Rows, event: events.MessageRequestPaused, _: Where) -> None:
    _set(rows, event, paused=True)


def resumed(rows: Rows, event: events.MessageRequestResumed, _: Where) -> None:
    _set(rows, event, paused=False)


# -- expansions: likewise --------------------------------------------------------------------------------------------


def expanded(rows: Rows, event: events.RequestExpanded, _: Where) -> None:
    """Each chunk counts once; a chunk that was expanded again after a crash has the same ids."""
    if rows.get(_chunk(event)) is not None:
        return
    update(rows, _chunk(event), at=event.at, people=event.people, queued=event.queued, skipped=event.skipped)
    row = found(rows, _request(event))
    _set(
        rows,
        event,
        chunks=event.chunks,
        chunks_expanded=row["chunks_expanded"] + 1,
        people=row["people"] + event.people,
        expanded=row["expanded"] + event.queued + event.skipped,
        expanded_at=max(row["expanded_at"] or event.at, event.at),
        warnings=sorted({*row["warnings"], *event.warnings})[:MAX_WARNINGS],
    )


def scheduled(rows: Rows, event: events.RequestScheduled, _: Where) -> None:
    _set(rows, event, due_at=event.due_at, waits_for=event.reason)


def rejected(rows: Rows, event: events.RequestRejected, _: Where) -> None:
    if found(rows, _request(event))["rejected_at"] is None:
        _set(rows, event, rejected_at=event.at, reason=event.reason, problems=event.problems)


def conflicted(rows: Rows, event: events.RequestConflicted, _: Where) -> None:
    _set(rows, event, conflicted_at=event.at)


def cancelled(rows: Rows, event: events.RequestCancelled, _: Where) -> None:
    if found(rows, _request(event))["cancelled_at"] is None:
        _set(rows, event, cancelled_at=event.at, cancelled_by=event.by, cancel_reason=event.reason)


# -- counts and state ------------------------------------------------------------------------------------------------


def counted(rows: Rows, event: Any, before: str | None, after: str, *, ended: bool) -> None:
    """One email of the request moved from a status to another; `ended` if that was the end of a mail."""
    row = found(rows, _request(event))
    row[after] += 1
    if before is not None:
        row[before] -= 1
    if ended:
        row["last_ended_at"] = max(row["last_ended_at"] or event.at, event.at)


def state(row: Row) -> str:
    """What the other columns of a request amount to."""
    return next(state for state, holds in STATES if holds(row))


def _all_expanded(row: Row) -> bool:
    return row["chunks"] is not None and row["chunks_expanded"] >= row["chunks"]


def _all_ended(row: Row) -> bool:
    return _all_expanded(row) and not any(row[status] for status in OPEN) and sum(row[status] for status in STATUSES) >= row["expanded"]


# The first that holds is the state of the request.
STATES: tuple[tuple[str, Callable[[Row], bool]], ...] = (
    ("rejected", lambda row: row["rejected_at"] is not None),
    ("no_recipients", lambda row: _all_expanded(row) and row["people"] == 0),
    ("finished", _all_ended),  # before cancelled: there is nothing left to stop
    ("cancelled", lambda row: row["cancelled_at"] is not None),
    ("cancelling", lambda row: row["cancel_asked_at"] is not None),
    ("paused", lambda row: row["paused"]),
    ("sending", _all_expanded),
    ("expanding", lambda row: row["chunks_expanded"] > 0),
    ("awaiting_approval", lambda row: row["waits_for"] is not None and row["due_at"] is None and row["approved_at"] is None),
    ("scheduled", lambda row: row["due_at"] is not None),
    ("submitted", lambda row: row["head_offset"] is not None),
    ("unknown", lambda row: True),
)


def _set(rows: Rows, event: Any, **values: Any) -> None:
    update(rows, _request(event), **values)


def _request(event: Any) -> Key:
    return "message_request", (event.request_id,)


def _chunk(event: events.RequestExpanded) -> Key:
    return "request_chunk", (event.request_id, event.chunk)
