"""Records written and read with plain clients: a second opinion on what stands on a topic."""

from __future__ import annotations

import time
from collections.abc import Iterable

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

TIMEOUT_S = 20.0


def produce(bootstrap: str, topic: str, values: Iterable[bytes], timeout_s: float = TIMEOUT_S, **config: object) -> list[bytes]:
    """Write values under one key; returns those that the broker acknowledged, within `timeout_s`."""
    acknowledged: list[bytes] = []

    def report(error: KafkaError | None, message: Message) -> None:
        if error is None:
            acknowledged.append(message.value() or b"")

    producer = Producer(
        {"bootstrap.servers": bootstrap, "acks": "all", "message.timeout.ms": int(timeout_s * 1000), "log_level": 0, **config}
    )
    for value in values:
        producer.produce(topic, value, key=b"key", on_delivery=report)
        producer.poll(0)
    producer.flush(timeout_s + 1)
    return acknowledged


def read(bootstrap: str, topic: str) -> list[Message]:
    """Every record of the topic up to now, partition by partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "tests-read", "enable.auto.commit": False, "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
        return [message for number in partitions for message in _partition(consumer, topic, number)]
    finally:
        consumer.close()


def _partition(consumer: Consumer, topic: str, number: int) -> list[Message]:
    offset, end = _extent(consumer, TopicPartition(topic, number))
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING)])
    found: list[Message] = []
    while offset < end:
        message = consumer.poll(TIMEOUT_S)
        assert message is not None, f"{topic}[{number}] ends at {end}, but no more records came"
        assert message.error() is None, message.error()
        found.append(message)
        offset = (message.offset() or 0) + 1
    return found


def _extent(consumer: Consumer, part: TopicPartition) -> tuple[int, int]:
    """The first offset and the one behind the last; asked again while the partition has no leader yet."""
    until = time.monotonic() + TIMEOUT_S
    while True:
        try:
            low, high = consumer.get_watermark_offsets(part, timeout=TIMEOUT_S)
        except KafkaException:
            if time.monotonic() > until:
                raise
            consumer.list_topics(part.topic, timeout=TIMEOUT_S)  # what the client knows of leaders is made anew
        else:
            return low, high
