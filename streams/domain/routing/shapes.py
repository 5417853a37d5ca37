"""JSON against a table of what it must be: every difference named with its place, before anything is built from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

REQUIRED: Any = object()
LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")  # JSON can spell it, UTF-8 cannot: it would fail at the first encoding


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value must be: `check` says so, `said` names it for people; `shape` is that of an object, or of each in a list.

    `faults` finds what is wrong with a value of the right kind.
    """

    said: str
    check: Callable[[Any], bool]
    shape: Mapping[str, tuple[Kind, Any]] | None = None
    faults: Callable[[Any], Iterator[str]] | None = None


Shape = Mapping[str, tuple[Kind, Any]]  # key -> (what it holds, what stands where it is left out)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not LONE_SURROGATE.search(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_id(value: Any) -> bool:
    return _is_text(value) or _is_number(value)


def _is_text_or_null(value: Any) -> bool:
    return value is None or _is_text(value)


def _list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(check, value))


TEXT = Kind("text", _is_text)
TEXT_OR_NULL = Kind("text or null", _is_text_or_null)
ID = Kind("text or a whole number", _is_id)
NUMBER = Kind("a whole number", _is_number)
NUMBER_OR_NULL = Kind("a whole number or null", lambda value: value is None or _is_number(value))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
TEXTS = Kind("a list of texts", _list_of(TEXT.check))
IDS = Kind("a list of ids", _list_of(_is_id))


def object_of(shape: Shape) -> Kind:
    """An object of this shape."""
    return Kind("an object", lambda value: isinstance(value, dict), shape)


def list_of(shape: Shape) -> Kind:
    """A list of objects of this shape."""
    return Kind("a list", lambda value: isinstance(value, list), shape)


def problems(place: str, value: Any, kind: Kind) -> Iterator[str]:
    """Every difference, each as one sentence for the writer of the document."""
    if not kind.check(value):
        yield f"{place or 'the document'} must be {kind.said}, not {_named(value)}"
        return
    if kind.faults is not None:
        yield from (f"{place}: {fault}" for fault in kind.faults(value))
    if isinstance(value, list) and kind.shape is not None:
        for number, item in enumerate(value):
            yield from problems(f"{place}[{number}]", item, object_of(kind.shape))
    elif kind.shape is not None:
        for key, (wanted, default) in kind.shape.items():
            if key in value:
                yield from problems(f"{place}.{key}".removeprefix("."), value[key], wanted)
            elif default is REQUIRED:
                yield f"{place or 'the document'} lacks {key!r} ({wanted.said})"


def unknown_keys(place: str, value: Any, shape: Shape) -> Iterator[str]:
    """Keys of a sound object that nothing reads, wherever they stand."""
    for key, inner in value.items():
        if key not in shape:
            yield f"{place}.{key} is not known and was not read".removeprefix(".")
            continue
        below = shape[key][0].shape
        for number, item in enumerate(inner if isinstance(inner, list) else [inner]):
            if below is not None:
                yield from unknown_keys(f"{place}.{key}[{number}]" if isinstance(inner, list) else f"{place}.{key}", item, below)


def filled(value: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """A sound object with its defaults, and without keys that are not known."""
    return {key: value.get(key, default) for key, (_, default) in shape.items()}


def _named(value: Any) -> str:
    if isinstance(value, str) and LONE_SURROGATE.search(value):
        return "text that is no Unicode"
    names = {type(None): "null", bool: "true or false", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), f"the number {value}")
