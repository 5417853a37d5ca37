"""One suite for every way to hand mail over: SMTP, SendGrid, SES. What the sender may rely on, whichever is configured."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest

from gateway.smtp_out import Envelope, Spoken, Withheld
from gateway.transport import Transport
from streams.domain.delivery import Verdict, judge
from streams.events import Composed, EmailQueued, Header
from tests.services.example import MAIL as EXAMPLE
from tests.services.ports import free_ports
from tests.services.transports import SERVERS, FakeServer, Play

MAIL = replace(
    EXAMPLE,
    subject="Hi, Änn",
    content=Composed(
        [
            Header("From", "Yale Splash <info@yale.learningu.org>"),
            Header("To", '"Ann Lee" <ann@x.org>'),
            Header("Subject", "Hi, Änn"),
            Header("Date", "Fri, 20 Nov 2026 10:00:00 +0000"),
            Header("Message-ID", "<e1@yale.learningu.org>"),
            Header("List-Unsubscribe", "<https://yale.learningu.org/u>"),
        ],
        "Hi Änn\n.\n",
        None,
        [],
    ),
)


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Road:
    """A transport, and the server at its end."""

    transport: Transport
    server: FakeServer

    async def deliver(self, mail: EmailQueued = MAIL) -> Verdict:
        envelope = Envelope(mail.envelope_from, mail.recipient)
        spoken, name = await self.transport.deliver(envelope, self.server.written(mail), yes, lambda: True)
        verdict = judge(spoken.phase, spoken.answer)
        assert name or verdict.whole_server
        return verdict


@pytest.fixture(params=SERVERS)
async def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Road]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFAKE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    server, port = SERVERS[request.param](), free_ports()
    await server.start(port)
    transport = server.transport(port)
    yield Road(transport, server)
    await transport.close()
    await server.stop()


async def test_a_mail_is_taken_once_for_the_envelopes_recipient_alone(road: Road) -> None:
    other = replace(MAIL, recipient="gina@x.org")
    assert (await road.deliver(other)).kind == "sent"
    assert road.server.taken == [("gina@x.org", "Hi, Änn")]


async def test_a_refused_mail_has_failed(road: Road) -> None:
    road.server.play = Play.REFUSE
    verdict = await road.deliver()
    assert (verdict.kind, verdict.reason, verdict.whole_server) == ("fail", "content_refused", False)
    assert await road.transport.available(0) is None, "one bad mail closes no door"


async def test_a_busy_server_is_asked_again_later(road: Road) -> None:
    road.server.play = Play.BUSY
    assert (await road.deliver()).kind == "defer"


async def test_a_server_that_will_not_have_us_rests_and_no_mail_is_blamed(road: Road) -> None:
    road.server.play = Play.LOCK_OUT
    verdict = await road.deliver()
    assert (verdict.kind, verdict.whole_server) == ("defer", True)
    refused = await road.transport.available(0)
    assert isinstance(refused, Spoken)
    assert judge(refused.phase, refused.answer).whole_server
    road.server.play = Play.TAKE
    assert await road.transport.available(5.0) is None
    assert (await road.deliver()).kind == "sent"


async def test_nobody_there_is_no_mails_fault(road: Road) -> None:
    await road.server.stop()
    verdict = await road.deliver()
    assert (verdict.kind, verdict.whole_server) == ("defer", True)


async def test_silence_behind_the_whole_mail_is_doubt(road: Road) -> None:
    road.server.play = Play.HANG_UP
    assert (await road.deliver()).kind == "doubt"


@pytest.mark.parametrize(("may_offer", "may_finish"), [(no, True), (yes, False)], ids=["offer", "finish"])
async def test_what_may_not_be_offered_is_not(road: Road, may_offer: Callable[[], Awaitable[bool]], may_finish: bool) -> None:
    with pytest.raises(Withheld):
        await road.transport.deliver(Envelope("", "ann@x.org"), road.server.written(MAIL), may_offer, lambda: may_finish)
    assert road.server.taken == []


async def test_many_at_once_are_all_taken(road: Road) -> None:
    mails = [replace(MAIL, recipient=f"ann{number}@x.org") for number in range(20)]
    verdicts = await asyncio.gather(*map(road.deliver, mails))
    assert {verdict.kind for verdict in verdicts} == {"sent"}
    assert sorted(recipient for recipient, _ in road.server.taken) == sorted(mail.recipient for mail in mails)


async def test_a_mail_that_may_go_goes_whatever_else_the_process_has_to_wait_for(road: Road) -> None:
    """F-13: behind a ledger that is read, or other mails' slow calls, its lease would be over when it is offered."""
    loop, free = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    occupied: list[asyncio.Future[bool]] = []

    def may_finish() -> bool:
        occupied.append(loop.run_in_executor(None, free.wait, 20))
        return True

    try:
        async with asyncio.timeout(10):
            spoken, _ = await road.transport.deliver(Envelope("", MAIL.recipient), road.server.written(MAIL), yes, may_finish)
        assert judge(spoken.phase, spoken.answer).kind == "sent"
    finally:
        free.set()
        await asyncio.gather(*occupied)
