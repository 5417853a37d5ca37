"""What a decision says should happen to one record, as a value with a reason; streams/shell.py carries it out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streams.publisher import Record


@dataclass(frozen=True, slots=True)
class Done:
    """Handled: publish `records`; when all are confirmed `closing`, the word that they are; then acknowledge.

    `reason` names the outcome in metrics; `settled` is called when everything is confirmed, or parked instead.
    """

    reason: str
    records: Sequence[Record] = ()
    closing: Sequence[Record] = ()
    settled: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Dead:
    """It can never be handled as it is: its bytes go to dead-letters with this reason (a code) and detail (for people)."""

    reason: str
    detail: str


Outcome = Done | Dead


@dataclass(frozen=True, slots=True)
class Source:
    """Where the record in hand stands."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    trace: str
