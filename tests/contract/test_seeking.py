"""Faust's consumer reads again what was dropped, on the real broker, whether anything was committed before or not."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.app import back_to_committed
from streams.settings import Settings
from tests.services.mails import write
from tests.services.until import until

pytestmark = pytest.mark.broker


@pytest.fixture
def topic(kafka: Settings) -> Iterator[str]:
    name = f"seeking-{uuid.uuid4().hex[:8]}"
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    client.create_topics([NewTopic(name, 1, 1)])[name].result()
    until(lambda: name in client.list_topics().topics, "the topic is there")
    write(kafka, name, [(b"key", b"%d" % number) for number in range(5)])
    yield name
    client.delete_topics([name])[name].result()


@pytest.fixture
async def consumer(kafka: Settings, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, group_id=topic, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    yield consumer
    await consumer.stop()


async def values(consumer: AIOKafkaConsumer) -> list[bytes]:
    """Those that come next."""
    fetched = await consumer.getmany(timeout_ms=5000)
    return [record.value for records in fetched.values() for record in records]


async def test_where_nothing_is_committed_reading_begins_anew(consumer: AIOKafkaConsumer) -> None:
    taken = await values(consumer)
    assert taken[0] == b"0"
    await back_to_committed(consumer)
    assert (await values(consumer))[0] == b"0"


async def test_what_is_committed_does_not_come_again(consumer: AIOKafkaConsumer, topic: str) -> None:
    await values(consumer)
    await consumer.commit({TopicPartition(topic, 0): 3})
    await back_to_committed(consumer)
    assert (await values(consumer))[0] == b"3"
