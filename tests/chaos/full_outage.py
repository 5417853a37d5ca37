"""10,000 mails as fast as the gateway takes them, and Kafka gone for a while in the middle; prints what clients were told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.outage import Hurt, check, flood, hurt_installation

pytestmark = [pytest.mark.broker, pytest.mark.chaos]
MAILS = 10_000


@pytest.fixture
def hurt(tmp_path: Path) -> Iterator[Hurt]:
    with hurt_installation(tmp_path) as hurt:
        yield hurt


# Longer than the gateway waits for an acknowledgement (30 s): then it has to say 451.
@pytest.mark.parametrize(("kill", "gone_s"), [(False, 20.0), (True, 40.0)], ids=["frozen", "killed"])
def test_every_accepted_mail_is_routed_once(hurt: Hurt, capsys: pytest.CaptureFixture[str], gone_s: float, *, kill: bool) -> None:
    told = flood(hurt, MAILS, gone_s, kill=kill)
    assert told.answers[250] == MAILS
    again = check(hurt, MAILS)
    with capsys.disabled():
        rate = MAILS / (told.seconds - gone_s)
        print(f"\nanswers {dict(told.answers)}, {rate:.0f} mails/s beside the outage of {gone_s:.0f} s; again: {dict(again)}")
