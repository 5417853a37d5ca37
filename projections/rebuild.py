"""G6, checked and used: the tables folded anew from the topics equal the live ones, or take their place."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from projections import offsets, scratch
from projections.database import explained, snapshot, to_write
from projections.feed import Feed

MOST_SHOWN = 100  # differing rows a table that are looked at


@dataclass(frozen=True, slots=True)
class Verification:
    """The live tables against a fold of the same records; equal if there are no differences (at most MOST_SHOWN a table)."""

    records: int
    differences: list[scratch.Difference]


@dataclass(frozen=True, slots=True)
class Rebuild:
    """`changed` rows were not what the topics say."""

    records: int
    changed: int


def verify(engine: Engine, feed: Feed, progress: scratch.Progress = lambda _: None) -> Verification:
    """Fold every record that the live tables account for, and compare. Reads one snapshot: the live projector goes on meanwhile.

    Raises TopicRemade, BrokerGone, TopicsMissing, Unread, DatabaseUnusable.
    """
    extents = feed.extents()
    with explained(engine), snapshot(engine) as connection, connection.begin() as transaction:
        live = offsets.checked(connection, extents)
        beside = scratch.Scratch(connection, feed, extents, progress)
        beside.fold_to(live, beyond=False)
        found = list(scratch.differences(connection, beside.tables, MOST_SHOWN))
        transaction.rollback()  # and with it the temporary tables
    return Verification(beside.folded, found)


def rebuild(engine: Engine, feed: Feed, progress: scratch.Progress = lambda _: None) -> Rebuild:
    """Fold every record beside the live tables, then make those equal in one transaction. The live projector goes on meanwhile.

    Readers see the old rows, then at once the new ones, never older facts than before; grants, views and indexes stay.
    Raises BrokerGone, TopicsMissing, Unread, DatabaseUnusable.
    """
    extents = feed.extents()
    with explained(engine), engine.connect() as connection:
        beside = scratch.Scratch(connection, feed, extents, progress)
        beside.fold_to({partition: extent.high for partition, extent in extents.items()}, beyond=True)
        with to_write(connection).begin():
            beside.fold_to(offsets.held(connection, extents), beyond=True)
            changed = scratch.mend(connection, beside.tables)
            offsets.replace(connection, feed.reached, extents)
        connection.invalidate()  # its temporary tables go with it, instead of staying in the pool
    return Rebuild(beside.folded, changed)
