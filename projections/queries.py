"""The only reads of the tables. Each answers from an index, however many rows there are.

Every function takes an open connection, changes nothing and may be repeated. Lists are cut to `most` rows and go on
behind the last row of the page before (`after`), so that a page costs the same wherever it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select, tuple_

from projections.tables import (
    dead_letter,
    dead_letter_replay,
    email_event,
    inbound_mail,
    message_request,
    projection_offset,
    suppression,
    text_of_email,
)
from streams.domain.addresses import normalise
from streams.domain.states import EmailState

Row = Mapping[str, Any]  # a row's columns by name (projections/tables.py)
STATUSES = tuple(state.value for state in EmailState)
PAGE = 100


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """A request's row, and how many of its emails are in each status. They sum up to `expanded` once all are known (G5)."""

    request: Row
    counts: Mapping[str, int]

    @property
    def finished_at(self) -> Any:
        """When the last of its emails ended, or its expansion if that gave nobody anything; none before."""
        ends = [self.request["last_ended_at"], self.request["expanded_at"]]
        return max((end for end in ends if end), default=None) if self.request["state"] in {"finished", "no_recipients"} else None


def request_status(connection: Connection, request_id: str) -> RequestStatus | None:
    """What became of a request; none if no event named it (yet)."""
    row = _one(connection, select(message_request).where(message_request.c.request_id == request_id))
    return None if row is None else _status(row)


def recent_requests(connection: Connection, most: int = PAGE, before: RequestStatus | None = None) -> list[RequestStatus]:
    """The newest requests first, those older than `before`."""
    order = message_request.c.submitted_at, message_request.c.request_id
    chosen = select(message_request).where(message_request.c.submitted_at.is_not(None)).order_by(*(column.desc() for column in order))
    if before is not None:
        chosen = chosen.where(tuple_(*order) < (before.request["submitted_at"], before.request["request_id"]))
    return [_status(row) for row in _all(connection, chosen.limit(most))]


def failed_lately(connection: Connection, since: datetime, most: int = PAGE, after: RequestStatus | None = None) -> list[RequestStatus]:
    """The requests that finished at `since` or later with a mail that failed or expired, those that ended first at the front."""
    columns = message_request.c
    order = columns.last_ended_at, columns.request_id
    chosen = select(message_request).where(
        columns.last_ended_at >= since, columns.state == "finished", columns.failed + columns.expired > 0
    )
    if after is not None:
        chosen = chosen.where(tuple_(*order) > (after.request["last_ended_at"], after.request["request_id"]))
    return [_status(row) for row in _all(connection, chosen.order_by(*order).limit(most))]


def rejected_lately(connection: Connection, since: datetime, most: int = PAGE, after: RequestStatus | None = None) -> list[RequestStatus]:
    """The requests that were taken in and then rejected at `since` or later, the first at the front."""
    columns = message_request.c
    order = columns.rejected_at, columns.request_id
    chosen = select(message_request).where(columns.rejected_at >= since, columns.head_offset.is_not(None))
    if after is not None:
        chosen = chosen.where(tuple_(*order) > (after.request["rejected_at"], after.request["request_id"]))
    return [_status(row) for row in _all(connection, chosen.order_by(*order).limit(most))]


def emails_of_request(
    connection: Connection, request_id: str, status: str | None = None, most: int = PAGE, after: Row | None = None
) -> list[Row]:
    """The request's emails, those of one status or all, in the order of status and id."""
    columns = text_of_email.c
    chosen = select(text_of_email).where(columns.request_id == request_id).order_by(columns.status, columns.email_id)
    if status is not None:
        chosen = chosen.where(columns.status == status)
    if after is not None:
        chosen = chosen.where(tuple_(columns.status, columns.email_id) > (after["status"], after["email_id"]))
    return _all(connection, chosen.limit(most))


def email(connection: Connection, email_id: str) -> Row | None:
    """One email as it stands."""
    return _one(connection, select(text_of_email).where(text_of_email.c.email_id == email_id))


def known_emails(connection: Connection, email_ids: Collection[str]) -> set[str]:
    """Those of these emails that there are."""
    return set(connection.scalars(select(text_of_email.c.email_id).where(text_of_email.c.email_id.in_(email_ids))))


def email_timeline(connection: Connection, email_id: str) -> list[Row]:
    """Everything that happened to one email, in order of time."""
    events = email_event.c
    chosen = select(email_event).where(events.email_id == email_id)
    return _all(connection, chosen.order_by(events.at, events.topic.desc(), events.partition, events.offset))


def emails_to(connection: Connection, recipient: str, most: int = PAGE) -> list[Row]:
    """The emails to one address (normalised, as in the envelope), newest first."""
    return _all(
        connection,
        select(text_of_email).where(text_of_email.c.recipient == recipient).order_by(text_of_email.c.queued_at.desc()).limit(most),
    )


def counts(connection: Connection, request_id: str) -> dict[str, int]:
    """How many emails of the request are in each status, counted row by row: what `request_status` must agree with."""
    columns = text_of_email.c
    grouped = select(columns.status, func.count().label("number")).where(columns.request_id == request_id).group_by(columns.status)
    return dict.fromkeys(STATUSES, 0) | {row.status: row.number for row in connection.execute(grouped)}


def doubts(connection: Connection, most: int = PAGE, after: Row | None = None) -> list[Row]:
    """The emails of which nobody can say whether they were delivered, in the order of their ids."""
    chosen = select(text_of_email).where(text_of_email.c.status == EmailState.IN_DOUBT.value).order_by(text_of_email.c.email_id)
    if after is not None:
        chosen = chosen.where(text_of_email.c.email_id > after["email_id"])
    return _all(connection, chosen.limit(most))


def inbound(connection: Connection, inbound_id: str) -> Row | None:
    """One inbound mail: its envelope, the decision and why, and what a moderator said."""
    return _one(connection, select(inbound_mail).where(inbound_mail.c.inbound_id == inbound_id))


def emails_of_inbound(connection: Connection, inbound_id: str, most: int = PAGE) -> list[Row]:
    """The copies that an inbound mail became."""
    return _all(
        connection, select(text_of_email).where(text_of_email.c.inbound_id == inbound_id).order_by(text_of_email.c.email_id).limit(most)
    )


def waits_for_moderator(mail: Mapping[str, Any]) -> bool:
    """Whether an inbound mail is held, and nobody has spoken of it since: one that was approved may be held anew by a reroute."""
    return mail["decision"] == "hold" and (mail["moderation"] is None or mail["decided_at"] > mail["moderated_at"])


def recent_inbound(connection: Connection, decision: str | None = None, most: int = PAGE) -> list[Row]:
    """The newest inbound mails first, all or those with one decision (deliver, hold, notice, drop)."""
    columns = inbound_mail.c
    chosen = select(inbound_mail).order_by(columns.received_at.desc()).limit(most)
    return _all(connection, chosen if decision is None else chosen.where(columns.decision == decision))


def inbound_ids(connection: Connection, beginning: str) -> list[str]:
    """The ids of the inbound mails that begin so; two at most."""
    column = inbound_mail.c.inbound_id
    # Ids are hexadecimal, so "g" is behind them all. The range is for the index: no LIKE uses one in every collation.
    chosen = select(column).where(column >= beginning, column < beginning + "g", column.startswith(beginning, autoescape=True))
    return list(connection.scalars(chosen.limit(2)))


def find_inbound(
    connection: Connection, *, sender: str = "", to: str = "", decision: str = "", since: datetime | None = None, most: int = PAGE
) -> list[Row]:
    """The newest inbound mails first, by whole envelope addresses (any case), decision and time of receipt; empty means any."""
    columns = inbound_mail.c
    chosen = select(inbound_mail).order_by(columns.received_at.desc()).limit(most)
    if sender:
        chosen = chosen.where(columns.sender == normalise(sender))
    if to:
        chosen = chosen.where(columns.recipient == normalise(to))
    if decision:
        chosen = chosen.where(columns.decision == decision)
    return _all(connection, chosen if since is None else chosen.where(columns.received_at >= since))


def suppressed(connection: Connection, address_hash: str) -> list[Row]:
    """What is noted of an address (by its hash, domain/addresses.py), for each purpose."""
    return _all(connection, select(suppression).where(suppression.c.address_hash == address_hash).order_by(suppression.c.purpose))


def dead_letters(connection: Connection, most: int = PAGE) -> list[Row]:
    """The newest dead letters first, with `replayed_at` and `replayed_by` of those that were put back."""
    replay = dead_letter_replay.c
    beside = dead_letter.outerjoin(dead_letter_replay, dead_letter.c.letter_offset == replay.letter_offset)
    chosen = select(dead_letter, replay.at.label("replayed_at"), replay.by.label("replayed_by")).select_from(beside)
    return _all(connection, chosen.order_by(dead_letter.c.at.desc()).limit(most))


def folded_records(connection: Connection) -> dict[tuple[str, int], int]:
    """The offset up to which each partition is in the tables."""
    return {(row.topic, row.partition): row.next_offset for row in connection.execute(select(projection_offset))}


def _status(row: Row) -> RequestStatus:
    return RequestStatus(row, {status: row[status] for status in STATUSES})


def _one(connection: Connection, chosen: Select[Any]) -> Row | None:
    row = connection.execute(chosen).mappings().one_or_none()
    return None if row is None else dict(row)


def _all(connection: Connection, chosen: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(chosen).mappings()]
