"""Rates: slots in time, slower after a complaint, faster after successes."""

from __future__ import annotations

from itertools import pairwise

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


def cancellable(total: float, per_domain: float) -> tuple[Limiter, list[float], set[str]]:
    """A limiter, its clock, and the requests that are cancelled."""
    now, gone = [100.0], set[str]()
    return Limiter(total, per_domain, lambda: now[0], gone.__contains__), now, gone


def test_a_cancelled_request_gives_its_slots_to_who_comes_next() -> None:
    limiter, now, gone = cancellable(10, 0)
    for _ in range(20_000):
        limiter.wait_s("a.org", "first")
    gone.add("first")
    now[0] += 1
    waits = [limiter.wait_s("b.org", "second") for _ in range(20_000)]
    assert waits[0] <= 0.1, "not behind the 2000 s of the first"
    spread = [later - earlier for earlier, later in pairwise(waits)]
    assert min(spread) > 0.099, "and no faster than the rate"


def test_slots_of_others_in_between_stay_theirs() -> None:
    limiter, now, gone = cancellable(1, 0)
    taken = [limiter.wait_s("a.org", request) for request in ("gone", "stays", "gone", "stays", "gone")]
    assert taken == [0, 1, 2, 3, 4]
    gone.add("gone")
    now[0] += 0.5
    assert [now[0] - 100 + limiter.wait_s("a.org", "new") for _ in range(4)] == [2, 4, 5, 6]


def test_a_domain_gets_back_its_own_slots_only() -> None:
    limiter, now, gone = cancellable(0, 1)
    for domain in ("a.org", "a.org", "a.org", "b.org", "b.org"):
        limiter.wait_s(domain, "kept" if domain == "b.org" else "gone")
    gone.add("gone")
    now[0] += 0.5
    assert (limiter.wait_s("a.org"), limiter.wait_s("b.org")) == (0.5, 1.5)


def test_a_domain_that_asked_for_less_meanwhile_gets_none_back() -> None:
    limiter, now, gone = cancellable(0, 1)
    for _ in range(5):
        limiter.wait_s("a.org", "gone")
    gone.add("gone")
    now[0] += 0.5
    limiter.wait_s("b.org")
    limiter.complained("a.org")
    assert [now[0] - 100 + limiter.wait_s("a.org") for _ in range(2)] == [5, 7]


def test_slots_that_are_over_do_not_come_back() -> None:
    limiter, now, gone = cancellable(1, 0)
    for _ in range(3):
        limiter.wait_s("a.org", "gone")
    now[0] += 60
    gone.add("gone")
    assert [limiter.wait_s("a.org") for _ in range(2)] == [0, 1]
