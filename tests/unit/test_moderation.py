"""Held mail: who is asked, what they read, the link that they decide by, and what a rejected sender is told (spec 8.1)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.outgoing.unsubscribe import BadToken, Keyring
from streams.domain.outgoing.unsubscribe import make_token as unsubscribe_token
from streams.domain.routing import moderation, notices
from streams.domain.routing.authentication import Results
from streams.domain.routing.decide import decide, rejected
from streams.domain.routing.model import Decision, Inbound
from streams.domain.routing.moderation import Asking, Said, make_token, read_token
from streams.domain.routing.outcome import to_events
from streams.events import InboundDropped, InboundHeld, InboundNoticed, Relayed
from tests.services.inbound import DOMAIN, NOW, TESS, content, directory, mail, world
from tests.services.outgoing import KEYRING

MAIL_ID, EMAIL_ID = "0123456789abcdef" * 4, "3b1f0a9e-1111-5222-8333-000000000001"
ASKING = Asking(KEYRING)
READ_FIRST = [{"seq": 20, "regex": r"^\w(\d+)-(class|teachers|students)$", "handler": "ClassList", "admin_hold": True}]
NEWS = {"seq": 15, "regex": "^news$", "handler": "PlainList", "admin_hold": True}


def held(to: str = "m123-class", *head: str, asking: Asking | None = ASKING, sender: str | None = TESS, **changes: Any) -> Decision:
    lists = [*READ_FIRST, NEWS, *world()["email_lists"][2:]]
    return decide(
        mail(content(*head, sender=sender), to), directory(email_lists=changes.pop("email_lists", lists), **changes), asking=asking
    )


def asked(decision: Decision) -> list[str]:
    assert decision.kind == "hold"
    return [message.recipient for message in decision.asked]


# -- who is asked ----------------------------------------------------------------------------------------------------------


def director(address: str) -> list[dict[str, Any]]:
    course = world()["classes"][0]
    return [{**course, "program": {**course["program"], "director_email": address}}]


NEWS_TO = {"original": "news", "destination": "one@news.example"}
BOARD = {"original": "board", "destination": "a@board.example, Bea <b@board.example>"}


def test_a_class_asks_its_director() -> None:
    assert asked(held(classes=director("dee@elsewhere.example"))) == ["dee@elsewhere.example"]


def test_a_director_behind_an_alias_is_asked_at_home() -> None:
    """A notice that came back through the gateway would be dropped as a machine's."""
    assert asked(held()) == ["info@learningu.org"]
    assert asked(held(classes=director(f"board@{DOMAIN}"), redirects=[BOARD])) == ["a@board.example", "b@board.example"]
    assert asked(held(classes=director(f"Tess+splash@{DOMAIN}"))) == [TESS]


@pytest.mark.parametrize("address", ["", "no address", f"nobody@{DOMAIN}", f"m123-class@{DOMAIN}", f"round@{DOMAIN}"])
def test_where_no_director_can_be_asked_the_support_is(address: str) -> None:
    circle = {"original": "round", "destination": f"round@{DOMAIN}"}
    assert asked(held(classes=director(address), redirects=[circle])) == ["websupport@learningu.org"]


def test_other_addresses_ask_the_support() -> None:
    assert asked(held("news", redirects=[NEWS_TO])) == ["websupport@learningu.org"]
    assert asked(held("m123-class", "X: " + "y" * 120_000)) == ["websupport@learningu.org"]


@pytest.mark.parametrize(("head", "reason"), [(["X: " + "y" * 120_000], "header_too_large"), (["X: y"] * 1_500, "too_many_fields")])
def test_nothing_is_kept_for_an_address_that_nobody_has(head: list[str], reason: str) -> None:
    """Every made-up address has a limit of its own: anybody could have any number of mails kept, and moderators asked."""
    for to in ("nobody", "m999-class", "x123-class"):
        decision = held(to, *head)
        assert (decision.kind, decision.reason, decision.asked) == ("drop", reason, ())


def test_a_site_may_have_the_support_asked_or_nobody() -> None:
    assert asked(held(asking=Asking(KEYRING, directors=False))) == ["websupport@learningu.org"]
    assert asked(held(asking=None)) == []


def test_nothing_but_held_mail_asks_anybody() -> None:
    assert held("nobody").asked == held("tess").asked == decide(mail(content(), "m123-class"), directory(), asking=ASKING).asked == ()


def test_many_moderators_are_not_all_asked() -> None:
    crowd = {"original": "board", "destination": ", ".join(f"m{n}@board.example" for n in range(40))}
    assert len(asked(held(classes=director(f"board@{DOMAIN}"), redirects=[crowd]))) == moderation.MOST_MODERATORS


# -- what they read --------------------------------------------------------------------------------------------------------


def test_every_reason_to_hold_is_put_into_words() -> None:
    """Each hold of tests/golden and of the limits is announced without a gap in the table."""
    found = {
        held().reason,
        held(sender=None).reason,
        held("news", sender="a@x.org, b@x.org", redirects=[NEWS_TO]).reason,
        held("news", sender='"a@x.org" b@x.org <c@x.org', redirects=[NEWS_TO]).reason,
        held("m123-class", "X: " + "y" * 120_000).reason,
        held("m123-class", *["X: y"] * 1_500).reason,
        held(sender="s@bad.example", email_lists=[{**READ_FIRST[0], "who_may_post": "hold"}]).reason,
        held("m123-class", "Authentication-Results: mx.x.org; dmarc=fail", site={**world()["site"], "authserv_ids": ["mx.x.org"]}).reason,
        "too_many",
    }
    assert found == set(moderation.WHY)


def test_a_notice_says_who_wrote_what_to_whom_and_why_it_waits() -> None:
    raw = content(sender="Tess T <tess@x.org>", subject="=?utf-8?q?caf=C3=A9?=")
    (notice,) = decide(mail(raw, "m123-class"), directory(email_lists=READ_FIRST), asking=ASKING).asked
    text = (notice.body or b"").decode()
    assert notice.envelope_from == ""
    assert b"\r\nAuto-Submitted: auto-generated\r\n" in notice.header
    assert notice.subject == f"Mail to m123-class@{DOMAIN} waits for you: café"
    for part in ("Tess T <tess@x.org>", "café", f"m123-class@{DOMAIN}", "mail to this list is read before it goes out"):
        assert part in text


@pytest.mark.parametrize("value", ["x\x0bBcc: evil@y.org", "=?utf-8?q?Hi=0D=0ABcc=3A_evil=40y.org?=", "y" * 900, "(" * 5_000, "<" * 90])
def test_a_strangers_words_stay_on_one_short_line(value: str) -> None:
    for message in decide(mail(content(subject=value), "m123-class"), directory(email_lists=READ_FIRST), asking=ASKING).asked:
        lines = (message.header + b"\r\n" + (message.body or b"")).split(b"\r\n")
        assert max(map(len, lines)) <= 998
        assert not [line for line in lines if line.lower().startswith(b"bcc")]
        assert b"\n" not in b"".join(lines)


def test_the_events_of_a_hold() -> None:
    inbound = mail(content(), "m123-class")
    decision = decide(inbound, directory(email_lists=READ_FIRST), asking=ASKING)
    first, second = (to_events(decision, inbound, NOW, rules_hash="r") for _ in range(2))
    assert first == second
    (email,) = first.emails
    assert isinstance(first.routing, InboundHeld)
    assert isinstance(email.content, Relayed)
    assert (email.inbound_id, email.purpose, email.recipient) == (None, "moderation", "websupport@learningu.org")
    token = re.search(rb"/moderation/([\w-]+)", email.content.body or b"")
    assert token is not None
    assert read_token(KEYRING, token[1].decode()) == Said(inbound.inbound_id, email.email_id)


# -- the link --------------------------------------------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32), st.uuids())
def test_a_token_says_what_it_was_made_of(inbound_id: bytes, email_id: Any) -> None:
    assert read_token(KEYRING, make_token(KEYRING, inbound_id.hex(), str(email_id))) == Said(inbound_id.hex(), str(email_id))


@given(st.integers(0, 91), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
def test_a_token_with_another_character_is_none(place: int, character: str) -> None:
    token = make_token(KEYRING, MAIL_ID, EMAIL_ID)
    other = token[:place] + character + token[place + 1 :]
    if other != token:
        with pytest.raises(BadToken):
            read_token(KEYRING, other)


@pytest.mark.parametrize("token", ["", "x" * 92, "x" * 91, "ü" * 92, unsubscribe_token(KEYRING, "0" * 32, "list", EMAIL_ID)])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(BadToken):
        read_token(KEYRING, token)


def test_keys_rotate() -> None:
    old, new = Keyring((b"o" * 32,)), Keyring((b"n" * 32, b"o" * 32))
    token = make_token(old, MAIL_ID, EMAIL_ID)
    assert read_token(new, token) == Said(MAIL_ID, EMAIL_ID)
    with pytest.raises(BadToken):
        read_token(Keyring((b"n" * 32,)), token)


# -- a rejection -----------------------------------------------------------------------------------------------------------


def rejection(note: str, *head: str, sender: str = TESS, mail_from: str = TESS, **changes: Any) -> Decision:
    return rejected(mail(content(*head, sender=sender), "m123-class", mail_from), directory(**changes), note)


def test_a_known_sender_reads_the_moderators_note() -> None:
    decision = rejection("Wrong list.\r\nTry\x1bboard@.\n")
    (message,) = decision.messages
    assert (decision.kind, decision.reason) == ("notice", "rejected_by_moderator")
    assert (message.envelope_from, message.recipient) == ("", TESS)
    assert b"was read by a moderator and not passed on:\r\n\r\nWrong list.\r\nTry board@.\r\n" in (message.body or b"")


def test_a_long_note_is_cut_and_wrapped() -> None:
    (message,) = rejection("word " * 5_000).messages
    lines = (message.body or b"").split(b"\r\n")
    assert max(map(len, lines)) <= 100
    assert sum(line.count(b"word") for line in lines) == notices.MAX_NOTE // 5


SILENT: dict[str, dict[str, Any]] = {
    "without a note": {"note": " \n"},
    "a stranger": {"sender": "s@bad.example", "mail_from": "s@bad.example"},
    "another envelope sender": {"mail_from": "other@elsewhere.example"},
    "a machine": {"head": ["X-Auto-Response-Suppress: All"]},
    "not authenticated": {
        "head": ["Authentication-Results: mx.x.org; dmarc=fail"],
        "site": {**world()["site"], "authserv_ids": ["mx.x.org"]},
    },
}


@pytest.mark.parametrize("case", SILENT.values(), ids=SILENT)
def test_nobody_is_told(case: dict[str, Any]) -> None:
    given = dict(case)
    decision = rejection(given.pop("note", "No."), *given.pop("head", []), **given)
    assert (decision.kind, decision.reason, decision.messages) == ("drop", "rejected_by_moderator", ())


def test_nobody_is_told_in_whose_name_we_found_a_mail_forged() -> None:
    """The same as what the MTA found: the note would go to somebody who wrote nothing."""
    forged = Results(DOMAIN, f"{DOMAIN}; dmarc=fail header.from=x.org", own=True)
    genuine = Results(DOMAIN, f"{DOMAIN}; dmarc=pass header.from=x.org", own=True)
    inbound = mail(content(), "m123-class")
    assert rejected(inbound, directory(), "No.", forged).messages == ()
    assert [message.recipient for message in rejected(inbound, directory(), "No.", genuine).messages] == [TESS]


def test_a_site_that_is_gone_tells_nobody() -> None:
    gone: Inbound = replace(mail(content(), "m123-class"), rcpt_to="m123-class@gone.example")
    assert rejected(gone, directory(), "No.").kind == "drop"


def test_the_events_of_a_rejection() -> None:
    inbound = mail(content(), "m123-class")
    told = to_events(rejected(inbound, directory(), "No."), inbound, NOW, rules_hash="r")
    assert isinstance(told.routing, InboundNoticed)
    assert told.routing.email_id == told.emails[0].email_id
    silent = to_events(rejected(inbound, directory(), ""), inbound, NOW, rules_hash="r")
    assert isinstance(silent.routing, InboundDropped)
    assert silent.emails == ()
