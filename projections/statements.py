"""The statements that the projector repeats, as text for the driver; and values as the driver takes and gives them.

Below SQLAlchemy, for speed: its own statements and executemany cost several times as much. Every name in a text is one of tables.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC
from functools import cache
from typing import Any

from sqlalchemy import Column, Dialect, Table

from projections.rows import Row
from projections.tables import Utc, Words

WITHOUT_ZONE = len("2026-11-20 10:00:00.000000")
Columns = tuple[str, ...]
Convert = Callable[[list[Any]], list[Any]]  # all values of one column at once


@cache
def select_by_key(table: Table, columns: Columns, dialect_name: str) -> str:
    """Takes `keys`, as one value; for a table whose key is one column."""
    chosen = "IN (SELECT value FROM json_each(?))" if dialect_name == "sqlite" else "= ANY(%s)"
    return f"SELECT {names(columns)} FROM {full_name(table)} WHERE {names(key_of(table))} {chosen}"  # noqa: S608


def keys(values: Sequence[Any], dialect_name: str) -> tuple[Any]:
    """Any number of keys as the one value that `select_by_key` takes."""
    return (json.dumps(values) if dialect_name == "sqlite" else list(values),)


@cache
def upsert(table: Table, source: str) -> str:
    """Whole rows from `source`, over what is there."""
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in table.columns.keys() if name not in key_of(table))  # noqa: SIM118
    return f"INSERT INTO {full_name(table)} ({names(table.columns.keys())}) {source} ON CONFLICT ({names(key_of(table))}) DO UPDATE SET {changes}"


@cache
def update_one(table: Table, columns: Columns) -> str:
    """SQLite: takes one row's `columns`, of which the key is last. Unlike an upsert, it leaves alone the indexes of all other columns."""
    is_given = [f'"{name}" = ?' for name in columns]
    others = len(columns) - len(key_of(table))
    return f"UPDATE {full_name(table)} SET {', '.join(is_given[:others])} WHERE {' AND '.join(is_given[others:])}"  # noqa: S608


@cache
def key_last(table: Table, columns: Columns) -> Columns:
    return (*(name for name in columns if name not in key_of(table)), *key_of(table))


def values_of(columns: Iterable[str]) -> str:
    """One row of parameters, as SQLite writes them."""
    return f"VALUES ({', '.join('?' for _ in columns)})"


class Incoming:
    """PostgreSQL: the texts about a table beside `table`, where rows arrive by COPY."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._name = f'"incoming_{table.name}"'
        listed = names(table.columns.keys())
        all_of_it = f"SELECT * FROM {full_name(table)}"  # noqa: S608
        self.create = f"CREATE TEMPORARY TABLE IF NOT EXISTS {self._name} ON COMMIT DELETE ROWS AS {all_of_it} WITH NO DATA"
        self.upsert = upsert(table, f"SELECT {listed} FROM {self._name}")  # noqa: S608
        # A scratch table has many batches in one transaction, a live one few.
        self.clear = f"TRUNCATE {self._name}" if table.schema else f"DELETE FROM {self._name}"  # noqa: S608

    def copy(self, columns: Columns) -> str:
        """Takes rows of these columns."""
        return f"COPY {self._name} ({names(columns)}) FROM STDIN"

    def update(self, columns: Columns) -> str:
        """Sets these columns in the rows that have arrived."""
        changes = ", ".join(f'"{name}" = i."{name}"' for name in columns if name not in key_of(self._table))
        same = " AND ".join(f't."{name}" = i."{name}"' for name in key_of(self._table))
        return f"UPDATE {full_name(self._table)} t SET {changes} FROM {self._name} i WHERE {same}"  # noqa: S608


@cache
def incoming(table: Table) -> Incoming:
    return Incoming(table)


def names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def full_name(table: Table) -> str:
    return f'{table.schema}."{table.name}"' if table.schema else f'"{table.name}"'


@cache
def key_of(table: Table) -> Columns:
    return tuple(column.name for column in table.primary_key.columns)


# -- values ----------------------------------------------------------------------------------------------------------


def encoded(table: Table, columns: Columns, dialect: Dialect, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """The rows as the driver takes them. Column by column: a call a value would cost more than the database."""
    converters = _encoders(table, columns, dialect)
    return list(zip(*[convert([row[name] for row in rows]) for name, convert in converters], strict=True))


def decoded(table: Table, columns: Columns, dialect: Dialect, found: Sequence[Sequence[Any]]) -> list[Row]:
    """The rows as the folds take them."""
    by_column = zip(_decoders(table, columns, dialect), zip(*found, strict=True), strict=True)
    whole = zip(*[convert(list(values)) for convert, values in by_column], strict=True) if found else ()
    return [dict(zip(columns, row, strict=True)) for row in whole]


@cache
def _encoders(table: Table, columns: Columns, dialect: Dialect) -> list[tuple[str, Convert]]:
    return [(name, _encoder(table.columns[name], dialect)) for name in columns]


@cache
def _decoders(table: Table, columns: Columns, dialect: Dialect) -> list[Convert]:
    return [_each(table.columns[name].type.dialect_impl(dialect).result_processor(dialect, None)) for name in columns]


def _encoder(column: Column[Any], dialect: Dialect) -> Convert:
    if isinstance(column.type, Words):
        words = column.type
        return lambda values: [words.process_bind_param(v, dialect) for v in values] if "\0" in "".join(filter(None, values)) else values
    if isinstance(column.type, Utc):
        return _utc_text if dialect.name == "sqlite" else _as_it_is
    return _each(column.type.dialect_impl(dialect).bind_processor(dialect))


def _utc_text(values: list[Any]) -> list[Any]:
    """As SQLAlchemy stores instants in SQLite."""
    return [
        None if v is None else (v if v.tzinfo is UTC else v.astimezone(UTC)).isoformat(" ", "microseconds")[:WITHOUT_ZONE] for v in values
    ]


def _as_it_is(values: list[Any]) -> list[Any]:
    return values


def _each(process: Callable[[Any], Any] | None) -> Convert:
    return _as_it_is if process is None else lambda values: [None if value is None else process(value) for value in values]
