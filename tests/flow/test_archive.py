"""What became of a mail, asked afterwards; and a mail decided anew once a roster is mended."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.services.inbound import DOMAIN, TESS, content, world
from tests.services.installation import Installation

pytestmark = pytest.mark.broker
LIST = f"m123-students@{DOMAIN}"


def test_a_new_member_gets_a_copy_afterwards_and_nobody_a_second_one(installation: Installation) -> None:
    mail_id = installation.post(content("Message-ID: <early@x.org>", subject="early"), LIST, TESS)
    assert installation.decided(mail_id)["emails"] == 4
    assert why(installation, mail_id, "eve@x.org") == "it was not on the list, as the list stood when the mail was routed"

    installation.load(world(classes=[with_student("5")]))
    installation.until(lambda: knows_eve(installation), "the router knows the mended roster")
    installation.espmail("inbound", "reroute", mail_id)
    installation.until(lambda: (installation.inbound(mail_id) or {})["emails"] == 5, "the mail is decided anew")
    row = installation.decided(mail_id)
    assert row["rerouted_by"]
    assert why(installation, mail_id, "eve@x.org") == "a copy was made; it is sent"
    assert why(installation, mail_id, "ann@x.org") == "a copy was made; it is sent"
    everybody = ["ann@x.org", "bob@x.org", "cy@x.org", "eve@x.org", "info@yale.learningu.org"]
    assert came(installation, b"<early@x.org>") == dict.fromkeys(everybody, 1)

    installation.espmail("inbound", "reroute", mail_id)
    installation.until(lambda: installation.lag("route") == installation.lag("send.urgent") == 0, "it is decided a third time")
    assert came(installation, b"<early@x.org>") == dict.fromkeys(everybody, 1)


def test_a_mail_is_found_and_shown(installation: Installation) -> None:
    mail_id = installation.post(content(subject="found"), f"nobody@{DOMAIN}", "stranger@bad.example")
    installation.decided(mail_id)
    (listed,) = installation.espmail("inbound", "list", "--from", "Stranger@BAD.example", "--decision", "drop", "--json").lines
    assert (listed["inbound_id"], listed["rcpt_to"]) == (mail_id, f"nobody@{DOMAIN}")
    listed_for_people = installation.espmail("inbound", "list", "--from", "Stranger@BAD.example").out.splitlines()
    assert [listed_for_people[0].split()[0], listed_for_people[0].split("  ")[2]] == [mail_id[:10], "drop: unknown_recipient, 0 out"]
    assert listed_for_people[1].strip() == f"stranger@bad.example to nobody@{DOMAIN}"
    assert installation.espmail("inbound", "list", "--from", "who@x.org").out == "no such mail\n"
    assert "--decision takes deliver, hold, notice, drop" in installation.espmail("inbound", "list", "--decision", "held", expect=2).err
    (shown,) = installation.espmail("inbound", "show", mail_id[:12], "--json").lines
    assert (shown["decision"], shown["reason"], shown["copies"]) == ("drop", "unknown_recipient", [])
    assert why(installation, mail_id, "ann@x.org") == "nobody got a copy: drop, unknown_recipient"
    assert "no mail ffff has been folded" in installation.espmail("inbound", "why", "ffff", "ann@x.org", expect=1).err


def with_student(user_id: str) -> dict[str, Any]:
    course = world()["classes"][0]
    return {**course, "sections": [{**section, "students": [*section["students"], user_id]} for section in course["sections"]]}


def knows_eve(installation: Installation) -> bool:
    """As a mail of its own tells, a new one each time."""
    probe = installation.post(content(subject=f"probe {uuid4()}"), LIST, TESS)
    return bool(installation.decided(probe)["emails"] == 5)


def why(installation: Installation, mail_id: str, address: str) -> str:
    (answer,) = installation.espmail("inbound", "why", mail_id, address, "--json").lines
    return str(answer["why"])


def came(installation: Installation, message_id: bytes) -> dict[str, int]:
    return {recipient: len(mails) for recipient, mails in installation.kept(b"References: " + message_id).items()}
