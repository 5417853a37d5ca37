"""Every event has its schema, every schema its topic, its examples and its frozen bytes; and old events read for ever."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from io import BytesIO
from typing import Any

import fastavro
import pytest

from schemas import examples, registry
from schemas.compatibility import problems
from streams import codec, events, topics

VERSIONS = sorted(registry.versions().values(), key=lambda version: (version.event, version.version))
EXAMPLES = examples.examples()
PARTS = {
    "ClaimCheck",
    "Contact",
    "Creator",
    "Site",
    "Person",
    "Attachment",
    "Header",
    "Composed",
    "Relayed",
    "SectionRow",
    "Judgement",
    "MethodResult",
}
SCALARS = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}


def name_of(version: registry.Version) -> str:
    return f"{version.event}.v{version.version}"


def example_name(example: examples.Example) -> str:
    return f"{name_of(example.version)}-{example.path.stem}"


def of_event(event: str) -> list[registry.Version]:
    return [version for version in VERSIONS if version.event == event]


# -- no orphans ----------------------------------------------------------------------------------------------------------


def test_every_event_class_has_a_schema_and_every_schema_a_class() -> None:
    classes = {name for name, value in vars(events).items() if is_dataclass(value)}
    assert classes - PARTS == set(registry.newest())


def test_every_schema_stands_on_a_topic_and_every_topic_has_schemas() -> None:
    allowed = [event for topic in topics.declared().values() for event in topic.events]
    assert set(allowed) == set(registry.newest())


def test_versions_count_from_one_without_gaps() -> None:
    for event in registry.newest():
        assert [version.version for version in of_event(event)] == list(range(1, len(of_event(event)) + 1)), event


def test_every_version_has_an_example_and_every_example_its_bytes() -> None:
    assert {example.version.head for example in EXAMPLES} == set(registry.versions())
    files = {path for path in examples.FOLDER.rglob("*") if path.is_file()}
    assert files == {file for example in EXAMPLES for file in (example.path, example.frozen)}


# -- old events read for ever --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", EXAMPLES, ids=example_name)
def test_frozen_bytes_are_what_the_example_is_written_as(example: examples.Example) -> None:
    assert example.frozen.read_bytes() == example.written()


@pytest.mark.parametrize("example", EXAMPLES, ids=example_name)
def test_todays_code_reads_the_frozen_bytes(example: examples.Example) -> None:
    event = codec.decode(example.frozen.read_bytes())
    assert type(event).__name__ == example.version.event
    if example.version is registry.newest()[example.version.event]:
        assert codec.encode(event) == example.frozen.read_bytes()


@pytest.mark.parametrize("event", sorted(registry.newest()))
def test_k18_every_version_reads_every_other(event: str) -> None:
    for writer, reader in itertools.permutations(of_event(event), 2):
        assert problems(writer.schema, reader.schema) == [], f"{name_of(writer)} read by {name_of(reader)}"


@pytest.mark.parametrize("event", sorted(registry.newest()))
def test_a_version_can_be_read_by_itself(event: str) -> None:
    for version in of_event(event):
        assert problems(version.schema, version.schema) == []


# -- the checker agrees with fastavro ------------------------------------------------------------------------------------


def record(*fields: dict[str, Any], name: str = "R") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def field(kind: Any, name: str = "a", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


MICROS = {"type": "long", "logicalType": "timestamp-micros"}
OTHER = record(field("string", "b"), name="Other")
CHANGES = [  # (writer, reader, a value of the writer's, can it be read)
    (record(field("string")), record(field("string")), {"a": "x"}, True),
    (record(field("string")), record(field("string"), field("string", "b", default="")), {"a": "x"}, True),
    (record(field("string")), record(field("string"), field("string", "b")), {"a": "x"}, False),
    (record(field("string"), field("long", "b")), record(field("string")), {"a": "x", "b": 1}, True),
    (record(field("string")), record(field("long")), {"a": "x"}, False),
    (record(field("int")), record(field("long")), {"a": 1}, True),
    (record(field("long")), record(field("int")), {"a": 1}, False),
    (record(field("string")), record(field(["null", "string"])), {"a": "x"}, True),
    (record(field(["null", "string"])), record(field("string")), {"a": None}, False),
    (record(field(["null", "string"])), record(field(["null", "long"])), {"a": "x"}, False),
    (record(field("string")), record(field("string", "b", aliases=["a"])), {"a": "x"}, True),
    (record(field("string")), record(field("string", "b")), {"a": "x"}, False),
    (record(field({"type": "array", "items": "string"})), record(field({"type": "array", "items": "long"})), {"a": ["x"]}, False),
    (record(field({"type": "map", "values": "int"})), record(field({"type": "map", "values": "long"})), {"a": {"x": 1}}, True),
    (record(field(OTHER)), record(field(record(name="Other"))), {"a": {"b": "x"}}, True),
    (record(field(record(name="Other"))), record(field(OTHER)), {"a": {}}, False),
]


@pytest.mark.parametrize(("writer", "reader", "value", "readable"), CHANGES)
def test_the_checker_says_what_fastavro_does(writer: Any, reader: Any, value: Any, readable: bool) -> None:
    written, read = fastavro.parse_schema(writer), fastavro.parse_schema(reader)
    assert (problems(written, read) == []) == readable
    assert can_be_read(written, read, value) == readable


def can_be_read(writer: Any, reader: Any, value: Any) -> bool:
    out = BytesIO()
    fastavro.schemaless_writer(out, writer, value)
    out.seek(0)
    try:
        fastavro.schemaless_reader(out, writer, reader)
    except (fastavro.read.SchemaResolutionError, ValueError):
        return False
    return True


def test_another_meaning_of_the_same_bytes_is_a_problem() -> None:
    assert problems(fastavro.parse_schema(record(field("long"))), fastavro.parse_schema(record(field(MICROS)))) != []


@pytest.mark.parametrize(
    ("writer", "reader", "readable"),
    [
        ({"symbols": ["A"]}, {"symbols": ["A", "B"]}, True),
        ({"symbols": ["A", "B"]}, {"symbols": ["A"]}, False),
        ({"symbols": ["A", "B"]}, {"symbols": ["A"], "default": "A"}, True),
    ],
)
def test_a_symbol_that_the_reader_does_not_know_needs_a_default(writer: Any, reader: Any, readable: bool) -> None:
    schemas = [fastavro.parse_schema({"type": "enum", "name": "E", **schema}) for schema in (writer, reader)]
    assert (problems(*schemas) == []) == readable


# -- lint ----------------------------------------------------------------------------------------------------------------


def nodes(schema: Any) -> Iterator[Any]:
    """Every schema within a schema, itself included."""
    yield schema
    if isinstance(schema, list):
        parts = schema
    elif isinstance(schema, dict):
        parts = [part for key in ("items", "values") if (part := schema.get(key))] + [inner["type"] for inner in schema.get("fields", ())]
    else:
        parts = []
    for part in parts:
        yield from nodes(part)


def records(version: registry.Version) -> list[dict[str, Any]]:
    return [node for node in nodes(version.schema) if isinstance(node, dict) and node["type"] == "record"]


@pytest.mark.parametrize("version", VERSIONS, ids=name_of)
def test_names_are_spelled_one_way(version: registry.Version) -> None:
    for node in records(version):
        assert re.fullmatch(r"espmail\.[A-Z][A-Za-z]+", node["name"])
        for inner in node["fields"]:
            assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", inner["name"])


@pytest.mark.parametrize("version", VERSIONS, ids=name_of)
def test_k17_no_array_item_is_written_as_nothing(version: registry.Version) -> None:
    """Six bytes would claim a billion of them."""
    for node in nodes(version.schema):
        if isinstance(node, dict) and node["type"] in {"array", "map"}:
            item = node.get("items", node.get("values"))
            assert item != "null"
            assert not (isinstance(item, dict) and item["type"] == "record" and not item["fields"])


@pytest.mark.parametrize("version", VERSIONS, ids=name_of)
def test_k17_no_schema_contains_itself(version: registry.Version) -> None:
    defined: set[str] = set()
    for node in nodes(version.schema):
        if isinstance(node, dict) and "name" in node:
            defined.add(node["name"])
    open_records = [node["name"] for node in records(version) for inner in nodes(node) if inner == node["name"]]
    assert open_records == []
    assert {node for node in nodes(version.schema) if isinstance(node, str)} <= defined | SCALARS


@pytest.mark.parametrize("version", VERSIONS, ids=name_of)
def test_what_may_be_missing_says_so_first(version: registry.Version) -> None:
    """Avro's default of a union is of its first branch: a field that may be null is ["null", ...] with the default null."""
    for node in records(version):
        for inner in node["fields"]:
            if isinstance(inner["type"], list) and "null" in inner["type"]:
                assert inner["type"][0] == "null"
                assert inner.get("default", ...) is None
