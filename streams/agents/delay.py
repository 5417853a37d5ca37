"""delay: turns the delay wheel. Not on Faust: it must hold a topic's head back for hours without acknowledging anything."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams import codec, metrics
from streams.delay import moved_on, ready_at
from streams.events import Delayed
from streams.outcomes import Dead, Source
from streams.publisher import Publisher, Record
from streams.settings import Settings
from streams.shell import dead_letter_of
from streams.taken import Taken, taken
from streams.topics import DELAYS_S

AGENT = "delay"
BATCH = 500
BUFFERED = 2000
POLL_S = 0.2
log = logging.getLogger(__name__)

Held = tuple[Taken, Delayed | Dead]


class Wheel:
    """Moves what is due, oldest first; commits an offset only after the move is confirmed."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self._publisher = publisher
        self._waiting: dict[TopicPartition, deque[Held]] = defaultdict(deque)
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "group.id": f"{settings.app}.{AGENT}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": int(settings.session_timeout * 1000),
                "heartbeat.interval.ms": int(settings.session_timeout * 250),
                "fetch.wait.max.ms": 50,
                "log_level": 3,
            }
        )
        self._consumer.subscribe(list(DELAYS_S), on_revoke=self._drop, on_lost=self._drop)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`. Raises PublishFailed or KafkaException when Kafka is gone; nothing is lost by that."""
        try:
            while not stopping.is_set():
                for message in await asyncio.to_thread(self._consumer.consume, BATCH, POLL_S):
                    self._hold(taken(message))
                await self._move_due(datetime.now(UTC))
        finally:
            self._consumer.close()

    def _drop(self, _consumer: Consumer, parts: Sequence[TopicPartition]) -> None:
        for part in parts:
            self._waiting.pop(TopicPartition(part.topic, part.partition), None)

    def _hold(self, record: Taken) -> None:
        part = TopicPartition(record.topic, record.partition)
        self._waiting[part].append((record, read(record)))
        if len(self._waiting[part]) >= BUFFERED:
            self._consumer.pause([part])

    async def _move_due(self, now: datetime) -> None:
        for part, queue in self._waiting.items():
            due = []
            while queue and is_ready(queue[0], now):
                due.append(queue.popleft())
            if not due:
                continue
            await self._publisher.publish([moved(held, now) for held in due])
            self._commit(part, due[-1][0].offset + 1)
            metrics.RECORDS.labels(AGENT, "moved").inc(len(due))
            if len(queue) < BUFFERED:
                self._consumer.resume([part])

    def _commit(self, part: TopicPartition, offset: int) -> None:
        try:
            self._consumer.commit(offsets=[TopicPartition(part.topic, part.partition, offset)], asynchronous=False)
        except KafkaException as error:  # a rebalance came between: the new owner moves them again, which changes nothing
            log.warning("delay: %s", error)


def read(record: Taken) -> Delayed | Dead:
    """What a record of a delay topic says, or why it cannot be read."""
    try:
        return codec.decode_as(Delayed, record.value)
    except codec.Undecodable as error:
        return Dead("undecodable", str(error))


def is_ready(held: Held, now: datetime) -> bool:
    """True when a record may leave its topic; one that cannot be read leaves at once."""
    record, event = held
    return isinstance(event, Dead) or ready_at(event, record.topic, record.arrived) <= now + timedelta(milliseconds=1)


def moved(held: Held, now: datetime) -> Record:
    """The record's next place: its target, another hop, or dead-letters."""
    record, event = held
    if isinstance(event, Delayed):
        return moved_on(event, now)
    source = Source(record.topic, record.partition, record.offset, record.key, "")
    return dead_letter_of(record.value, record.headers, source, AGENT, event)
