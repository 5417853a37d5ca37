"""A record as it was taken from Kafka: confluent-kafka's Message with its error settled and its types said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import KafkaException, Message


@dataclass(frozen=True, slots=True)
class Taken:
    """Where it stands, what it holds, and when the broker got it (milliseconds since 1970)."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Any
    timestamp_ms: int

    @property
    def arrived(self) -> datetime:
        return datetime.fromtimestamp(self.timestamp_ms / 1000, UTC)


def taken(message: Message) -> Taken:
    """Raises KafkaException where the message is an error instead of a record."""
    error, topic, partition, offset = message.error(), message.topic(), message.partition(), message.offset()
    if error is not None:
        raise KafkaException(error)
    if topic is None or partition is None or offset is None:
        raise TypeError("a record without a place")  # the library's types allow it; Kafka does not
    return Taken(topic, partition, offset, message.key(), message.value(), message.headers(), message.timestamp()[1])
