"""Debian's Exim in front of the gateway, by LMTP and by the pipe."""

from __future__ import annotations

import asyncio
import smtplib
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.services.exim import Exim
from tests.services.gateway import LIST, SITE, Gateway, received, running_gateway
from tests.services.memory import MemoryPublisher
from tests.services.ports import HOST
from tests.services.until import until

pytestmark = pytest.mark.exim
SENDER = "ann@x.org"
BODY = b"\r\n.leading dot\r\ntrailing space \r\ncaf\xe9\r\n\r\n\r\n"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that Exim's user may enter, which pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="espmail-gateway-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(params=["port", "socket", "pipe"])
async def exim(request: pytest.FixtureRequest, open_folder: Path, publisher: MemoryPublisher) -> AsyncIterator[Exim]:
    """Exim with a gateway behind it."""
    async with running_gateway(open_folder, publisher) as gateway:
        ways: dict[str, int | Path | dict[str, str]] = {
            "port": gateway.settings.lmtp_port,
            "socket": Path(gateway.settings.lmtp_socket),
            "pipe": {"ESPMAIL_LMTP_SOCKET": gateway.settings.lmtp_socket},
        }
        async with running(ways[request.param]) as exim:
            yield exim


@asynccontextmanager
async def running(gateway: int | Path | dict[str, str]) -> AsyncIterator[Exim]:
    exim = await asyncio.to_thread(Exim, [SITE], gateway)
    try:
        await asyncio.to_thread(exim.start)
        yield exim
    finally:
        await asyncio.to_thread(exim.remove)


def submit(exim: Exim, mail: bytes, *recipients: str) -> None:
    with smtplib.SMTP(HOST, exim.port, timeout=20) as client:
        client.sendmail(SENDER, recipients, mail, ["BODY=8BITMIME"])


async def come(publisher: MemoryPublisher, count: int) -> None:
    await asyncio.to_thread(until, lambda: len(publisher.records) >= count, f"{count} mails come")


def body_of(content: bytes | None) -> bytes:
    return (content or b"").partition(b"\r\n\r\n")[2]


async def test_a_mail_arrives_with_its_body_as_it_was(exim: Exim, publisher: MemoryPublisher) -> None:
    await asyncio.to_thread(submit, exim, b"Subject: hi\r\n" + BODY, LIST)
    await come(publisher, 1)
    (event,) = received(publisher.records)
    assert (event.mail_from, event.rcpt_to) == (SENDER, LIST)
    assert body_of(event.content) == BODY[2:]
    assert (event.content or b"").startswith(b"Received: ")


async def test_tags_and_case_and_sites(exim: Exim, publisher: MemoryPublisher) -> None:
    await asyncio.to_thread(submit, exim, b"Subject: hi\r\n" + BODY, f"M123-Class+urgent@{SITE}", f"Ann@{SITE.upper()}")
    await come(publisher, 2)
    came = {event.rcpt_to for event in received(publisher.records)}
    assert {address.lower().replace("+urgent", "") for address in came} == {LIST, f"ann@{SITE}"}


async def test_what_cannot_be_taken_now_waits_with_exim(exim: Exim, publisher: MemoryPublisher) -> None:
    publisher.up = False
    await asyncio.to_thread(submit, exim, b"Subject: hi\r\n" + BODY, LIST)
    await asyncio.to_thread(until, lambda: " == " in exim.mainlog.read_text(), "Exim defers it")
    assert exim.queued() == 1
    publisher.up = True
    await come(publisher, 1)
    await asyncio.to_thread(until, lambda: exim.queued() == 0, "Exim is rid of it")
    assert len(publisher.records) == 1
    assert exim.captured() == {}


async def test_what_is_refused_for_good_goes_back_to_its_sender(exim: Exim, publisher: MemoryPublisher) -> None:
    await asyncio.to_thread(exim.expect, [SENDER])
    await asyncio.to_thread(submit, exim, b"Subject: hi\r\n" + BODY, f"nobody@{SITE}")
    await asyncio.to_thread(until, lambda: SENDER in exim.captured(), "a bounce comes")
    (bounce,) = exim.captured()[SENDER]
    assert b"550 5.1.1 no such address here" in bounce
    assert publisher.records == []


async def test_each_expected_recipient_has_a_maildir(gateway: Gateway) -> None:
    async with running(gateway.settings.lmtp_port) as exim:
        recipients = [f"P{number}@x.org" for number in range(30)]
        await asyncio.to_thread(exim.expect, recipients)
        await asyncio.to_thread(submit_each, exim, [*recipients, "stranger@x.org"])
        await asyncio.to_thread(until, lambda: len(exim.captured()) == 31, "all are delivered")
        captured = exim.captured()
    assert set(captured) == {recipient.lower() for recipient in recipients} | {"unexpected"}
    assert all(body_of(mail) == BODY[2:] for mails in captured.values() for mail in mails)


def submit_each(exim: Exim, recipients: Sequence[str]) -> None:
    """One mail each, on one connection, as the sender does."""
    with smtplib.SMTP(HOST, exim.port, timeout=20) as client:
        for recipient in recipients:
            client.sendmail(SENDER, [recipient], b"Subject: hi\r\n" + BODY, ["BODY=8BITMIME"])
