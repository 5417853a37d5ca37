"""The projector: records in, rows and offsets out, in one transaction each batch. Kill it anywhere; it goes on from the offsets.

Several may run by mistake, or beside a rebuild: each transaction first makes sure that the tables are where this process
left them, and otherwise goes on from where they are. The same check settles a commit whose answer was lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from projections import batch, offsets
from projections.database import is_outage, unusable, writing
from projections.feed import Feed, FeedRecord, Partition
from streams.errors import UserError
from streams.events import DeadLettered

log = logging.getLogger(__name__)
T = TypeVar("T")

PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0)


class TooManyUnfoldable(UserError):
    """One record after the other breaks the folds: that is a fault of the code, not of the records."""


@dataclass(frozen=True, slots=True)
class Limits:
    """At most `records` a transaction, gathered for `wait_s`; `deadline_s` for a database that does not answer.

    A transaction costs as much as some dozen records, so one for a few records is paid only where there are only a few.
    `trip` records in a row that only this code finds unfoldable end the process, or a bug would empty the topics into dead letters.
    """

    records: int = 2000
    wait_s: float = 0.3
    deadline_s: float = 60.0
    trip: int = 50


OnDead = Callable[[Sequence[DeadLettered]], None]


class Projector:
    """Folds a feed into the live tables. One thread."""

    def __init__(self, engine: Engine, feed: Feed, limits: Limits = Limits(), on_dead: OnDead = lambda _: None) -> None:
        """`on_dead` gets the records that could not be folded before their row is committed; it may be told twice."""
        self._engine = engine
        self.feed = feed
        self._limits = limits
        self._on_dead = on_dead
        self._unfoldable_in_a_row = 0
        self.positions: dict[Partition, int] = {}
        self.folded = 0

    def start(self) -> None:
        """Find the place to go on from. Raises TopicRemade, BrokerGone, TopicsMissing, DatabaseUnusable."""
        extents = self.feed.extents()
        self.positions = self._with_database(lambda connection: offsets.prepare(connection, extents))
        starts = {partition: max(offset, extents[partition].low) for partition, offset in self.positions.items()}
        for (topic, number), start in starts.items():
            if start > self.positions[topic, number] > 0:
                log.error("%s[%d]: %d records were deleted before they were folded", topic, number, start - self.positions[topic, number])
        self.feed.start(starts)

    def run_once(self) -> int:
        """Fold the next batch; returns how many records that were. Raises BrokerGone, Unread, DatabaseUnusable, TooManyUnfoldable."""
        records = self.feed.take(self._limits.records, self._limits.wait_s)
        if records:
            events = batch.read(records)
            if dead := batch.dead_letters(records, events):
                self._on_dead(dead)
            try:
                batch.write_or_park(records, events, self._commit, self._park)
            except offsets.Moved:
                self.start()
        return len(records)

    def _commit(self, records: Sequence[FeedRecord], events: Sequence[Any]) -> None:
        self._with_database(lambda connection: self._transact(connection, records, events))
        self.positions |= batch.ends(records)
        self.folded += len(records)
        if not (isinstance(events[0], DeadLettered) and events[0].reason == batch.UNFOLDABLE):
            self._unfoldable_in_a_row = 0

    def _park(self, record: FeedRecord, error: Exception) -> DeadLettered:
        log.error("%s cannot be folded", record.where, exc_info=error)
        self._unfoldable_in_a_row += 1
        if self._unfoldable_in_a_row >= self._limits.trip:
            words = " ".join(f"{type(error).__name__}: {error}".split())
            raise TooManyUnfoldable(
                f"{self._limits.trip} records in a row cannot be folded, the last for {words}; mend that and start again"
            )
        letter = batch.unfoldable(record, error)
        self._on_dead([letter])
        return letter

    def _transact(self, connection: Connection, records: Sequence[FeedRecord], events: Sequence[Any]) -> None:
        offsets.hold(connection, self.positions)
        batch.write(connection, records, events)
        offsets.advance(connection, batch.ends(records))

    def _with_database(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, again and again while the database fails for reasons of its own, until the deadline."""
        deadline = time.monotonic() + self._limits.deadline_s
        for pause_s in chain(PAUSES_S, repeat(PAUSES_S[-1])):
            try:
                with writing(self._engine) as connection, connection.begin():
                    return work(connection)
            except Exception as error:
                if not is_outage(self._engine, error):
                    raise
                if time.monotonic() > deadline:
                    raise unusable(self._engine, error) from None
                log.warning("%s; trying again", unusable(self._engine, error))
                time.sleep(pause_s)
        raise AssertionError("the pauses never end")
