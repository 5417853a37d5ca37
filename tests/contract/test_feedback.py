"""What an address's state becomes, by the newest word about it (reliability, row A-07): on a table that a real topic holds."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from cli.publishing import publish
from streams import codec, topics
from streams.agents.feedback import TABLES, Feedback
from streams.domain.soft_bounces import SoftPolicy
from streams.events import EmailBounced, EmailComplained, EmailSent, Resubscribed, Suppression, Unsubscribed
from streams.outcomes import Dead, Done, Source
from streams.settings import Settings
from streams.state.table import TopicTables
from tests.services.until import until

pytestmark = pytest.mark.broker

T = datetime(2026, 11, 20, 10, tzinfo=UTC)
POLICY = SoftPolicy(days=3, within=30)
SOURCE = Source(topics.FEEDBACK, 0, 0, b"k", "t")


@pytest.fixture(scope="module")
def tables(kafka: Settings) -> Iterator[TopicTables]:
    held = TopicTables(kafka.bootstrap, TABLES)
    held.wait_ready()
    yield held
    held.close()


@pytest.fixture
def hashed() -> str:
    """Of an address that no other test speaks of."""
    return uuid.uuid4().hex


def bounced(hashed: str, kind: str = "hard", day: int = 0, status: str = "5.1.1", source: str = "sendgrid") -> EmailBounced:
    return EmailBounced(f"{source}/{day}", T + timedelta(days=day), None, hashed, kind, status, "", source)


def soft(hashed: str, day: int) -> EmailBounced:
    return bounced(hashed, "soft", day, "5.2.2")


def back(hashed: str) -> Resubscribed:
    return Resubscribed("f2", T + timedelta(hours=1), hashed, "*", "person")


async def said(tables: TopicTables, *events: Any) -> list[tuple[str, list[Suppression]]]:
    """The outcome of each, in turn, and the rows that it writes."""
    agent, found = Feedback(tables, POLICY), []
    for event in events:
        outcome = await agent(event, SOURCE)
        assert isinstance(outcome, Done)
        rows = [record for record in outcome.records if record.topic == topics.SUPPRESSIONS]
        found.append((outcome.reason, [codec.decode_as(Suppression, record.value) for record in rows]))
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


async def test_soft_bounces_of_many_days_silence_an_address_until_somebody_there_asks_for_mail(tables: TopicTables, hashed: str) -> None:
    answers = await said(
        tables, *[soft(hashed, day) for day in (0, 1, 2)], replace(back(hashed), at=T + timedelta(days=3)), soft(hashed, 4)
    )
    assert [reason for reason, _ in answers] == ["counted", "counted", "soft_bounces", "resubscribed", "counted"]
    assert [[(row.purpose, row.suppressed) for row in rows] for _, rows in answers] == [[], [], [("*", True)], [("*", False)], []]


async def test_soft_bounces_are_counted_on_where_another_process_counted(kafka: Settings, tables: TopicTables, hashed: str) -> None:
    for day in (0, 1):
        outcome = await Feedback(tables, POLICY)(soft(hashed, day), SOURCE)
        assert isinstance(outcome, Done)
        await asyncio.to_thread(publish, kafka, outcome.records)
        until(partial(counts, tables, hashed, day + 1), "the count is in the table")
    assert [reason for reason, _ in await said(tables, soft(hashed, 2))] == ["soft_bounces"]


def counts(tables: TopicTables, hashed: str, days: int) -> bool:
    row = tables.rows(topics.SOFT_BOUNCES).get(hashed.encode())
    return row is not None and len(row.at) == days


async def test_a_replay_of_soft_bounces_adds_nothing(tables: TopicTables, hashed: str) -> None:
    twice = [soft(hashed, 0), soft(hashed, 1)] * 2
    assert [reason for reason, _ in await said(tables, *twice)] == ["counted"] * 4


async def test_a_bounce_that_was_misread_is_read_anew(tables: TopicTables, hashed: str) -> None:
    """A full mailbox that an earlier release took for a dead one; what another report said since stays."""
    misread = bounced(hashed, "hard", status="5.2.2", source="dsn")
    tables.note(topics.SUPPRESSIONS, f"{hashed}:*".encode(), Suppression(hashed, "*", True, "hard_bounce", T, "dsn"))
    assert [[row.suppressed for row in rows] for _, rows in await said(tables, misread)] == [[False]]
    later = bounced(hashed, day=1, source="dsn")
    assert [[row.suppressed for row in rows] for _, rows in await said(tables, later, misread)] == [[True], []]


async def test_a_complaint_outlives_a_bounce_that_was_misread_after_it(tables: TopicTables, hashed: str) -> None:
    """Only the person takes it back."""
    complaint = EmailComplained("g", T, None, hashed, "fbl")
    misread = bounced(hashed, "hard", day=1, status="5.1.1", source="dsn")
    await said(tables, complaint, misread)
    answers = await said(tables, complaint, replace(misread, status="5.2.2"))  # a replay, with a release that reads it better
    assert [reason for reason, _ in answers] == ["outdated", "counted"]
    row = tables.rows(topics.SUPPRESSIONS)[f"{hashed}:*".encode()]
    assert (row.suppressed, row.reason, row.by) == (True, "complaint", "fbl")
    answers = await said(tables, replace(back(hashed), at=T + timedelta(days=2)), bounced(hashed, day=3))
    assert [reason for reason, _ in answers] == ["resubscribed", "hard_bounce"]


async def test_purposes_do_not_touch_each_other(tables: TopicTables, hashed: str) -> None:
    events = [Unsubscribed("f", T, None, hashed, purpose, "one_click") for purpose in ("request", "list")]
    rows = [row for _, rows in await said(tables, *events, back(hashed), EmailComplained("g", T, None, hashed, "fbl")) for row in rows]
    assert [(row.purpose, row.suppressed) for row in rows] == [("request", True), ("list", True), ("*", False)]


async def test_anything_else_is_a_dead_letter(tables: TopicTables) -> None:
    assert isinstance(await Feedback(tables, POLICY)(EmailSent("e", None, T, 1, "<e@x>", "mx", "250", 1), SOURCE), Dead)
