"""The failure report finds its moment: when a request has finished with mails undelivered, once (spec 4.8; 8, rows 14 and 60)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine

from projections import batch, database
from projections.reporter import TOLD_WITHIN, Reporter
from streams import codec, events, topics
from streams.domain.failure_report import MAX_LINES
from streams.errors import UserError
from streams.events import MessageRequest
from streams.publisher import Record
from tests.services import history as made
from tests.services.history import NOW, History

REFUSED = "550 5.1.1 <cy@x.org>: no such user"


class World:
    """Tables of the test's own, and what was published."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.history = History()
        self.now = NOW + timedelta(minutes=1)
        self.published: list[Any] = []
        self.up = True

    def add(self, topic: str, key: str, event: Any) -> None:
        self.history.add(topic, key, event)
        records = [records[-1] for records in self.history.partitions.values() if records and records[-1].key == key.encode()]
        with database.writing(self.engine) as connection, connection.begin():
            batch.write(connection, records, batch.read(records))

    def fails(self, request_id: str = "r1", person: str = "cy", kind: type = events.EmailFailed) -> None:
        """A request to this one person, who does not get it."""
        self.add(topics.MESSAGE_REQUESTS, request_id, made.request(request_id, people=1))
        self.add(topics.EXPANSIONS, request_id, made.expanded(request_id, queued=1))
        self.add(topics.EMAILS_BULK, f"{request_id}/{person}", made.queued(person, request_id))
        self.add(topics.DELIVERIES, f"{request_id}/{person}", made.delivery(kind, person, request_id, reply=REFUSED))

    def reporter(self) -> Reporter:
        return Reporter(self.engine, self.head, self.publish, lambda: self.now)

    def head(self, partition: int, offset: int) -> MessageRequest:
        record = self.history.partitions[topics.MESSAGE_REQUESTS, partition][offset]
        return codec.decode_as(MessageRequest, record.value)

    def publish(self, records: Sequence[Record]) -> None:
        if not self.up:
            raise UserError("Kafka did not take it")
        assert {record.topic for record in records} == {topics.EMAILS_URGENT}
        self.published += [codec.decode(record.value) for record in records]

    @property
    def readers(self) -> list[str]:
        return [email.recipient for email in self.published]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    engine = database.open_engine(f"sqlite:///{tmp_path / 'tables.sqlite'}")
    database.ensure_schema(engine)
    yield World(engine)
    engine.dispose()


def test_14_its_own_people_are_told_once(world: World) -> None:
    world.fails()
    reporter = world.reporter()
    assert [reporter.run_once(), reporter.run_once()] == [2, 0]
    assert world.readers == ["ada@x.org", "bounces@learningu.org"]
    assert f": failed after 1 attempt, because: {REFUSED}" in world.published[0].content.text


def test_84_a_request_that_was_rejected_behind_the_door_is_told_once(world: World) -> None:
    """Its time ran out while Kafka was away, or nobody approved it: without a word its author takes it for sent."""
    world.add(topics.MESSAGE_REQUESTS, "r1", made.request("r1", people=1))
    world.add(topics.EXPANSIONS, "r1", events.RequestRejected("r1", NOW, "hash", "expired", ["expires_at: its time is over"]))
    world.add(topics.EXPANSIONS, "r2", events.RequestRejected("r2", NOW, "hash", "expired", ["of a request that nobody has"]))
    reporter = world.reporter()
    assert [reporter.run_once(), reporter.run_once()] == [2, 0]
    assert world.readers == ["ada@x.org", "bounces@learningu.org"]
    assert "\n* expires_at: its time is over\n" in world.published[0].content.text
    for email in world.published:
        world.add(topics.EMAILS_URGENT, email.email_id, email)
    assert world.reporter().run_once() == 0


def test_60_a_reporter_that_was_killed_begins_where_the_tables_are(world: World) -> None:
    world.fails()
    world.reporter().run_once()
    first = world.published.pop(0)
    world.add(topics.EMAILS_URGENT, first.email_id, first)
    assert world.reporter().run_once() == 1
    assert {email.recipient for email in world.published} == {"bounces@learningu.org"}
    for email in world.published:
        world.add(topics.EMAILS_URGENT, email.email_id, email)
    assert world.reporter().run_once() == 0


def test_60_what_the_broker_did_not_take_is_told_later(world: World) -> None:
    world.fails()
    reporter = world.reporter()
    world.up = False
    assert reporter.run_once() == 0
    world.up = True
    assert reporter.run_once() == 2


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (events.EmailFailed, True),
        (events.EmailExpired, True),
        (events.EmailSent, False),
        (events.EmailSuppressed, False),
        (events.EmailCancelled, False),
        (events.EmailDeferred, False),
        (events.EmailInDoubt, False),
        (events.EmailAttempting, False),
    ],
)
def test_only_what_ended_undelivered_is_told(world: World, kind: type, told: bool) -> None:
    world.fails(kind=kind)
    assert (world.reporter().run_once() > 0) == told


def test_nothing_is_told_before_the_last_of_its_mails_has_ended(world: World) -> None:
    world.add(topics.MESSAGE_REQUESTS, "r1", made.request(people=2))
    world.add(topics.EXPANSIONS, "r1", made.expanded(queued=2))
    reporter = world.reporter()
    for person, told in (("ann", 0), ("cy", 2)):
        world.add(topics.EMAILS_BULK, person, made.queued(person))
        world.add(topics.DELIVERIES, person, made.delivery(events.EmailFailed, person))
        assert reporter.run_once() == told


@pytest.mark.parametrize(("later", "told"), [(TOLD_WITHIN - timedelta(minutes=1), 2), (TOLD_WITHIN + timedelta(minutes=1), 0)])
def test_what_ended_long_ago_is_no_news(world: World, later: timedelta, told: int) -> None:
    world.fails()
    world.now = NOW + later
    assert world.reporter().run_once() == told


def test_one_requests_trouble_is_its_own(world: World) -> None:
    world.fails("r1")
    world.fails("r2", "dee")

    def head(partition: int, offset: int) -> MessageRequest:
        found = world.head(partition, offset)
        if found.request_id == "r1":
            raise UserError("the record was deleted")
        return found

    reporter = Reporter(world.engine, head, world.publish, lambda: world.now)
    assert [reporter.run_once(), reporter.run_once()] == [2, 0]
    assert all("Request: r2\n" in email.content.text for email in world.published)


def test_of_many_failures_the_report_names_some_and_counts_all(world: World) -> None:
    people = [f"p{number:04}" for number in range(MAX_LINES + 20)]
    world.history.add(topics.MESSAGE_REQUESTS, "r1", made.request(people=len(people)))
    world.history.add(topics.EXPANSIONS, "r1", made.expanded(queued=len(people)))
    for person in people:
        world.history.add(topics.EMAILS_BULK, person, made.queued(person))
        world.history.add(topics.DELIVERIES, person, made.delivery(events.EmailFailed, person))
    records = world.history.interleaved(Random(0))
    with database.writing(world.engine) as connection, connection.begin():
        batch.write(connection, records, batch.read(records))
    world.reporter().run_once()
    text = world.published[0].content.text
    assert text.startswith(f"{len(people)} of the {len(people)} mails of your message")
    assert text.count("\n* ") == MAX_LINES
    assert "... and 20 more." in text


def test_more_requests_than_a_page_are_all_told(world: World) -> None:
    for number in range(103):
        world.fails(f"r{number}")
    assert world.reporter().run_once() == 206


def test_a_reader_of_the_clock_is_asked_anew(world: World) -> None:
    world.fails()
    world.reporter().run_once()
    instants: set[datetime] = {email.queued_at for email in world.published}
    assert instants == {world.now}
