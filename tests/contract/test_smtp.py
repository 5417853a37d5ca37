"""The SMTP client on real sockets, with servers of every kind: rows X-12 to X-17 of the fault table."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.smtp_out import MAX_REPLY_BYTES, Envelope, Spoken, Withheld
from gateway.smtp_pool import Access, SmtpPool
from streams.domain.delivery import Fault, Phase, Reply, judge
from tests.services.certificates import self_signed
from tests.services.ports import HOST, free_ports
from tests.services.sink import At, Sink, running_sink
from tests.services.until import until

ENVELOPE = Envelope("bounces@splash.example.org", "ann@people.example.net")
MAIL = b"From: a@x.org\r\nSubject: hi\r\n\r\nHello.\r\n"
BIG = MAIL + b"0123456789abcdef" * 60_000 + b"\r\n"
QUICK_S = 1.0


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


@asynccontextmanager
async def pool_for(
    sink: Sink, *, connections: int = 1, timeout_s: float = QUICK_S, access: Access | None = None
) -> AsyncIterator[SmtpPool]:
    pool = SmtpPool([(HOST, sink.port)], connections, timeout_s, access or Access())
    try:
        yield pool
    finally:
        await pool.close()


async def offer(
    sink: Sink,
    message: bytes = MAIL,
    *,
    envelope: Envelope = ENVELOPE,
    access: Access | None = None,
    may_offer: Callable[[], Awaitable[bool]] = yes,
    may_finish: Callable[[], bool] = lambda: True,
) -> Spoken:
    async with pool_for(sink, access=access) as pool:
        spoken, _ = await pool.deliver(envelope, message, may_offer, may_finish)
        return spoken


@pytest.mark.parametrize("extensions", [("PIPELINING", "SIZE 1000000"), ("SIZE 1000000",), ("HELP",)], ids=["pipelining", "plain", "bare"])
async def test_a_mail_is_taken(extensions: tuple[str, ...]) -> None:
    with running_sink(Sink(extensions=extensions)) as sink:
        spoken = await offer(sink)
        assert spoken == Spoken(Phase.DOT, Reply(250, "2.0.0 taken"))
        assert sink.taken == [("ann@people.example.net", MAIL)]


@pytest.mark.parametrize("body", [b".\r\n", b"..\r\n.\r\n", b"a\r\n.b\r\n..", b"no line end", b"", b"\r\n" * 3])
async def test_dots_arrive_as_they_were(body: bytes) -> None:
    """X-12."""
    message = MAIL + body
    with running_sink() as sink:
        await offer(sink, message)
        expected = message if message.endswith(b"\r\n") else message + b"\r\n"
        assert sink.taken == [("ann@people.example.net", expected)]


@pytest.mark.parametrize("address", ["a@x.org\r\nRCPT TO:<b@x.org>", "a@x.org> NOTIFY=NEVER", "a b@x.org", "a@x.org\0", ""])
async def test_an_unsafe_address_is_not_spoken(address: str) -> None:
    """X-13: nothing of the transaction comes on the wire, and the address is not called dead."""
    with running_sink() as sink:
        spoken = await offer(sink, envelope=Envelope("", address))
        assert judge(spoken.phase, spoken.answer).kind == "fail"
        assert not judge(spoken.phase, spoken.answer).hard_bounce
        assert not any(command[:4] in (b"MAIL", b"RCPT", b"DATA") for command in sink.commands)


async def test_a_mail_that_is_too_big_is_not_offered() -> None:
    """X-15: the server said its limit; nothing is sent to be refused."""
    with running_sink(Sink(extensions=("PIPELINING", "SIZE 1000"))) as sink:
        spoken = await offer(sink, BIG)
        assert judge(spoken.phase, spoken.answer).reason == "too_big"
        assert not any(command.startswith(b"MAIL") for command in sink.commands)
        assert (await offer(sink)).phase is Phase.DOT


ENDLESS = b"220-" + b"x" * (2 * MAX_REPLY_BYTES)
HOSTILE = {
    "endless line": At("RCPT", b"250 " + b"x" * (2 * MAX_REPLY_BYTES)),
    "endless reply": At("RCPT", b"250-and on\r\n" * 200),
    "bytes": At("RCPT", bytes(range(128, 256)) + b"\r\n"),
    "an answer before its question": At("DATA", b"354 go on\r\n250 2.0.0 taken already\r\n"),
}


@pytest.mark.parametrize("act", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_server_ends_the_conversation(act: At) -> None:
    """X-14: memory and time are bounded, and nothing of it is taken for an answer."""
    with running_sink() as sink:
        sink.script(ENVELOPE.recipient, act)
        spoken = await offer(sink)
        assert isinstance(spoken.answer, Fault)
        assert judge(spoken.phase, spoken.answer).kind == "defer"
        assert sink.taken == []


@pytest.mark.parametrize(
    "banner", [ENDLESS, b"hello\r\n", b"554 5.7.1 no\r\n", b"421 4.3.2 busy\r\n", b""], ids=["endless", "babble", "no", "busy", "silent"]
)
async def test_a_server_that_does_not_greet_is_rested(banner: bytes) -> None:
    """X-14, X-17: it says nothing about the mail; and others are not held up by it."""
    with running_sink(Sink(banner=banner)) as sink:
        spoken = await offer(sink)
        verdict = judge(spoken.phase, spoken.answer)
        assert (verdict.kind, verdict.whole_server) == ("defer", True)
        assert sink.taken == []


async def test_nobody_there() -> None:
    spoken = await offer(Sink(port=free_ports()))
    assert judge(spoken.phase, spoken.answer).whole_server


SECURE = [Access("required"), Access("required", "user", "secret"), Access("opportunistic", "user", "secret")]


@pytest.mark.parametrize("access", SECURE, ids=["mail", "both", "password"])
async def test_required_tls_that_is_not_offered_gives_nothing_away(access: Access) -> None:
    """X-16: no password and no mail in clear; opportunistic is not enough for a password."""
    with running_sink(Sink(extensions=("PIPELINING", "AUTH PLAIN"))) as sink:
        spoken = await offer(sink, access=access)
        verdict = judge(spoken.phase, spoken.answer)
        assert (verdict.kind, verdict.whole_server) == ("defer", True)
        assert {command[:4].upper() for command in sink.commands} <= {b"EHLO", b"QUIT", b"STAR"}


@pytest.fixture
def disguised(tmp_path: Path) -> Iterator[Sink]:
    """An MTA that offers TLS and AUTH, with a certificate that nobody vouches for."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(self_signed(tmp_path / "sink.pem", "localhost"))
    with running_sink(Sink(extensions=("PIPELINING", "STARTTLS", "AUTH PLAIN"), tls=tls)) as sink:
        yield sink


@pytest.mark.parametrize("access", SECURE, ids=["mail", "both", "password"])
async def test_required_tls_with_a_certificate_that_nobody_vouches_for_gives_nothing_away(disguised: Sink, access: Access) -> None:
    """X-16: as if it had not been offered."""
    spoken = await offer(disguised, access=access)
    verdict = judge(spoken.phase, spoken.answer)
    assert (spoken.phase, verdict.kind, verdict.whole_server) == (Phase.TLS, "defer", True)
    assert {command[:4].upper() for command in disguised.commands} == {b"EHLO", b"STAR"}
    assert disguised.taken == []


async def test_opportunistic_tls_takes_any_certificate(disguised: Sink) -> None:
    """It guards against who only listens (RFC 7435): without it the mail would go in clear."""
    await offer(disguised)
    assert [command[:4].upper() for command in disguised.commands][:3] == [b"EHLO", b"STAR", b"EHLO"]
    assert disguised.taken == [(ENVELOPE.recipient, MAIL)]


async def test_a_password_goes_in_clear_only_where_tls_is_off() -> None:
    """An MTA on loopback has no certificate; whoever says `off` has said so of the password as well."""
    with running_sink(Sink(extensions=("PIPELINING", "AUTH PLAIN"))) as sink:
        await offer(sink, access=Access("off", "user", "secret"))
        assert any(command.startswith(b"AUTH PLAIN") for command in sink.commands)


async def test_a_server_that_stops_reading_is_no_doubt() -> None:
    """X-06, X-17: a long mail's final dot goes last and alone, so what fails before it may be offered again."""
    with running_sink() as sink:
        sink.script(ENVELOPE.recipient, At("BODY", b""))
        spoken = await offer(sink, BIG * 20)
        assert spoken.phase is Phase.BODY
        assert judge(spoken.phase, spoken.answer).kind == "defer"
        assert sink.taken == []


async def test_a_long_mail_arrives() -> None:
    with running_sink() as sink:
        await offer(sink, BIG)
        assert sink.taken == [("ann@people.example.net", BIG)]


async def test_a_mail_that_may_not_be_offered_is_not() -> None:
    with running_sink() as sink:
        with pytest.raises(Withheld):
            await offer(sink, may_offer=no)
        assert not any(command.startswith(b"MAIL") for command in sink.commands)


async def test_a_lease_that_ends_meanwhile_withholds_the_message() -> None:
    """F-13: the server had hesitated behind DATA; it never sees the message, and the connection is not used again."""
    with running_sink() as sink:
        with pytest.raises(Withheld):
            await offer(sink, may_finish=lambda: False)
        assert sink.taken == []


async def test_a_lease_that_ends_while_a_long_message_goes_withholds_its_dot() -> None:
    """F-13: writing it may take minutes, and somebody else may have the mail by then."""
    answers = iter([True, False])
    with running_sink() as sink:
        with pytest.raises(Withheld):
            await offer(sink, BIG, may_finish=lambda: next(answers))
        assert sink.taken == []


async def test_a_kept_connection_that_died_is_replaced() -> None:
    """Nothing was handed over, so the same attempt goes on over a new one."""
    with running_sink() as sink:
        async with pool_for(sink) as pool:
            assert (await pool.deliver(ENVELOPE, MAIL, yes, lambda: True))[0].phase is Phase.DOT
            sink.script(ENVELOPE.recipient, At("RCPT", b""))
            spoken, mta = await pool.deliver(ENVELOPE, MAIL, yes, lambda: True)
            assert spoken.phase is Phase.DOT
            assert mta == f"{HOST}:{sink.port}"
        assert len(sink.taken) == 2


async def test_no_more_connections_than_allowed() -> None:
    gate = threading.Event()
    with running_sink() as sink:
        sink.script(ENVELOPE.recipient, *[At("RCPT", gate=gate)] * 10)
        async with pool_for(sink, connections=3, timeout_s=10.0) as pool:
            offers = [asyncio.create_task(pool.deliver(ENVELOPE, MAIL, yes, lambda: True)) for _ in range(10)]
            await asyncio.to_thread(until, lambda: sum(command.startswith(b"RCPT") for command in sink.commands) >= 3, "three are offered")
            gate.set()
            await asyncio.gather(*offers)
        assert sum(command.startswith(b"EHLO") for command in sink.commands) == 3
        assert len(sink.taken) == 10


async def test_a_server_that_is_down_rests_and_the_next_one_is_asked() -> None:
    """Smart hosts in order of preference."""
    with running_sink() as sink:
        pool = SmtpPool([(HOST, free_ports()), (HOST, sink.port)], 2, QUICK_S)
        for _ in range(2):
            spoken, mta = await pool.deliver(ENVELOPE, MAIL, yes, lambda: True)
            assert (spoken.phase, mta) == (Phase.DOT, f"{HOST}:{sink.port}")
        assert await pool.available(0.0) is None
        await pool.close()


async def test_connections_that_fail_together_rest_a_server_once() -> None:
    """A server that was away for a moment is asked again in a second, however many mails met it then."""
    async with pool_for(Sink(port=free_ports()), connections=8) as pool:
        for _ in range(2):
            await asyncio.gather(*[pool.deliver(ENVELOPE, MAIL, yes, lambda: True) for _ in range(16)])
        assert await pool.available(0.0) is not None
        assert await pool.available(3.0) is None


async def test_a_server_that_will_not_have_us_behind_its_greeting_rests_and_the_next_one_is_asked() -> None:
    with running_sink() as first, running_sink() as second:
        pool = SmtpPool([(HOST, first.port), (HOST, second.port)], 2, QUICK_S)
        first.script(ENVELOPE.recipient, At("RCPT", b"530 5.7.0 authentication required\r\n"))
        asked = [await pool.deliver(ENVELOPE, MAIL, yes, lambda: True) for _ in range(2)]
        assert [judge(spoken.phase, spoken.answer).reason for spoken, _ in asked] == ["authentication_required", "accepted"]
        assert [mta for _, mta in asked] == [f"{HOST}:{first.port}", f"{HOST}:{second.port}"]
        await pool.close()


@pytest.mark.parametrize("words", [b"550 5.1.8 sender's domain does not resolve", b"550 relay not permitted"])
async def test_a_sender_or_a_domain_that_is_not_taken_holds_up_no_other_mail(words: bytes) -> None:
    with running_sink() as sink:
        sink.script(ENVELOPE.recipient, At("RCPT", words + b"\r\n"))
        async with pool_for(sink) as pool:
            kinds = [
                judge(spoken.phase, spoken.answer).kind
                for spoken, _ in [await pool.deliver(ENVELOPE, MAIL, yes, lambda: True) for _ in range(2)]
            ]
        assert kinds == ["defer", "sent"]
