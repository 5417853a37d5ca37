"""What operators do when something went wrong: dead letters, doubts, replays; and the tables are still only a fold (G6)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cli.publishing import publish
from gateway.bodies import claim_for
from gateway.body_store import open_bodies
from streams import topics
from streams.domain.addresses import address_hash
from streams.domain.ids import inbound_id_of
from streams.events import EmailAttempting, InboundMailReceived
from streams.publisher import Record
from tests.services.inbound import DOMAIN, TESS, content
from tests.services.installation import Installation, counts
from tests.services.outgoing import document
from tests.services.until import until

LIST = f"m123-class@{DOMAIN}"


def letters(installation: Installation, *options: str) -> list[dict[str, Any]]:
    return installation.espmail("dead-letters", "list", "--json", *options).lines


def to_three(request_id: str) -> dict[str, Any]:
    return document("ann", "bob", "cy", request_id=request_id, created_at=None, subject=request_id)


def test_a_record_that_nobody_can_read_is_parked_with_its_bytes_and_the_others_go_on(installation: Installation) -> None:
    junk = secrets.token_bytes(40)
    publish(installation.settings, [Record(topics.EMAILS_BULK, b"junk", junk)])
    installation.submit(to_three("beside-junk"))
    assert counts(installation.finished("beside-junk")) == {"sent": 3}
    found = installation.until(lambda: [one for one in letters(installation) if one["agent"] == "send.bulk"], "the record is parked")
    (letter,) = found
    assert (letter["reason"], letter["topic"], letter["size"]) == ("undecodable", topics.EMAILS_BULK, len(junk))
    shown = installation.espmail("dead-letters", "show", str(letter["offset"]), "--json").lines[0]
    assert bytes.fromhex(shown["value"]) == junk
    assert "undecodable" in installation.espmail("dead-letters", "list").out


def test_a_mended_record_goes_on_when_it_is_put_back(installation: Installation) -> None:
    """Its body was lost and comes back, say from a backup."""
    mail = content(sender=TESS, subject="lost and found", body=secrets.token_hex(40_000).encode())
    event = claimed(mail)
    publish(installation.settings, [Record.of(topics.INBOUND_MAIL, event.inbound_id, event)])
    (letter,) = installation.until(lambda: [one for one in letters(installation) if one["reason"] == "body_lost"], "the mail is parked")
    assert event.claim == open_bodies(installation.settings).put(mail)
    installation.espmail("dead-letters", "replay", str(letter["offset"]))
    decided = installation.decided(event.inbound_id)
    assert (decided["decision"], decided["emails"]) == ("deliver", 5)
    assert letter["offset"] not in [one["offset"] for one in letters(installation)]
    assert {one["offset"]: one["replayed"] for one in letters(installation, "--all")}[letter["offset"]]


def claimed(mail: bytes) -> InboundMailReceived:
    """As the gateway writes it for a mail of this size."""
    return InboundMailReceived(
        inbound_id=inbound_id_of(TESS, LIST, hashlib.sha256(mail).digest()),
        received_at=datetime.now(UTC),
        mail_from=TESS,
        rcpt_to=LIST,
        content=None,
        claim=claim_for(mail),
        client="127.0.0.1",
        helo="mta.test",
        protocol="ESMTP",
    )


def test_a_dead_letter_that_there_is_not_is_said_so(installation: Installation) -> None:
    assert "has no offset 999999" in installation.espmail("dead-letters", "show", "999999", expect=1).err
    assert "has no offset 999999" in installation.espmail("dead-letters", "replay", "999999", expect=1).err


def test_reading_all_mail_again_sends_none(installation: Installation) -> None:
    installation.submit(to_three("replayed"))
    installation.finished("replayed")
    assert "send.bulk runs" in installation.espmail("replay", "send.bulk", "--all", "--yes", expect=1).err
    before = installation.kept()
    with installation.stopped("send.bulk"):
        planned = installation.espmail("replay", "send.bulk", "--all", "--json").lines
        assert not any(one["done"] for one in planned)
        moved = installation.espmail("replay", "send.bulk", "--all", "--yes", "--json").lines
        assert sum(one["records"] for one in moved) >= 3
        assert installation.lag("send.bulk") == sum(one["records"] for one in moved)
    installation.until(lambda: installation.lag("send.bulk") == 0, "all mail was read again")
    assert installation.kept() == before
    assert counts(installation.finished("replayed")) == {"sent": 3}


def in_doubt(installation: Installation, request_id: str) -> dict[str, dict[str, Any]]:
    """The doubts by recipient of a request to three people whose sender died at the MTA, for all that anybody knows."""

    def found() -> list[dict[str, Any]]:
        return [one for one in installation.espmail("doubts", "list", "--json").lines if one["request_id"] == request_id]

    with installation.stopped("send.bulk"):
        installation.submit(to_three(request_id))
        until(lambda: len(installation.emails(request_id)) == 3, "its mails are queued")
        rows = installation.emails(request_id)
        publish(installation.settings, [Record.of(topics.DELIVERIES, row["email_id"], attempting(row)) for row in rows])
    return {one["recipient"]: one for one in installation.until(lambda: found() if len(found()) == 3 else [], "three doubts")}


def attempting(row: Mapping[str, Any]) -> EmailAttempting:
    """As a sender records it that then dies."""
    return EmailAttempting(
        email_id=row["email_id"],
        request_id=row["request_id"],
        at=datetime.now(UTC),
        attempt=1,
        owner="dead:1:0",
        address_hash=address_hash(row["recipient"]),
        lane=row["text_topic"],
        partition=row["text_partition"],
        offset=row["text_offset"],
    )


def test_a_doubt_is_nobodys_copy_until_an_operator_settles_it(installation: Installation) -> None:
    doubts = in_doubt(installation, "doubted-1")
    assert not installation.kept(b"\nSubject: doubted-1\n")
    assert {one["reason"] for one in doubts.values()} == {"owner_lost"}
    for outcome, recipient in (("sent", "ann@x.org"), ("resend", "bob@x.org"), ("failed", "cy@x.org")):
        installation.espmail("doubts", "resolve", doubts[recipient]["email_id"], "--as", outcome)
    status = installation.finished("doubted-1")
    assert counts(status) == {"sent": 2, "failed": 1}
    assert {to: len(mails) for to, mails in installation.kept(b"\nSubject: doubted-1\n").items()} == {"bob@x.org": 1}
    rows = {row["recipient"]: row for row in installation.emails("doubted-1")}
    assert (rows["bob@x.org"]["attempts"], rows["cy@x.org"]["reason"]) == (2, "given_up")
    assert installation.timeline(rows["bob@x.org"]["email_id"])[-3:] == ["EmailRequeued", "EmailAttempting", "EmailSent"]


def test_only_a_doubt_can_be_settled(installation: Installation) -> None:
    installation.submit(to_three("certain-1"))
    installation.finished("certain-1")
    sent = installation.emails("certain-1")[0]["email_id"]
    assert f"not in doubt: {sent}" in installation.espmail("doubts", "resolve", sent, "--as", "resend", expect=2).err
    assert "sent, resend or failed" in installation.espmail("doubts", "resolve", sent, "--as", "lost", expect=2).err


def test_an_agent_that_there_is_not_cannot_be_replayed(installation: Installation) -> None:
    assert "there is no agent 'sender'" in installation.espmail("replay", "sender", "--all", expect=2).err
    assert "no zone" in installation.espmail("replay", "route", "--since", "2026-11-20T10:00:00", expect=2).err


def test_after_all_of_it_the_tables_are_what_the_topics_say(installation: Installation) -> None:
    """The last of this module: everything above stands on the topics."""
    installation.until(installation.tables_are_current, "all of it is folded")
    verified = installation.espmail("projections", "verify", "--json").lines[0]
    assert verified["equal"]
    rebuilt = installation.espmail("projections", "rebuild", "--json").lines[0]
    assert rebuilt["records"] >= verified["records"] > 50
    assert rebuilt["changed"] == 0
