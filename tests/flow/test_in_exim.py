"""Inbound mail through Debian's Exim on both sides: it hands in what comes, by LMTP or by the pipe, and delivers what goes out."""

from __future__ import annotations

import base64
import re
import smtplib
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dkim
import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from projections import queries
from streams.settings import Settings
from tests.services.exim import Exim
from tests.services.inbound import DOMAIN, TESS, content, world
from tests.services.installation import Installation, installed
from tests.services.ports import HOST, free_ports
from tests.services.until import until

pytestmark = [pytest.mark.exim, pytest.mark.broker]
OTHER = "mit.learningu.org"
MTA = "mta.test"  # the name that Exim gives itself
BODY = b"Kept as it is: \xc3\xa4 \t\r\n.\r\n\r\n"
STUDENTS = {"ann@x.org", "bob@x.org", "cy@x.org"}
RESULTS = f"Authentication-Results: {MTA}; dkim=pass header.d=x.org; dmarc=pass header.from=x.org"


@dataclass(frozen=True)
class Key:
    """An RSA key, and what its owner has in the DNS."""

    private: bytes
    record: bytes

    @classmethod
    def new(cls) -> Key:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return cls(pem, b"v=DKIM1; k=rsa; p=" + base64.b64encode(der))


SENDERS, SITES = Key.new(), Key.new()
DNS = {b"s1._domainkey.x.org.": SENDERS.record, f"espmail._domainkey.{DOMAIN}.".encode(): SITES.record}


def lookup(name: bytes, timeout: int = 5) -> bytes | None:
    """All the DNS there is."""
    return DNS.get(name)


@dataclass(frozen=True)
class Place:
    """An installation between two doors of one kind each; the LMTP one's Exim also delivers what goes out."""

    installation: Installation
    doors: dict[str, Exim]

    @property
    def captured(self) -> dict[str, list[bytes]]:
        return self.doors["lmtp"].captured()

    def post(self, raw: bytes, *to: str, door: str = "lmtp", mail_from: str = TESS) -> None:
        """As a server of the world does."""
        with smtplib.SMTP(HOST, self.doors[door].port, timeout=20) as client:
            client.sendmail(mail_from, to, raw, ["BODY=8BITMIME"])

    def copies(self, marker: bytes) -> list[tuple[str, bytes]]:
        """The mails that Exim delivered and that hold `marker`, each with its envelope recipient."""
        found = [mail for mails in self.captured.values() for mail in mails if marker in mail]
        return [(match[1].decode(), mail) for mail in found if (match := re.search(rb"^Envelope-to: (\S+)\r$", mail, re.MULTILINE))]

    def settled(self, marker: bytes, copies: int) -> Counter[str]:
        """Who has a copy, once there are so many and nothing is under way in any queue."""
        self.installation.until(lambda: len(self.copies(marker)) >= copies, f"{copies} copies of {marker!r}")
        self.installation.until(self._quiet, "nothing is under way")
        return Counter(recipient for recipient, _ in self.copies(marker))

    def decisions(self) -> list[queries.Row]:
        """What was decided until now, as the tables have it when they are level."""
        self.installation.until(self.installation.tables_are_current, "the tables are level")
        with self.installation.engine.connect() as connection:
            return queries.recent_inbound(connection, most=1_000)

    def _quiet(self) -> bool:
        """Every mail in is decided, every mail out has left, and Exim has handed all of it on; twice, for one may step from there to here."""
        return all(self._waiting() == 0 for _ in range(2))

    def _waiting(self) -> int:
        return sum(door.queued() for door in self.doors.values()) + self.installation.lag("route") + self.installation.lag("send.urgent")


@pytest.fixture(scope="module")
def place(kafka: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="espmail-doors-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Exim's user finds the gateway's socket there
        lmtp, socket = free_ports(), str(folder / "lmtp")
        doors = {"lmtp": Exim([DOMAIN, OTHER], lmtp), "pipe": Exim([DOMAIN, OTHER], {"ESPMAIL_LMTP_SOCKET": socket})}
        key = folder / "key.pem"
        key.write_bytes(SITES.private)
        changes: dict[str, Any] = {
            "mta_port": doors["lmtp"].port,
            "lmtp_port": lmtp,
            "lmtp_socket": socket,
            "web_port": free_ports(),
            "dkim_key": str(key),
            "dkim_domain": DOMAIN,
        }
        try:
            for door in doors.values():
                door.start()
            with installed(kafka, tmp_path_factory.mktemp("installation"), **changes) as one:
                for directory in directories():
                    one.load(directory)
                yield Place(one, doors)
        finally:
            for door in doors.values():
                door.remove()


def directories() -> Iterator[dict[str, Any]]:
    """The world of spec 9, two classes that are each other's director, a list that is read first, and a second site."""
    known = world()
    course, rule = known["classes"][0], known["email_lists"][1]
    loops = [
        {**course, "class_id": number, "teachers": [], "sections": [{"section_id": number, "students": [student]}]}
        | {"program": {"name": "Loop", "director_email": f"m{other}-class@{DOMAIN}"}}
        for number, other, student in ((601, 602, "1"), (602, 601, "2"))
    ]
    redirects = {
        "board": "a@board.example, b@board.example",
        "news": "reader@news.example",
        "ping": f"pong@{DOMAIN}",
        "pong": f"ping@{DOMAIN}, last@loop.example",
    }
    yield {
        **known,
        "site": {**known["site"], "authserv_ids": [MTA]},
        "classes": [*known["classes"], *loops],
        "redirects": [{"original": original, "destination": destination} for original, destination in redirects.items()],
        "email_lists": [
            *known["email_lists"],
            {**rule, "seq": 5, "regex": r"^m(60[12])-(class)$", "who_may_post": "anyone"},
            {"seq": 15, "regex": "^news$", "handler": "PlainList", "admin_hold": True},
        ],
    }
    yield {"site": {**known["site"], "domain": OTHER, "group_name": "MIT Splash"}}


def mail(subject: str, *head: str) -> bytes:
    return content(f"Message-ID: <{subject}@x.org>", *head, "Date: Fri, 20 Nov 2026 10:00:00 +0000", subject=subject, body=BODY)


def body_of(raw: bytes) -> bytes:
    return raw.partition(b"\r\n\r\n")[2]


# -- in by either door -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["lmtp", "pipe"])
def test_a_mail_with_tag_and_capitals_reaches_its_list_once_each(place: Place, door: str) -> None:
    place.post(mail(f"tag-{door}"), f"M123-Students+minutes@{DOMAIN.upper()}", door=door)
    marker = f"<tag-{door}@x.org>".encode()
    assert place.settled(marker, 4) == dict.fromkeys([*STUDENTS, "info@learningu.org"], 1)
    assert {body_of(raw) for _, raw in place.copies(marker)} == {BODY}


@pytest.mark.parametrize("door", ["lmtp", "pipe"])
def test_two_sites_share_an_alias_and_each_speaks_for_itself(place: Place, door: str) -> None:
    place.post(mail(f"sites-{door}"), f"board+x@{DOMAIN}", f"board@{OTHER}", door=door)
    marker = f"<sites-{door}@x.org>".encode()
    assert place.settled(marker, 4) == {"a@board.example": 2, "b@board.example": 2}
    passed = Counter(re.findall(rb"^Delivered-To: (\S+)\r$", b"".join(raw for _, raw in place.copies(marker)), re.MULTILINE))
    assert passed == {f"board@{DOMAIN}".encode(): 2, f"board@{OTHER}".encode(): 2}


# -- loops -----------------------------------------------------------------------------------------------------------------


def test_two_lists_that_hold_each_other_end_after_one_turn(place: Place) -> None:
    """Through the MTA: the second list's copy for the first comes back marked, and stops."""
    place.post(mail("lists"), f"m601-class@{DOMAIN}")
    marker = b"References: <lists@x.org>"
    assert place.settled(marker, 2) == {"ann@x.org": 1, "bob@x.org": 1}
    turns = [(row["rcpt_to"].partition("-")[0], row["reason"]) for row in place.decisions() if row["rcpt_to"].startswith("m60")]
    assert sorted(turns) == [("m601", "accepted"), ("m601", "loop"), ("m602", "accepted")]


def test_two_aliases_that_lead_to_each_other_end_at_once(place: Place) -> None:
    place.post(mail("aliases"), f"ping@{DOMAIN}")
    assert place.settled(b"<aliases@x.org>", 1) == {"last@loop.example": 1}
    assert len([row for row in place.decisions() if row["rcpt_to"].startswith(("ping@", "pong@"))]) == 1


# -- signatures ------------------------------------------------------------------------------------------------------------


def signed(raw: bytes) -> bytes:
    """As the sender's own server signs it."""
    line: bytes = dkim.sign(raw, b"s1", b"x.org", SENDERS.private, include_headers=[b"from", b"to", b"subject", b"date", b"message-id"])
    return line + raw


def without_envelope(raw: bytes) -> bytes:
    """Without what the delivering Exim wrote above the mail."""
    return raw[raw.index(b"Received: ") :]


def test_a_relayed_mails_own_signature_still_verifies_and_the_forward_is_sealed(place: Place) -> None:
    place.post(signed(mail("signed", RESULTS, f"To: board@{DOMAIN}")), f"board@{DOMAIN}")
    assert sum(place.settled(b"<signed@x.org>", 2).values()) == 2
    for _, raw in place.copies(b"<signed@x.org>"):
        relayed = without_envelope(raw)
        assert dkim.verify(relayed, dnsfunc=lookup)
        verdict, _, why = dkim.arc_verify(relayed, dnsfunc=lookup)
        assert (verdict, why) == (b"pass", "success")


def test_list_mail_is_signed_by_the_site(place: Place) -> None:
    place.post(signed(mail("of-list", RESULTS)), f"m123-teachers@{DOMAIN}")
    marker = b"References: <of-list@x.org>"
    assert place.settled(marker, 2) == {TESS: 1, "info@learningu.org": 1}
    (raw,) = [raw for to, raw in place.copies(marker) if to == TESS]
    assert raw.count(b"DKIM-Signature:") == 1
    assert f"d={DOMAIN}".encode() in raw
    assert dkim.verify(without_envelope(raw), dnsfunc=lookup)
    assert not dkim.verify(without_envelope(raw.replace(b"Kept as it is", b"Changed")), dnsfunc=lookup)


# -- moderation by mail ----------------------------------------------------------------------------------------------------


def test_a_moderator_decides_by_the_link_in_the_notice(place: Place) -> None:
    place.post(mail("held"), f"news@{DOMAIN}")
    (notice,) = until(lambda: place.copies(b"Subject: Mail to news@"), "the notice comes")
    assert notice[0] == "websupport@learningu.org"
    link = re.search(rb"https://%s(/moderation/\S+)" % DOMAIN.encode(), notice[1])
    assert link is not None
    with httpx.Client(base_url=f"http://{HOST}:{place.installation.settings.web_port}") as web:
        page = until(lambda: shows(web, link[1].decode()), "the tables know the mail")
        assert "Kept as it is: ä" in page
        assert not [to for to, _ in place.copies(b"<held@x.org>") if to == "reader@news.example"]
        assert web.post(link[1].decode(), data={"decision": "approve"}).status_code == 200
        assert place.settled(b"\r\nMessage-ID: <held@x.org>", 1) == {"reader@news.example": 1}
        until(lambda: "decided already" in shows(web, link[1].decode()), "the link says that it is done")
        assert web.post(link[1].decode(), data={"decision": "reject", "note": "too late"}).status_code == 200
    (row,) = until(lambda: delivered(place, f"news@{DOMAIN}"), "the tables know what became of it")
    assert row["moderation"] == "approved"
    assert row["moderated_by"].startswith("link in ")


def delivered(place: Place, to: str) -> list[queries.Row]:
    return [row for row in place.decisions() if (row["rcpt_to"], row["decision"]) == (to, "deliver")]


def shows(web: httpx.Client, link: str) -> str:
    answer = web.get(link)
    return answer.text if answer.status_code == 200 else ""
