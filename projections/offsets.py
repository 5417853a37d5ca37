"""How far the tables have got: one row a partition, written in the same transaction as the rows that it accounts for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from projections.feed import Extent, Partition
from projections.tables import projection_offset
from streams.errors import UserError

COLUMNS = projection_offset.c


class TopicRemade(UserError):
    """A topic is not the one that the tables were folded from."""


class Moved(Exception):
    """The tables are not where this process left them."""


def hold(connection: Connection, expected: Mapping[Partition, int]) -> None:
    """Keep every other writer out until this transaction ends. Raises Moved if the tables are not where `expected` says."""
    if {partition: row.next_offset for partition, row in _noted(connection, lock=True).items()} != expected:
        raise Moved


def held(connection: Connection, extents: Mapping[Partition, Extent]) -> dict[Partition, int]:
    """Keep every other writer out until this transaction ends; where the tables are, leaving out topics that were made anew."""
    noted = _noted(connection, lock=True)
    return {at: row.next_offset for at, row in noted.items() if at in extents and extents[at].topic_id == row.topic_id}


def checked(connection: Connection, extents: Mapping[Partition, Extent]) -> dict[Partition, int]:
    """Where the tables are. Raises TopicRemade if they were folded from other topics than these."""
    noted = _noted(connection)
    for partition, row in noted.items():
        _check(partition, row.next_offset, row.topic_id, extents.get(partition))
    return {partition: row.next_offset for partition, row in noted.items()}


def prepare(connection: Connection, extents: Mapping[Partition, Extent]) -> dict[Partition, int]:
    """Where to go on, for every partition, having noted those never seen before.

    Raises TopicRemade: folding on would mix two histories.
    """
    positions = checked(connection, extents)
    new = {partition: 0 for partition in extents if partition not in positions}
    _insert(connection, new, extents)
    return positions | new


def advance(connection: Connection, positions: Mapping[Partition, int]) -> None:
    """Note that everything before these offsets has been folded."""
    statement = (
        update(projection_offset)
        .where(COLUMNS.topic == bindparam("of_topic"), COLUMNS.partition == bindparam("of_partition"))
        .values(next_offset=bindparam("to"))
    )
    if positions:
        rows = [{"of_topic": topic, "of_partition": number, "to": offset} for (topic, number), offset in positions.items()]
        connection.execute(statement, rows)


def replace(connection: Connection, positions: Mapping[Partition, int], extents: Mapping[Partition, Extent]) -> None:
    """Note these positions instead of all that were noted, for the topics as they are now."""
    connection.execute(delete(projection_offset))
    _insert(connection, positions, extents)


def _noted(connection: Connection, *, lock: bool = False) -> dict[Partition, Row[Any]]:
    wanted = select(projection_offset).order_by(COLUMNS.topic, COLUMNS.partition)
    rows = connection.execute(wanted.with_for_update() if lock else wanted)
    return {(row.topic, row.partition): row for row in rows}


def _insert(connection: Connection, positions: Mapping[Partition, int], extents: Mapping[Partition, Extent]) -> None:
    rows = [
        {"topic": topic, "partition": number, "topic_id": extents[topic, number].topic_id, "next_offset": offset}
        for (topic, number), offset in positions.items()
    ]
    if rows:
        connection.execute(insert(projection_offset), rows)


def _check(partition: Partition, next_offset: int, topic_id: str, extent: Extent | None) -> None:
    name = f"{partition[0]}[{partition[1]}]"
    then = "if this is the right broker, fold what stands there now: `espmail projections rebuild`"
    if extent is None:
        raise TopicRemade(f"the tables hold {next_offset} records of {name}, but there is no such partition; {then}")
    if extent.topic_id != topic_id or next_offset > extent.high:
        raise TopicRemade(
            f"the tables were folded from another {name} than stands here (up to record {next_offset}; it ends at {extent.high}); {then}"
        )
