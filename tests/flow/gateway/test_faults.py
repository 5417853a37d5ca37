"""Rows I-01, I-02, I-18, K-12: faults of ours are temporary, and their words are constant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway import smtp_in_rules as rules
from gateway.bodies import Bodies, BodiesFull, BodyError
from gateway.limits import Limits
from gateway.smtp_in_data import MailReader
from streams.events import ClaimCheck
from tests.services.gateway import DOT, HERE, LIST, MAIL, Client, Gateway, running_gateway
from tests.services.memory import MemoryPublisher


async def test_i01_a_broker_that_is_gone_is_temporary_and_the_retry_is_taken_once(client: Client, publisher: MemoryPublisher) -> None:
    publisher.up = False
    await client.open_mail()
    assert await client.send(MAIL + DOT) == rules.TRY_LATER
    publisher.up = True
    await client.open_mail()
    assert await client.send(MAIL + DOT) == rules.ACCEPTED
    assert len(publisher.records) == 1


class Broken:
    """A body store that fails as told."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def put(self, _data: bytes) -> ClaimCheck:
        raise self._error

    def get(self, _claim: ClaimCheck) -> bytes:
        raise self._error


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (RuntimeError("oops\r\n250 2.0.0 forged"), rules.TRY_LATER),
        (BodyError("the server is away\r\n250 forged"), rules.TRY_LATER),
        (BodiesFull("no room"), rules.STORE_FULL),
        (RecursionError(), rules.TRY_LATER),
    ],
    ids=["I-02 a bug", "K-12 the store is gone", "I-18 the disk is full", "a bug deep down"],
)
async def test_a_fault_of_ours_is_one_constant_line(tmp_path: Path, publisher: MemoryPublisher, error: Exception, reply: str) -> None:
    bodies: Bodies = Broken(error)
    async with running_gateway(tmp_path, publisher, bodies=bodies) as gateway:
        client = await gateway.smtp()
        await client.open_mail()
        assert await client.send(b"x" * 70 + b"\r\n" + b"y\r\n" * 30_000 + DOT) == reply
        assert await client.say("NOOP") == rules.OK
    assert publisher.records == []


@pytest.mark.parametrize("fault", [MemoryError(), KeyError("oops\r\n250 2.0.0 forged")], ids=["no memory", "a bug"])
async def test_a_fault_at_the_end_of_the_mail_gives_back_what_it_held(
    gateway: Gateway, publisher: MemoryPublisher, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(_reader: MailReader) -> bytes:
        raise fault

    client = await gateway.smtp()
    await client.open_mail()
    with monkeypatch.context() as patched:
        patched.setattr(MailReader, "content", fail)
        assert await client.send(b"y\r\n" * 100_000 + DOT) == rules.TRY_LATER
    assert gateway.reception.memory.free == Limits().memory
    await client.open_mail()
    assert await client.send(MAIL + DOT) == rules.ACCEPTED
    assert len(publisher.records) == 1


async def test_a_bug_before_the_mail_is_temporary_too(tmp_path: Path, publisher: MemoryPublisher) -> None:
    def bug(_domain: str) -> bool:
        raise KeyError("oops\r\n250 2.0.0 forged")

    async with running_gateway(tmp_path, publisher, recipients=replace(HERE, is_local=bug)) as gateway:
        client = await gateway.smtp()
        await client.say("EHLO x")
        await client.say("MAIL FROM:<a@x.org>")
        assert await client.say(f"RCPT TO:<{LIST}>") == rules.TRY_LATER
        assert await client.say("NOOP") == rules.OK


async def test_no_site_at_all_bounces_nobody(tmp_path: Path, publisher: MemoryPublisher) -> None:
    async with running_gateway(tmp_path, publisher, recipients=replace(HERE, any_site=lambda: False)) as gateway:
        client = await gateway.smtp()
        await client.say("EHLO x")
        await client.say("MAIL FROM:<a@x.org>")
        assert await client.say(f"RCPT TO:<{LIST}>") == rules.TRY_LATER
