"""Reading a JSON document strictly: every fault is noted with its path, then reading goes on with a harmless default."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from streams.domain.addresses import AddressError
from streams.domain.outgoing.problems import Problem

MAX_PROBLEMS = 100  # a million recipients with one fault each must not make a report of a million lines


@dataclass(slots=True)
class Notes:
    """What reading a document found: problems refuse it, warnings do not. Of each the first MAX_PROBLEMS are kept, all are counted."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems_found: int = 0
    warnings_found: int = 0

    def problem(self, where: str, text: str, code: str = "invalid_request") -> None:
        self.problems_found += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(code, _sound(where), _sound(text)))

    def warning(self, text: str) -> None:
        self.warnings_found += 1
        if len(self.warnings) < MAX_PROBLEMS:
            self.warnings.append(_sound(text))

    def all_problems(self) -> list[Problem]:
        """Those that are kept, and how many more there are."""
        more = self.problems_found - len(self.problems)
        return [*self.problems, *([Problem("invalid_request", "", f"and {more} more faults")] if more else [])]

    def all_warnings(self) -> list[str]:
        """Those that are kept, and how many more there are."""
        more = self.warnings_found - len(self.warnings)
        return [*self.warnings, *([f"and {more} more warnings"] if more else [])]


class Fields:
    """One JSON object of a document. Each method reads one key; `warn_of_unknown` names the keys that none read."""

    def __init__(self, value: object, path: str, notes: Notes) -> None:
        self._path = path
        self._notes = notes
        self._asked: set[str] = set()
        self._values: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
        if not isinstance(value, Mapping):
            notes.problem(path, f"must be an object, not {_kind(value)}")
            self._notes = Notes()  # one fault is enough: what it lacks says nothing more

    def where(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def problem(self, key: str, text: str, code: str = "invalid_request") -> None:
        self._notes.problem(self.where(key), text, code)

    def raw(self, key: str) -> Any:
        self._asked.add(key)
        return self._values.get(key)

    def text(self, key: str, limit: int, *, required: bool = False) -> str:
        """A string of at most `limit` characters; absent or null is '' unless required."""
        return self.optional_text(key, limit, required=required) or ""

    def optional_text(self, key: str, limit: int, *, required: bool = False) -> str | None:
        value = self.raw(key)
        if value is None:
            if required:
                self.problem(key, "is missing")
            return None
        if not isinstance(value, str):
            self.problem(key, f"must be text, not {_kind(value)}")
            return None
        return value if self._is_sound(key, value, limit) else None

    def checked(self, key: str, limit: int, read: Callable[[str], str]) -> str:
        """What `read` makes of a required string; it raises AddressError saying what is wrong."""
        text = self.text(key, limit, required=True)
        try:
            return read(text) if text else ""
        except AddressError as error:
            self.problem(key, str(error))
            return ""

    def identity(self, key: str, limit: int) -> str:
        """A required id: text, or a number which becomes text."""
        value = self.raw(key)
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(text, str) or not text.strip():
            self.problem(key, "is missing" if value in (None, "") else f"must be text, not {_kind(value)}")
            return ""
        return text if self._is_sound(key, text, limit) else ""

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problem(key, f"must be true or false, not {_kind(value)}")
            return default
        return value

    def choice(self, key: str, choices: Mapping[object, str], default: str) -> str:
        """What `choices` makes of the value; absent or null is `default`."""
        value = self.raw(key)
        if value is None:
            return default
        known = {json.dumps(choice): meaning for choice, meaning in choices.items()}
        chosen = known.get(_shown(value))
        if chosen is None:
            self.problem(key, f"must be one of {', '.join(known)}, not {_shown(value)}")
        return chosen or default

    def instant(self, key: str) -> datetime | None:
        """An ISO 8601 instant with its zone, as UTC; None where there is none."""
        value = self.raw(key)
        if value is None:
            return None
        try:
            return parse_instant(value)
        except ValueError as error:
            self.problem(key, str(error))
            return None

    def object(self, key: str) -> Fields:
        return Fields(self.raw(key), self.where(key), self._notes)

    def optional_object(self, key: str) -> Fields | None:
        return None if self.raw(key) is None else self.object(key)

    def names(self) -> list[str]:
        return [str(key) for key in self._values]

    def array(self, key: str) -> Sequence[Any]:
        value = self.raw(key)
        if isinstance(value, list):
            return value
        self.problem(key, "is missing; give a list" if value is None else f"must be a list, not {_kind(value)}")
        return []

    def json_object(self, key: str, limit: int) -> str:
        """An object of the caller's own making, as compact JSON text of at most `limit` characters; null is {}."""
        value = self.raw(key)
        if value is not None and not isinstance(value, Mapping):
            self.problem(key, f"must be an object, not {_kind(value)}")
            return "{}"
        try:
            text = json.dumps(value or {}, ensure_ascii=False, separators=(",", ":"))
        except RecursionError:
            self.problem(key, "is nested too deep")
            return "{}"
        return text if self._is_sound(key, text, limit) else "{}"

    def warn_of_unknown(self) -> None:
        for key in self._values:
            if key not in self._asked:
                self._notes.warning(f"{self.where(str(key))} is not a known key and was ignored")

    def _is_sound(self, key: str, text: str, limit: int) -> bool:
        if len(text) > limit:
            self.problem(key, f"is {len(text)} characters long; {limit} are allowed")
            return False
        try:
            text.encode()
        except UnicodeEncodeError:
            self.problem(key, "holds half a character (a lone UTF-16 surrogate); send valid Unicode")
            return False
        return True


def parse_instant(value: object) -> datetime:
    """ISO 8601 text with a zone as a UTC instant. Raises ValueError saying what is wrong."""
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None:
        raise ValueError(f"must be an instant such as 2026-11-20T10:00:00Z, not {_shown(value)}")
    if instant.tzinfo is None:
        raise ValueError(f"{value} has no zone; write {value}Z if it is UTC")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{value} is out of range") from None


def _sound(text: str) -> str:
    """The same, with half characters (lone surrogates) written as escapes: what is wrong with a document must be printable."""
    return text.encode(errors="backslashreplace").decode()


def _shown(value: object) -> str:
    return _kind(value) if isinstance(value, list | dict) else json.dumps(value, ensure_ascii=False, default=repr)[:100]


def _kind(value: object) -> str:
    kinds = {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return kinds.get(type(value), type(value).__name__)
