"""Rows in hand: what a fold reads and changes between one load and one save."""

from __future__ import annotations

from typing import Any, NamedTuple

from projections.tables import FOLDED

Row = dict[str, Any]  # changed in place: between a load and a save it belongs to nobody else
Key = tuple[str, tuple[Any, ...]]  # a table's name, and the values of its primary key
Rows = dict[Key, Row | None]  # none: there is no such row

# A row of which nothing is known yet: every column at its default.
BLANK = {name: {column.name: getattr(column.default, "arg", None) for column in table.columns} for name, table in FOLDED.items()}
# What folds look at of a row before they change it; where nothing is said, that is all. The rest need not be loaded, nor written again.
READ = {"text_of_email": ("email_id", "status", "attempt", "queued_at", "text_attempt", "feedback", "feedback_at")}
KEY_COLUMNS = {name: tuple(table.primary_key.columns.keys()) for name, table in FOLDED.items()}


class Where(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


def found(rows: Rows, key: Key) -> Row:
    """The row as it stands, or a new blank one, which is now in `rows`."""
    row = rows.get(key)
    if row is None:
        row = rows[key] = {**BLANK[key[0]], **dict(zip(KEY_COLUMNS[key[0]], key[1], strict=True))}
    return row


def update(rows: Rows, key: Key, **values: Any) -> None:
    """Set these columns of the row."""
    found(rows, key).update(values)
