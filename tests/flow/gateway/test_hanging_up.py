"""Row I-03: a client that hangs up, and one that comes again."""

from __future__ import annotations

import asyncio

import pytest

from gateway import smtp_in_rules as rules
from tests.services.gateway import DOT, LIST, MAIL, SITE, Client, Gateway, received
from tests.services.memory import MemoryPublisher
from tests.services.until import until


async def test_i03_a_client_that_hangs_up_behind_the_dot_has_handed_it_in(gateway: Gateway, publisher: MemoryPublisher) -> None:
    publisher.quick.clear()
    client = await gateway.smtp()
    await client.open_mail()
    client.writer.write(MAIL + DOT)
    await client.writer.drain()
    client.writer.transport.abort()
    again = await gateway.smtp()
    await again.open_mail()
    answer = asyncio.create_task(again.send(MAIL + DOT))
    publisher.quick.set()
    assert await answer == rules.ACCEPTED
    assert len({event.inbound_id for event in received(publisher.records)}) == 1


@pytest.mark.parametrize("behind", [b"", b"QUIT\r\n", f"MAIL FROM:<a@x.org>\r\nRCPT TO:<{LIST}>\r\nDATA\r\n".encode()])
async def test_a_client_that_is_done_talking_still_has_its_answer(gateway: Gateway, publisher: MemoryPublisher, behind: bytes) -> None:
    publisher.quick.clear()
    client = await gateway.smtp()
    await client.open_mail()
    client.writer.write(MAIL + DOT + behind)
    client.writer.write_eof()
    (session,) = gateway.reception._inside
    await asyncio.to_thread(until, lambda: vars(session).get("_ended"), "the gateway knows")
    publisher.quick.set()
    assert await client.reply() == rules.ACCEPTED
    replies = [await client.reply() for _ in range(behind.count(b"\n"))]
    assert replies == {0: [], 1: [rules.BYE], 3: [rules.OK, rules.OK, rules.SEND_IT]}[len(replies)]
    assert await client.is_closed()
    assert await gateway.is_left()


async def test_i03_a_client_that_hangs_up_before_the_dot_has_not(gateway: Gateway, publisher: MemoryPublisher) -> None:
    for stop in range(0, len(MAIL), 7):
        client = await gateway.smtp()
        await client.open_mail()
        client.writer.write(MAIL[:stop])
        await client.close()
    witness = await gateway.smtp()
    await witness.open_mail()
    await witness.send(b"last\r\n" + DOT)
    assert [event.content for event in received(publisher.records)] == [b"last\r\n"]


async def test_a_retransmission_is_accepted_without_a_second_record(client: Client, publisher: MemoryPublisher) -> None:
    for _ in range(3):
        await client.open_mail()
        assert await client.send(MAIL + DOT) == rules.ACCEPTED
    assert len(publisher.records) == 1


async def test_the_same_mail_to_one_more_recipient_is_new_for_that_one(client: Client, publisher: MemoryPublisher) -> None:
    await client.open_mail()
    await client.send(MAIL + DOT)
    await client.open_mail(LIST, f"ann@{SITE}")
    assert await client.send(MAIL + DOT) == rules.ACCEPTED
    assert [event.rcpt_to for event in received(publisher.records)] == [LIST, f"ann@{SITE}"]
