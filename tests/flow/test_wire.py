"""What we write, taken by a real Exim over our own SMTP and delivered: every byte of ours is still there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.smtp_out import Envelope
from gateway.smtp_pool import SmtpPool
from streams.domain.compose import compose, needs_smtputf8
from streams.domain.delivery import judge
from streams.domain.mime_fields import wire_address
from streams.events import Attachment, ClaimCheck, Composed, EmailQueued, Header
from tests.golden.test_delivery import queued
from tests.services.exim import Exim
from tests.services.ports import HOST, free_ports
from tests.services.until import until

pytestmark = pytest.mark.exim
HEAD = [Header("From", "Yale Splash <info@yale.learningu.org>"), Header("Date", "Fri, 20 Nov 2026 10:00:00 +0000")]
PICTURE = Attachment("plan für Ann.png", "image/png", "plan@d.org", ClaimCheck("k", "", 3))
LIST_OF_NAMES = ", ".join(f'"Élève №{number}" <ann{number}@bücher.example>' for number in range(60))

CONTENTS = {
    "plain": Composed(HEAD, "Hi\n", None, []),
    "dots": Composed(HEAD, ".\n..\n. \n.leading\nFrom here\n" * 40, None, []),
    "accents": Composed([*HEAD, Header("Subject", "Élan — “curly” 😀 " * 8)], "café\n" * 400, "<html>café</html>", []),
    "long": Composed([*HEAD, Header("X-Long", "a" * 2000)], "a" * 100_000, None, []),
    "names": Composed([*HEAD, Header("Cc", LIST_OF_NAMES)], "我们\n" * 100, None, []),
    "files": Composed(HEAD, "t", "<html><img src=cid:plan@d.org></html>", [PICTURE, replace(PICTURE, content_id=None)]),
    "controls": Composed([*HEAD, Header("Subject", "a\x0b\x0c\x1e\x85\u2028b")], "a\x0b\x0c\x1e\x85\u2028\0b\n", None, []),
    "empty": Composed(HEAD, "", "", []),
}


def mail(name: str, content: Composed) -> EmailQueued:
    return replace(queued({}), recipient=f"{name}@x.org", envelope_from="", content=content)


@pytest.fixture
async def exim() -> AsyncIterator[Exim]:
    exim = await asyncio.to_thread(Exim, ["d.org"], free_ports())
    try:
        await asyncio.to_thread(exim.expect, [f"{name}@x.org" for name in CONTENTS])
        await asyncio.to_thread(exim.start)
        yield exim
    finally:
        await asyncio.to_thread(exim.remove)


async def yes() -> bool:
    return True


async def test_exim_delivers_our_bytes(exim: Exim) -> None:
    pool = SmtpPool([(HOST, exim.port)], 4, 20.0)
    written = {f"{name}@x.org": compose(mail(name, content), {"k": b"\x89PN"}) for name, content in CONTENTS.items()}
    for recipient, message in written.items():
        spoken, _ = await pool.deliver(Envelope("", wire_address(recipient)), message, yes, lambda: True)
        assert judge(spoken.phase, spoken.answer).kind == "sent", (recipient, spoken)
    await pool.close()
    await asyncio.to_thread(until, lambda: len(exim.captured()) == len(written), "all are delivered")
    for recipient, mails in exim.captured().items():
        assert len(mails) == 1
        assert mails[0].endswith(written[recipient]), recipient


def test_none_of_them_asks_for_smtputf8() -> None:
    assert not any(needs_smtputf8(mail(name, content)) for name, content in CONTENTS.items())
