"""Every schema version ever written, by fingerprint; and the newest of each event, which today's code writes.

A record names its writer by the CRC-64-AVRO fingerprint of the schema's canonical form, little endian, behind the
marker C3 01 (Avro 1.11 specification, "Single-object encoding"). No registry service is needed to read it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

FOLDER = Path(__file__).parent
MARKER = b"\xc3\x01"
FILE_NAME = re.compile(r"(?P<event>[A-Z][A-Za-z]+)\.v(?P<version>[1-9][0-9]*)\.avsc")


@dataclass(frozen=True, slots=True)
class Version:
    """One schema file. `head` is the ten bytes that start every record written with it."""

    event: str
    version: int
    schema: Any
    head: bytes


def load(path: Path) -> Version:
    """Read one schema file. Raises ValueError if its name is not <Event>.v<N>.avsc or does not match its record's."""
    match = FILE_NAME.fullmatch(path.name)
    raw = json.loads(path.read_text(encoding="utf-8"))
    if match is None or raw["name"] != match["event"]:
        raise ValueError(f"{path.name}: call it <Event>.v<N>.avsc, Event being the record's name")
    crc = bytes.fromhex(fingerprint(to_parsing_canonical_form(raw), "CRC-64-AVRO"))
    # Each version has names of its own: fastavro keeps parsed names only within one call.
    return Version(match["event"], int(match["version"]), parse_schema(raw), MARKER + crc)


@cache
def versions() -> dict[bytes, Version]:
    """All versions, by `head`. Raises ValueError if two files have one fingerprint (they would differ only in defaults)."""
    found: dict[bytes, Version] = {}
    for path in sorted(FOLDER.glob("*.avsc")):
        version = load(path)
        if version.head in found:
            raise ValueError(f"{path.name} has the fingerprint of {found[version.head]}: no reader could tell them apart")
        found[version.head] = version
    return found


@cache
def newest() -> dict[str, Version]:
    """The highest version of each event, by the event's name."""
    best: dict[str, Version] = {}
    for version in versions().values():
        if version.event not in best or version.version > best[version.event].version:
            best[version.event] = version
    return best
