"""A big request whose submission breaks off in the middle: what its author is told, and that the same command completes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cli import publishing, request_handing_in, status
from deploy.broker import Broker
from streams.domain.outgoing.policy import Policy
from streams.events import MessageRequest
from streams.publisher import Record
from streams.submission import record_of
from tests.services.audience import audience, everybody
from tests.services.installation import counts
from tests.services.outage import Hurt, hurt_installation

pytestmark = pytest.mark.broker
PEOPLE, RECORDS, IN_TIME = 4_000, 4, 2


@pytest.fixture
def hurt(tmp_path: Path) -> Iterator[Hurt]:
    with hurt_installation(tmp_path) as hurt:
        yield hurt


@pytest.mark.timeout(300)
def test_the_same_command_completes_what_broke_off(hurt: Hurt, monkeypatch: pytest.MonkeyPatch) -> None:
    one = hurt.installation
    arguments = ("request", "submit", *audience(one.folder, "big", PEOPLE, priority="bulk"))
    monkeypatch.setattr(publishing, "AT_ONCE", 1)  # each record confirmed before the next one is made
    with monkeypatch.context() as patched:
        patched.setattr(publishing, "TIMEOUT_S", 3.0)
        patched.setattr(request_handing_in, "record_of", dying(hurt.broker))
        told = one.espmail(*arguments, expect=1).err
    assert f"{IN_TIME} of its {RECORDS} records" in told
    assert "Run the same command again" in told
    hurt.broker.start()
    one.until(lambda: (row := one.request("big")) and row.request["chunks_expanded"] == IN_TIME, "what is in is expanded", 120)

    monkeypatch.setattr(status, "STALLED", timedelta(0))
    shown = " ".join(one.espmail("request", "status", "big").out.split())
    assert f"incomplete: {IN_TIME} of its {RECORDS} records" in shown
    assert "run the same `espmail request submit` again" in shown

    one.espmail(*arguments)
    assert counts(one.finished("big", 120)) == {"sent": PEOPLE}
    mails = one.kept(b"\nSubject: big\n")
    assert Counter({recipient: len(each) for recipient, each in mails.items()}) == everybody(PEOPLE)
    assert "incomplete" not in one.espmail("request", "status", "big").out


def dying(broker: Broker) -> Callable[[MessageRequest, Policy], Record]:
    """As record_of, but the broker is killed before the third record is made."""
    made = 0

    def record(chunk: MessageRequest, policy: Policy) -> Record:
        nonlocal made
        if made == IN_TIME:
            broker.kill()
        made += 1
        return record_of(chunk, policy)

    return record
