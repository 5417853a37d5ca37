"""Rows and offsets in and out of the database. Every function works inside the transaction that its caller has begun."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Column, Connection, Dialect, Table, select, tuple_

from projections.rows import KEY_COLUMNS, Key, Row, Rows
from projections.tables import FOLDED

Tables = Mapping[str, Table]  # by the names of FOLDED: the live ones, or copies beside them
Partition = tuple[str, int]
KEYS_A_QUERY = 1000  # a query's text grows with its keys


def load(connection: Connection, keys: Iterable[Key], tables: Tables = FOLDED) -> Rows:
    """The rows of these keys; none for a row that is not there."""
    wanted: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for table, key in dict.fromkeys(keys):
        wanted[table].append(key)
    rows: Rows = {(table, key): None for table, keys_of_table in wanted.items() for key in keys_of_table}
    for name, values in wanted.items():
        for start in range(0, len(values), KEYS_A_QUERY):
            rows |= _read(connection, name, tables[name], values[start : start + KEYS_A_QUERY])
    return rows


def save(connection: Connection, rows: Rows, tables: Tables = FOLDED) -> None:
    """Write the rows, each whole, over what is there."""
    by_table: dict[str, list[Row]] = defaultdict(list)
    for (table, _), row in rows.items():
        if row is not None:
            by_table[table].append(row)
    for name, values in by_table.items():
        _upsert(connection, tables[name], values)


def _read(connection: Connection, name: str, table: Table, keys: list[tuple[Any, ...]]) -> Rows:
    columns = [table.c[column] for column in KEY_COLUMNS[name]]
    chosen = columns[0].in_([key[0] for key in keys]) if len(columns) == 1 else tuple_(*columns).in_(keys)
    found = (row._mapping for row in connection.execute(select(table).where(chosen)))
    return {(name, tuple(row[column] for column in columns)): dict(row) for row in found}


def _upsert(connection: Connection, table: Table, rows: list[Row]) -> None:
    """Below SQLAlchemy's executemany, for speed: on PostgreSQL that cost three times as much, and COPY is the fast way in."""
    values = _values(table, connection.dialect, rows)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_upsert_from(table, f"VALUES ({', '.join('?' * len(table.columns))})"), values)
        return
    incoming, columns = f'"incoming_{table.name}"', _names(table.columns)
    cursor = connection.connection.cursor()
    cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {incoming} (LIKE {_name(table)}) ON COMMIT DELETE ROWS")
    with cursor.copy(f"COPY {incoming} ({columns}) FROM STDIN") as copy:
        for row in values:
            copy.write_row(row)
    cursor.execute(_upsert_from(table, f"SELECT {columns} FROM {incoming}"))  # noqa: S608 - every name is one of tables.py
    if table.schema:  # a scratch table: many batches in one transaction
        cursor.execute(f"TRUNCATE {incoming}")


def _values(table: Table, dialect: Dialect, rows: list[Row]) -> list[tuple[Any, ...]]:
    """The rows as the driver takes them, in the order of the columns."""
    columns = [(column.name, column.type.dialect_impl(dialect).bind_processor(dialect)) for column in table.columns]
    return [tuple([row[name] if process is None or row[name] is None else process(row[name]) for name, process in columns]) for row in rows]


@cache
def _upsert_from(table: Table, source: str) -> str:
    key = _names(table.primary_key.columns)
    changes = ", ".join(f'"{column.name}" = excluded."{column.name}"' for column in table.columns if not column.primary_key)
    return f"INSERT INTO {_name(table)} ({_names(table.columns)}) {source} ON CONFLICT ({key}) DO UPDATE SET {changes}"


def _names(columns: Iterable[Column[Any]]) -> str:
    return ", ".join(f'"{column.name}"' for column in columns)


def _name(table: Table) -> str:
    return f'{table.schema}."{table.name}"' if table.schema else f'"{table.name}"'
