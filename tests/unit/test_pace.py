"""Rates: slots in time, slower after a complaint, faster after successes."""

from __future__ import annotations

from streams.domain.pace import FIRST_SLOW, SLOWEST, paced, reserve, slowed, sped_up
from streams.state.limiter import Limiter


def test_unlimited_mail_never_waits() -> None:
    pace = paced(0)
    assert [reserve(pace, now)[0] for now in (1.0, 1.0, 5.0)] == [1.0, 1.0, 5.0]


def test_a_rate_spreads_a_backlog_once_over_time() -> None:
    pace, slots = paced(2), []
    for _ in range(5):
        slot, pace = reserve(pace, 10.0)
        slots.append(slot)
    assert slots == [10.0, 10.5, 11.0, 11.5, 12.0]
    assert reserve(pace, 20.0)[0] == 20.0, "time that passed unused is not saved up"


def test_a_complaint_halves_and_successes_win_it_back() -> None:
    pace = slowed(paced(0))
    assert pace.rate == FIRST_SLOW
    halves = pace
    for _ in range(30):
        halves = slowed(halves)
    assert halves.rate == SLOWEST
    for _ in range(200):
        pace = sped_up(pace)
    assert pace.rate == 0, "content again: unlimited, as the settings say"


def test_successes_never_exceed_the_settings() -> None:
    pace = slowed(paced(4))
    for _ in range(500):
        pace = sped_up(pace)
    assert pace.rate == 4


def test_the_limiter_keeps_domains_apart_and_the_whole_in_bounds() -> None:
    now = [100.0]
    limiter = Limiter(total=10, per_domain=1, clock=lambda: now[0])
    assert [round(limiter.wait_s("a.org"), 3) for _ in range(3)] == [0.0, 1.0, 2.0]
    assert round(limiter.wait_s("b.org"), 3) == 0.3, "b's first slot waits for the sender's own rate alone"


def test_a_domain_that_complains_slows_itself_only() -> None:
    limiter = Limiter(total=0, per_domain=0, clock=lambda: 0.0)
    limiter.complained("a.org")
    assert [limiter.wait_s("a.org") for _ in range(2)] == [0.0, 1 / FIRST_SLOW]
    assert [limiter.wait_s("b.org") for _ in range(2)] == [0.0, 0.0]
