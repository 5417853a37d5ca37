"""resume: brings back what was set aside of a paused request (streams/paused.py) when that goes on, is cancelled, or expires.

It reads the topic once and remembers for each request only from where to where its records stand. They are read again when they may go:
published to their own topics, confirmed, and only then is the group's offset committed. A crash in between brings some back twice,
which their ledgers know. Not on Faust: it must hold records for weeks without acknowledging them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams import metrics
from streams.agents.delay import read
from streams.outcomes import Dead, Source
from streams.paused import back
from streams.publisher import Publisher, Record, batches
from streams.reading import records_between
from streams.settings import Settings
from streams.shell import dead_letter_of
from streams.taken import Taken, taken
from streams.topics import PAUSED

AGENT = "resume"
BATCH = 500
POLL_S = 0.2
LONGEST_RETURN_S = 3600  # a million mails may come back at once; the group must not take that for a hang
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Span:
    """Where the records of one request stand on a partition, others among them, and when the first of them must come back."""

    first: int
    last: int
    due_at: datetime

    def and_at(self, offset: int, due_at: datetime) -> Span:
        return Span(self.first, offset, min(self.due_at, due_at))


class Resumer:
    """`control` says what holds of a request now."""

    def __init__(self, settings: Settings, publisher: Publisher, control: Callable[[str | None], str]) -> None:
        self._settings = settings
        self._publisher = publisher
        self._control = control
        self._aside: dict[int, dict[bytes, Span]] = defaultdict(dict)  # by partition and request id
        self._read: dict[int, int] = {}  # by partition: the next offset
        self._committed: dict[int, int] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "group.id": f"{settings.app}.{AGENT}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": int(settings.session_timeout * 1000),
                "heartbeat.interval.ms": int(settings.session_timeout * 250),
                "max.poll.interval.ms": LONGEST_RETURN_S * 1000,
                "fetch.wait.max.ms": 50,
                "log_level": 3,
            }
        )
        self._consumer.subscribe([PAUSED], on_revoke=self._drop, on_lost=self._drop)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`. Raises PublishFailed, UserError or KafkaException when Kafka is gone; nothing is lost by that."""
        try:
            while not stopping.is_set():
                for message in await asyncio.to_thread(self._consumer.consume, BATCH, POLL_S):
                    await self._note(taken(message))
                for partition, request_id in list(self._may_go(datetime.now(UTC))):
                    await self._bring_back(partition, request_id)
                self._commit()
        finally:
            self._consumer.close()

    def _drop(self, _consumer: Consumer, parts: Sequence[TopicPartition]) -> None:
        for part in parts:
            for held in (self._aside, self._read, self._committed):
                held.pop(part.partition, None)

    async def _note(self, record: Taken) -> None:
        event, request_id = read(record), record.key or b""
        if isinstance(event, Dead):
            source = Source(record.topic, record.partition, record.offset, record.key, "")
            await self._publisher.publish([dead_letter_of(record.value, record.headers, source, AGENT, event)])
        else:
            spans = self._aside[record.partition]
            span = spans.get(request_id) or Span(record.offset, record.offset, event.due_at)
            spans[request_id] = span.and_at(record.offset, event.due_at)
        self._read[record.partition] = record.offset + 1

    def _may_go(self, now: datetime) -> Iterator[tuple[int, bytes]]:
        for partition, spans in self._aside.items():
            for request_id, span in spans.items():
                if span.due_at <= now or self._control(request_id.decode()) != "paused":
                    yield partition, request_id

    async def _bring_back(self, partition: int, request_id: bytes) -> None:
        span = self._aside[partition][request_id]
        again = batches(self._records(partition, request_id, span))
        while batch := await asyncio.to_thread(next, again, None):
            await self._publisher.publish(batch)
            metrics.RECORDS.labels(AGENT, "brought_back").inc(len(batch))
        del self._aside[partition][request_id]

    def _records(self, partition: int, request_id: bytes, span: Span) -> Iterator[Record]:
        for record in records_between(self._settings, TopicPartition(PAUSED, partition, span.first), span.last):
            if record.key == request_id and not isinstance(event := read(record), Dead):
                yield back(event, partition)

    def _commit(self) -> None:
        """Up to the first record that still waits."""
        done = {partition: self._first_waiting(partition, offset) for partition, offset in self._read.items()}
        offsets = [
            TopicPartition(PAUSED, partition, offset) for partition, offset in done.items() if self._committed.get(partition) != offset
        ]
        if not offsets:
            return
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # a rebalance came between: the new owner reads them again, which changes nothing
            log.warning("resume: %s", error)
        else:
            self._committed |= done

    def _first_waiting(self, partition: int, read_up_to: int) -> int:
        return min((span.first for span in self._aside[partition].values()), default=read_up_to)
