"""Many mails as fast as the gateway takes them, while the broker is gone for a while in the middle: what came of each."""

from __future__ import annotations

import contextlib
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from sqlalchemy import select

from deploy.broker import Broker
from projections.tables import email_event, inbound_mail, text_of_email
from streams import topics
from streams.domain.ids import inbound_id
from streams.settings import Settings
from tests.conftest import JARS
from tests.services.freezing import frozen
from tests.services.inbound import DOMAIN, TESS, content, world
from tests.services.installation import Installation, installed
from tests.services.ports import HOST, free_ports
from tests.services.records import read
from tests.services.until import until

CLIENTS = 8
TO, READER = f"board@{DOMAIN}", "reader@board.example"
MESSAGE_ID = "<flood-%06d@x.org>"


@dataclass
class Flood:
    """What clients were told: how often each answer came; `seconds` until all was accepted."""

    answers: Counter[int] = field(default_factory=Counter)
    accepted: int = 0
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, code: int) -> None:
        with self._lock:
            self.answers[code] += 1
            self.accepted += code == 250


@dataclass(frozen=True)
class Hurt:
    """An installation on a broker of its own, to be taken away."""

    installation: Installation
    broker: Broker

    @contextlib.contextmanager
    def without_broker(self, *, kill: bool) -> Iterator[None]:
        """Killed as in a power cut and started again; or frozen, and then it goes on as if nothing had been."""
        if not kill:
            with frozen(self.broker.pid):
                yield
            return
        self.broker.kill()
        yield
        self.broker.start()


@contextlib.contextmanager
def hurt_installation(folder: Path) -> Iterator[Hurt]:
    """Without limits on how much may come; one alias with one reader."""
    own = Settings(kafka_port=free_ports(2), var=folder / "broker", jars=str(JARS), sender_limit=0, address_limit=0)
    with Broker(own) as broker, installed(replace(own, kafka=own.bootstrap), folder / "installation") as one:
        one.load(world(redirects=[{"original": "board", "destination": READER}]))
        one.until(lambda: one.decided(one.post(content(subject="first"), TO, TESS))["decision"] == "deliver", "the alias is known")
        yield Hurt(one, broker)


def flood(hurt: Hurt, count: int, seconds: float, *, kill: bool) -> Flood:
    """Hand in `count` mails; take the broker away when a third is accepted. Clients come again after a 4xx, as MTAs do."""
    one, told, began = hurt.installation, Flood(), time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(_client, hurt, range(first, count, CLIENTS), told) for first in range(CLIENTS)]
        one.until(lambda: told.accepted >= count // 3, "a third is accepted", 120)
        with hurt.without_broker(kill=kill):
            over = time.monotonic() + seconds
            one.until(lambda: time.monotonic() > over, "the outage is over", seconds + 10)
        one.until(lambda: all(client.done() for client in clients), "all are accepted", 300)
        for client in clients:
            client.result()
    told.seconds = time.monotonic() - began
    return told


def _client(hurt: Hurt, numbers: range, told: Flood) -> None:
    with smtplib.SMTP(HOST, hurt.installation.settings.smtp_port, timeout=120) as client:
        for number in numbers:
            until(partial(_accepted, client, number, told), f"mail {number} is accepted", 300)


def _accepted(client: smtplib.SMTP, number: int, told: Flood) -> bool:
    try:
        client.sendmail(TESS, [TO], mail(number))
    except smtplib.SMTPDataError as error:
        assert 400 <= error.smtp_code < 500, error
        told.note(error.smtp_code)
        return False
    told.note(250)
    return True


def mail(number: int) -> bytes:
    return content(f"Message-ID: {MESSAGE_ID % number}", subject=f"flood {number}")


def check(hurt: Hurt, count: int) -> Counter[str]:
    """Each mail stands there, is routed once and has come; returns the statuses, and how many copies came a second time."""
    one = hurt.installation
    one.until(
        lambda: one.lag("route") == one.lag("send.urgent") == 0, "all are routed and sent", 500
    )  # an agent that lost its group ends after 240 s
    expected = {inbound_id(TESS, TO, mail(number)) for number in range(count)}
    ids = Counter((message.key() or b"").decode() for message in read(one.settings.bootstrap, topics.INBOUND_MAIL))
    assert expected <= ids.keys()
    one.until(lambda: set(_copies(one)) >= expected, "the tables know all copies", 240)
    one.until(lambda: {status for mails in _copies(one).values() for status in mails} == {"sent"}, "all copies have ended", 240)
    copies = _copies(one)
    assert {inbound: len(copies[inbound]) for inbound in expected} == dict.fromkeys(expected, 1)
    with one.engine.connect() as connection:
        doubts = {row.email_id for row in connection.execute(select(email_event)) if row.event == "EmailInDoubt"}
        decided = {row.inbound_id: row.decision for row in connection.execute(select(inbound_mail))}
    assert {decided[inbound] for inbound in expected} == {"deliver"}
    came = Counter(line for raw in one.kept()[READER] for line in raw.splitlines() if line.startswith(b"Message-ID: <flood-"))
    assert len(came) == count
    assert came.total() - count <= len(doubts)  # of a copy in doubt another is sent, with the same Message-ID
    return Counter(records_again=ids.total() - len(ids), copies_again=came.total() - count)


def _copies(one: Installation) -> dict[str, list[str]]:
    """The statuses of each inbound mail's copies."""
    found: dict[str, list[str]] = {}
    columns = text_of_email.c
    with one.engine.connect() as connection:
        for inbound, status in connection.execute(select(columns.inbound_id, columns.status).where(columns.inbound_id.is_not(None))):
            found.setdefault(inbound, []).append(status)
    return found
