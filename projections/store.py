"""Rows and offsets in and out of the database. Every function works inside the transaction that its caller has begun."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, select, tuple_

from projections import statements
from projections.rows import Key, Row, Rows
from projections.statements import Columns
from projections.tables import FOLDED

Tables = Mapping[str, Table]  # by the names of FOLDED: the live ones, or copies beside them
Partition = tuple[str, int]
KEYS_A_QUERY = 1000  # a query's text grows with its keys, where they are of several columns
WHOLE: Mapping[str, Columns] = {name: tuple(column.name for column in table.columns) for name, table in FOLDED.items()}


def load(connection: Connection, keys: Iterable[Key], tables: Tables = FOLDED, columns: Mapping[str, Columns] = WHOLE) -> Rows:
    """The rows of these keys, or so many of their `columns`; none for a row that is not there."""
    wanted: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    rows: Rows = dict.fromkeys(keys)
    for table, key in rows:
        wanted[table].append(key)
    for name, values in wanted.items():
        rows |= _read(connection, name, tables[name], values, columns.get(name, WHOLE[name]))
    return rows


def save(connection: Connection, rows: Rows, tables: Tables = FOLDED) -> None:
    """Write the rows: whole ones over what is there, and those loaded in part into the rows that they are of."""
    alike: dict[tuple[str, Columns], list[Row]] = defaultdict(list)
    for (name, _), row in rows.items():
        if row is not None:
            alike[name, tuple(row)].append(row)
    for (name, columns), some in alike.items():
        _write(connection, tables[name], WHOLE[name] if len(columns) == len(WHOLE[name]) else columns, some)


def _read(connection: Connection, name: str, table: Table, keys: list[tuple[Any, ...]], columns: Columns) -> Rows:
    key = statements.key_of(table)
    if len(key) > 1:
        return _read_composite(connection, name, table, keys)
    dialect = connection.dialect
    text = statements.select_by_key(table, columns, dialect.name)
    asked = [value for (value,) in statements.encoded(table, key, dialect, [{key[0]: value} for (value,) in keys])]
    found = connection.exec_driver_sql(text, statements.keys(asked, dialect.name)).fetchall()
    return {(name, (row[key[0]],)): row for row in statements.decoded(table, columns, dialect, found)}


def _read_composite(connection: Connection, name: str, table: Table, keys: list[tuple[Any, ...]]) -> Rows:
    """Few rows are loaded so: none of an email."""
    key, rows = statements.key_of(table), Rows()
    for start in range(0, len(keys), KEYS_A_QUERY):
        chosen = tuple_(*(table.c[column] for column in key)).in_(keys[start : start + KEYS_A_QUERY])
        found = (dict(row) for row in connection.execute(select(table).where(chosen)).mappings())
        rows |= {(name, tuple(row[column] for column in key)): row for row in found}
    return rows


def _write(connection: Connection, table: Table, columns: Columns, rows: list[Row]) -> None:
    whole, sqlite = len(columns) == len(table.columns), connection.dialect.name == "sqlite"
    ordered = columns if whole else statements.key_last(table, columns)
    values = statements.encoded(table, ordered, connection.dialect, rows)
    if sqlite:
        text = statements.upsert(table, statements.values_of(columns)) if whole else statements.update_one(table, ordered)
        connection.exec_driver_sql(text, values)
    else:
        _copy(connection, table, ordered, values, whole=whole)


def _copy(connection: Connection, table: Table, columns: Columns, values: Sequence[tuple[Any, ...]], *, whole: bool) -> None:
    """PostgreSQL: COPY is the fast way in, into a table of this connection's own, and from there to where the rows belong."""
    incoming = statements.incoming(table)
    cursor = connection.connection.cursor()
    cursor.execute(incoming.create)
    with cursor.copy(incoming.copy(columns)) as copy:
        for row in values:
            copy.write_row(row)
    cursor.execute(incoming.upsert if whole else incoming.update(columns))
    cursor.execute(incoming.clear)
