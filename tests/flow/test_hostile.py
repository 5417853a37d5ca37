"""Hostile and real mail through the gateway and the router as processes: each has a decision, and nothing falls over (rows M)."""

from __future__ import annotations

import smtplib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.publishing import publish
from gateway.body_store import open_bodies
from gateway.intake import Envelope, records
from projections import queries
from streams.domain.routing.fields import canonical
from streams.publisher import Record
from streams.settings import Settings
from tests.services.corpus import samples
from tests.services.hostile import hostile
from tests.services.inbound import DOMAIN, TESS, world
from tests.services.installation import Installation, installed
from tests.services.ports import HOST

pytestmark = pytest.mark.broker
MODERATORS = {"director@out.example", "websupport@learningu.org"}
READERS = {
    "m123-class": {"director@out.example", TESS, "ann@x.org", "bob@x.org", "cy@x.org"},
    "board": {"a@board.example", "b@board.example"},
}
ALL = 280 + 47 + 117  # written to break things, CPython's, bounces
BOUNCES = Path(__file__).parent.parent / "corpus" / "bounces"


@pytest.fixture(scope="module")
def installation(kafka: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Anyone may post, as much as they like: so as much as can be reaches the code that edits headers."""
    with installed(kafka, tmp_path_factory.mktemp("installation"), sender_limit=0, address_limit=0) as one:
        known = world(redirects=[{"original": "board", "destination": ", ".join(sorted(READERS["board"]))}])
        known["classes"][0]["program"]["director_email"] = "director@out.example"
        known["email_lists"][1]["who_may_post"] = "anyone"
        one.load(known)
        yield one


def corpus() -> dict[str, bytes]:
    bounces = {path.name: canonical(path.read_bytes()) for path in sorted(BOUNCES.glob("*.txt"))}
    return hostile() | {name: canonical(raw) for name, raw in samples().items()} | bounces


def hand_in(settings: Settings, raw: bytes, to: Sequence[str]) -> bool:
    """By SMTP, byte for byte, again while the gateway does not know its site yet; false if it refused the mail for good."""
    until = time.monotonic() + 60
    while True:
        try:
            with smtplib.SMTP(HOST, settings.smtp_port, timeout=60) as client:
                client.sendmail(TESS, to, raw)
        except smtplib.SMTPDataError as error:
            assert 500 <= error.smtp_code < 600, error
            return False
        except smtplib.SMTPRecipientsRefused as error:
            assert {code for code, _ in error.recipients.values()} == {451}, error
            assert time.monotonic() < until, error
        else:
            return True


def slip_in(settings: Settings, mails: Iterable[tuple[bytes, Sequence[str]]]) -> None:
    """Past the gateway's rules, as one with other limits would write it."""
    bodies, now, made = open_bodies(settings), datetime.now(UTC), list[Record]()
    for raw, to in mails:
        claim = bodies.put(raw) if len(raw) > settings.inline_limit else None
        made += records(Envelope(TESS, to, HOST, "mx.x.org", "ESMTP"), raw, claim, now).values()
    publish(settings, made)


def decisions(installation: Installation) -> dict[str, queries.Row]:
    """By envelope recipient; a tag makes that one of its own for each mail."""
    installation.until(lambda: installation.lag("route") == installation.lag("send.urgent") == 0, "all are decided and sent", 120)
    with installation.engine.connect() as connection:
        rows = queries.recent_inbound(connection, most=5_000)
    return {row["rcpt_to"]: installation.decided(row["inbound_id"]) for row in rows}


def test_every_mail_has_a_decision_and_reaches_members_alone(installation: Installation) -> None:
    mails = list(corpus().values())
    assert len(mails) >= ALL
    addressed = [(raw, [f"{local}+n{number}@{DOMAIN}" for local in READERS]) for number, raw in enumerate(mails)]
    refused = [(raw, to) for raw, to in addressed if not hand_in(installation.settings, raw, to)]
    assert len(refused) < len(mails) / 2
    slip_in(installation.settings, refused)
    past_the_door = {address for _, to in refused for address in to}
    decided = decisions(installation)
    assert sorted(decided) == sorted(address for _, to in addressed for address in to)
    assert {row["decision"] for row in decided.values()} == {"deliver", "hold", "drop"}
    wanted: Counter[str] = Counter()
    for address, row in decided.items():
        for copy in installation.copies(row["inbound_id"]):
            assert copy["recipient"] in READERS[address.partition("+")[0]]
            assert copy["status"] == "sent" or address in past_the_door  # what we would not take, the next server need not take either
            wanted[copy["recipient"]] += copy["status"] == "sent"
    came = Counter({recipient: len(kept) for recipient, kept in installation.kept().items() if recipient not in MODERATORS})
    assert came == {recipient: count for recipient, count in wanted.items() if recipient not in MODERATORS}


def test_nothing_was_parked_and_nothing_fell_over(installation: Installation) -> None:
    assert installation.espmail("dead-letters", "list", "--json").lines == []
    assert {child.name: child.restarts for child in installation.stack.supervisor.children if child.restarts} == {}
