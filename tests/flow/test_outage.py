"""Kafka stops in the middle of a flood of mail: what was answered 250 is routed once, what was not comes again and is, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.outage import Hurt, check, flood, hurt_installation

pytestmark = [pytest.mark.broker, pytest.mark.chaos]
MAILS = 1_000
GONE_S = 5.0


@pytest.fixture
def hurt(tmp_path: Path) -> Iterator[Hurt]:
    with hurt_installation(tmp_path) as hurt:
        yield hurt


@pytest.mark.timeout(600)
def test_a_broker_that_stops_for_a_while_loses_and_doubles_nothing(hurt: Hurt) -> None:
    told = flood(hurt, MAILS, GONE_S, kill=False)
    assert told.answers[250] == MAILS
    check(hurt, MAILS)
