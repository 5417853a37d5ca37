"""Events to bytes and back: Avro single-object encoding over fastavro.

`decode` reads every version ever written into today's class (schema resolution, writer to reader). It is total: any
bytes give an event or `Undecodable`, never another exception, and never an event with bytes left over.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from io import BytesIO
from typing import Any, TypeVar

import fastavro

from schemas import registry
from streams import events

HEAD_LENGTH = 10
E = TypeVar("E")


class Undecodable(ValueError):
    """These bytes are no event that this code knows. The text says why, without quoting the bytes."""


def encode(event: object) -> bytes:
    """One event as bytes, by the newest version of its schema. Raises ValueError if a field's value does not fit."""
    kind: Any = type(event)
    version = registry.newest()[kind.__name__]
    out = BytesIO()
    out.write(version.head)
    fastavro.schemaless_writer(out, version.schema, _to_record(kind)(event), strict=True)
    return out.getvalue()


def decode(data: bytes | None) -> Any:
    """The event in `data`. Raises Undecodable."""
    if not data:
        raise Undecodable("no value (a tombstone or an empty record)")
    version = registry.versions().get(data[:HEAD_LENGTH])
    if version is None:
        raise Undecodable("unknown schema fingerprint: written by a newer release, or not an event")
    body = BytesIO(data)
    body.seek(HEAD_LENGTH)
    record = _read(body, version)
    if body.tell() != len(data):
        raise Undecodable(f"{len(data) - body.tell()} bytes left over behind a whole {version.event}")
    return _from_record(getattr(events, version.event))(record)


def decode_as(kind: type[E], data: bytes | None) -> E:
    """The event in `data`, which must be a `kind`. Raises Undecodable."""
    event = decode(data)
    if not isinstance(event, kind):
        raise Undecodable(f"expected {kind.__name__}, found {type(event).__name__}")
    return event


def _read(body: BytesIO, version: registry.Version) -> Any:
    reader = registry.newest()[version.event]
    try:
        return fastavro.schemaless_reader(body, version.schema, reader.schema, return_record_name=True, return_record_name_override=True)
    except RecursionError:
        raise Undecodable(f"damaged {version.event}: nested without end") from None
    except Exception as error:
        raise Undecodable(f"damaged {version.event}: {type(error).__name__}") from error


# -- dataclass <-> record, compiled once a class --------------------------------------------------------------------

Convert = Callable[[Any], Any]


@cache
def _to_record(kind: type) -> Convert:
    steps = [(f.name, _writer(hint)) for f, hint in _hints(kind)]
    return lambda event: {name: getattr(event, name) if step is None else step(getattr(event, name)) for name, step in steps}


@cache
def _from_record(kind: type) -> Convert:
    steps = [(f.name, _reader(hint)) for f, hint in _hints(kind)]
    return lambda record: kind(*[record[name] if step is None else step(record[name]) for name, step in steps])


def _hints(kind: type) -> list[tuple[Any, Any]]:
    hints = typing.get_type_hints(kind)
    return [(f, hints[f.name]) for f in fields(kind)]


def _writer(hint: Any) -> Convert | None:
    """How a value of this type becomes Avro's; none where it already is."""
    if is_dataclass(hint):
        return _to_record(typing.cast("type", hint))
    if typing.get_origin(hint) is list:
        return _each(_writer(typing.get_args(hint)[0]))
    records = _records_of_union(hint)
    if not records:
        return None
    if len(records) == 1:
        return _unless_none(_to_record(records[0]))
    by_kind = {kind: (f"espmail.{kind.__name__}", _to_record(kind)) for kind in records}
    return lambda value: None if value is None else (by_kind[type(value)][0], by_kind[type(value)][1](value))


def _reader(hint: Any) -> Convert | None:
    """How Avro's value becomes one of this type; none where it already is."""
    if is_dataclass(hint):
        return _from_record(typing.cast("type", hint))
    if typing.get_origin(hint) is list:
        return _each(_reader(typing.get_args(hint)[0]))
    records = _records_of_union(hint)
    if not records:
        return None
    if len(records) == 1:
        return _unless_none(_from_record(records[0]))
    by_name = {f"espmail.{kind.__name__}": _from_record(kind) for kind in records}
    return lambda value: None if value is None else by_name[value[0]](value[1])


def _each(step: Convert | None) -> Convert | None:
    return None if step is None else lambda values: [step(value) for value in values]


def _unless_none(step: Convert) -> Convert:
    return lambda value: None if value is None else step(value)


def _records_of_union(hint: Any) -> list[type]:
    if typing.get_origin(hint) not in (types.UnionType, typing.Union):
        return []
    return [arg for arg in typing.get_args(hint) if isinstance(arg, type) and is_dataclass(arg)]


__all__ = ["Undecodable", "decode", "decode_as", "encode"]
