"""What is accepted, and what stands on the topic then."""

from __future__ import annotations

import hashlib

import pytest

from gateway import smtp_in_rules as rules
from streams import topics
from tests.services.gateway import DOT, LIST, MAIL, NOW, SITE, Client, received
from tests.services.memory import MemoryPublisher


async def test_one_record_for_each_recipient(client: Client, publisher: MemoryPublisher) -> None:
    await client.open_mail(LIST, f"Ann+tag@{SITE}", LIST)
    assert await client.send(MAIL + DOT) == rules.ACCEPTED
    events = received(publisher.records)
    assert [event.rcpt_to for event in events] == [LIST, f"Ann+tag@{SITE}"]
    for record, event in zip(publisher.records, events, strict=True):
        assert (record.topic, record.key.decode()) == (topics.INBOUND_MAIL, event.inbound_id)
        assert record.trace == hashlib.sha256(MAIL).hexdigest()[:32]
        assert (event.content, event.claim, event.mail_from) == (MAIL, None, "ann@x.org")
        assert (event.received_at, event.client, event.helo, event.protocol) == (NOW, "127.0.0.1", "client.x.org", "ESMTP")


async def test_several_mails_on_one_connection(client: Client, publisher: MemoryPublisher) -> None:
    for number in range(3):
        await client.open_mail()
        assert await client.send(b"%d\r\n" % number + DOT) == rules.ACCEPTED
    assert [event.content for event in received(publisher.records)] == [b"0\r\n", b"1\r\n", b"2\r\n"]


async def test_the_null_sender_is_empty(client: Client, publisher: MemoryPublisher) -> None:
    await client.open_mail(mail_from="")
    assert await client.send(MAIL + DOT) == rules.ACCEPTED
    assert [event.mail_from for event in received(publisher.records)] == [""]


async def test_lmtp_answers_for_each_recipient(lmtp: Client, publisher: MemoryPublisher) -> None:
    await lmtp.open_mail(LIST, f"ann@{SITE}", hello="LHLO exim")
    assert await lmtp.send(MAIL + DOT) == rules.ACCEPTED
    assert await lmtp.reply() == rules.ACCEPTED
    assert await lmtp.say("QUIT") == rules.BYE
    assert [(event.client, event.protocol) for event in received(publisher.records)] == [("", "LMTP")] * 2


async def test_lmtp_refusals_are_for_each_recipient_too(lmtp: Client, publisher: MemoryPublisher) -> None:
    publisher.up = False
    await lmtp.open_mail(LIST, f"ann@{SITE}", hello="LHLO exim")
    assert await lmtp.send(MAIL + DOT) == rules.TRY_LATER
    assert await lmtp.reply() == rules.TRY_LATER
    assert await lmtp.say("NOOP") == rules.OK


@pytest.mark.parametrize("command", ["EHLO x", "HELO x"])
async def test_lmtp_wants_lhlo(lmtp: Client, command: str) -> None:
    assert (await lmtp.say(command)).startswith(rules.UNKNOWN_COMMAND)
    assert (await lmtp.say("LHLO x")).startswith("250-gateway.test\r\n")


async def test_what_is_offered(client: Client) -> None:
    offered = (await client.say("EHLO x")).replace("250-", "").replace("250 ", "").split("\r\n")
    assert offered == ["gateway.test", "SIZE 26214400", "8BITMIME", "SMTPUTF8", "PIPELINING", "ENHANCEDSTATUSCODES"]


async def test_commands_may_be_pipelined(client: Client, publisher: MemoryPublisher) -> None:
    await client.say("EHLO x")
    assert await client.say("MAIL FROM:<a@x.org> BODY=8BITMIME SIZE=40", f"RCPT TO:<{LIST}>", "DATA") == rules.OK
    assert [await client.reply(), await client.reply()] == [rules.OK, rules.SEND_IT]
    assert await client.send(MAIL + DOT + b"QUIT\r\n") == rules.ACCEPTED
    assert await client.reply() == rules.BYE
    assert len(publisher.records) == 1


async def test_addresses_beyond_ascii_need_smtputf8(client: Client, publisher: MemoryPublisher) -> None:
    await client.say("EHLO x")
    assert await client.say("MAIL FROM:<zoë@x.org>") == rules.NEEDS_SMTPUTF8
    assert await client.say("MAIL FROM:<zoë@x.org> SMTPUTF8") == rules.OK
    assert await client.say(f"RCPT TO:<renée@{SITE}>") == rules.OK
    assert await client.say("DATA") == rules.SEND_IT
    assert await client.send(MAIL + DOT) == rules.ACCEPTED
    assert [(event.mail_from, event.rcpt_to) for event in received(publisher.records)] == [("zoë@x.org", f"renée@{SITE}")]
