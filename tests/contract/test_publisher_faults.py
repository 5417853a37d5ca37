"""What publishing does when the broker is in trouble: it fails aloud, and works again when the trouble is over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.broker import Broker
from streams import admin
from streams.publisher import KafkaPublisher, PublishFailed, Record
from streams.settings import Settings
from tests.conftest import JARS
from tests.services.freezing import frozen
from tests.services.ports import free_ports
from tests.services.records import read
from tests.services.second_broker import SecondBroker
from tests.services.until import until

pytestmark = pytest.mark.broker
TOPIC = "dead-letters"


def record(value: bytes) -> Record:
    return Record(TOPIC, b"key", value)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(var=tmp_path_factory.mktemp("var"), jars=str(JARS), kafka_port=free_ports(2))


@pytest.fixture(scope="module")
def broker(own: Settings) -> Iterator[Broker]:
    with Broker(own) as started:
        admin.apply(own)
        yield started


@pytest.fixture
async def publisher(own: Settings, broker: Broker) -> AsyncIterator[KafkaPublisher]:
    opened = KafkaPublisher(own.bootstrap, timeout_s=3.0)
    yield opened
    await opened.close()


def values(settings: Settings) -> list[bytes | None]:
    """What stands on the topic; a broker that was away may be without a leader for a second."""

    def attempt() -> list[bytes | None] | None:
        try:
            return [message.value() for message in read(settings.bootstrap, TOPIC)]
        except KafkaException:
            return None

    return until(attempt, "the topic can be read") or []


async def test_k03_too_few_copies_in_sync_is_a_failure_until_the_other_broker_is_back(
    own: Settings, publisher: KafkaPublisher, tmp_path: Path
) -> None:
    second = SecondBroker(own, tmp_path).start()
    try:
        client = AdminClient({"bootstrap.servers": own.bootstrap})
        client.create_topics([NewTopic("two-copies", 1, 2, config={"min.insync.replicas": "2"})])["two-copies"].result()
        pair = Record("two-copies", b"key", b"both there")
        await publisher.publish([pair])
        second.kill()
        with pytest.raises(PublishFailed):
            await publisher.publish([replace(pair, value=b"one there")])
        second.start()
        await publisher.publish([replace(pair, value=b"both back")])
    finally:
        second.kill()


async def test_k05_a_frozen_broker_is_a_failure_and_the_same_publisher_works_when_it_thaws(
    own: Settings, broker: Broker, publisher: KafkaPublisher
) -> None:
    await publisher.publish([record(b"before")])
    with frozen(broker.pid), pytest.raises(PublishFailed):
        await publisher.publish([record(b"meanwhile")])
    await publisher.publish([record(b"after")])
    kept = values(own)
    assert kept.index(b"before") < kept.index(b"after")
    assert kept.count(b"after") == 1


async def test_k07_a_broker_killed_and_started_again_is_found_by_the_same_publisher(
    own: Settings, broker: Broker, publisher: KafkaPublisher
) -> None:
    await publisher.publish([record(b"first life")])
    broker.kill()
    with pytest.raises(PublishFailed):
        await publisher.publish([record(b"between lives")])
    broker.start()
    await publisher.publish([record(b"second life")])
    kept = values(own)
    assert {b"first life", b"second life"} <= set(kept)
