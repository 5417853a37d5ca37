"""Dead letters as operators see them: what is parked, and the way back to its topic."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from streams import codec, topics
from streams.errors import UserError
from streams.events import DeadLettered, DeadLetterReplayed
from streams.publisher import Record
from streams.reading import record_at, records_of
from streams.settings import Settings

ONE_PARTITION = 0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parked:
    """A dead letter, its offset in dead-letters, and whether somebody put it back."""

    offset: int
    letter: DeadLettered
    replayed: bool


def parked(settings: Settings) -> list[Parked]:
    """All that are kept and can be read, oldest first; warns of others. Blocks. Raises UserError."""
    letters: dict[int, DeadLettered] = {}
    done: set[int] = set()
    for record in records_of(settings, topics.DEAD_LETTERS):
        try:
            event = codec.decode(record.value)
        except codec.Undecodable as error:
            log.warning("offset %d of %s is left out: %s", record.offset, topics.DEAD_LETTERS, error)
            continue
        if isinstance(event, DeadLettered):
            letters[record.offset] = event
        elif isinstance(event, DeadLetterReplayed):
            done.add(event.offset)
    return [Parked(offset, letter, offset in done) for offset, letter in letters.items()]


def parked_at(settings: Settings, offset: int) -> Parked:
    """The dead letter at an offset. Raises UserError if there is none."""
    try:
        event = codec.decode(record_at(settings, topics.DEAD_LETTERS, ONE_PARTITION, offset).value)
    except codec.Undecodable as error:
        raise UserError(f"offset {offset} cannot be read: {error}; `espmail dead-letters list` shows the others") from None
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
