"""Limits an hour: from one sender, to one address, and on what moderators are asked."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from streams.domain.routing.decide import decide
from streams.domain.routing.model import Decision
from streams.domain.routing.moderation import Asking
from streams.domain.routing.quota import FLOOD, MAX_ASKED, Quota
from streams.state import recent
from streams.state.recent import Recent
from tests.services.inbound import DOMAIN, NOW, TESS, content, directory, mail, world
from tests.services.outgoing import KEYRING

BOARD = directory(redirects=[{"original": "board", "destination": "a@x.org"}])
FROM_TESS, TO_CLASS, ASKED = f"from {TESS}", f"to m123-class@{DOMAIN}", f"asked {DOMAIN}"


def after(posted: dict[str, int], to: str = "m123-class", sender: str | None = TESS, **options: Any) -> Decision:
    """The decision when so many mails came before, with limits of 5 from a sender and 8 to an address."""
    quota = Quota(5, 8, Counter(posted).__getitem__)
    return decide(mail(content(sender=sender), to, sender or "x@y.org"), options.pop("place", BOARD), quota=quota, **options)


@pytest.mark.parametrize(
    ("posted", "kind", "reason"),
    [
        ({}, "deliver", "accepted"),
        ({FROM_TESS: 4, TO_CLASS: 7}, "deliver", "accepted"),
        ({FROM_TESS: 5}, "hold", "too_many"),
        ({TO_CLASS: 8}, "hold", "too_many"),
        ({FROM_TESS: 5 * FLOOD - 1}, "hold", "too_many"),
        ({FROM_TESS: 5 * FLOOD}, "drop", "flood"),
        ({TO_CLASS: 8 * FLOOD}, "drop", "flood"),
        ({"from other@x.org": 500, f"to m123-teachers@{DOMAIN}": 500}, "deliver", "accepted"),
    ],
)
def test_beyond_the_limit_mail_is_held_and_far_beyond_dropped(posted: dict[str, int], kind: str, reason: str) -> None:
    decision = after(posted)
    assert (decision.kind, decision.reason) == (kind, reason)


def test_what_counts() -> None:
    """Tags and case are no way around; mail that reaches nobody counts against nobody."""
    assert after({}, f"M123-Class+x@{DOMAIN}", "Tess <TESS@X.org>").counted == (FROM_TESS, TO_CLASS)
    assert after({FROM_TESS: 5}).counted == (FROM_TESS, TO_CLASS)
    assert after({FROM_TESS: 5 * FLOOD}).counted == ()
    assert after({}, sender="spam@bad.example").counted == ()
    assert after({}, "nobody").counted == ()


def test_strangers_flood_no_alias_either() -> None:
    assert after({}, "board", "s@bad.example").kind == "deliver"
    assert after({"from s@bad.example": 5}, "board", "s@bad.example").reason == "too_many"
    assert after({f"to board@{DOMAIN}": 8}, "board", "other@bad.example").reason == "too_many"


@pytest.mark.parametrize("raw", [content(sender=None), content("X: " + "y" * 120_000), content(*["X: y"] * 1_500)])
def test_mail_that_is_held_anyway_floods_no_moderator(raw: bytes) -> None:
    """What is held is kept in memory, whatever the reason."""
    decisions = [
        decide(mail(raw, "board", "x@y.org"), BOARD, quota=Quota(5, 8, Counter({f"to board@{DOMAIN}": before}).__getitem__))
        for before in (0, 8, 8 * FLOOD)
    ]
    assert [decision.kind for decision in decisions] == ["hold", "hold", "drop"]
    assert [decision.reason for decision in decisions][1:] == ["too_many", "flood"]


def test_what_a_moderator_approves_is_not_limited() -> None:
    assert after({FROM_TESS: 500, TO_CLASS: 500}, approved=True).kind == "deliver"


def test_no_limit_no_question() -> None:
    quota = Quota(0, 0, lambda _: 10**6)
    assert decide(mail(content(), "m123-class"), BOARD, quota=quota).kind == "deliver"
    assert decide(mail(content(), "m123-class"), BOARD).kind == "deliver"


def test_moderators_are_not_flooded() -> None:
    asking = Asking(KEYRING)
    few, many = (after({FROM_TESS: 5, ASKED: asked}, asking=asking) for asked in (MAX_ASKED - 1, MAX_ASKED))
    assert len(few.asked) == 1
    assert few.counted == (FROM_TESS, TO_CLASS, ASKED)
    assert (many.kind, many.asked, many.counted) == ("hold", (), (FROM_TESS, TO_CLASS))


def test_what_is_read_first_may_not_flood_its_readers() -> None:
    place = directory(email_lists=[{**world()["email_lists"][1], "admin_hold": True}])
    assert after({}, place=place).reason == "admin_hold"
    assert after({FROM_TESS: 5}, place=place).reason == "too_many"
    assert after({FROM_TESS: 50}, place=place).reason == "flood"


# -- the counts ------------------------------------------------------------------------------------------------------------


def test_an_hour_passes() -> None:
    counts = Recent(10)
    for minutes in (0, 10, 20):
        counts.note("key", NOW + timedelta(minutes=minutes))
    assert [counts.count("key", NOW + timedelta(minutes=minutes)) for minutes in (-1, 0, 15, 59, 60, 70, 80)] == [0, 1, 2, 3, 2, 1, 0]
    assert counts.count("other", NOW) == 0


def test_a_flood_takes_no_memory() -> None:
    counts = Recent(10)
    for _ in range(1_000):
        counts.note("key", NOW)
    assert counts.count("key", NOW) == 10
    for number in range(recent.MAX_KEYS):
        counts.note(str(number), NOW)
    assert counts.count("key", NOW) == 0
    assert counts.count("0", NOW) == 1
