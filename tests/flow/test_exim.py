"""Debian's Exim on both sides: it hands in what it gets for the lists, and delivers what the sender gives it."""

from __future__ import annotations

import email
import re
import smtplib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from projections import queries
from streams.domain.routing.fields import canonical
from streams.settings import Settings
from tests.services.corpus import samples
from tests.services.exim import Exim
from tests.services.inbound import DOMAIN, TESS, world
from tests.services.installation import Installation, counts, installed
from tests.services.outgoing import document
from tests.services.ports import HOST, free_ports
from tests.services.until import until

pytestmark = pytest.mark.exim

PEOPLE = 1000
KILLED = 500
LIST = f"m123-class@{DOMAIN}"
HEADER = re.compile(rb"(?:[!-9;-~]+[ \t]*:.*\r\n(?:[ \t].*\r\n)*)*(?:\r\n)?")
# Bounces and mass mail are stopped, and a mail that names no one author waits for a moderator; all others are delivered.
STOPPED = {
    **dict.fromkeys(("msg_11", "msg_18", "msg_19", "msg_25", "msg_37", "msg_38", "msg_39", "msg_40", "msg_43"), ("hold", "from_missing")),
    "msg_05": ("hold", "from_ambiguous"),
    **dict.fromkeys(("msg_16", "msg_32", "msg_33"), ("drop", "precedence")),
}
MEMBERS = ["ann@x.org", "bob@x.org", "cy@x.org", "director@out.example", TESS]


@pytest.fixture(scope="module")
def exim(kafka: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Exim, int]]:
    lmtp = free_ports()
    one = Exim([DOMAIN], lmtp)
    try:
        yield one.start(), lmtp
    finally:
        one.remove()


@pytest.fixture(scope="module")
def installation(kafka: Settings, exim: tuple[Exim, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Anyone may post to its class list, so that real mail of many senders comes through; nobody is asked about what is held."""
    mta, lmtp = exim
    with installed(kafka, tmp_path_factory.mktemp("installation"), mta_port=mta.port, lmtp_port=lmtp, moderators="none") as one:
        known = world()
        known["classes"][0]["program"]["director_email"] = "director@out.example"
        known["email_lists"][1]["who_may_post"] = "anyone"
        one.load(known)
        yield one


def decisions(installation: Installation) -> dict[str, queries.Row]:
    """What was decided on each sample, by its name: the tag of the address that it was sent to."""
    with installation.engine.connect() as connection:
        rows = queries.recent_inbound(connection, most=1000)
    return {row["rcpt_to"].partition("+")[2].partition("@")[0]: row for row in rows if row["decision"]}


def copies(mta: Exim) -> dict[tuple[str, str], list[bytes]]:
    """The bodies that Exim delivered, by recipient and Message-ID."""
    found: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    for recipient, mails in mta.captured().items():
        for mail in mails:
            head, _, body = mail.partition(b"\r\n\r\n")
            message_id = re.search(rb"^Message-ID: (\S+)\r?$", head, re.MULTILINE | re.IGNORECASE)
            assert message_id is not None
            found[recipient, message_id[1].decode()].append(body)
    return found


def body_of(raw: bytes) -> bytes:
    """What SMTP carries of a sample behind its header: whole lines, from the first on that is no field (msg_35 has no empty one)."""
    content = canonical(raw)
    whole = content if content.endswith(b"\r\n") else content + b"\r\n"
    head = HEADER.match(whole)
    assert head is not None
    return whole[head.end() :]


def test_real_mail_reaches_every_member_once_byte_for_byte_or_is_decided(installation: Installation, exim: tuple[Exim, int]) -> None:
    mta, _ = exim
    mta.expect(MEMBERS)
    with smtplib.SMTP(HOST, mta.port) as client:
        for name, raw in samples().items():
            client.sendmail(TESS, [f"m123-class+{name}@{DOMAIN}"], canonical(raw))
    installation.until(lambda: len(decisions(installation)) == len(samples()), "every sample is decided")
    decided = {name: installation.decided(row["inbound_id"]) for name, row in decisions(installation).items()}
    reasons = {name: (row["decision"], row["reason"]) for name, row in decided.items()}
    assert reasons == {name: STOPPED.get(name, ("deliver", "accepted")) for name in samples()}
    wanted = {
        (copy["recipient"], copy["message_id"]): [body_of(samples()[name])]
        for name, row in decided.items()
        for copy in installation.copies(row["inbound_id"])
    }
    until(lambda: not mta.queued() and len(copies(mta)) >= len(wanted), "Exim has delivered them all")
    got = copies(mta)
    assert got == wanted
    assert {recipient for recipient, _ in got} == set(MEMBERS)
    assert len(got) == len(MEMBERS) * sum(reason == ("deliver", "accepted") for reason in reasons.values())


def crowd(domain: str, number: int) -> list[dict[str, Any]]:
    return [{"user_id": f"{domain}{n}", "username": f"u{n}", "first_name": f"Number {n}", "email": f"u{n}@{domain}"} for n in range(number)]


def test_a_request_to_a_thousand_people_comes_once_to_each(installation: Installation, exim: tuple[Exim, int]) -> None:
    mta, _ = exim
    people = crowd("thousand.example", PEOPLE)
    mta.expect([person["email"] for person in people])
    installation.submit(document(*people, request_id="thousand", created_at=None, subject="For {{ user.first_name }}"))
    status = installation.finished("thousand")
    assert counts(status) == {"sent": PEOPLE}
    received = delivered(mta, "thousand.example", PEOPLE)
    assert received == {person["email"]: [f"For {person['first_name']}"] for person in people}


def delivered(mta: Exim, domain: str, number: int) -> dict[str, list[str]]:
    """The subjects that Exim has delivered to a domain, by recipient, when there are this many and none is queued."""

    def found() -> dict[str, list[str]]:
        return {
            recipient: [str(email.message_from_bytes(mail)["subject"]) for mail in mails]
            for recipient, mails in mta.captured().items()
            if recipient.endswith(f"@{domain}")
        }

    until(lambda: not mta.queued() and sum(map(len, found().values())) >= number, f"{number} mails to {domain} are delivered")
    return found()


def test_killed_at_work_its_doubts_are_settled_by_the_log(installation: Installation, exim: tuple[Exim, int]) -> None:
    """kill -9 of the sender, three times; evidence settles what was in flight, and in the end everybody has one copy."""
    mta, _ = exim
    people = crowd("killed.example", KILLED)
    mta.expect([person["email"] for person in people])
    installation.submit(document(*people, request_id="killed", created_at=None, subject="once", on_doubt="hold"))
    for share in (0.1, 0.4, 0.7):
        installation.until(lambda: sent(installation) > share * KILLED, "the sender is at work")  # noqa: B023 - called at once
        installation.kill("send.bulk")
    installation.until(lambda: only_doubts_are_open(installation), "all but the doubts are settled")
    doubts = {one["email_id"] for one in installation.espmail("doubts", "list", "--json").lines}
    assert doubts, "three kills hit nothing in flight"
    absent = {one["email_id"] for one in reconciled(installation, mta) if one["outcome"] == "in_doubt"}
    again = {one["email_id"] for one in reconciled(installation, mta, "--resend-absent") if one["outcome"] == "requeued"}
    assert again == absent <= doubts
    assert counts(installation.finished("killed")) == {"sent": KILLED}
    assert delivered(mta, "killed.example", KILLED) == {person["email"]: ["once"] for person in people}
    assert installation.espmail("doubts", "list").out == "no doubts\n"


def sent(installation: Installation) -> int:
    status = installation.request("killed")
    return status.counts["sent"] if status else 0


def only_doubts_are_open(installation: Installation) -> bool:
    status = installation.request("killed")
    return status is not None and status.counts["sent"] + status.counts["in_doubt"] == KILLED


def reconciled(installation: Installation, mta: Exim, *options: str) -> list[dict[str, Any]]:
    """What the log of an Exim that has nothing left to do says of each doubt."""
    until(lambda: not mta.queued(), "Exim has delivered what it took")
    return installation.espmail("doubts", "reconcile", "--exim", str(mta.mainlog), "--json", *options).lines
