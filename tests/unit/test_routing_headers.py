"""The header of a copy: what is edited, what stays byte for byte, and what never leaks (architecture.md, section 9.16)."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from streams.domain.routing.arc import SealKey
from streams.domain.routing.decide import decide
from streams.domain.routing.fields import canonical, scan
from streams.domain.routing.model import Message
from streams.domain.routing.words import decoded
from tests.services.inbound import content, directory, mail, world

PRIVATE = (
    b"Return-Path: <tess@x.org>\r\n"
    b"Received: from laptop (envelope-from <TESS@x.org>)\r\n\tby x.org; Fri, 20 Nov 2026 10:00:00 +0000\r\n"
    b"Received: by mx.y.org\r\n"
    b"DKIM-Signature: v=1; d=x.org\r\n"
    b"Authentication-Results: mx; spf=pass smtp.mailfrom=tess@x.org\r\n"
    b"From: Tessie <tess@x.org>\r\n"
    b"Sender: tess@x.org\r\nReply-To: tess@x.org\r\nTo: m123-class@yale.learningu.org\r\nCc: evil@y.org\r\nBcc: evil@y.org\r\n"
    b"Disposition-Notification-To: tess@x.org\r\nX-Envelope-From: <tess@x.org>\r\nX-Other: contess@x.org\r\n"
    b"Message-ID: <1.tess@x.org>\r\nReferences: <0@y.org>\r\n\t<00@y.org>\r\nIn-Reply-To: <0@y.org>\r\n"
    b"Date: Thu, 19 Nov 2026 09:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=latin-1\r\n"
    b"Subject: caf\xe9\r\n at noon\r\n\r\nbody of tess@x.org\r\n"
)


def copies(raw: bytes, to: str = "m123-class", **changes: Any) -> tuple[Message, ...]:
    decision = decide(mail(canonical(raw), to), directory(**changes))
    assert decision.kind == "deliver", decision.reason
    return decision.messages


def values(message: Message, name: str) -> list[str]:
    return [field.text for field in scan(message.header + b"\r\n").all(name)]


def rule(**changes: Any) -> list[dict[str, Any]]:
    return [{**world()["email_lists"][1], **changes}]


def test_a_class_list_hides_the_senders_own_address() -> None:
    header = copies(PRIVATE)[0].header
    kept = header.replace(b"<1.tess@x.org>", b"").replace(b"contess@x.org", b"")
    assert b"tess@x.org" not in kept.lower()
    assert b"evil@y.org" not in header


@pytest.mark.parametrize("sender", ["From: Tess <tess@x.org>", "From: Tess <tess@x.org>, Bo <bo@y.org>", "X: no From"])
def test_a_class_list_hides_the_envelopes_sender_too(sender: str) -> None:
    """A moderator may have let pass what does not say whom it is from."""
    trace = "Received: from laptop (envelope-from <Tess@Home.example>)"
    raw = content(sender, trace, "X-Sender: tess@home.example", "X-Kept: contess@home.example", sender=None)
    decision = decide(mail(raw, "m123-class", "tess@home.example"), directory(), approved=True)
    assert decision.kind == "deliver"
    header = decision.messages[0].header.lower()
    assert b"contess@home.example" in header
    assert b"tess@home.example" not in header.replace(b"contess@home.example", b"")


def test_a_class_list_keeps_what_belongs_to_the_body_and_the_thread() -> None:
    header = copies(PRIVATE)[0].header
    for line in (
        b"Received: by mx.y.org\r\n",
        b"MIME-Version: 1.0\r\n",
        b"Content-Type: text/plain;\r\n charset=latin-1\r\n",
        b"In-Reply-To: <0@y.org>\r\n",
        b"References: <0@y.org>\r\n\t<00@y.org>\r\n <1.tess@x.org>\r\n",
        b"Date: Thu, 19 Nov 2026 09:00:00 +0000\r\n",
        b"Subject: [M123] caf\xe9\r\n at noon\r\n",
    ):
        assert line in header


def test_a_class_list_speaks_for_itself() -> None:
    first, second, *_ = copies(PRIVATE)
    assert values(first, "from") == ['"Tess Ted" <tess@yale.learningu.org>']
    assert values(first, "to") == ['"Splash 2026 Directors" <info@yale.learningu.org>']
    assert values(second, "to") == ['"Tess Ted" <tess@x.org>']
    assert values(first, "reply-to") == ["m123-class@yale.learningu.org"]
    assert values(first, "list-id") == ["<m123-class.yale.learningu.org>"]
    assert values(first, "list-post") == ["<mailto:m123-class@yale.learningu.org>"]
    assert values(first, "list-unsubscribe") == ["<mailto:websupport@learningu.org?subject=unsubscribe%20m123-class>"]
    assert values(first, "precedence") == ["list"]
    assert values(first, "x-esp-sender") == ["version 2"]
    assert first.message_id == second.message_id == values(first, "message-id")[0]
    assert first.message_id.endswith("@yale.learningu.org>")


def test_answers_reach_a_sender_who_is_not_on_the_list() -> None:
    (first, *_) = copies(content(sender="Ada <ada@x.org>"))
    assert values(first, "reply-to") == ['m123-class@yale.learningu.org, "Ada Min" <ada@yale.learningu.org>']


@pytest.mark.parametrize("sender", ["info@yale.learningu.org", "Dean <dean@mit.learningu.org>"])
def test_a_from_of_the_site_itself_stays(sender: str) -> None:
    people = [*world()["people"], {"user_id": "50", "username": "dean", "email": "dean@mit.learningu.org"}]
    assert values(copies(content(sender=sender), people=people)[0], "from") == [sender]


def test_a_stranger_on_an_open_list_is_shown_with_the_lists_address() -> None:
    (first, *_) = copies(content(sender="Vera V <vera@y.org>"), email_lists=rule(who_may_post="anyone"))
    assert values(first, "from") == ['"Vera V" <m123-class@yale.learningu.org>']
    assert values(first, "reply-to") == ['m123-class@yale.learningu.org, "Vera V" <vera@y.org>']


def test_a_username_that_is_no_address_is_not_made_one() -> None:
    people = [{"user_id": "7", "username": "tess ted@x", "first_name": "Tess", "email": "tess@x.org"}]
    assert values(copies(content(), people=people)[0], "from") == ['"Tess" <m123-class@yale.learningu.org>']


@pytest.mark.parametrize("usernames", [("jo ann", "other"), ("jo+ann", "other"), ("jo", "JO")])
def test_a_private_address_stays_private_where_no_alias_reaches_the_sender(usernames: tuple[str, str]) -> None:
    jo, other = ({"user_id": str(90 + place), "username": name} for place, name in enumerate(usernames))
    people = [*world()["people"], {**jo, "first_name": "Jo", "email": "jo@private.org"}, {**other, "email": "other@x.org"}]
    first = copies(content(sender="jo@private.org"), people=people)[0]
    assert values(first, "from") == ['"Jo" <m123-class@yale.learningu.org>']
    assert values(first, "reply-to") == ["m123-class@yale.learningu.org"]
    assert b"private.org" not in first.header


def test_an_accented_name_keeps_its_address() -> None:
    people = [{**person, "first_name": "Ánn"} if person["username"] == "ann" else person for person in world()["people"]]
    everyone = copies(content(), people=people, email_lists=rule(cc_all=True))
    to = values(everyone[0], "to")[0]
    assert "=?utf-8?b?w4FubiBMZWU=?= <ann@x.org>" in to
    assert {values(message, "to")[0] for message in everyone} == {to}


SUBJECTS = [
    ("Hi", None, "[M123] Hi"),
    ("=?utf-8?q?caf=C3=A9?=", "ESP", "[ESP] [M123] café"),
    ("=?utf-8?q?Re=3A_=5BM123=5D_x?=", None, "Re: [M123] x"),
    ("Hi", "ÉSP", "[ÉSP] [M123] Hi"),
    ("=?utf-8?q?caf=C3=A9?=", "ÉSP", "[ÉSP] [M123] café"),
    ("", "ESP", "[ESP] [M123]"),
    ("x" * 985, "ESP", "[ESP] [M123] " + "x" * 985),
    ("Hi", "a\r\nBcc: evil@y.org", "[a Bcc: evil@y.org] [M123] Hi"),
]


@pytest.mark.parametrize(("subject", "prefix", "expected"), SUBJECTS, ids=[row[2][:20] for row in SUBJECTS])
def test_subjects(subject: str, prefix: str | None, expected: str) -> None:
    (first, *_) = copies(content(subject=subject), email_lists=rule(subject_prefix=prefix))
    assert " ".join(first.subject.split()) == " ".join(decoded(values(first, "subject")[0]).split()) == expected
    assert all(len(line) <= 998 for line in first.header.split(b"\r\n"))
    assert values(first, "bcc") == []


def test_an_alias_leaves_every_field_that_may_be_signed() -> None:
    redirect = [{"original": "board", "destination": "a@x.org"}]
    (message,) = copies(PRIVATE, "board", redirects=redirect)
    fields = scan(PRIVATE).fields
    assert scan(message.header + b"\r\n").fields[2:] == tuple(field for field in fields if field.name not in ("bcc", "return-path"))
    assert values(message, "delivered-to") == ["board@yale.learningu.org"]
    assert message.message_id == "<1.tess@x.org>"


def test_lines_that_are_no_field_stay_where_the_next_server_takes_them_for_body() -> None:
    raw = b"From: tess@x.org\r\nno field at all\r\nSubject: Hi\r\n\r\nbody"
    (first, *_) = copies(raw)
    assert first.header.endswith(b"\r\nno field at all\r\n")
    assert values(first, "subject") == ["[M123] Hi"]


@pytest.mark.parametrize("first_line", [b" , evil@y.org\r\n", b"\t, evil@y.org\r\n b\r\n", b"From tess@x.org\n , evil@y.org\n"])
def test_a_first_line_that_continues_nothing_becomes_no_part_of_our_fields(first_line: bytes) -> None:
    raw = first_line + b"From: tess@x.org\r\nSubject: Hi\r\n\r\nbody"
    (first, *_) = copies(raw)
    assert values(first, "to") == ['"Splash 2026 Directors" <info@yale.learningu.org>']
    (alias,) = copies(raw, to="tess")
    assert b"evil@y.org" not in first.header + alias.header


def test_the_line_of_an_mbox_or_pipe_is_not_a_field() -> None:
    (first, *_) = copies(b"From tess@x.org Fri Nov 20 10:00:00 2026\nFrom: tess@x.org\n\nHi\n")
    assert scan(first.header + b"\r\n").stray == b""


def test_a_header_that_is_too_big_is_held_unread() -> None:
    for raw in (b"From: tess@x.org\r\nX: " + b"y" * 102_400 + b"\r\n\r\n", b"From: tess@x.org\r\n" + b"X: y\r\n" * 1_000 + b"\r\n"):
        inbound = mail(raw, "m123-class")
        assert decide(inbound, directory()).kind == "hold"
        assert decide(inbound, directory(), approved=True).kind == "drop"


def test_a_forward_is_sealed_with_what_the_mta_said() -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    site = {**world()["site"], "authserv_ids": ["mx.yale.edu"]}
    seal_key = SealKey("yale.learningu.org", "s1", pem)
    inbound = mail(
        content("Authentication-Results: mx.yale.edu; dmarc=pass header.from=x.org", "Authentication-Results: mx.yale.edu; spf=fail"), "ada"
    )
    first, again = (decide(inbound, directory(site=site), seal_key=seal_key).messages[0].header for _ in range(2))
    assert first == again
    assert b"dmarc=pass" in scan(first + b"\r\n").first("arc-authentication-results").value  # type: ignore[union-attr]
    assert b"spf=fail" not in scan(first + b"\r\n").first("arc-authentication-results").value  # type: ignore[union-attr]
    text = b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)
    verdict, _, why = dkim.arc_verify(first + b"\r\nHello.\r\n", dnsfunc=lambda name, timeout=5: text)
    assert (verdict, why) == (b"pass", "success")


BLANKS = b" " * 997 + b"x\r\n"


def test_a_body_of_blanks_is_sealed_as_fast_as_any() -> None:
    """dkimpy by itself takes a minute for 25 MB of it, and the worker would lose its place in the group."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    site = {**world()["site"], "authserv_ids": ["mx.yale.edu"]}
    judged = "Authentication-Results: mx.yale.edu; dmarc=pass header.from=x.org"
    seal_key, body = SealKey("yale.learningu.org", "s1", pem), BLANKS * 1_000
    began = time.process_time()
    (message,) = decide(mail(content(judged, body=body), "ada"), directory(site=site), seal_key=seal_key).messages
    assert time.process_time() - began < 1
    text = b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)
    assert dkim.arc_verify(message.header + b"\r\n" + body, dnsfunc=lambda name, timeout=5: text)[0] == b"pass"


def test_nothing_is_sealed_that_the_mta_did_not_judge() -> None:
    seal_key = SealKey("yale.learningu.org", "s1", b"never used")
    assert b"ARC-" not in decide(mail(content(), "ada"), directory(), seal_key=seal_key).messages[0].header


def test_the_trace_shows_the_client_and_nothing_it_invented() -> None:
    from dataclasses import replace

    inbound = replace(
        mail(content(), "ada"), helo="evil\r\nBcc: x <y>", client="10.0.0.1", protocol="ESMTP", received_at=datetime(2026, 1, 2, tzinfo=UTC)
    )
    (message,) = decide(inbound, directory()).messages
    (received,) = values(message, "received")
    assert received.startswith("from evilBcc:xy ([10.0.0.1])\tby yale.learningu.org with ESMTP id ")
    assert received.endswith("for <ada@yale.learningu.org>; Fri, 02 Jan 2026 00:00:00 +0000")
