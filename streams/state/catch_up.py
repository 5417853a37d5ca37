"""Keeps the ledgers of the partitions that a worker owns level with their topic.

A partition's ledger is brought to the high-water mark before the partition's first email is looked at; from then on the
same reading is repeated in the background, so that a restart has little to read.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from streams import codec, topics
from streams.state import skim
from streams.state.ledger import Entry, EntryOf, Ledger, email_entry, key_of
from streams.taken import Taken, taken

BATCH = 10_000
POLL_S = 0.05
SILENCE_S = 30.0
TAIL_EVERY_S = 3.0
WHAT_THEN = "If that was meant, remove the ledger folder; everything that still stands on the agent's input would then be done again"
log = logging.getLogger(__name__)

ReadEntry = Callable[[bytes | None], Entry | None]


class LedgerUnusable(RuntimeError):
    """The ledger and its topic contradict each other, or the topic cannot be read. Sending on would risk doubles."""


class Ledgers:
    """One ledger a partition of `topic`, in `folder`. Used from one event loop; reading happens in threads."""

    def __init__(self, bootstrap: str, folder: Path, topic: str = topics.DELIVERIES, entry_of: EntryOf = email_entry) -> None:
        self._bootstrap = bootstrap
        self._folder = folder
        self._topic = topic
        self._entry_of = entry_of
        self._open: dict[int, Ledger] = {}
        self._level: set[int] = set()
        self._moves = 0  # how often partitions came or went
        self._locks: dict[int, asyncio.Lock] = {}
        self._tail: asyncio.Task[None] | None = None

    async def of(self, partition: int) -> Ledger:
        """The partition's ledger, level with the topic as of when the partition came to this worker.

        Raises LedgerUnusable.
        """
        while partition not in self._level:
            async with self._locks.setdefault(partition, asyncio.Lock()):
                if partition not in self._level:
                    await self._make_level(partition)
        self._tail = self._tail or asyncio.create_task(self._follow())
        return self._open[partition]

    def forget_levels(self) -> None:
        """Partitions moved: whoever had them meanwhile wrote to their topic, so each is read up again before use."""
        self._moves += 1
        self._level.clear()

    async def _make_level(self, partition: int) -> None:
        moves = self._moves
        await self._level_up(partition)
        if moves == self._moves:  # else what another worker wrote meanwhile may be missing
            self._level.add(partition)

    async def _level_up(self, partition: int) -> None:
        if partition not in self._open:
            self._open[partition] = await asyncio.to_thread(Ledger, self._folder / f"{partition}.sqlite", self._entry_of)
        ledger = self._open[partition]
        noted = ledger.noted()
        ledger.settle(await asyncio.to_thread(self._read_up, ledger, partition, noted))

    def _read_up(self, ledger: Ledger, partition: int, noted: dict[bytes, int]) -> dict[bytes, int]:
        """The notes that stand in the ledger now: an outcome may be noted long before it is on the topic."""
        read_up(ledger, self._bootstrap, partition, self._topic, self._entry_of)
        try:
            return {key: noted[key] for key in ledger.reached(noted)}
        except sqlite3.Error as error:
            raise LedgerUnusable(f"the ledger of {self._topic}[{partition}]: {error}") from error

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(TAIL_EVERY_S)
            for partition in sorted(self._level):
                try:
                    async with self._locks[partition]:  # a ledger is folded by one reader at a time
                        await self._level_up(partition)
                except LedgerUnusable as error:
                    log.error("%s; trying again", error)  # the notes in memory stay, so nothing is forgotten meanwhile


def read_up(ledger: Ledger, bootstrap: str, partition: int, topic: str = topics.DELIVERIES, entry_of: EntryOf = email_entry) -> None:
    """Blocks until the ledger has everything that stands on topic[partition] now. Raises LedgerUnusable."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "ledger: never joined",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 20,
            "log_level": 3,
        }
    )
    try:
        _make_sure(ledger, bootstrap, topic)
        _fold_until_end(ledger, consumer, TopicPartition(topic, partition), _reader(entry_of))
    except LedgerUnusable:
        raise
    except Exception as error:
        raise LedgerUnusable(f"cannot read {topic}[{partition}]: {error}") from error
    finally:
        consumer.close()


def _make_sure(ledger: Ledger, bootstrap: str, topic: str) -> None:
    """Offsets of another cluster, or of a topic that was made anew since, would leave out outcomes. Asked once a process."""
    if ledger.place_is_sure:
        return
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    described = client.describe_topics(TopicCollection([topic]), request_timeout=SILENCE_S)[topic].result()
    if not ledger.belongs_to(str(described.topic_id)):
        raise LedgerUnusable(f"what this worker remembers of {topic} is of another topic of that name than {bootstrap} has. {WHAT_THEN}")


def _reader(entry_of: EntryOf) -> ReadEntry:
    """What a record's value means; an email's is had without decoding the whole event."""
    return skim.entry if entry_of is email_entry else lambda value: entry_of(codec.decode(value))


def _fold_until_end(ledger: Ledger, consumer: Consumer, part: TopicPartition, read: ReadEntry) -> None:
    low, end = consumer.get_watermark_offsets(part, timeout=SILENCE_S)
    position = max(ledger.next_offset, low)
    if position > end:
        raise LedgerUnusable(
            f"{part.topic}[{part.partition}] ends at {end}, but this worker remembers it up to {position}: the topic was made anew. "
            f"{WHAT_THEN}"
        )
    consumer.assign([TopicPartition(part.topic, part.partition, position)])
    heard = time.monotonic()
    while position < end:
        messages = consumer.consume(BATCH, POLL_S)  # waits the whole of POLL_S for a whole batch
        if messages:
            position, heard = _fold_batch(ledger, messages, read), time.monotonic()
        elif time.monotonic() - heard > SILENCE_S:
            raise LedgerUnusable(f"no answer about {part.topic}[{part.partition}] for {SILENCE_S:g} s")


def _fold_batch(ledger: Ledger, messages: list[Message], read: ReadEntry) -> int:
    entries: list[Entry | None] = []
    for message in messages:
        try:
            entries.append(_entry(message, read))
        except codec.Undecodable as damage:
            record = taken(message)
            log.error("%s[%d]@%d cannot be read: %s", record.topic, record.partition, record.offset, damage)
            ledger.fold(entries, record.offset)  # what it may have said depends on what was said before
            entries = [_unreadable(ledger, record, read)]
    position = (messages[-1].offset() or 0) + 1
    ledger.fold(entries, position)
    return position


def _entry(message: Message, read: ReadEntry) -> Entry | None:
    """Raises LedgerUnusable for news of the broker, Undecodable for damage."""
    error = message.error()
    if error is not None:
        raise LedgerUnusable(error.str())
    return read(message.value())


def _unreadable(ledger: Ledger, record: Taken, read: ReadEntry) -> Entry | None:
    """What cannot be read may be the outcome of the email that its key names: that one is in doubt, and nobody else is hurt.

    An expansion or a routing that is done again makes the same emails, which the sender knows.
    """
    return ledger.doubt(key_of((record.key or b"").decode("utf-8", "replace"))) if read is skim.entry else None
