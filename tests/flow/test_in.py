"""A mail from the gateway's SMTP to the Maildirs of those it is for, and the moderators' commands."""

from __future__ import annotations

import email
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from cli.publishing import publish
from streams import topics
from streams.domain.ids import inbound_id
from streams.events import InboundApproved
from streams.publisher import Record
from streams.reading import records_of
from streams.settings import Settings
from tests.services.inbound import DOMAIN, TESS, content, world
from tests.services.installation import Installation, bodies, installed

HELD_LIST = {"seq": 15, "regex": "^news$", "handler": "PlainList", "admin_hold": True, "description": "read before it goes out"}
NEWS = {"original": "news", "destination": "one@news.example, two@news.example"}
BOARD = {"original": "board", "destination": "a@board.example, b@board.example"}
MTA = "mx.yale.learningu.org"
SITE = {**world()["site"], "authserv_ids": [MTA]}
STUDENTS = ["ann@x.org", "bob@x.org", "cy@x.org"]
BODY = b"Bytes  kept as they are: \xc3\xa4\t \r\n.\r\n--no boundary--\r\n"


@pytest.fixture(scope="module")
def installation(kafka: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The world of spec 9 with a redirect, and a list whose mail is read first."""
    known = world(site=SITE, redirects=[BOARD, NEWS], email_lists=[*world()["email_lists"], HELD_LIST])
    with installed(kafka, tmp_path_factory.mktemp("installation")) as one:
        one.load(known)
        one.until(
            lambda: one.decided(one.post(mail(str(uuid4())), f"tess@{DOMAIN}", TESS))["decision"] == "deliver", "the router knows them"
        )
        yield one


def mail(subject: str, sender: str = TESS) -> bytes:
    """A mail with a subject and a Message-ID of its own."""
    return content(f"Message-ID: <{subject}@x.org>", sender=sender, subject=subject, body=BODY)


def as_in_a_maildir(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n")


LISTS = {
    "class": (f"m123-class@{DOMAIN}", [*STUDENTS, "info@yale.learningu.org", TESS]),
    "students": (f"m123-students@{DOMAIN}", [*STUDENTS, "info@yale.learningu.org"]),
    "section": (f"m123s1-class@{DOMAIN}", ["ann@x.org", "bob@x.org", "info@yale.learningu.org", TESS]),
    "redirect": (f"board@{DOMAIN}", ["a@board.example", "b@board.example"]),
    "teacher": (f"tess@{DOMAIN}", [TESS]),
    "plus": (f"Board+minutes@{DOMAIN}", ["a@board.example", "b@board.example"]),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_mail_reaches_exactly_those_it_is_for_with_its_body_untouched(installation: Installation, name: str) -> None:
    to, people = LISTS[name]
    subject = f"in-{name}"
    decided = installation.decided(installation.post(mail(subject), to, TESS))
    assert (decided["decision"], decided["reason"], decided["emails"]) == ("deliver", "accepted", len(people))
    got = installation.kept(f"<{subject}@x.org>".encode())
    assert bodies(got) == {person: [as_in_a_maildir(BODY)] for person in people}


def test_what_was_loaded_before_a_mail_came_decides_on_it(installation: Installation) -> None:
    """Nobody waits in between."""
    for number in range(5):
        alias, reader, subject = f"new-{number}", f"reader-{number}@board.example", f"in-new-{number}"
        installation.load({"site": SITE, "redirects": [{"original": alias, "destination": reader}]})
        assert installation.decided(installation.post(mail(subject), f"{alias}@{DOMAIN}", TESS))["decision"] == "deliver"
        assert list(installation.kept(f"<{subject}@x.org>".encode())) == [reader]


def test_a_retransmitted_mail_is_routed_once(installation: Installation) -> None:
    """Also when the gateway has forgotten it: it was killed in between."""
    again = mail("in-again")
    first = installation.post(again, f"board@{DOMAIN}", TESS)
    installation.decided(first)
    installation.kill("gateway")
    assert installation.post(again, f"board@{DOMAIN}", TESS) == first
    installation.decided(installation.post(mail("in-after-again"), f"board@{DOMAIN}", TESS))
    got = installation.kept(b"<in-again@x.org>")
    assert {to: len(mails) for to, mails in got.items()} == {"a@board.example": 1, "b@board.example": 1}


def test_a_known_sender_is_told_once_a_day_that_nobody_is_there(installation: Installation) -> None:
    first = installation.decided(installation.post(mail("in-typo-1"), f"nobody@{DOMAIN}", TESS))
    assert (first["decision"], first["emails"]) == ("notice", 1)
    (notice,) = installation.kept(b"was not delivered")[TESS]
    assert f"Undeliverable mail to nobody@{DOMAIN}" in email.message_from_bytes(notice)["subject"]
    second = installation.decided(installation.post(mail("in-typo-2"), f"nobody@{DOMAIN}", TESS))
    assert (second["decision"], second["emails"]) == ("drop", 0)
    assert len(installation.kept(b"was not delivered")[TESS]) == 1


def test_a_stranger_reaches_no_list_and_hears_nothing(installation: Installation) -> None:
    decided = installation.decided(installation.post(mail("in-spam", "spam@bad.example"), f"m123-class@{DOMAIN}", "spam@bad.example"))
    assert (decided["decision"], decided["reason"]) == ("drop", "stranger")
    assert not installation.kept(b"in-spam")


def held(installation: Installation, subject: str) -> str:
    """The id of a mail that waits for a moderator."""
    mail_id = installation.post(mail(subject), f"news@{DOMAIN}", TESS)
    assert installation.decided(mail_id)["reason"] == "admin_hold"
    return mail_id


def waiting(installation: Installation) -> set[str]:
    return {row["inbound_id"] for row in installation.espmail("moderation", "list", "--json").lines}


def test_a_held_mail_goes_out_once_when_it_is_approved(installation: Installation) -> None:
    """Spec, example 140: also when two moderators say so at the same time."""
    mail_id = held(installation, "in-held-1")
    assert waiting(installation) == {mail_id}
    assert not installation.kept(b"Message-ID: <in-held-1@x.org>")
    now = datetime.now(UTC)
    said = [Record.of(topics.MODERATION, mail_id, InboundApproved(mail_id, now, by, "")) for by in ("ada", "ben")]
    publish(installation.settings, said)
    installation.until(lambda: (installation.inbound(mail_id) or {})["decision"] == "deliver", "the mail was approved")
    row = installation.decided(mail_id)
    assert (row["reason"], row["moderation"], row["moderated_by"]) == ("approved", "approved", "ada")
    answer = installation.espmail("moderation", "approve", mail_id, expect=2)
    assert "was approved by ada already" in answer.err
    installation.decided(held(installation, "in-held-after-1"))
    assert bodies(installation.kept(b"Message-ID: <in-held-1@x.org>")) == {
        reader: [as_in_a_maildir(BODY)] for reader in ("one@news.example", "two@news.example")
    }


def test_a_moderator_approves_and_rejects_by_command(installation: Installation) -> None:
    good, bad = held(installation, "in-held-2"), held(installation, "in-held-3")
    installation.espmail("moderation", "approve", good, "--by", "ada")
    installation.espmail("moderation", "reject", bad, "--by", "ada", "--note", "an advertisement")
    installation.until(lambda: (installation.inbound(good) or {})["decision"] == "deliver", "the mail was approved")
    installation.decided(good)
    installation.until(lambda: (installation.inbound(bad) or {})["decision"] == "notice", "the mail was rejected")
    rejected = installation.decided(bad)
    assert (rejected["reason"], rejected["moderation"], rejected["moderation_note"]) == (
        "rejected_by_moderator",
        "rejected",
        "an advertisement",
    )
    (told,) = installation.kept(b"was read by a moderator", b"an advertisement")[TESS]
    assert b"Undeliverable mail to news@" in told
    assert sorted(installation.kept(b"<in-held-2@x.org>")) == ["one@news.example", "two@news.example"]
    assert not installation.kept(b"Message-ID: <in-held-3@x.org>")
    assert not waiting(installation) & {good, bad}


def test_the_moderator_and_the_archive_see_who_vouched_for_a_sender(installation: Installation) -> None:
    """As the MTA said it; a line below it is a stranger's."""
    said = f"Authentication-Results: {MTA}; spf=fail smtp.mailfrom=x.org; dmarc=fail header.from=x.org"
    forged = content("Message-ID: <in-forged@x.org>", said, f"Authentication-Results: {MTA}; dmarc=pass", sender=TESS, subject="in-forged")
    mail_id = installation.post(forged, f"m123-class@{DOMAIN}", TESS)
    assert installation.decided(mail_id)["reason"] == "sender_not_authenticated"
    vouched = f"spf fail (x.org), dmarc fail (x.org), found out by {MTA}"
    assert f"authentication: {vouched}\n" in installation.espmail("inbound", "show", mail_id).out
    assert vouched in installation.espmail("inbound", "why", mail_id, "ann@x.org").out
    assert vouched in installation.espmail("moderation", "list").out
    installation.until(lambda: installation.kept(b"Checked:  spf fail", b"in-forged"), "the moderator is told")
    installation.espmail("moderation", "reject", mail_id[:10])  # as the list shows it
    installation.until(lambda: (installation.inbound(mail_id) or {})["decision"] == "drop", "the mail was rejected")
    assert f"authentication: {vouched}\n" in installation.espmail("inbound", "show", mail_id).out


def test_a_held_mail_that_is_decided_anew_waits_no_more(installation: Installation) -> None:
    """The rule that held it was mended, and has another number now; what was kept of it is given up."""
    approved, mail_id = held(installation, "in-mended-1"), held(installation, "in-mended-2")
    installation.espmail("moderation", "approve", approved)
    installation.until(lambda: (installation.inbound(approved) or {})["decision"] == "deliver", "the mail was approved")
    installation.decided(approved)
    assert kept_for_moderators(installation)[mail_id]
    installation.load({"site": SITE, "email_lists": [{**HELD_LIST, "seq": 14, "admin_hold": False}]})
    installation.espmail("inbound", "reroute", approved, mail_id)
    installation.until(lambda: (installation.inbound(mail_id) or {})["decision"] == "deliver", "it is decided anew")
    installation.until(lambda: (installation.inbound(approved) or {})["seq"] == 14, "so is the other")
    installation.until(lambda: installation.lag("route") == installation.lag("send.urgent") == 0, "all of it is done")
    for subject in ("in-mended-1", "in-mended-2"):
        got = installation.kept(f"Message-ID: <{subject}@x.org>".encode())
        assert {to: len(mails) for to, mails in got.items()} == {"one@news.example": 1, "two@news.example": 1}
    assert not kept_for_moderators(installation)[mail_id]
    installation.load({"site": SITE, "email_lists": [{**HELD_LIST, "seq": 14}]})


def kept_for_moderators(installation: Installation) -> dict[str, bool]:
    """Of each mail that was ever held, whether it is kept."""
    return {(record.key or b"").decode(): bool(record.value) for record in records_of(installation.settings, topics.HELD_MAIL, {})}


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_a_moderator_cannot_speak_of_a_mail_that_is_not_held(installation: Installation, word: str) -> None:
    delivered = installation.post(mail(f"in-open-{word}"), f"board@{DOMAIN}", TESS)
    installation.decided(delivered)
    unknown = inbound_id("a@b.c", "d@e.f", b"")
    answer = installation.espmail("moderation", word, delivered, unknown, expect=2)
    assert f"{delivered} is not held (deliver)" in answer.err
    assert f"{unknown} is no mail that was folded" in answer.err
    row = installation.inbound(delivered)
    assert row is not None
    assert (row["decision"], row["moderation"]) == ("deliver", None)


def test_the_dry_run_says_what_became_of_it(installation: Installation) -> None:
    path = installation.folder / "mail.eml"
    path.write_bytes(mail("in-dry"))
    to = f"m123-class@{DOMAIN}"
    directory = installation.write(world())
    (shown,) = installation.espmail(
        "inbound", "route", str(path), "--to", to, "--mail-from", TESS, "--directory", directory, "--json"
    ).lines
    decided = installation.decided(installation.post(path.read_bytes(), to, TESS))
    assert (shown["decision"], shown["reason"]) == (decided["decision"], decided["reason"])
    recipients = {message["envelope_to"][0] for message in shown["messages"]}
    assert recipients == set(installation.kept(b"<in-dry@x.org>"))
