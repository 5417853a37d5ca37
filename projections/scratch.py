"""A second set of tables, folded from the topics beside the live ones, to compare with them or to take their place.

They are temporary tables of one connection: whatever happens to the process, nothing of them stays behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, MetaData, Table, delete, except_, insert, select, tuple_

from projections import batch, store
from projections.aged import remember
from projections.database import explained
from projections.feed import Extent, Feed, FeedRecord, Partition, Unread
from projections.rows import KEY_COLUMNS, Key
from projections.tables import FOLDED

BATCH = 5000
WAIT_S = 0.2
STALLED_S = 60.0
TEMPORARY = {"postgresql": "pg_temp", "sqlite": "temp"}
Progress = Callable[[int], None]


class Difference(NamedTuple):
    """A row that stands in one set of tables but not, or not so, in the other."""

    table: str
    key: tuple[Any, ...]
    live: dict[str, Any] | None
    folded: dict[str, Any] | None

    def columns(self) -> list[str]:
        """The columns that differ; none where a whole row is missing on one side."""
        if self.live is None or self.folded is None:
            return []
        return [name for name, value in self.live.items() if self.folded[name] != value]


class Scratch:
    """Empty tables on `connection`, and a feed that stands before the first record still kept."""

    def __init__(self, connection: Connection, feed: Feed, extents: Mapping[Partition, Extent], progress: Progress) -> None:
        """What the live tables remember of records no longer kept is taken over. `progress` is told of each batch's size."""
        self._connection = connection
        self._feed = feed
        self._progress = progress
        self.folded = 0
        with self._transaction():
            self.tables = _create(connection)
            remember(connection, self.tables, {partition: extent.low for partition, extent in extents.items()})
        feed.start({partition: extent.low for partition, extent in extents.items()})

    def fold_to(self, ends: Mapping[Partition, int], *, beyond: bool) -> None:
        """Fold everything before `ends`; with `beyond` also what comes along behind it. May be repeated with other ends.

        Raises BrokerGone, or Unread if the records up to `ends` do not come.
        """
        last = time.monotonic()
        while not self._feed.at_end(ends):
            records = self._feed.take(BATCH, WAIT_S)
            if records:
                last = time.monotonic()
                self._fold(records if beyond else [record for record in records if record.where.offset < ends.get(record.where[:2], 0)])
            elif time.monotonic() - last > STALLED_S:
                raise Unread(f"no more records came for {STALLED_S:.0f} s, though the tables account for more; look at the broker's log")

    def _fold(self, records: Sequence[FeedRecord]) -> None:
        with self._transaction():
            batch.write_or_park(records, batch.read(records), self._write, batch.unfoldable)
        self.folded += len(records)
        self._progress(len(records))

    def _write(self, records: Sequence[FeedRecord], events: Sequence[Any]) -> None:
        with explained(self._connection.engine), self._connection.begin_nested():
            batch.write(self._connection, records, events, self.tables)

    def _transaction(self) -> AbstractContextManager[object]:
        return nullcontext() if self._connection.in_transaction() else self._connection.begin()


def differences(connection: Connection, tables: store.Tables, most: int) -> Iterator[Difference]:
    """Where the live tables are not what `tables` are, at most `most` rows a table."""
    for name, live in FOLDED.items():
        wrong = _keys(connection, name, live, tables[name], most) | _keys(connection, name, tables[name], live, most)
        keys: list[Key] = [(name, key) for key in islice(wrong, most)]
        lived, folded = store.load(connection, keys), store.load(connection, keys, tables)
        yield from (Difference(name, key[1], lived[key], folded[key]) for key in keys)


def mend(connection: Connection, tables: store.Tables) -> int:
    """Make the live tables equal to `tables` by rewriting the rows that differ; returns how many were written or taken away."""
    changed = 0
    for name, live in FOLDED.items():
        wrong = except_(select(live), select(tables[name])).subquery()
        key = KEY_COLUMNS[name]
        gone = connection.execute(delete(live).where(tuple_(*(live.c[c] for c in key)).in_(select(*(wrong.c[c] for c in key)))))
        right = except_(select(tables[name]), select(live))
        made = connection.execute(insert(live).from_select(live.columns.keys(), right).execution_options(preserve_rowcount=True))
        changed += max(gone.rowcount, made.rowcount)
    return changed


def _create(connection: Connection) -> dict[str, Table]:
    metadata = MetaData()
    schema = TEMPORARY[connection.dialect.name]
    tables = {name: table.to_metadata(metadata, schema=schema, name=f"scratch_{name}") for name, table in FOLDED.items()}
    for table in tables.values():
        table.indexes.clear()  # they are only ever read by key, or whole
    metadata.create_all(connection, checkfirst=False)
    return tables


def _keys(connection: Connection, name: str, these: Table, others: Table, most: int) -> dict[tuple[Any, ...], None]:
    """The keys of rows that stand so in `these` but not in `others`, in the order in which they came."""
    rows = connection.execute(except_(select(these), select(others)).limit(most)).mappings()
    return {tuple(row[column] for column in KEY_COLUMNS[name]): None for row in rows}
