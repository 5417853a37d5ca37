"""What an address's state becomes, by the newest word about it (reliability, row A-07): on a table that a real topic holds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams import codec, topics
from streams.agents.feedback import Feedback
from streams.events import EmailBounced, EmailComplained, EmailSent, Resubscribed, Suppression, Unsubscribed
from streams.outcomes import Dead, Done, Source
from streams.settings import Settings
from streams.state.table import TopicTables

pytestmark = pytest.mark.broker

T = datetime(2026, 11, 20, 10, tzinfo=UTC)
SOURCE = Source(topics.FEEDBACK, 0, 0, b"k", "t")


@pytest.fixture(scope="module")
def tables(kafka: Settings) -> Iterator[TopicTables]:
    held = TopicTables(kafka.bootstrap, [topics.SUPPRESSIONS])
    held.wait_ready()
    yield held
    held.close()


@pytest.fixture
def hashed() -> str:
    """Of an address that no other test speaks of."""
    return uuid.uuid4().hex


def bounced(hashed: str, kind: str = "hard") -> EmailBounced:
    return EmailBounced("sendgrid/1", T, None, hashed, kind, "5.1.1", "", "sendgrid")


def back(hashed: str) -> Resubscribed:
    return Resubscribed("f2", T + timedelta(hours=1), hashed, "*", "person")


async def said(tables: TopicTables, *events: Any) -> list[tuple[str, list[Suppression]]]:
    """The outcome of each, in turn, and the rows that it writes."""
    agent, found = Feedback(tables), []
    for event in events:
        outcome = await agent(event, SOURCE)
        assert isinstance(outcome, Done)
        found.append((outcome.reason, [codec.decode_as(Suppression, record.value) for record in outcome.records]))
    return found


async def test_a_bounce_that_comes_again_after_the_person_came_back_changes_nothing(tables: TopicTables, hashed: str) -> None:
    answers = await said(tables, bounced(hashed), back(hashed), bounced(hashed))
    assert [reason for reason, _ in answers] == ["hard_bounce", "resubscribed", "outdated"]
    assert [[row.suppressed for row in rows] for _, rows in answers] == [[True], [False], []]


async def test_the_same_word_again_is_the_same_row(tables: TopicTables, hashed: str) -> None:
    first, again = await said(tables, bounced(hashed), bounced(hashed))
    assert first == again


async def test_a_soft_bounce_and_an_unproven_one_silence_nobody(tables: TopicTables, hashed: str) -> None:
    assert await said(tables, bounced(hashed, "soft"), bounced("")) == [("counted", []), ("counted", [])]


async def test_purposes_do_not_touch_each_other(tables: TopicTables, hashed: str) -> None:
    events = [Unsubscribed("f", T, None, hashed, purpose, "one_click") for purpose in ("request", "list")]
    rows = [row for _, rows in await said(tables, *events, back(hashed), EmailComplained("g", T, None, hashed, "fbl")) for row in rows]
    assert [(row.purpose, row.suppressed) for row in rows] == [("request", True), ("list", True), ("*", False)]


async def test_anything_else_is_a_dead_letter(tables: TopicTables) -> None:
    assert isinstance(await Feedback(tables)(EmailSent("e", None, T, 1, "<e@x>", "mx", "250", 1), SOURCE), Dead)
