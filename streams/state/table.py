"""Compacted topics held in memory: the current row of every key, folded by one small reader thread.

No consumer group and no changelog: a start reads the whole topic, which took under a second for 50,000 keys
(Faust's own table: ten). A table is ready when it has reached the high-water mark that it found at its start.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from streams import codec
from streams.taken import taken

BATCH = 5000
POLL_S = 0.2
log = logging.getLogger(__name__)


class TableUnready(RuntimeError):
    """The tables did not reach the end of their topics in time; the message names the topics and what to do."""


class TopicTables:
    """Several compacted topics as dicts. Rows are replaced whole, so a reader in another thread sees whole rows."""

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        self._rows: dict[str, dict[bytes, Any]] = {topic: {} for topic in topics}
        self._version = 0
        self._ready = threading.Event()
        self._closing = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "tables: never joined",
                "enable.auto.commit": False,
                "enable.partition.eof": False,
                "fetch.wait.max.ms": 50,
                "log_level": 3,
            }
        )
        self._thread = threading.Thread(target=self._follow, name="topic tables", daemon=True)
        self._thread.start()

    @property
    def version(self) -> int:
        """Grows with every batch of changes: what was derived from an older version is stale."""
        return self._version

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
        """Blocks until every topic has been read to its end once. Raises TableUnready."""
        if not self._ready.wait(timeout_s):
            names = ", ".join(self._rows)
            raise TableUnready(f"could not read {names} within {timeout_s:g} s; is the broker up, and `espmail topics apply` done?")

    def close(self) -> None:
        """Stop reading; rows stay as they are."""
        self._closing.set()
        self._thread.join()

    def _follow(self) -> None:
        remaining = self._seek_to_start()
        while not self._closing.is_set():
            messages = self._consumer.consume(BATCH, POLL_S)
            changed = [self._fold(message) for message in messages]  # all of them: any() alone would stop at the first
            if any(changed):
                self._version += 1
            if not self._ready.is_set() and self._reached(remaining):
                self._ready.set()
        self._consumer.close()

    def _seek_to_start(self) -> dict[TopicPartition, int]:
        """Assign every partition from its beginning; returns the high-water marks of those that hold anything."""
        while not self._closing.is_set():
            try:
                parts = self._partitions()
                marks = {part: self._consumer.get_watermark_offsets(part, timeout=10) for part in parts}
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
        positions = self._consumer.position(list(marks))
        return all(position.offset >= marks[part] for part, position in zip(marks, positions, strict=True))

    def _fold(self, message: Message) -> bool:
        """True if a row changed. A damaged row leaves the old one in place: it is reported, never obeyed."""
        try:
            record = taken(message)
        except KafkaException as error:
            log.warning("tables: %s", error)
            return False
        rows, key = self._rows[record.topic], record.key or b""
        if record.value is None:
            return rows.pop(key, None) is not None
        try:
            rows[key] = codec.decode(record.value)
        except codec.Undecodable as error:
            log.error("tables: %s[%d]@%d: %s", record.topic, record.partition, record.offset, error)
            return False
        return True
