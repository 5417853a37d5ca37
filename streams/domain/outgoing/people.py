"""The recipients of a request: within its document, or one a line of a file beside it.

A wrong structure is the caller's fault and refuses the request; a bad address is one person's fault and is met at
expansion, where it hurts only them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from operator import attrgetter
from typing import Any, Protocol

from streams.domain.outgoing.fields import Fields, Notes
from streams.domain.outgoing.variables import names_in, read_values
from streams.events import Contact, Person

MAX_ID = 200
MAX_NAME = 300
MAX_ADDRESS_TEXT = 1024  # the original's column; what is longer is no address
MAX_VARIABLES = 250_000
MAX_VARIABLE_NAMES = 2000
PERSON = attrgetter("user_id", "username", "first_name", "last_name", "email", "active", "variables")
CONTACT = attrgetter("first_name", "last_name", "email")
MAX_LINE = 4_000_000  # bytes: every letter of the longest person, written as JSON's escapes


class Met(Protocol):
    """A set of texts that only grows, and may be too big for memory."""

    def meet(self, texts: Collection[str]) -> set[str]:
        """Those of them that were met before. From now on all of them were."""


class MetInMemory:
    """For an audience that is in memory itself."""

    def __init__(self) -> None:
        self._met: set[str] = set()

    def meet(self, texts: Collection[str]) -> set[str]:
        before = self._met.intersection(texts)
        self._met.update(texts)
        return before


@dataclass(slots=True)
class Audience:
    """What a request's head must know of its recipients: how many, which variables any of them has, and a hash of them all."""

    total: int = 0
    variables: set[str] = field(default_factory=set)
    _hash: Any = field(default_factory=sha256)

    def add(self, person: Person) -> None:
        self.total += 1
        self._hash.update(_line_of(person))
        if person.variables != "{}" and len(self.variables) <= MAX_VARIABLE_NAMES:
            self.variables |= names_in(read_values(person.variables))

    @property
    def digest(self) -> str:
        """Equal for the same people in the same order: in another order they would be cut into other records."""
        return str(self._hash.hexdigest())

    def names(self, notes: Notes) -> list[str]:
        """The variables in order."""
        if len(self.variables) > MAX_VARIABLE_NAMES:
            notes.problem("recipients", f"have more than {MAX_VARIABLE_NAMES} different variables")
        if any(len(name) > MAX_NAME for name in self.variables):
            notes.problem("recipients", f"have a variable whose name is longer than {MAX_NAME} characters")
        return sorted(self.variables)[:MAX_VARIABLE_NAMES]


def read_people(fields: Fields, notes: Notes, audience: Audience) -> list[Person]:
    """Every recipient of the document once, in the order given; `audience` grows by them."""
    places = ((f"recipients[{i}]", item) for i, item in enumerate(fields.array("recipients")))
    return list(_each_once(places, MetInMemory(), notes, audience))


def read_lines(lines: Iterable[bytes], met: Met, notes: Notes, audience: Audience) -> Iterator[Person]:
    """Every recipient once, from lines of one JSON object each; blank lines say nothing. Keeps nobody.

    A line of MAX_LINE bytes or more counts as cut off. `met` remembers the user ids.
    """
    places = ((f"recipients[line {number}]", line) for number, line in enumerate(lines, 1) if line.strip())
    sound = ((place, _parsed(line, place, notes)) for place, line in places)
    return _each_once(((place, item) for place, item in sound if item is not None), met, notes, audience)


def _parsed(line: bytes, place: str, notes: Notes) -> object:
    """None, and a problem, for what is no JSON or null."""
    if len(line) >= MAX_LINE:
        notes.problem(place, f"is longer than {MAX_LINE} bytes")
        return None
    try:
        item = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError:
        notes.problem(place, "is nested too deep")
    except ValueError as error:  # also bytes that are no UTF-8
        notes.problem(place, f"is no JSON: {error}"[:200])
    else:
        if item is None:
            notes.problem(place, "must be an object, not null")
        return item
    return None


def _each_once(places: Iterable[tuple[str, object]], met: Met, notes: Notes, audience: Audience) -> Iterator[Person]:
    for place, item in places:
        faults = notes.problems_found
        person = _person(Fields(item, place, notes))
        if notes.problems_found > faults:
            continue
        if met.meet([person.user_id]):
            notes.warning(f"{place} repeats user_id {person.user_id}; the first one counts")
            continue
        audience.add(person)
        yield person


def _person(fields: Fields) -> Person:
    person = Person(
        user_id=fields.identity("user_id", MAX_ID),
        username=fields.text("username", MAX_NAME),
        first_name=fields.text("first_name", MAX_NAME),
        last_name=fields.text("last_name", MAX_NAME),
        email=fields.text("email", MAX_ADDRESS_TEXT),
        active=fields.flag("active", default=True),
        guardian=_contact(fields.optional_object("guardian")),
        emergency=_contact(fields.optional_object("emergency")),
        variables=fields.json_object("variables", MAX_VARIABLES),
    )
    fields.warn_of_unknown()
    return person


def _line_of(person: Person) -> bytes:
    contacts = [contact and CONTACT(contact) for contact in (person.guardian, person.emergency)]
    return json.dumps([*PERSON(person), *contacts]).encode() + b"\n"


def _contact(fields: Fields | None) -> Contact | None:
    if fields is None:
        return None
    contact = Contact(
        first_name=fields.text("first_name", MAX_NAME),
        last_name=fields.text("last_name", MAX_NAME),
        email=fields.text("email", MAX_ADDRESS_TEXT),
    )
    fields.warn_of_unknown()
    return contact
