"""A rate so low that a request's mails have their slots minutes ahead: whoever cancels it lets others have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.settings import Settings
from tests.services.installation import Installation, counts, installed
from tests.services.outgoing import document

pytestmark = pytest.mark.broker
RATE = 5.0  # mails a second
LONG, SHORT = 600, 20  # mails: two minutes of slots, and four seconds


@pytest.fixture
def installation(kafka: Settings, tmp_path: Path) -> Iterator[Installation]:
    with installed(kafka, tmp_path, rate=RATE) as one:
        yield one


def to_many(request_id: str, number: int) -> dict[str, Any]:
    people = [{"user_id": f"p{n}", "username": f"p{n}", "email": f"p{n}@many.example"} for n in range(number)]
    return document(*people, request_id=request_id, created_at=None, subject=request_id)


def test_who_comes_behind_a_cancelled_request_does_not_wait_for_its_slots(installation: Installation) -> None:
    installation.submit(to_many("first", LONG))
    installation.until(lambda: (row := installation.request("first")) and row.request["expanded"] == LONG, "all is expanded")
    installation.until(lambda: installation.lag("send.bulk") < LONG // 10, "most have their slots, and wait for them elsewhere")
    installation.espmail("request", "cancel", "first")
    installation.submit(to_many("second", SHORT))
    assert counts(installation.finished("second")) == {"sent": SHORT}
    first = installation.request("first")
    assert first is not None
    assert first.counts["queued"] > 0, "the slots of the first are not over"
