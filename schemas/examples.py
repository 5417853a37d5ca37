"""One or more examples of every version of every event, and the bytes that they were written as: examples/<Event>/<N>/.

<name>.json is the record in Avro's JSON encoding (Avro 1.11 specification, "JSON Encoding"); <name>.bin is how it stood on a
topic, frozen: today's code must read it for ever. A new version brings its examples; `python -m schemas.examples` writes the
bytes that are missing, and never touches those that are there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import fastavro

from schemas import registry

FOLDER = Path(__file__).parent / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    """One example: its JSON file, and the schema version of its folder."""

    path: Path
    version: registry.Version

    @property
    def frozen(self) -> Path:
        return self.path.with_suffix(".bin")

    def record(self) -> Any:
        """Raises what fastavro raises if the JSON does not fit the schema."""
        one_line = json.dumps(json.loads(self.path.read_text(encoding="utf-8")))  # fastavro reads a record a line
        return next(iter(fastavro.json_reader(StringIO(one_line), self.version.schema)))

    def written(self) -> bytes:
        """The record as today's fastavro writes it."""
        out = BytesIO(self.version.head)
        out.seek(0, 2)
        fastavro.schemaless_writer(out, self.version.schema, self.record(), strict=True)
        return out.getvalue()


def examples() -> list[Example]:
    """All of them, by name. Raises KeyError for a folder that no schema file stands for."""
    by_place = {(version.event, str(version.version)): version for version in registry.versions().values()}
    return [Example(path, by_place[path.parent.parent.name, path.parent.name]) for path in sorted(FOLDER.glob("*/*/*.json"))]


def freeze() -> None:
    """Write the bytes of each example that has none."""
    for example in examples():
        if not example.frozen.exists():
            example.frozen.write_bytes(example.written())
            print(example.frozen)


if __name__ == "__main__":
    freeze()
