"""The publisher's contract, on the real broker and on the stand-in that other tests use."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import pytest
from confluent_kafka import Message

from streams import topics
from streams.publisher import KafkaPublisher, Publisher, PublishFailed, Record
from streams.settings import Settings
from tests.services.memory import MemoryPublisher
from tests.services.records import read

TOPIC = topics.ROUTINGS


@dataclass(frozen=True)
class Subject:
    """A publisher, and what stands on a topic now."""

    publisher: Publisher
    stands: Callable[[str], Sequence[Record]]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.broker)])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "memory":
        memory = MemoryPublisher()
        yield Subject(memory, lambda topic: [record for record in memory.records if record.topic == topic])
        return
    settings: Settings = request.getfixturevalue("kafka")
    publisher = KafkaPublisher(settings.bootstrap, timeout_s=5)
    yield Subject(publisher, lambda topic: on_kafka(settings, topic))
    await publisher.close()


def on_kafka(settings: Settings, topic: str) -> list[Record]:
    found = read(settings.bootstrap, topic)
    return [Record(topic, m.key() or b"", m.value(), trace_of(m)) for m in found]


def trace_of(message: Message) -> str:
    trace = dict(message.headers() or []).get("trace")
    return trace.decode() if isinstance(trace, bytes) else ""


def record(key: str, value: bytes | None, topic: str = TOPIC) -> Record:
    return Record(topic, key.encode(), value, "a-trace")


async def test_what_was_published_stands_there(subject: Subject) -> None:
    key = str(uuid.uuid4())
    sent = [record(key, b"one"), record(key, b"two"), record(key, b""), record(key, None)]
    await subject.publisher.publish(sent)
    assert [one for one in subject.stands(TOPIC) if one.key == key.encode()] == sent


async def test_nothing_to_publish_is_published(subject: Subject) -> None:
    before = len(subject.stands(TOPIC))
    await subject.publisher.publish([])
    assert len(subject.stands(TOPIC)) == before


async def test_many_may_publish_at_once(subject: Subject) -> None:
    key = str(uuid.uuid4())
    await asyncio.gather(*(subject.publisher.publish([record(key, b"%d" % number)]) for number in range(200)))
    assert {one.value for one in subject.stands(TOPIC) if one.key == key.encode()} == {b"%d" % number for number in range(200)}


async def test_a_topic_that_is_not_there_is_a_failure(subject: Subject) -> None:
    with pytest.raises(PublishFailed):
        await subject.publisher.publish([record("k", b"v", "no-such-topic")])


async def test_a_record_too_large_is_a_failure(subject: Subject) -> None:
    key = str(uuid.uuid4())
    with pytest.raises(PublishFailed):
        await subject.publisher.publish([record(key, os.urandom(9_000_000), topics.INBOUND_MAIL)])
    assert key.encode() not in {one.key for one in subject.stands(topics.INBOUND_MAIL)}


async def test_a_failure_does_not_spoil_what_comes_next(subject: Subject) -> None:
    key = str(uuid.uuid4())
    with pytest.raises(PublishFailed):
        await subject.publisher.publish([record(key, b"v", "no-such-topic")])
    await subject.publisher.publish([record(key, b"next")])
    assert [one.value for one in subject.stands(TOPIC) if one.key == key.encode()] == [b"next"]
