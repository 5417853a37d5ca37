"""Rows I-01, K-01, K-05: the gateway while a real broker is frozen, killed, or refuses to acknowledge."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from deploy.broker import Broker
from gateway import smtp_in_rules as rules
from streams import admin, codec, topics
from streams.events import InboundMailReceived
from streams.publisher import KafkaPublisher
from streams.settings import Settings
from tests.conftest import JARS
from tests.services.freezing import frozen, thaw
from tests.services.gateway import DOT, Client, Gateway, running_gateway
from tests.services.ports import free_ports
from tests.services.records import read

pytestmark = pytest.mark.broker
PATIENCE_S = 2.0  # the publisher's; half a minute in production
BURST = 40


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of a broker of this module's own, to be hurt."""
    return Settings(kafka_port=free_ports(2), var=tmp_path_factory.mktemp("hurt"), jars=str(JARS))


@pytest.fixture(scope="module")
def broker(own: Settings) -> Iterator[Broker]:
    with Broker(own) as broker:
        yield broker


@pytest.fixture
def settings(own: Settings, broker: Broker) -> Settings:
    """With empty topics."""
    assert broker.why_ended() is None
    admin.delete(own)
    admin.apply(own)
    return own


@pytest.fixture
async def gateway(settings: Settings, tmp_path: Path) -> AsyncIterator[Gateway]:
    kafka = KafkaPublisher(settings.bootstrap, timeout_s=PATIENCE_S)
    async with running_gateway(tmp_path, kafka) as gateway:
        yield gateway
    await kafka.close()


async def hand_in(client: Client, content: bytes) -> str:
    await client.open_mail()
    return await client.send(content + DOT)


def contents(settings: Settings) -> list[bytes | None]:
    return [codec.decode_as(InboundMailReceived, m.value()).content for m in read(settings.bootstrap, topics.INBOUND_MAIL)]


async def test_i01_a_frozen_broker_is_temporary_and_the_retry_is_routed_once(broker: Broker, gateway: Gateway, settings: Settings) -> None:
    client = await gateway.smtp()
    assert await hand_in(client, b"before\r\n") == rules.ACCEPTED
    with frozen(broker.pid):
        assert await hand_in(client, b"meanwhile\r\n") == rules.TRY_LATER
    assert await until_accepted(client, b"meanwhile\r\n")
    ids = {m.key() for m in await asyncio.to_thread(read, settings.bootstrap, topics.INBOUND_MAIL)}
    assert len(ids) == 2  # a broker that wakes up may still write what it had been sent; its id is the retry's


async def test_k05_frozen_in_the_middle_of_many(broker: Broker, gateway: Gateway, settings: Settings) -> None:
    clients = [await gateway.smtp() for _ in range(8)]
    mails = [b"%d\r\n" % number for number in range(BURST)]
    freeze = asyncio.get_running_loop().call_later(0.02, os.kill, broker.pid, signal.SIGSTOP)
    try:
        answers = [answer for batch in await asyncio.gather(*(each(clients[n], mails[n::8]) for n in range(8))) for answer in batch]
    finally:
        freeze.cancel()
        thaw(broker.pid)
    assert {answer for _, answer in answers} <= {rules.ACCEPTED, rules.TRY_LATER}
    for content, answer in answers:
        assert answer == rules.ACCEPTED or await until_accepted(clients[0], content)
    assert set(await asyncio.to_thread(contents, settings)) == set(mails)


async def test_k01_a_killed_broker_has_what_was_accepted(broker: Broker, gateway: Gateway, settings: Settings) -> None:
    client = await gateway.smtp()
    mails = [b"%d\r\n" % number for number in range(BURST)]
    for content in mails:
        assert await hand_in(client, content) == rules.ACCEPTED
    broker.kill()
    assert await hand_in(client, b"meanwhile\r\n") == rules.TRY_LATER
    broker.start()
    assert set(await asyncio.to_thread(contents, settings)) == set(mails)
    assert await until_accepted(client, b"meanwhile\r\n")


async def test_a_broker_that_refuses_the_record(gateway: Gateway, settings: Settings) -> None:
    """Row K-03's place: with one broker, Kafka 4.1 counts min.insync.replicas as one, so the refusal is of another kind."""
    client = await gateway.smtp()
    await asyncio.to_thread(limit_records, settings, "1000")
    accepted = []
    while await hand_in(client, mail := incompressible()) == rules.ACCEPTED:
        accepted.append(mail)  # the broker heeds its new configuration a moment later
        assert len(accepted) < 500
    assert set(await asyncio.to_thread(contents, settings)) == set(accepted)
    await asyncio.to_thread(limit_records, settings, "8388608")
    assert await until_accepted(client, mail)


def incompressible() -> bytes:
    """A mail of some 6 kB that is larger than a kilobyte on the topic too."""
    content = os.urandom(3000).hex().encode("ascii")
    return b"".join(content[start : start + 60] + b"\r\n" for start in range(0, len(content), 60))


async def each(client: Client, mails: list[bytes]) -> list[tuple[bytes, str]]:
    return [(content, await hand_in(client, content)) for content in mails]


async def until_accepted(client: Client, content: bytes) -> bool:
    """Come again as an MTA does, for a bounded time."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if await hand_in(client, content) == rules.ACCEPTED:
            return True
    return False


def limit_records(settings: Settings, size: str) -> None:
    """The broker takes no larger record for inbound-mail."""
    entry = ConfigEntry("max.message.bytes", size, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topics.INBOUND_MAIL, incremental_configs=[entry])
    client = admin.connect(settings.bootstrap)
    for done in client.incremental_alter_configs([resource]).values():
        done.result()
