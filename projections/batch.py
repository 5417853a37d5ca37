"""A batch of records into the tables: decode, load, fold, save, in the transaction of the caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from projections import folds, store
from projections.feed import FeedRecord, Partition
from projections.offsets import Moved
from projections.rows import READ
from projections.tables import FOLDED
from streams import codec
from streams.errors import UserError
from streams.events import DeadLettered

Write = Callable[[Sequence[FeedRecord], Sequence[Any]], None]
Park = Callable[[FeedRecord, Exception], DeadLettered]

AGENT = "project"
UNFOLDABLE = "unfoldable"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read(records: Sequence[FeedRecord]) -> list[Any]:
    """The event of each record; of a damaged one, the DeadLettered that says so."""
    return [_event(record) for record in records]


def write(connection: Connection, records: Sequence[FeedRecord], events: Sequence[Any], tables: store.Tables = FOLDED) -> None:
    """Fold the events of these records into the tables."""
    rows = store.load(connection, (key for event in events for key in folds.keys_of(event)), tables, READ)
    for record, event in zip(records, events, strict=True):
        folds.fold(rows, event, record.where)
    folds.settle(rows)
    store.save(connection, rows, tables)


def dead_letters(records: Sequence[FeedRecord], events: Sequence[Any]) -> list[DeadLettered]:
    """Those events that `read` made of damaged records, without those that it read from dead-letters."""
    pairs = zip(records, events, strict=True)
    return [
        event for record, event in pairs if isinstance(event, DeadLettered) and (event.topic, event.partition, event.offset) == record.where
    ]


def write_or_park(records: Sequence[FeedRecord], events: Sequence[Any], write: Write, park: Park) -> None:
    """`write` them all; where that raises, narrow down to the record at fault and write the dead letter that `park` makes of it.

    `write` must leave nothing behind when it raises. What is no record's fault (Moved, UserError) goes on to the caller.
    """
    try:
        write(records, events)
    except (Moved, UserError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a record breaks, it shall hurt only itself (G4)
        half = len(records) // 2
        if not half:
            write(records, [park(records[0], error)])
            return
        write_or_park(records[:half], events[:half], write, park)
        write_or_park(records[half:], events[half:], write, park)


def ends(records: Sequence[FeedRecord]) -> dict[Partition, int]:
    """The offset behind the last record of each partition."""
    return {(record.where.topic, record.where.partition): record.where.offset + 1 for record in records}


def unfoldable(record: FeedRecord, error: Exception) -> DeadLettered:
    """The dead letter of a whole event that the folds or the database refuse; the projector's log holds the error's words."""
    return _dead_letter(record, UNFOLDABLE, type(error).__name__)


def _event(record: FeedRecord) -> Any:
    try:
        return codec.decode(record.value)
    except codec.Undecodable as error:
        return _dead_letter(record, "undecodable", str(error))


def _dead_letter(record: FeedRecord, reason: str, detail: str) -> DeadLettered:
    """Made of the record alone, so that a rebuild makes the same."""
    return DeadLettered(
        at=EPOCH + timedelta(milliseconds=max(record.timestamp, 0)),
        topic=record.where.topic,
        partition=record.where.partition,
        offset=record.where.offset,
        key=record.key,
        value=record.value,
        headers=[],
        agent=AGENT,
        reason=reason,
        detail=detail,
    )
