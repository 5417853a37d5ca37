"""Can data of one schema be read with another? The static half of "every version ever written is readable by today's code".

Avro's schema resolution (specification 1.11), narrowed to what this project's schemas use; schemas as fastavro parses them,
named types resolved. Anything else is reported as a problem, never passed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# What a reader may take for what: nothing is lost on these ways.
PROMOTIONS = {"int": {"long", "double"}, "float": {"double"}}

Schema = Any
Names = Mapping[str, Schema]


def problems(writer: Schema, reader: Schema) -> list[str]:
    """Why data written with `writer` could not all be read with `reader`; empty if it can. Neither may be recursive."""
    return list(_problems(_resolved(writer, {}), _resolved(reader, {}), ""))


def _problems(writer: Schema, reader: Schema, at: str) -> Iterator[str]:
    if isinstance(writer, list):
        for branch in writer:
            yield from _problems(branch, reader, at)
    elif isinstance(reader, list):
        if all(list(_problems(writer, branch, at)) for branch in reader):
            yield f"{at}: no branch of the reader's union takes {_kind(writer)}"
    elif _kind(writer) != _kind(reader):
        if _kind(reader) not in PROMOTIONS.get(_kind(writer), ()):
            yield f"{at}: {_kind(writer)} cannot be read as {_kind(reader)}"
    else:
        yield from CHECKS.get(_kind(writer), _same)(writer, reader, at)


def _record(writer: Schema, reader: Schema, at: str) -> Iterator[str]:
    yield from _name(writer, reader, at)
    written = {field["name"]: field["type"] for field in writer["fields"]}
    for field in reader["fields"]:
        place = f"{at}.{field['name']}"
        name = next((name for name in (field["name"], *field.get("aliases", ())) if name in written), None)
        if name is not None:
            yield from _problems(written[name], field["type"], place)
        elif "default" not in field:
            yield f"{place}: the writer has no such field, and it has no default"


def _enum(writer: Schema, reader: Schema, at: str) -> Iterator[str]:
    yield from _name(writer, reader, at)
    unknown = set(writer["symbols"]) - set(reader["symbols"])
    if unknown and "default" not in reader:
        yield f"{at}: the reader does not know {', '.join(sorted(unknown))}, and has no default"


def _fixed(writer: Schema, reader: Schema, at: str) -> Iterator[str]:
    yield from _name(writer, reader, at)
    if writer["size"] != reader["size"]:
        yield f"{at}: {writer['size']} bytes cannot be read as {reader['size']}"


def _array(writer: Schema, reader: Schema, at: str) -> Iterator[str]:
    yield from _problems(writer["items"], reader["items"], f"{at}[]")


def _map(writer: Schema, reader: Schema, at: str) -> Iterator[str]:
    yield from _problems(writer["values"], reader["values"], f"{at}{{}}")


def _name(writer: Schema, reader: Schema, at: str) -> Iterator[str]:
    if writer["name"] != reader["name"] and writer["name"] not in reader.get("aliases", ()):
        yield f"{at}: {writer['name']} cannot be read as {reader['name']}"


def _same(writer: Schema, reader: Schema, at: str) -> Iterator[str]:
    mine, other = (schema.get("logicalType") if isinstance(schema, dict) else None for schema in (writer, reader))
    if mine != other:
        yield f"{at}: {mine or 'no logical type'} would be read as {other or 'no logical type'}"


CHECKS = {"record": _record, "enum": _enum, "fixed": _fixed, "array": _array, "map": _map}


def _kind(schema: Schema) -> str:
    return str(schema["type"] if isinstance(schema, dict) else schema)


def _resolved(schema: Schema, names: dict[str, Schema]) -> Schema:
    """The schema with each reference by name replaced by what it names; in a recursive one, the reference to itself stays."""
    if isinstance(schema, list):
        return [_resolved(branch, names) for branch in schema]
    if isinstance(schema, str):
        return names.get(schema, schema)
    done = dict(schema)
    for part in ("items", "values"):
        if part in done:
            done[part] = _resolved(done[part], names)
    if "fields" in done:
        done["fields"] = [{**field, "type": _resolved(field["type"], names)} for field in done["fields"]]
    if "name" in done:
        names[done["name"]] = done
    return done
