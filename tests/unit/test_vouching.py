"""Senders judged by DKIM and DMARC where no trusted MTA said anything; the DNS is a table of this test's own."""

from __future__ import annotations

import base64
import threading
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.vouching import found_out
from streams.domain.routing.decide import decide, unjudged
from tests.services.inbound import DOMAIN, TESS, content, directory, mail, world

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
DER = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
SIGNER = "v=DKIM1; k=rsa; p=" + base64.b64encode(DER).decode()
STRICT = {"_dmarc.x.org": "v=DMARC1; p=reject"}
DNS = {"s1._domainkey.x.org": SIGNER, "s1._domainkey.bad.example": SIGNER, "s1._domainkey.mail.x.org": SIGNER}
MTAS = {**world()["site"], "authserv_ids": ["mx.x.org"]}


def lookup(records: dict[str, str]) -> Any:
    """dkimpy asks with bytes and a timeout and wants bytes, authheaders with text and wants text."""

    def ask(name: str | bytes, timeout: int = 5) -> str | bytes | None:
        if isinstance(name, str):
            return records.get(name)
        found = records.get(name.decode().rstrip("."))
        return found.encode() if found else None

    return ask


def signed(domain: str = "x.org") -> bytes:
    raw = content("Date: Fri, 20 Nov 2026 10:00:00 +0000")
    line: bytes = dkim.sign(raw, b"s1", domain.encode(), PEM, include_headers=[b"from", b"subject", b"date"])
    return line + raw


CASES: dict[str, tuple[bytes, dict[str, str], tuple[str, str]]] = {
    "signed, with a policy": (signed(), DNS | STRICT, ("deliver", "accepted")),
    "signed, without one": (signed(), DNS, ("deliver", "accepted")),
    "signed below": (signed("mail.x.org"), DNS | STRICT, ("deliver", "accepted")),
    "not signed": (content(), DNS, ("hold", "sender_not_authenticated")),
    "not signed, with a policy": (content(), DNS | STRICT, ("hold", "sender_not_authenticated")),
    "signed by somebody else": (signed("bad.example"), DNS | STRICT, ("hold", "sender_not_authenticated")),
    "signed by somebody else, without a policy": (signed("bad.example"), DNS, ("hold", "sender_not_authenticated")),
    "changed on the way": (signed().replace(b"Hello", b"Holla"), DNS | STRICT, ("hold", "sender_not_authenticated")),
    "a key that is gone": (signed(), STRICT, ("hold", "sender_not_authenticated")),
    "a broken policy": (signed(), DNS | {"_dmarc.x.org": "v=DMARC1; p"}, ("deliver", "accepted")),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_sender_whom_nobody_vouches_for_is_held(name: str) -> None:
    raw, records, expected = CASES[name]
    results = await found_out(raw, DOMAIN, lookup(records))
    decision = decide(mail(raw, "m123-class"), directory(), results=results)
    assert (decision.kind, decision.reason) == expected


async def test_a_dns_that_fails_vouches_for_nobody() -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no DNS here")

    decision = decide(mail(signed(), "m123-class"), directory(), results=await found_out(signed(), DOMAIN, broken))
    assert decision.reason == "sender_not_authenticated"


async def test_a_dns_that_does_not_answer_vouches_for_nobody() -> None:
    answered = threading.Event()

    def silent(*_: object, **__: object) -> None:
        answered.wait(20)

    results = await found_out(signed(), DOMAIN, silent, deadline_s=0.05)
    answered.set()
    assert results == (DOMAIN, f"{DOMAIN}; none")
    assert decide(mail(signed(), "m123-class"), directory(), results=results).reason == "sender_not_authenticated"


def test_what_a_trusted_mta_said_counts_more() -> None:
    raw = content("Authentication-Results: mx.x.org; dmarc=pass header.from=x.org")
    own = (DOMAIN, f"{DOMAIN}; dmarc=fail header.from=x.org")
    assert decide(mail(raw, "m123-class"), directory(site=MTAS), results=own).kind == "deliver"
    assert decide(mail(raw, "m123-class"), directory(), results=own).kind == "hold"


def test_only_what_is_open_is_asked_for() -> None:
    judged = content("Authentication-Results: mx.x.org; none")
    assert unjudged(mail(judged, "m123-class"), directory(site=MTAS)) is None
    assert unjudged(mail(judged, "m123-class"), directory()) == DOMAIN
    assert unjudged(mail(content(sender=None), "m123-class"), directory()) is None
    assert unjudged(mail(content(), "x@elsewhere.example", TESS), directory()) is None
