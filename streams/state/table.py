"""Compacted topics held in memory: the current row of every key, folded by one small reader thread.

No consumer group and no changelog: a start reads the whole topic, which took under a second for 50,000 keys
(Faust's own table: ten). A table is ready when it has reached the high-water mark that it found at its start. Who must not
decide by rows that are older than the record in hand asks it to catch up first: one question to the broker for all who ask.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams import codec
from streams.taken import taken
from streams.window import stop_the_world

BATCH = 5000
POLL_S = 0.2
CATCH_UP_S = 90.0  # a broker that is away for a while comes back; then all goes on where it was
ASK_S = 5.0
log = logging.getLogger(__name__)


class TableUnready(RuntimeError):
    """The tables did not reach the end of their topics in time; the message names the topics and what to do."""


class TopicTables:
    """Several compacted topics as dicts. Rows are replaced whole, so a reader in another thread sees whole rows.

    `on_broken` is called, in the reader's thread, when that cannot go on: rows that stand still would be obeyed for ever.
    """

    def __init__(self, bootstrap: str, topics: Sequence[str], on_broken: Callable[[str], Any] = stop_the_world) -> None:
        self._rows: dict[str, dict[bytes, Any]] = {topic: {} for topic in topics}
        self._versions = dict.fromkeys(topics, 0)
        self._positions: dict[TopicPartition, int] = {}
        self._moved = threading.Condition()
        self._asking = asyncio.Lock()
        self._level_at = 0.0
        self._on_broken = on_broken
        self._bootstrap = bootstrap
        self._admin: AdminClient | None = None
        self._all: list[TopicPartition] = []
        self._ready = threading.Event()
        self._closing = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "tables: never joined",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "log_level": 3,
            }
        )
        self._thread = threading.Thread(target=self._follow, name="topic tables", daemon=True)
        self._thread.start()

    @property
    def version(self) -> int:
        """Grows with every change: what was derived from an older version is stale."""
        return self.version_of(self._versions)

    def version_of(self, topics: Iterable[str]) -> int:
        """The same of some of the topics."""
        return sum(self._versions[topic] for topic in topics)

    def rows(self, topic: str) -> Mapping[bytes, Any]:
        """The current rows, by record key. The mapping is live; its values never change."""
        return self._rows[topic]

    def snapshot(self, topic: str) -> list[Any]:
        """The current rows' events, as of now."""
        return list(self._rows[topic].values())

    def note(self, topic: str, key: bytes, row: Any) -> None:
        """A row (none: no row) that this process is about to publish: its next decisions must know it before the broker hands it back."""
        rows = self._rows[topic]
        if row is None:
            rows.pop(key, None)
        else:
            rows[key] = row

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Blocks until every topic has been read to its end once. Raises TableUnready when nothing more of them comes for `timeout_s`."""
        before = 0
        while not self._ready.wait(timeout_s):
            read = self._read()
            if read == before:
                names = ", ".join(self._rows)
                raise TableUnready(f"nothing of {names} came for {timeout_s:g} s; is the broker up, and `espmail topics apply` done?")
            before = read

    async def catch_up(self, timeout_s: float = CATCH_UP_S) -> None:
        """Returns when the tables have every row that stood on the topics when this was called. Raises TableUnready.

        Costs a round trip to the broker, shared by all who call at the same time.
        """
        called = time.monotonic()
        async with self._asking:
            if self._level_at < called:
                began = time.monotonic()
                await asyncio.to_thread(self._catch_up, began + timeout_s)
                self._level_at = began

    def close(self) -> None:
        """Stop reading; rows stay as they are."""
        self._closing.set()
        self._thread.join()

    def _read(self) -> int:
        """How far reading has come, over all partitions."""
        with self._moved:
            return sum(self._positions.values())

    def _follow(self) -> None:
        try:
            self._fold_on()
        except Exception as error:  # noqa: BLE001 - in a thread nobody else would hear of it
            self._on_broken(f"{', '.join(self._rows)} cannot be followed: {error!r}")

    def _fold_on(self) -> None:
        remaining = self._seek_to_start()
        while not self._closing.is_set():
            messages = self._consumer.consume(1, POLL_S)
            messages += self._consumer.consume(BATCH, 0) if messages else []  # to wait for company would make every row late
            self._take(messages)
            if not self._ready.is_set() and self._reached(remaining):
                self._ready.set()
        self._consumer.close()

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            error = message.error()
            if error is None and self._fold(message):
                self._versions[message.topic() or ""] += 1
            elif error is not None and error.code() != KafkaError._PARTITION_EOF:
                log.warning("tables: %s", error.str())
        with self._moved:
            self._positions.update(place for message in messages if (place := _reached_by(message)))
            self._moved.notify_all()

    def _catch_up(self, deadline: float) -> None:
        """Blocks until the ends that the topics have now are reached."""
        ends: dict[TopicPartition, int] | None = None
        while ends is None:
            if time.monotonic() > deadline:
                raise TableUnready(f"cannot ask for the ends of {', '.join(self._rows)}; is the broker up?")
            ends = self._ends()
        with self._moved:
            if not self._moved.wait_for(lambda: self._reached(ends), deadline - time.monotonic()):
                raise TableUnready(f"the rows of {', '.join(self._rows)} do not come; see the broker's log")

    def _ends(self) -> dict[TopicPartition, int] | None:
        """Where each topic ends; none while the broker does not say."""
        if not self._ready.wait(ASK_S):
            return None
        self._admin = self._admin or AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 3})
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call] # the one untyped corner of a typed library
        try:
            found = self._admin.list_offsets(dict.fromkeys(self._all, latest), request_timeout=ASK_S)
            return {TopicPartition(part.topic, part.partition): end.result().offset for part, end in found.items()}
        except KafkaException as error:
            log.warning("tables: %s; asking again", error)
            time.sleep(1)
            return None

    def _seek_to_start(self) -> dict[TopicPartition, int]:
        """Assign every partition from its beginning; returns the high-water marks of those that hold anything."""
        while not self._closing.is_set():
            try:
                parts = self._partitions()
                marks = {part: self._consumer.get_watermark_offsets(part, timeout=10) for part in parts}
                self._all = parts
                self._consumer.assign([TopicPartition(part.topic, part.partition, OFFSET_BEGINNING) for part in parts])
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the broker, the reader tries on
                log.warning("tables: %s; trying again", error)
                time.sleep(1)
            else:
                return {part: high for part, (low, high) in marks.items() if high > low}
        return {}

    def _partitions(self) -> list[TopicPartition]:
        metadata = self._consumer.list_topics(timeout=10).topics
        missing = [topic for topic in self._rows if topic not in metadata]
        if missing:
            raise TableUnready(f"no topic {missing[0]}")
        return [TopicPartition(topic, number) for topic in self._rows for number in metadata[topic].partitions]

    def _reached(self, marks: dict[TopicPartition, int]) -> bool:
        return all(self._positions.get(part, 0) >= mark for part, mark in marks.items() if mark > 0)

    def _fold(self, message: Message) -> bool:
        """True if a row changed. A damaged row leaves the old one in place: it is reported, never obeyed."""
        record = taken(message)
        rows, key = self._rows[record.topic], record.key or b""
        if record.value is None:
            return rows.pop(key, None) is not None
        try:
            rows[key] = codec.decode(record.value)
        except codec.Undecodable as error:
            log.error("tables: %s[%d]@%d: %s", record.topic, record.partition, record.offset, error)
            return False
        return True


def _reached_by(message: Message) -> tuple[TopicPartition, int] | None:
    """The partition of a record, or of the news that a partition's end is reached, and where reading goes on."""
    error, offset = message.error(), message.offset() or 0
    part = TopicPartition(message.topic() or "", message.partition() or 0)
    if error is None:
        return part, offset + 1
    return (part, offset) if error.code() == KafkaError._PARTITION_EOF else None
