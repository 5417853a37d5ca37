"""Bodies that no record names: what a crash between the put and the publish leaves behind, or retention of the records.

A body is named by its key, which stands in a record's bytes as text, in every version of every event and in what dead letters
keep; so records are searched, not decoded. What is asked for here is read twice over: all topics, and then what came meanwhile,
for a record may have moved from a topic not read yet to one already read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from gateway.bodies import BodyStore, Kept
from streams import topics
from streams.errors import UserError
from streams.reading import records_of
from streams.settings import Settings

NAMED = re.compile(rb"sha256/[0-9a-f]{2}/[0-9a-f]{64}")


class NothingNamed(UserError):
    """The topics name no body at all, which is more likely the wrong Kafka than the truth."""


def names_in(value: bytes | None) -> set[str]:
    """The keys that stand in a record's value."""
    return {key.decode() for key in NAMED.findall(value or b"")}


def named(settings: Settings) -> set[str]:
    """Every key that any record names now. Blocks for as long as reading everything takes. Raises UserError."""
    keys: set[str] = set()
    reached: dict[str, dict[int, int]] = {topic: {} for topic in topics.declared()}
    for _ in ("all of it", "what came meanwhile"):
        for topic, behind in reached.items():
            for record in records_of(settings, topic, behind.copy()):
                keys |= names_in(record.value)
                behind[record.partition] = record.offset + 1
    return keys


def unnamed(settings: Settings, bodies: BodyStore, before: datetime) -> list[Kept]:
    """The bodies put before that instant which no record names. They are listed first: what is put later is not among them.

    Raises NothingNamed where there are such bodies and none is named; UserError where topics or bodies cannot be read.
    """
    old = [kept for kept in bodies.kept() if kept.at < before]
    keys = named(settings) if old else set()
    if old and not keys:
        raise NothingNamed(
            f"no record on {settings.bootstrap} names any body, so all {len(old)} old ones would go; check ESPMAIL_KAFKA and ESPMAIL_BODIES"
        )
    return [kept for kept in old if kept.key not in keys]


def sweep(bodies: BodyStore, found: Iterable[Kept], before: datetime) -> list[Kept]:
    """Remove them, but not those that were put again since; returns those that are gone. May be repeated. Raises BodyError."""
    return [kept for kept in found if bodies.remove(kept.key, before)]
