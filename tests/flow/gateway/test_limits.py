"""Rows I-08, I-10 to I-12, I-15, I-16: clients out of step, and too much of everything."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gateway import smtp_in_rules as rules
from gateway.bodies_files import FileBodies
from gateway.limits import Limits
from tests.services.gateway import DOT, LIST, MAIL, SITE, Client, Gateway, received, running_gateway
from tests.services.memory import MemoryPublisher
from tests.services.until import until


async def test_i08_whoever_runs_ahead_of_ehlo_is_sent_away(client: Client) -> None:
    assert await client.say("EHLO x", "MAIL FROM:<a@x.org>") == rules.OUT_OF_STEP
    assert await client.is_closed()


async def test_i08_whoever_runs_ahead_of_the_354_is_sent_away(client: Client, publisher: MemoryPublisher) -> None:
    await client.say("EHLO x")
    await client.say("MAIL FROM:<a@x.org>")
    await client.say(f"RCPT TO:<{LIST}>")
    assert await client.send(b"DATA\r\n" + MAIL + DOT) == rules.OUT_OF_STEP
    assert await client.is_closed()
    assert publisher.records == []


async def test_a_web_page_is_no_mail_client(client: Client) -> None:
    assert (await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nEHLO x\r\nMAIL FROM:<a@x.org>\r\n")).startswith(
        "500"
    )
    answers = [await client.reply() for _ in range(4)]
    assert rules.OUT_OF_STEP in answers


async def test_i10_a_size_declared_too_large_is_refused_at_mail(client: Client) -> None:
    await client.say("EHLO x")
    assert await client.say("MAIL FROM:<a@x.org> SIZE=26214401") == rules.TOO_BIG


@pytest.mark.parametrize(
    ("parameters", "reply"),
    [
        ("SIZE=26214400 BODY=8BITMIME SMTPUTF8", rules.OK),
        ("size=5 body=7bit smtputf8", rules.OK),
        ("SIZE=", rules.BAD_PARAMETER),
        ("SIZE=5x", rules.BAD_PARAMETER),
        ("SIZE=-5", rules.BAD_PARAMETER),
        ("SIZE=5 SIZE=6", rules.BAD_PARAMETER),
        ("SIZE=" + "9" * 21, rules.BAD_PARAMETER),
        ("BODY=BINARYMIME", rules.BAD_PARAMETER),
        ("SMTPUTF8=1", rules.BAD_PARAMETER),
        ("RET=FULL", rules.UNKNOWN_PARAMETER),
        ("AUTH=<>", rules.UNKNOWN_PARAMETER),
    ],
    ids=lambda value: value[:20],
)
async def test_parameters_of_mail(client: Client, parameters: str, reply: str) -> None:
    await client.say("EHLO x")
    assert await client.say(f"MAIL FROM:<a@x.org> {parameters}") == reply


@pytest.mark.parametrize("declared", ["", " SIZE=10"], ids=["no SIZE", "a SIZE that lies"])
async def test_i10_a_mail_too_large_is_refused_at_its_end_and_not_kept(tmp_path: Path, publisher: MemoryPublisher, declared: str) -> None:
    async with running_gateway(tmp_path, publisher, limits=Limits(mail=100_000)) as gateway:
        client = await gateway.smtp()
        await client.say("EHLO x")
        await client.say(f"MAIL FROM:<a@x.org>{declared}")
        await client.say(f"RCPT TO:<{LIST}>")
        await client.say("DATA")
        assert await client.send(b"x\r\n" * 100_000 + DOT) == rules.TOO_BIG
        await client.open_mail()
        assert await client.send(b"\r\n" * 50_000 + DOT) == rules.ACCEPTED
    assert len(publisher.records) == 1


async def test_a_mail_of_25_megabytes_is_taken_by_claim_check(client: Client, publisher: MemoryPublisher, tmp_path: Path) -> None:
    content = b"Subject: big\r\n\r\n" + (os.urandom(36).hex().encode() + b"\r\n") * 350_000
    assert 25_000_000 < len(content) <= Limits().mail
    await client.open_mail()
    assert await client.send(content + DOT) == rules.ACCEPTED
    (event,) = received(publisher.records)
    assert event.content is None
    assert event.claim is not None
    assert FileBodies(tmp_path / "bodies").get(event.claim) == content
    assert len(publisher.records[0].value or b"") < 1000


async def test_a_small_mail_is_inline_up_to_the_limit(client: Client, publisher: MemoryPublisher) -> None:
    for size in (65_536, 65_538):
        await client.open_mail()
        assert await client.send(b"\r\n" * (size // 2) + DOT) == rules.ACCEPTED
    assert [event.claim is None for event in received(publisher.records)] == [True, False]


async def test_i11_clients_are_counted_by_address_and_in_all(tmp_path: Path, publisher: MemoryPublisher) -> None:
    async with running_gateway(tmp_path, publisher, limits=Limits(connections=5, connections_per_client=3)) as gateway:
        inside = [await gateway.smtp() for _ in range(3)]
        crowded = await gateway.knock()
        assert (await crowded.reply(), await crowded.is_closed()) == (rules.BUSY, True)
        inside += [await gateway.lmtp() for _ in range(2)]
        full = await gateway.knock(lmtp=True)
        assert (await full.reply(), await full.is_closed()) == (rules.BUSY, True)
        assert await inside[0].say("QUIT") == rules.BYE
        assert await inside[0].is_closed()
        await gateway.smtp()


async def test_i11_a_flood_leaves_the_gateway_working(tmp_path: Path, publisher: MemoryPublisher) -> None:
    async with running_gateway(tmp_path, publisher, limits=Limits(connections=50, connections_per_client=40)) as gateway:
        flood = await asyncio.gather(*(gateway.knock() for _ in range(400)))
        greetings = await asyncio.gather(*(client.reply() for client in flood))
        assert sum(greeting.startswith("220") for greeting in greetings) == 40
        assert sum(greeting == rules.BUSY for greeting in greetings) == 360
        client = await gateway.lmtp()
        await client.open_mail(hello="LHLO x")
        assert await client.send(MAIL + DOT) == rules.ACCEPTED


async def test_i11_the_silent_are_sent_away(tmp_path: Path, publisher: MemoryPublisher) -> None:
    async with running_gateway(tmp_path, publisher, limits=Limits(idle_s=0.1)) as gateway:
        silent = await gateway.smtp()
        assert await silent.reply() == rules.IDLE_TOO_LONG
        assert await silent.is_closed()
        dribbling = await gateway.smtp()
        await dribbling.open_mail()
        dribbling.writer.write(b"Subj")
        assert await dribbling.reply() == rules.IDLE_TOO_LONG
    assert publisher.records == []


async def test_i11_a_client_that_waits_for_us_is_not_silent(tmp_path: Path, publisher: MemoryPublisher) -> None:
    publisher.quick.clear()
    async with running_gateway(tmp_path, publisher, limits=Limits(idle_s=0.1)) as gateway:
        client = await gateway.smtp()
        await client.open_mail()
        client.writer.write(MAIL + DOT)
        for _ in range(3):
            silent = await gateway.smtp()
            assert await silent.reply() == rules.IDLE_TOO_LONG
        publisher.quick.set()
        assert await client.reply() == rules.ACCEPTED


async def test_i11_whoever_never_reads_is_cut(tmp_path: Path, publisher: MemoryPublisher) -> None:
    async with running_gateway(tmp_path, publisher, limits=Limits(idle_s=0.2)) as gateway:
        client = await gateway.smtp()
        client.writer.write(b"RSET\r\n" * 3_000_000)
        assert await gateway.is_left()


async def test_i12_recipients_beyond_the_limit_come_in_another_transaction(client: Client, publisher: MemoryPublisher) -> None:
    await client.say("EHLO x")
    await client.say("MAIL FROM:<a@x.org>")
    replies = [await client.say(f"RCPT TO:<m{number}-class@{SITE}>") for number in range(150)]
    assert replies == [rules.OK] * 100 + [rules.TOO_MANY_RECIPIENTS] * 50
    await client.say("DATA")
    assert await client.send(MAIL + DOT) == rules.ACCEPTED
    assert len(publisher.records) == 100


@pytest.mark.parametrize("command", ["AUTH PLAIN AGEAYg==", "AUTH LOGIN"])
async def test_i15_there_is_no_auth(client: Client, command: str) -> None:
    assert "AUTH" not in await client.say("EHLO x")
    replies = [await client.say(command) for _ in range(5)]
    assert replies == [rules.UNKNOWN_COMMAND] * 4 + [rules.TOO_MANY_ERRORS]
    assert await client.is_closed()


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("VRFY root", rules.CANNOT_VERIFY),
        ("EXPN staff", rules.NOT_DONE_HERE),
        ("HELP", rules.HELP),
        ("TURN", rules.UNKNOWN_COMMAND),
        ("MAIL FROM:<a@x.org>", rules.NO_HELLO),
        ("RCPT TO:<a@x.org>", rules.NO_SENDER),
        ("DATA", rules.NO_HELLO),
        ("DATA now", rules.NO_MORE_WORDS),
        ("RSET now", rules.NO_MORE_WORDS),
        ("HELO", rules.NOT_YOU),
        ("EHLO", rules.NOT_YOU),
        ("STARTTLS", rules.NO_TLS),
        ("NOOP " + "x" * 4096, rules.LONG_COMMAND),
        ("NOOP " + "x" * 2043, rules.OK),
        ("", rules.UNKNOWN_COMMAND),
        ("FOO\rBAR", rules.UNKNOWN_COMMAND),
    ],
    ids=lambda value: value[:12].split(" ")[0],
)
async def test_i16_odd_commands_have_plain_answers(client: Client, command: str, reply: str) -> None:
    assert await client.say(command) == reply
    assert await client.say("NOOP") == rules.OK


async def test_i16_a_line_without_end_takes_no_memory(gateway: Gateway, client: Client) -> None:
    client.writer.write(b"NOOP " + b"x" * 5_000_000)
    await client.writer.drain()
    (session,) = gateway.reception._inside
    assert len(vars(session)["_unread"]) <= 2049
    assert await client.send(b"\r\nNOOP\r\n") == rules.LONG_COMMAND
    assert await client.reply() == rules.OK


async def test_i16_what_is_said_behind_goodbye_is_not_answered(client: Client) -> None:
    assert await client.say("QUIT", "NOOP", "MAIL FROM:<a@x.org>") == rules.BYE
    assert await client.is_closed()


async def test_commands_that_come_together_are_answered_in_their_order(client: Client, publisher: MemoryPublisher) -> None:
    await client.say("EHLO x")
    assert await client.say("MAIL FROM:<a@x.org>", "RCPT TO:<a@elsewhere.org>", f"RCPT TO:<{LIST}>", "DATA") == rules.OK
    assert [await client.reply() for _ in range(3)] == [rules.RELAY_DENIED, rules.OK, rules.SEND_IT]
    again = ("MAIL FROM:<b@x.org>", f"RCPT TO:<{LIST}>", "DATA")
    assert await client.send(MAIL + DOT + b"".join(f"{line}\r\n".encode() for line in again)) == rules.ACCEPTED
    assert [await client.reply() for _ in range(3)] == [rules.OK, rules.OK, rules.SEND_IT]
    assert await client.send(MAIL + DOT) == rules.ACCEPTED
    assert [event.mail_from for event in received(publisher.records)] == ["a@x.org", "b@x.org"]


async def test_a_client_that_does_not_read_is_not_heard_until_it_does(gateway: Gateway, client: Client) -> None:
    client.writer.write(b"RSET\r\n" * 500_000)
    (session,) = gateway.reception._inside
    await asyncio.to_thread(until, lambda: vars(session).get("_choked"), "the gateway waits for the client")
    answer = f"{rules.OK}\r\n".encode()
    assert await client.reader.readexactly(500_000 * len(answer)) == 500_000 * answer


async def test_i16_the_one_error_too_many_is_the_last(client: Client) -> None:
    replies = [await client.say("RCPT TO:<a@x.org>") for _ in range(20)]
    assert set(replies) == {rules.NO_SENDER}
    assert await client.say("DATA") == rules.TOO_MANY_ERRORS
    assert await client.is_closed()


async def test_i16_idle_talk_ends_too(client: Client) -> None:
    replies = [await client.say("NOOP") for _ in range(101)]
    assert replies == [rules.OK] * 100 + [rules.TOO_MUCH_TALK]
    assert await client.is_closed()


async def test_i16_whoever_delivers_mail_starts_anew(client: Client, publisher: MemoryPublisher) -> None:
    for number in range(3):
        for _ in range(15):
            assert (await client.say("RCPT")).startswith("503")
        await client.open_mail()
        assert await client.send(b"%d\r\n" % number + DOT) == rules.ACCEPTED
    assert len(publisher.records) == 3
