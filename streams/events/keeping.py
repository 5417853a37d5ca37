"""Topics delay.* and dead-letters: records about records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from streams.events.parts import Header


@dataclass(frozen=True, slots=True)
class Delayed:
    """A record that is due on `topic` at `due_at`; it hops through the delay wheel until then."""

    due_at: datetime
    topic: str
    key: bytes
    value: bytes
    trace: str


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """A record that could not be handled: its original bytes, where it stood, who gave up and why."""

    at: datetime
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[Header]
    agent: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class DeadLetterReplayed:
    """The dead letter at `offset` of dead-letters was put back on its topic."""

    at: datetime
    offset: int
    by: str
