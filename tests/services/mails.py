"""Queued emails for tests, and what stands on the topics about them."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streams import codec, topics
from streams.events import Composed, DeadLettered, EmailQueued, Header
from streams.settings import Settings
from tests.services.records import TIMEOUT_S, read
from tests.services.until import until

STARTING = {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS}
OURS = "murmur2_random"  # as streams/publisher.py and Java's clients place keys


def email(recipient: str = "", /, **changes: Any) -> EmailQueued:
    """A mail of its own to `recipient` (or to an address of its own), with some fields replaced."""
    email_id = str(uuid.uuid4())
    address = recipient or f"{email_id}@people.example.net"
    now = datetime.now(UTC)
    headers = {
        "From": "splash@splash.example.org",
        "To": address,
        "Subject": "hello",
        "Date": "Fri, 20 Nov 2026 10:00:00 +0000",
        "Message-ID": f"<{email_id}@splash.example.org>",
    }
    fields = {
        "email_id": email_id,
        "request_id": "request",
        "inbound_id": None,
        "user_id": "1",
        "purpose": "announcements",
        "recipient": address,
        "to": address,
        "envelope_from": "bounces@splash.example.org",
        "subject": "hello",
        "message_id": headers["Message-ID"],
        "queued_at": now,
        "expires_at": now + timedelta(days=7),
        "attempt": 1,
        "max_attempts": 3,
        "on_doubt": "hold",
        "content": Composed([Header(name, value) for name, value in headers.items()], "Hello.\n", None, []),
    }
    return EmailQueued(**{**fields, **changes})


def queue(settings: Settings, emails: Iterable[EmailQueued], partitioner: str = OURS) -> None:
    """Put emails on the bulk lane; returns when they stand there."""
    write(settings, topics.EMAILS_BULK, [(one.email_id.encode(), codec.encode(one)) for one in emails], partitioner=partitioner)


def write(
    settings: Settings,
    topic: str,
    records: Iterable[tuple[bytes, bytes | None]],
    headers: dict[str, bytes] | None = None,
    partitioner: str = OURS,
) -> None:
    """Put (key, value) records on a topic; returns when they stand there."""
    producer = Producer({"bootstrap.servers": settings.bootstrap, "acks": "all", "partitioner": partitioner, "log_level": 0})
    for key, value in records:
        producer.produce(topic, value, key=key, headers=dict(headers or {}))
        producer.poll(0)
    assert producer.flush(TIMEOUT_S) == 0


def events(settings: Settings, topic: str) -> list[Any]:
    """Every event of a topic up to now; bytes that are none, which other tests may have left there, are passed over."""
    return [event for message in read(settings.bootstrap, topic) if (event := _event(message.value())) is not None]


def _event(value: bytes | None) -> Any:
    try:
        return codec.decode(value)
    except codec.Undecodable:
        return None


class Follower:
    """What is said on a topic from now on: reads what is new each time, however much stands there from other tests."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "group.id": "tests-follow",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )
        numbers = self._consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
        self._next = {number: until(partial(self._led, number), f"{topic} has leaders") - 1 for number in numbers}
        self._consumer.assign([TopicPartition(topic, number, offset) for number, offset in self._next.items()])
        self._heard: list[Any] = []

    def heard(self) -> list[Any]:
        """Every event since the beginning of this follower, in order within its partition."""
        ends = {number: self._end(number) for number in self._next}
        while any(self._next[number] < end for number, end in ends.items()):
            message = self._consumer.poll(TIMEOUT_S)
            assert message is not None, f"{self._topic} gives no more records"
            assert message.error() is None, message.error()
            self._heard.append(codec.decode(message.value()))
            self._next[message.partition() or 0] = (message.offset() or 0) + 1
        return self._heard

    def close(self) -> None:
        self._consumer.close()

    def _led(self, number: int) -> int:
        """One more than the partition's end; 0 while a broker that made it just now does not lead it yet."""
        try:
            return self._end(number) + 1
        except KafkaException:
            return 0

    def _end(self, number: int) -> int:
        return int(self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), timeout=TIMEOUT_S)[1])


def histories(said: Iterable[Any]) -> dict[str, list[Any]]:
    """The events of each email, in order."""
    found: dict[str, list[Any]] = defaultdict(list)
    for event in said:
        found[event.email_id].append(event)
    return found


def committed(settings: Settings, group: str, topic: str) -> dict[int, int]:
    """The group's committed offsets; 0 where it has committed nothing."""
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": group, "log_level": 0})
    try:
        parts = [TopicPartition(topic, number) for number in consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions]
        known = until(partial(_committed, consumer, parts), f"the coordinator of {group} answers", TIMEOUT_S)
        return {part.partition: max(0, part.offset) for part in known}
    finally:
        consumer.close()


def _committed(consumer: Consumer, parts: list[TopicPartition]) -> list[TopicPartition]:
    """Nothing while a broker that was just started says that it is not the coordinator, or still reads what it committed."""
    try:
        return consumer.committed(parts, timeout=TIMEOUT_S)
    except KafkaException as error:
        assert error.args[0].code() in STARTING, error
        return []


def dead_letters(settings: Settings, topic: str) -> list[Any]:
    """The dead letters of records of a topic."""
    return [event for event in events(settings, topics.DEAD_LETTERS) if isinstance(event, DeadLettered) and event.topic == topic]
