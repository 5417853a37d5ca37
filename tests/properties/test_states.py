"""The status of an email is one answer for any order and any number of repeats of its events."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams import events
from streams.domain.states import STANDING, TERMINAL, TRANSITIONS, EmailState, attempts_made, fold, step

AT = datetime(2026, 11, 20, tzinfo=UTC)


def made(kind: type, attempt: int) -> Any:
    """An event of `kind` that says nothing but its attempt."""
    values = {field.name: None for field in fields(kind)}
    return kind(**(values | {"attempt": attempt} if "attempt" in values else values))


history = st.lists(st.builds(made, st.sampled_from(list(TRANSITIONS)), st.integers(0, 5)), min_size=1, max_size=12)


@given(history, st.randoms(use_true_random=False))
def test_order_and_repeats_change_nothing(events_of_one: list[Any], random: Any) -> None:
    other = events_of_one * 2
    random.shuffle(other)
    assert fold(other) == fold(events_of_one)


@given(history, st.builds(made, st.sampled_from(list(TRANSITIONS)), st.integers(0, 5)))
def test_what_ended_never_starts_again(events_of_one: list[Any], late: Any) -> None:
    before = fold(events_of_one)
    assert before is not None
    after, _ = step(*before, late)
    if before[0] is EmailState.SENT:
        assert after is EmailState.SENT
    if before[0] in TERMINAL - {EmailState.SKIPPED}:
        assert after in TERMINAL


def test_an_ordinary_life() -> None:
    life = [
        made(events.EmailQueued, 1),
        made(events.EmailAttempting, 1),
        made(events.EmailDeferred, 1),
        made(events.EmailQueued, 2),
        made(events.EmailAttempting, 2),
        made(events.EmailInDoubt, 2),
        made(events.EmailRequeued, 3),
        made(events.EmailAttempting, 3),
        made(events.EmailSent, 3),
    ]
    lived = [fold(life[: end + 1]) for end in range(len(life))]
    assert lived == [
        ("queued", 1), ("attempting", 1), ("deferred", 1), ("queued", 2), ("attempting", 2),
        ("in_doubt", 2), ("queued", 3), ("attempting", 3), ("sent", 3),
    ]  # fmt: skip
    assert [attempts_made(*position) for position in lived if position] == [0, 1, 1, 1, 2, 2, 2, 3, 3]


def test_every_status_has_a_standing_and_an_event() -> None:
    assert set(STANDING) == set(EmailState) == set(TRANSITIONS.values())
    assert fold([]) is None
