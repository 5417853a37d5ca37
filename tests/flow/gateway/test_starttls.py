"""Row I-09, and mail over TLS."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway import smtp_in_rules as rules
from gateway.limits import Limits
from gateway.serve import identity_of
from streams.settings import Settings, SettingsError
from tests.services.certificates import self_signed
from tests.services.gateway import LIST, MAIL, Client, Gateway, received, running_gateway
from tests.services.memory import MemoryPublisher
from tests.services.ports import HOST
from tests.services.until import until

NAME = "gateway.test"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "gateway.pem", NAME)


@pytest.fixture
async def gateway(tmp_path: Path, publisher: MemoryPublisher, certificate: Path) -> AsyncIterator[Gateway]:
    identity = identity_of(Settings(gateway_name=NAME, gateway_certificate=str(certificate)))
    async with running_gateway(tmp_path, publisher, identity=identity) as gateway:
        yield gateway


@pytest.fixture
def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def send_over_tls(port: int, trust: ssl.SSLContext) -> list[str]:
    """What the stdlib's client does, and what was offered to it before and behind STARTTLS."""
    with smtplib.SMTP(HOST, port, local_hostname="client.x.org", timeout=20) as client:
        vars(client)["_host"] = NAME  # the name that the certificate must be for, as if it had been connected to
        client.ehlo()
        before = client.esmtp_features
        client.starttls(context=trust)
        client.ehlo()
        client.sendmail("ann@x.org", [LIST], MAIL)
        return [" ".join(sorted(before)), " ".join(sorted(client.esmtp_features))]


async def test_mail_over_tls(gateway: Gateway, publisher: MemoryPublisher, trust: ssl.SSLContext) -> None:
    before, behind = await asyncio.to_thread(send_over_tls, gateway.settings.smtp_port, trust)
    assert before == "8bitmime enhancedstatuscodes pipelining size smtputf8 starttls"
    assert behind == "8bitmime enhancedstatuscodes pipelining size smtputf8"
    assert [(event.content, event.protocol) for event in received(publisher.records)] == [(MAIL, "ESMTPS")]


async def test_i09_what_was_said_before_tls_is_forgotten(client: Client, publisher: MemoryPublisher, trust: ssl.SSLContext) -> None:
    injected = f"MAIL FROM:<evil@x.org>\r\nRCPT TO:<{LIST}>\r\n"
    await client.say("EHLO x")
    assert (await client.send(f"STARTTLS\r\n{injected}".encode())).startswith("220")
    await client.writer.start_tls(trust, server_hostname=NAME)
    assert await client.say("NOOP") == rules.OK
    assert (await client.say(f"RCPT TO:<{LIST}>")).startswith("503")
    await client.open_mail()
    assert await client.send(MAIL + b".\r\n") == rules.ACCEPTED
    assert [event.mail_from for event in received(publisher.records)] == ["ann@x.org"]


async def test_a_client_that_does_not_speak_tls_after_all_is_dropped(gateway: Gateway) -> None:
    client = await gateway.smtp()
    await client.say("EHLO x")
    await client.say("STARTTLS")
    client.writer.write(b"EHLO x\r\n")
    await asyncio.wait_for(client.reader.read(), 20)
    assert await gateway.is_left()
    other = await gateway.smtp()
    assert await other.say("NOOP") == rules.OK


async def test_i11_a_client_that_never_shakes_hands_is_dropped(tmp_path: Path, publisher: MemoryPublisher, certificate: Path) -> None:
    identity = identity_of(Settings(gateway_name=NAME, gateway_certificate=str(certificate)))
    async with running_gateway(tmp_path, publisher, identity=identity, limits=Limits(idle_s=0.2)) as gateway:
        client = await gateway.smtp()
        assert await client.say("STARTTLS") == rules.START_TLS
        assert await client.is_closed()
        assert await gateway.is_left()


async def test_a_client_that_is_cut_while_it_shakes_hands_is_counted_no_more(gateway: Gateway) -> None:
    client = await gateway.smtp()
    assert await client.say("STARTTLS") == rules.START_TLS
    (session,) = gateway.reception._inside
    session.cut()
    assert await client.is_closed()
    assert await gateway.is_left()


async def test_hands_are_not_shaken_with_whoever_has_gone(gateway: Gateway, publisher: MemoryPublisher) -> None:
    publisher.quick.clear()
    client = await gateway.smtp()
    await client.open_mail()
    client.writer.write(MAIL + b".\r\nSTARTTLS\r\n")
    await asyncio.to_thread(until, lambda: gateway.reception._storing, "the mail is being stored")
    (session,) = gateway.reception._inside
    publisher.quick.set()
    session.cut()
    await client.reader.read()
    securing = vars(session)["_securing"]
    await asyncio.wait_for(asyncio.shield(securing), 5)
    assert not gateway.reception._inside


async def test_a_stop_while_hands_are_shaken_is_said_behind_it(gateway: Gateway, trust: ssl.SSLContext) -> None:
    client = await gateway.smtp()
    assert await client.say("STARTTLS") == rules.START_TLS
    stopping = asyncio.create_task(gateway.reception.stop())
    await asyncio.sleep(0)
    await client.writer.start_tls(trust, server_hostname=NAME)
    assert await client.reply() == rules.STOPPING
    assert await client.is_closed()
    await asyncio.wait_for(stopping, 20)


async def test_tls_begins_once(client: Client, trust: ssl.SSLContext) -> None:
    await client.say("EHLO x")
    assert await client.say("STARTTLS now") == rules.NO_MORE_WORDS
    assert await client.say("STARTTLS") == rules.START_TLS
    await client.writer.start_tls(trust, server_hostname=NAME)
    assert await client.say("STARTTLS") == rules.SECOND_TLS
    assert await client.say("MAIL FROM:<a@x.org>") == rules.NO_HELLO
    assert await client.say("QUIT") == rules.BYE
    assert await client.is_closed()


@pytest.mark.parametrize("content", [None, "not PEM"], ids=["absent", "damaged"])
def test_a_certificate_that_cannot_be_used_is_said_at_once(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "cert.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"ESPMAIL_GATEWAY_CERTIFICATE.*cert\.pem"):
        identity_of(Settings(gateway_certificate=str(path)))
