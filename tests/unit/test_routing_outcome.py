"""What a decision becomes on the topics."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from streams import codec
from streams.domain.addresses import address_hash
from streams.domain.routing.decide import decide, rejected
from streams.domain.routing.model import Inbound
from streams.domain.routing.outcome import Routed, to_events
from streams.domain.verp import read_verp
from streams.events import (
    ClaimCheck,
    InboundDropped,
    InboundHeld,
    InboundMailReceived,
    InboundNoticed,
    InboundRouted,
    Judgement,
    MethodResult,
    Relayed,
)
from tests.services.inbound import NOW, TESS, content, directory, mail, world

HELD = [{"seq": 7, "regex": "^m123-class$|^ann$", "handler": "UserEmail", "admin_hold": True}]


def events_of(inbound: Inbound, **changes: object) -> Routed:
    return to_events(decide(inbound, directory(**changes)), inbound, NOW, rules_hash="r", max_attempts=3)


def test_a_delivered_mail_is_one_email_a_member() -> None:
    inbound = mail(content(), "m123-class")
    routed = events_of(inbound)
    assert [email.recipient for email in routed.emails] == ["info@yale.learningu.org", "tess@x.org", "ann@x.org", "bob@x.org", "cy@x.org"]
    email = routed.emails[1]
    assert (email.inbound_id, email.request_id, email.user_id, email.purpose) == (inbound.inbound_id, None, "7", "list")
    assert (email.envelope_from, email.to, email.subject) == ("emailbounces@learningu.org", '"Tess Ted" <tess@x.org>', "[M123] Hi")
    assert (email.queued_at, email.expires_at, email.attempt, email.max_attempts) == (NOW, NOW + timedelta(days=7), 1, 3)
    assert isinstance(email.content, Relayed)
    assert (email.content.body, email.content.claim) == (b"Hello.\r\n", None)
    assert isinstance(routed.routing, InboundRouted)
    assert routed.routing.emails == [email.email_id for email in routed.emails]
    assert (routed.routing.seq, routed.routing.handler, routed.routing.rules_hash) == (20, "ClassList", "r")


def test_each_copy_may_have_a_bounce_address_of_its_own() -> None:
    inbound = mail(content(), "m123-class")
    routed = to_events(decide(inbound, directory()), inbound, NOW, rules_hash="r", own_paths=True)
    assert [read_verp(email.envelope_from) for email in routed.emails] == [email.email_id for email in routed.emails]
    assert len({email.envelope_from for email in routed.emails}) == 5


def test_a_notice_has_none_and_an_address_without_room_stays() -> None:
    lost = mail(content(), "nobody-knows-it")
    (notice,) = to_events(decide(lost, directory()), lost, NOW, rules_hash="r", own_paths=True).emails
    assert notice.envelope_from == ""
    long, inbound = f"{'b' * 40}@learningu.org", mail(content(), "m123-class")
    site = {**world()["site"], "bounces": long}
    routed = to_events(decide(inbound, directory(site=site)), inbound, NOW, rules_hash="r", own_paths=True)
    assert {email.envelope_from for email in routed.emails} == {long}


def test_a_replay_makes_the_same_events() -> None:
    inbound = mail(content(), "m123-class")
    assert events_of(inbound) == events_of(inbound)


def test_a_stored_body_is_referred_to_not_copied() -> None:
    raw = content(body=b"x" * 100_000)
    claim = ClaimCheck("k", "s", len(raw))
    received = InboundMailReceived("i" * 64, NOW, TESS, "m123-class@yale.learningu.org", None, claim, "10.0.0.1", "mx", "ESMTP")
    (email, *_) = events_of(Inbound.of(received, raw)).emails
    assert isinstance(email.content, Relayed)
    assert (email.content.body, email.content.claim) == (None, claim)
    assert raw[email.content.body_start :] == b"x" * 100_000


def test_skips_are_remembered_by_hash() -> None:
    routed = events_of(mail(content(), "m123-class"), suppressions=["ann@x.org"]).routing
    assert isinstance(routed, InboundRouted)
    assert [(skip.name, skip.value) for skip in routed.skipped] == [(address_hash("ann@x.org"), "suppressed")]


def test_a_notice_is_an_email_of_its_own() -> None:
    routed = events_of(mail(content("Message-ID: <1@x.org>"), "nobody"))
    (email,) = routed.emails
    assert (email.recipient, email.envelope_from, email.purpose) == ("tess@x.org", "", "notice")
    assert routed.routing == InboundNoticed(
        email.inbound_id or "", NOW, "unknown_recipient", "r", email.email_id, address_hash("tess@x.org")
    )
    assert isinstance(email.content, Relayed)
    assert b"In-Reply-To: <1@x.org>\r\n" in email.content.header
    assert b"websupport@learningu.org" in (email.content.body or b"")


@pytest.mark.parametrize(("to", "kind"), [("m123-class", InboundHeld), ("ann", InboundHeld), ("x@gmail.com", InboundDropped)])
def test_what_goes_nowhere_is_remembered_with_its_reason(to: str, kind: type) -> None:
    inbound = mail(content(sender=None), to) if to == "m123-class" else mail(content(), to)
    lists = None if to == "m123-class" else {"email_lists": HELD}
    routed = events_of(inbound, **(lists or {}))
    assert routed.emails == ()
    assert isinstance(routed.routing, kind)


def test_approval_delivers_the_same_emails_however_often() -> None:
    inbound = replace(mail(content(), "ann"))
    place = directory(email_lists=HELD)
    assert decide(inbound, place).kind == "hold"
    once, twice = (to_events(decide(inbound, place, approved=True), inbound, NOW, rules_hash="") for _ in range(2))
    assert [email.email_id for email in once.emails] == [email.email_id for email in twice.emails]
    assert len(once.emails) == 1


def test_rules_numbered_differently_make_the_same_emails() -> None:
    """A mail that is decided anew after a rule was mended, or after a crash in the middle, reaches nobody twice."""
    renumbered = [{**row, "seq": row["seq"] + 1} for row in world()["email_lists"]]
    inbound = mail(content(), "m123-class")
    before, after = events_of(inbound), events_of(inbound, email_lists=renumbered)
    assert before.routing.seq != after.routing.seq  # type: ignore[union-attr]
    assert [email.email_id for email in before.emails] == [email.email_id for email in after.emails]
    assert len({email.email_id for email in before.emails}) == len(before.emails)


@pytest.mark.parametrize(("mail_from", "kind"), [(TESS, InboundNoticed), ("other@y.org", InboundDropped)])
def test_who_was_left_out_is_remembered_where_that_left_nobody(mail_from: str, kind: type) -> None:
    """For the archive: there may be another reason for each."""
    redirects = [{"original": "board", "destination": "ina@yale.learningu.org, dee@yale.learningu.org, gone@x.org"}]
    inbound = mail(content(), "board", mail_from=mail_from)
    routing = events_of(inbound, redirects=redirects, suppressions=["gone@x.org"]).routing
    assert isinstance(routing, InboundNoticed | InboundDropped)
    assert (type(routing), routing.reason) == (kind, "no_recipients")
    said = {header.name: header.value for header in routing.skipped}
    assert (said[address_hash("ina@x.org")], said[address_hash("gone@x.org")]) == ("inactive", "suppressed")
    assert codec.decode(codec.encode(routing)) == routing


MTAS = {**world()["site"], "authserv_ids": ["mx.x.org"]}
SAID = "Authentication-Results: mx.x.org; spf=pass smtp.mailfrom=tess@x.org; dkim=fail header.d=x.org; dmarc=pass header.from=x.org"
JUDGED = Judgement(
    "mx.x.org",
    own=False,
    results=[MethodResult("spf", "pass", "x.org"), MethodResult("dkim", "fail", "x.org"), MethodResult("dmarc", "pass", "x.org")],
)


@pytest.mark.parametrize(
    ("to", "more", "kind"),
    [
        ("m123-class", {}, InboundRouted),
        ("ann", {"email_lists": HELD}, InboundHeld),
        ("nobody", {}, InboundNoticed),
        ("x@gmail.com", {}, InboundDropped),
    ],
)
def test_every_decision_remembers_who_vouched(to: str, more: dict[str, Any], kind: type) -> None:
    routed = events_of(mail(content(SAID), to), site=MTAS, **more).routing
    assert isinstance(routed, kind)
    assert routed.judged == (None if to == "x@gmail.com" else JUDGED)  # a foreign address is no site's, and trusts no MTA
    assert codec.decode(codec.encode(routed)) == routed


def test_a_rejection_remembers_it_too() -> None:
    inbound = mail(content(SAID), "m123-class")
    for note in ("", "No."):
        assert rejected(inbound, directory(site=MTAS), note).judged == JUDGED
