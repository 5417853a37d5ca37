"""Big mails are held in memory while they are read and stored: together no more than the limit, and the small ones go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from gateway import smtp_in_rules as rules
from gateway.limits import Limits
from tests.services.gateway import DOT, MAIL, Client, Gateway, received, running_gateway
from tests.services.memory import MemoryPublisher
from tests.services.until import until

LINE = b"x" * 62 + b"\r\n"
LIMITS = Limits(mail=1_000_000, memory=1_000_000, small=64_000)
BIG = LINE * 10_000  # 640,000 bytes: one has room, two have not


def big(subject: bytes) -> bytes:
    return b"Subject: " + subject + b"\r\n\r\n" + BIG


@pytest.fixture
async def gateway(tmp_path: Path, publisher: MemoryPublisher) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path, publisher, limits=LIMITS) as gateway:
        yield gateway


async def half_a_mail(gateway: Gateway, subject: bytes) -> Client:
    """A client that has sent all but the final dot of a big mail, which the gateway holds."""
    client = await gateway.smtp()
    await client.open_mail()
    client.writer.write(big(subject))
    await held(gateway, at_least=500_000)
    return client


async def held(gateway: Gateway, at_least: int = 0, at_most: int = LIMITS.memory) -> None:
    def is_so() -> bool:
        return at_least <= LIMITS.memory - gateway.reception.memory.free <= at_most

    await asyncio.to_thread(until, is_so, f"from {at_least} to {at_most} bytes are held")


async def test_a_big_mail_too_many_is_told_to_come_back_and_then_taken(gateway: Gateway, publisher: MemoryPublisher) -> None:
    first = await half_a_mail(gateway, b"first")
    second = await gateway.smtp()
    await second.open_mail()
    assert await second.send(big(b"second") + DOT) == rules.STORE_FULL
    assert publisher.records == []
    assert await first.send(DOT) == rules.ACCEPTED
    await held(gateway, at_most=0)
    await second.open_mail()
    assert await second.send(big(b"second") + DOT) == rules.ACCEPTED
    assert [event.claim is not None for event in received(publisher.records)] == [True, True]


async def test_small_mails_go_on_meanwhile(gateway: Gateway, publisher: MemoryPublisher) -> None:
    full = await half_a_mail(gateway, b"big")
    small = await gateway.smtp()
    await small.open_mail()
    assert await small.send(MAIL + DOT) == rules.ACCEPTED
    assert await full.send(DOT) == rules.ACCEPTED
    assert len(publisher.records) == 2


async def test_a_mail_too_large_is_told_so_even_where_there_is_no_room(gateway: Gateway, publisher: MemoryPublisher) -> None:
    await half_a_mail(gateway, b"first")
    client = await gateway.smtp()
    await client.open_mail()
    assert await client.send(BIG + BIG + DOT) == rules.TOO_BIG
    assert publisher.records == []


async def test_a_mail_too_large_holds_nothing_from_then_on(gateway: Gateway) -> None:
    client = await half_a_mail(gateway, b"more than a mail may be of")
    client.writer.write(BIG)
    await held(gateway, at_most=0)
    assert await client.send(DOT) == rules.TOO_BIG
    assert gateway.reception.memory.free == LIMITS.memory


async def test_whoever_hangs_up_gives_back(gateway: Gateway) -> None:
    client = await half_a_mail(gateway, b"never ends")
    await client.close()
    await held(gateway, at_most=0)
    assert gateway.reception.memory.free == LIMITS.memory


async def test_whoever_is_sent_away_in_the_middle_gives_back(tmp_path: Path, publisher: MemoryPublisher) -> None:
    before = REGISTRY.get_sample_value("espmail_gateway_in_flight")
    async with running_gateway(tmp_path, publisher, limits=replace(LIMITS, idle_s=1.0)) as gateway:
        client = await half_a_mail(gateway, b"never ends")
        assert await client.reply() == rules.IDLE_TOO_LONG
        assert await client.is_closed()
        await held(gateway, at_most=0)
        assert REGISTRY.get_sample_value("espmail_gateway_in_flight") == before


async def test_a_mail_is_held_until_it_is_stored_even_for_a_client_that_is_gone(gateway: Gateway, publisher: MemoryPublisher) -> None:
    publisher.quick.clear()
    client = await half_a_mail(gateway, b"stored slowly")
    client.writer.write(DOT)
    await asyncio.to_thread(until, lambda: gateway.reception._storing, "the mail is being stored")
    (session,) = gateway.reception._inside
    session.cut()
    assert await gateway.is_left()
    await held(gateway, at_least=500_000)
    publisher.quick.set()
    await held(gateway, at_most=0)
    assert len(publisher.records) == 1


@pytest.mark.parametrize("mail", [b"lone\rCR\r\n" + BIG, BIG + b"y" * 999 + b"\r\n"], ids=["a bare CR", "a long line"])
async def test_a_refused_mail_gives_back(gateway: Gateway, mail: bytes) -> None:
    client = await gateway.smtp()
    await client.open_mail()
    assert (await client.send(mail + DOT)).startswith("550")
    await held(gateway, at_most=0)


async def test_a_failure_gives_back_and_the_client_may_come_again(gateway: Gateway, publisher: MemoryPublisher) -> None:
    client = await gateway.smtp()
    publisher.up = False
    await client.open_mail()
    assert await client.send(big(b"again") + DOT) == rules.TRY_LATER
    await held(gateway, at_most=0)
    publisher.up = True
    await client.open_mail()
    assert await client.send(big(b"again") + DOT) == rules.ACCEPTED
