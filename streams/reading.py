"""Reading records from topics for commands: one at its place, or a whole topic as it stands now."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams import admin
from streams.errors import UserError
from streams.settings import Settings
from streams.taken import Taken, taken

TIMEOUT_S = 10.0
POLL_S = 0.05
BATCH = 1000
NOWHERE: Mapping[int, int] = MappingProxyType({})
LEADERLESS = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)


@contextlib.contextmanager
def _consumer(settings: Settings) -> Iterator[Consumer]:
    admin.connect(settings.bootstrap)
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap,
            "group.id": "reading: never joined",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 20,
            "log_level": 3,
        }
    )
    try:
        yield consumer
    except KafkaException as error:
        raise UserError(f"Kafka at {settings.bootstrap} does not answer ({error}); try again") from error
    finally:
        consumer.close()


def record_at(settings: Settings, topic: str, partition: int, offset: int) -> Taken:
    """The record that stands there. Blocks. Raises UserError if there is none (any more), or Kafka does not answer."""
    return next(records_at(settings, topic, partition, [offset]))


def records_at(settings: Settings, topic: str, partition: int, offsets: Iterable[int]) -> Iterator[Taken]:
    """As record_at, several of one partition, lazily."""
    with _consumer(settings) as consumer:
        for offset in offsets:
            yield _record_at(consumer, TopicPartition(topic, partition, offset))


def records_of(settings: Settings, topic: str, since: Mapping[int, int] = NOWHERE) -> Iterator[Taken]:
    """Every record that stands on the topic now, partition by partition, or those from the offsets in `since` on. Raises UserError."""
    with _consumer(settings) as consumer:
        metadata = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        for number in sorted(metadata.partitions):
            low, high = _extent(consumer, TopicPartition(topic, number))
            yield from _read(consumer, TopicPartition(topic, number, max(low, since.get(number, low))), high)


def records_between(settings: Settings, part: TopicPartition, last: int) -> Iterator[Taken]:
    """The records of a partition from the offset in `part` to `last`, lazily; without those that its retention took. Raises UserError."""
    with _consumer(settings) as consumer:
        low, _ = consumer.get_watermark_offsets(part, timeout=TIMEOUT_S)
        yield from _read(consumer, TopicPartition(part.topic, part.partition, max(low, part.offset)), last + 1)


def _record_at(consumer: Consumer, part: TopicPartition) -> Taken:
    low, high = _extent(consumer, part)
    if not low <= part.offset < high:
        held = f"it holds {low} to {high - 1}" if low < high else "it is empty"
        raise UserError(f"{part.topic}[{part.partition}] has no offset {part.offset}; {held}")
    return next(_read(consumer, part, part.offset + 1))


def _extent(consumer: Consumer, part: TopicPartition) -> tuple[int, int]:
    """The partition's first offset, and the one behind its last. A topic that was just made has no leader for a moment."""
    until = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return consumer.get_watermark_offsets(part, timeout=TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in LEADERLESS or time.monotonic() > until:
                raise
            time.sleep(POLL_S)


def _read(consumer: Consumer, start: TopicPartition, end: int) -> Iterator[Taken]:
    """From `start` until offset `end`, which must have been written."""
    consumer.assign([start])
    position, heard = start.offset, time.monotonic()
    while position < end:
        for record in map(taken, consumer.consume(BATCH, POLL_S)):
            position, heard = record.offset + 1, time.monotonic()
            if record.offset < end:
                yield record
        if time.monotonic() - heard > TIMEOUT_S:
            raise UserError(f"no answer about {start.topic}[{start.partition}] for {TIMEOUT_S:g} s; is the broker up?")
