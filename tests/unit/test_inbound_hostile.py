"""Hostile mail gets a decision, reaches nobody but members, and leaves each copy with a header of ours (reliability.md, rows M)."""

from __future__ import annotations

import email

import pytest

from streams.domain.routing.decide import decide
from streams.domain.routing.fields import scan
from streams.domain.routing.outcome import to_events
from streams.events import Relayed
from tests.services.hostile import hostile
from tests.services.inbound import NOW, content, directory, mail

PLACE = directory(email_lists=[{"seq": 1, "regex": r"^\w(\d+)-(class)$", "handler": "ClassList", "subject_prefix": "ESP"}])
MEMBERS = {"info@yale.learningu.org", "tess@x.org", "ann@x.org", "bob@x.org", "cy@x.org"}
MAILS = hostile()


@pytest.mark.parametrize("name", MAILS)
def test_hostile_mail_reaches_members_alone_and_leaves_its_header_at_the_door(name: str) -> None:
    inbound = mail(MAILS[name], "m123-class")
    decision = decide(inbound, PLACE, approved=True)
    for queued in to_events(decision, inbound, NOW, rules_hash="").emails:
        assert isinstance(queued.content, Relayed)
        assert queued.recipient in MEMBERS
        assert queued.content.body == inbound.content[decision.body_start :]
        ours = scan(queued.content.header + b"\r\n")
        assert len(ours.all("from")) == len(ours.all("to")) == len(ours.all("message-id")) == 1
        assert not ours.all("bcc")


def test_the_stdlib_reads_the_fields_that_we_wrote() -> None:
    raw = content("X-One: 1", "Content-Type: text/plain; charset=utf-8", subject="=?utf-8?q?caf=C3=A9?=", body=b"Hi\r\n")
    for message in decide(mail(raw, "m123-class"), PLACE).messages:
        parsed = email.message_from_bytes(message.header + b"\r\nHi\r\n")
        assert [name.lower() for name in parsed] == [field.name for field in scan(message.header + b"\r\n").fields]
        assert parsed.get_payload() == "Hi\r\n"
        assert parsed.defects == []
