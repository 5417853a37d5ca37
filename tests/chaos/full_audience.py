"""A hundred thousand recipients, with both expanders killed three times in the middle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streams.settings import Settings
from tests.services.audience import everybody, expand_killed

pytestmark = [pytest.mark.broker, pytest.mark.chaos]
PEOPLE = 100_000


def test_a_hundred_thousand_are_queued_once_each(fresh_topics: Settings, tmp_path: Path) -> None:
    assert expand_killed(replace(fresh_topics, session_timeout=6.0), tmp_path, PEOPLE, kills=3) == everybody(PEOPLE)
