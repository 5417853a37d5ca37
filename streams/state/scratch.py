"""A private file for what does not fit into memory while one command runs; it is gone when the command is."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any

from streams.errors import UserError
from streams.events import Contact, Person

CACHE_KB = 32_768  # of memory, however much stands in the file


class Scratch:
    """The people of an audience in parts, and sets of texts (`met`)."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # no name: a temporary file that nobody else sees
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("CREATE TABLE part (number INTEGER PRIMARY KEY, people TEXT NOT NULL)")
        self._db.execute("CREATE TABLE met (name TEXT, text TEXT, PRIMARY KEY (name, text)) WITHOUT ROWID")
        self._db.execute("BEGIN")
        self.parts = 0

    def put(self, people: list[Person]) -> None:
        """Keep one more part."""
        self._db.execute("INSERT INTO part (people) VALUES (?)", (json.dumps([astuple(person) for person in people]),))
        self.parts += 1

    def people(self) -> Iterator[list[Person]]:
        """The parts, in order; may be asked several times."""
        for (text,) in self._db.execute("SELECT people FROM part ORDER BY number"):
            yield [_person(row) for row in json.loads(text)]

    def met(self, name: str) -> StoredMet:
        """The set of this name, empty."""
        self._db.execute("DELETE FROM met WHERE name = ?", (name,))
        return StoredMet(self._db, name)

    def close(self) -> None:
        self._db.close()


class StoredMet:
    """A domain/outgoing/people.py Met on disk."""

    def __init__(self, db: sqlite3.Connection, name: str) -> None:
        self._db = db
        self._name = name

    def meet(self, texts: Collection[str]) -> set[str]:
        insert = "INSERT OR IGNORE INTO met VALUES (?, ?)"
        return {text for text in texts if not self._db.execute(insert, (self._name, text)).rowcount}


@contextmanager
def scratch() -> Iterator[Scratch]:
    """A new one until the `with` ends. Raises UserError if its disk is full."""
    kept = Scratch()
    try:
        yield kept
    except sqlite3.Error as error:
        raise UserError(f"no room for the audience in {tempfile.gettempdir()} ({error}); set TMPDIR to a folder with more") from error
    finally:
        kept.close()


def _person(row: list[Any]) -> Person:
    user_id, username, first_name, last_name, email, active, guardian, emergency, variables = row
    return Person(user_id, username, first_name, last_name, email, active, _contact(guardian), _contact(emergency), variables)


def _contact(row: list[str] | None) -> Contact | None:
    return None if row is None else Contact(*row)
