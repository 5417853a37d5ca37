"""Dead letters as operators see them: what is parked, and the way back to its topic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from streams import codec, topics
from streams.errors import UserError
from streams.events import DeadLettered, DeadLetterReplayed
from streams.publisher import Record
from streams.reading import record_at, records_of
from streams.settings import Settings

ONE_PARTITION = 0


@dataclass(frozen=True, slots=True)
class Parked:
    """A dead letter, its offset in dead-letters, and whether somebody put it back."""

    offset: int
    letter: DeadLettered
    replayed: bool


def parked(settings: Settings) -> list[Parked]:
    """All that are kept, oldest first. Blocks. Raises UserError."""
    letters: dict[int, DeadLettered] = {}
    done: set[int] = set()
    for record in records_of(settings, topics.DEAD_LETTERS):
        event = codec.decode(record.value)
        if isinstance(event, DeadLettered):
            letters[record.offset] = event
        elif isinstance(event, DeadLetterReplayed):
            done.add(event.offset)
    return [Parked(offset, letter, offset in done) for offset, letter in letters.items()]


def parked_at(settings: Settings, offset: int) -> Parked:
    """The dead letter at an offset. Raises UserError if there is none."""
    event = codec.decode(record_at(settings, topics.DEAD_LETTERS, ONE_PARTITION, offset).value)
    if not isinstance(event, DeadLettered):
        raise UserError(f"offset {offset} is no dead letter; `espmail dead-letters list` shows them")
    return Parked(offset, event, replayed=False)


def replayed(one: Parked, by: str, now: datetime) -> list[Record]:
    """The original record, and the note that it was put back."""
    letter = one.letter
    note = DeadLetterReplayed(at=now, offset=one.offset, by=by)
    return [
        Record(letter.topic, letter.key or b"", letter.value),
        Record(topics.DEAD_LETTERS, letter.key or b"", codec.encode(note)),
    ]
