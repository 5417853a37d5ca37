"""When soft bounces add up: which count, on how many days, and what makes them be forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.bounce_kind import bounce_of
from streams.domain.delivery import Phase, Reply, judge
from streams.domain.soft_bounces import SoftPolicy, counted, forgotten, merged, speaks_of_address, worn_out
from streams.events import EmailBounced, SoftBounces

T = datetime(2026, 11, 20, 10, tzinfo=UTC)
POLICY = SoftPolicy(days=3, within=30)


def soft(at: datetime, status: str = "4.2.2", diagnostic: str = "") -> EmailBounced:
    return EmailBounced("f", at, None, "h", "soft", status, diagnostic, "dsn")


def after(*days: float, policy: SoftPolicy = POLICY) -> SoftBounces:
    """The row after a bounce at each of these, in days behind T."""
    row = None
    for day in days:
        row = counted(row, soft(T + timedelta(days=day)), policy)
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("days", "worn"),
    [
        ((0, 1), False),
        ((0, 1, 2), True),
        ((0, 0.1, 0.2, 0.3), False),  # a bad day of the server
        ((0, 15, 29), True),
        ((0, 15, 30), False),  # the first is too long ago
        ((2, 1, 0), True),  # reports come in any order
        ((40, 0, 1), False),
    ],
)
def test_so_many_days_within_so_many(days: tuple[float, ...], *, worn: bool) -> None:
    assert worn_out(after(*days), POLICY) is worn


def test_none_is_too_many_where_the_policy_says_never() -> None:
    never = SoftPolicy(days=0, within=30)
    assert not worn_out(after(*range(20), policy=never), never)


def test_who_asks_for_mail_starts_anew() -> None:
    row = forgotten(after(0, 1), "h", T + timedelta(days=1, hours=1))
    for day in (1, 2, 3):
        row = counted(row, soft(T + timedelta(days=day)), POLICY)  # the first of them was there before
    assert (len(row.at), worn_out(row, POLICY)) == (2, False)


EVENTS = st.lists(st.tuples(st.booleans(), st.integers(0, 60 * 24)), max_size=12)


@given(events=EVENTS, random=st.randoms(use_true_random=False))
def test_any_order_and_any_repeats_come_to_the_same_row(events: list[tuple[bool, int]], random: object) -> None:
    again = [*events, *events]
    random.shuffle(again)  # type: ignore[attr-defined]  # hypothesis' Random, which typeshed does not know
    assert folded(events) == folded(again)


@given(one=EVENTS, other=EVENTS)
def test_two_rows_that_each_know_some_come_to_what_one_would_that_knows_all(
    one: list[tuple[bool, int]], other: list[tuple[bool, int]]
) -> None:
    assert merged(folded(one), folded(other), POLICY) == folded([*one, *other])


def folded(events: list[tuple[bool, int]]) -> SoftBounces | None:
    row = None
    for came_back, hour in events:
        at = T + timedelta(hours=hour)
        row = forgotten(row, "h", at) if came_back else counted(row, soft(at), POLICY)
    return row


@pytest.mark.parametrize(
    ("status", "diagnostic", "speaks"),
    [
        ("4.2.2", "", True),
        ("5.2.2", "550 5.7.1 what the status says counts", True),
        ("4.4.7", "delivery time expired", True),
        ("", "", True),
        ("", "452 4.2.2 mailbox full", True),
        ("5.7.1", "blocked", False),
        ("5.7.26", "", False),
        ("", "550 5.7.1 we block your network", False),
        ("5.6.1", "", False),
        ("5.3.4", "too big", False),
        ("5.2.3", "too big for this mailbox", False),
        ("5.5.2", "syntax", False),
        ("5.3.2", "system not accepting mail", True),
    ],
)
def test_what_says_nothing_of_the_address_is_not_counted(status: str, diagnostic: str, *, speaks: bool) -> None:
    assert speaks_of_address(soft(T, status, diagnostic)) is speaks


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [(550, "5.1.1 no such user", "hard"), (552, "5.2.2 over quota", "soft"), (452, "4.2.2 over quota", "soft"), (550, "5.7.1 no", None)],
)
def test_a_refusal_at_once_counts_like_the_report_of_it(code: int, text: str, kind: str | None) -> None:
    assert bounce_of(judge(Phase.RCPT, Reply(code, text))) == kind
