"""When a provider's door closes, and for how long."""

from __future__ import annotations

import pytest

from gateway.providers.resting import Door
from gateway.smtp_out import Spoken
from streams.domain.delivery import Phase, Reply

BUSY = Spoken(Phase.GREETING, Reply(421, "4.7.0 too many calls"))
SENDER = Spoken(Phase.MAIL, Reply(550, "5.7.1 not a verified sender"))
TAKEN = Spoken(Phase.DOT, Reply(250, "2.0.0 taken"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds = [100.0]
    monkeypatch.setattr("gateway.providers.resting.time.monotonic", lambda: seconds[0])
    return seconds


async def test_calls_that_were_under_way_together_close_it_once(clock: list[float]) -> None:
    door = Door()
    for _ in range(16):
        door.heard(BUSY)
    assert await door.open(0) == BUSY
    clock[0] += 1.01
    assert await door.open(0) is None


async def test_it_rests_twice_as_long_each_time_until_something_is_taken(clock: list[float]) -> None:
    door = Door()
    for rest_s in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0):
        door.heard(BUSY)
        clock[0] += rest_s - 0.01
        assert await door.open(0) == BUSY
        clock[0] += 0.02
        assert await door.open(0) is None
    door.heard(TAKEN)
    door.heard(BUSY)
    clock[0] += 1.01
    assert await door.open(0) is None


async def test_one_requests_sender_closes_it_for_nobody(clock: list[float]) -> None:
    door = Door()
    door.heard(SENDER)
    assert await door.open(0) is None
