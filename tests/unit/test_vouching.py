"""Senders judged by SPF, DKIM and DMARC where no trusted MTA said anything; the DNS is a table of this test's own, or a real server."""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import replace
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.vouching import Client, found_out, is_outside, networks
from streams.agents.route import relays
from streams.domain.routing.authentication import Results, in_words, judgement
from streams.domain.routing.decide import decide, unjudged
from streams.settings import Settings, SettingsError
from tests.services.dns import serving
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
    assert results == Results(DOMAIN, f"{DOMAIN}; none", own=True)
    assert decide(mail(signed(), "m123-class"), directory(), results=results).reason == "sender_not_authenticated"


COSTLY = {
    "a body of blanks": (b"", (b" " * 997 + b"x\r\n") * 10_000),
    "a body of tabs": (b"", (b"\t" * 997 + b"x\r\n") * 10_000),
    "a signature of blanks": (b"DKIM-Signature: v=1; b" + b"\r\n " * 30_000 + b"=x\r\n", b""),
    "a signature that ends in blanks": (b"DKIM-Signature: v=1; b=x" + b" " * 90_000 + b"!\r\n", b""),
}


@pytest.mark.parametrize("name", COSTLY)
async def test_m04_a_mail_made_to_be_slow_is_vouched_for_by_nobody_at_once(name: str) -> None:
    """dkimpy's expressions would take a minute, and no other thread of the process would run meanwhile."""
    head, body = COSTLY[name]
    began = time.process_time()
    results = await found_out(head + signed() + body, DOMAIN, lookup(DNS | STRICT))
    assert time.process_time() - began < 1
    assert results == Results(DOMAIN, f"{DOMAIN}; none", own=True)


async def test_an_indented_text_is_not_slow() -> None:
    raw = content("Date: Fri, 20 Nov 2026 10:00:00 +0000", body=(b" " * 40 + b"if x:  \r\n") * 5_000)
    line: bytes = dkim.sign(raw, b"s1", b"x.org", PEM, canonicalize=(b"relaxed", b"relaxed"), include_headers=[b"from", b"subject"])
    results = await found_out(line + raw, DOMAIN, lookup(DNS | STRICT))
    assert "dkim=pass" in results.value


def test_what_a_trusted_mta_said_counts_more() -> None:
    raw = content("Authentication-Results: mx.x.org; dmarc=pass header.from=x.org")
    own = Results(DOMAIN, f"{DOMAIN}; dmarc=fail header.from=x.org", own=True)
    assert decide(mail(raw, "m123-class"), directory(site=MTAS), results=own).kind == "deliver"
    assert decide(mail(raw, "m123-class"), directory(), results=own).kind == "hold"


def test_only_what_is_open_is_asked_for() -> None:
    judged = content("Authentication-Results: mx.x.org; none")
    assert unjudged(mail(judged, "m123-class"), directory(site=MTAS)) is None
    assert unjudged(mail(judged, "m123-class"), directory()) == DOMAIN
    assert unjudged(mail(content(sender=None), "m123-class"), directory()) is None
    assert unjudged(mail(content(), "x@elsewhere.example", TESS), directory()) is None


HOST, OTHER = "203.0.114.7", "203.0.114.8"  # public addresses
ZONE = {
    ("x.org", "TXT"): [f'"v=spf1 ip4:{HOST} -all"'],
    ("_dmarc.x.org", "TXT"): ['"v=DMARC1; p=reject"'],
    ("bad.example", "TXT"): ['"v=spf1 a:gate.bad.example -all exp=why.bad.example"'],
    ("gate.bad.example", "A"): [OTHER],
    ("why.bad.example", "TXT"): ['"x\\"; dmarc=pass header.from=x.org; spf=pass smtp.mailfrom=x.org"'],
    ("broken.example", "TXT"): ['"v=spf1 ip4:nonsense -all"'],
}
SENT: dict[str, tuple[Client, str, str]] = {  # the client; what becomes of a teacher's mail to her class; what is remembered
    "from its own host": (Client(HOST, "mail.x.org", TESS), "accepted", "spf pass (x.org), dkim none, dmarc pass (x.org)"),
    "from another": (Client(OTHER, "mail.x.org", TESS), "sender_not_authenticated", "spf fail (x.org), dkim none, dmarc fail (x.org)"),
    "in another's name": (
        Client(OTHER, "gate.bad.example", "spam@bad.example"),
        "sender_not_authenticated",
        "spf pass (bad.example), dkim none, dmarc fail (x.org)",
    ),
    "with an explanation that lies": (
        Client(HOST, "gate.bad.example", "spam@bad.example"),
        "sender_not_authenticated",
        "spf fail (bad.example), dkim none, dmarc fail (x.org)",
    ),
    "without a sender": (Client(HOST, "x.org", ""), "accepted", "spf pass (x.org), dkim none, dmarc pass (x.org)"),
    "a broken record": (
        Client(HOST, "broken.example", "a@broken.example"),
        "sender_not_authenticated",
        "spf permerror (broken.example), dkim none, dmarc fail (x.org)",
    ),
    "no record": (
        Client(HOST, "none.example", "a@none.example"),
        "sender_not_authenticated",
        "spf none (none.example), dkim none, dmarc fail (x.org)",
    ),
    "a name that is none": (Client(HOST, "x; dmarc=pass", ""), "sender_not_authenticated", "dkim none, dmarc fail (x.org)"),
}


@pytest.mark.parametrize("name", SENT)
async def test_spf_counts_where_the_sending_host_is_at_the_door(name: str) -> None:
    client, reason, remembered = SENT[name]
    with serving(ZONE):
        results = await found_out(content(), DOMAIN, client=client)
    decision = decide(mail(content(), "m123-class"), directory(), results=results)
    assert decision.reason == reason
    assert in_words(decision.judged) == f"{remembered}, found out here"


async def test_a_signature_counts_beside_it() -> None:
    """The mail was forwarded: the host is another, the signature holds."""
    zone = {**ZONE, ("s1._domainkey.x.org", "TXT"): [" ".join(f'"{SIGNER[at : at + 200]}"' for at in range(0, len(SIGNER), 200))]}
    with serving(zone):
        results = await found_out(signed(), DOMAIN, client=Client(OTHER, "relay.example", "list@relay.example"))
    assert in_words(judgement(results)) == "spf none (relay.example), dkim pass (x.org), dmarc pass (x.org), found out here"


def test_what_a_stranger_says_of_himself_is_not_believed() -> None:
    """His mail came from outside with the very line that our MTA would write."""
    raw = content("Authentication-Results: mx.x.org; dmarc=pass header.from=x.org")
    own = Results(DOMAIN, f"{DOMAIN}; dmarc=fail header.from=x.org", own=True)
    outside = replace(mail(raw, "m123-class"), outside=True)
    assert unjudged(outside, directory(site=MTAS)) == DOMAIN
    decision = decide(outside, directory(site=MTAS), results=own)
    assert (decision.reason, in_words(decision.judged)) == ("sender_not_authenticated", "dmarc fail (x.org), found out here")
    inside = decide(mail(raw, "m123-class"), directory(site=MTAS), results=own)
    assert (inside.reason, in_words(inside.judged)) == ("accepted", "dmarc pass (x.org), found out by mx.x.org")


def test_results_that_cannot_be_read_are_remembered_as_whose_they_are() -> None:
    judged = decide(mail(content("Authentication-Results: mx.x.org; =;"), "m123-class"), directory(site=MTAS)).judged
    assert in_words(judged) == "nothing, found out by mx.x.org"
    assert in_words(None) == "nobody judged"


@pytest.mark.parametrize(
    ("client", "outside"),
    [
        (HOST, True),
        (f"::ffff:{HOST}", True),
        ("2600::7", True),
        ("198.41.0.4", False),
        ("127.0.0.1", False),
        ("10.0.0.7", False),
        ("::1", False),
        ("", False),
        ("/run/espmail.sock", False),
    ],
)
def test_who_is_outside(client: str, outside: bool) -> None:
    assert is_outside(client, networks("198.41.0.0/24, 2001:db8::1")) is outside


def test_relays_are_addresses() -> None:
    with pytest.raises(SettingsError, match="ESPMAIL_RELAYS takes addresses and networks"):
        relays(Settings(relays="mx.x.org"))
