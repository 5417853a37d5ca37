"""Histories on real topics, and the tables that they become."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Producer
from sqlalchemy import Engine, select

from projections import queries
from projections.feed import Feed
from projections.rebuild import verify
from projections.rows import KEY_COLUMNS, Rows
from projections.runner import Limits, Projector
from projections.tables import FOLDED
from streams import events, topics
from streams.settings import Settings
from tests.services import history as made
from tests.services.history import History

TIMEOUT_S = 30


def send(settings: Settings, *histories: History) -> None:
    """Write the records, each to its partition; returns when all are acknowledged."""
    producer = Producer({"bootstrap.servers": settings.bootstrap, "acks": "all", "enable.idempotence": True, "log_level": 0})
    for history in histories:
        for record in history.in_order():
            producer.produce(record.where.topic, record.value, record.key, partition=record.where.partition, timestamp=record.timestamp)
            producer.poll(0)
    assert producer.flush(TIMEOUT_S) == 0


@contextmanager
def feed(settings: Settings) -> Iterator[Feed]:
    opened = Feed(settings.bootstrap, deadline_s=TIMEOUT_S)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def projector(engine: Engine, settings: Settings, **options: Any) -> Iterator[Projector]:
    """A projector that has started."""
    with feed(settings) as opened:
        started = Projector(engine, opened, **{"limits": Limits(deadline_s=TIMEOUT_S)} | options)
        started.start()
        yield started


def catch_up(engine: Engine, settings: Settings, **options: Any) -> int:
    """Fold everything that stands on the topics now; returns how many records that were."""
    with projector(engine, settings, **options) as running:
        ends = {partition: extent.high for partition, extent in running.feed.extents().items()}
        while not running.feed.at_end(ends):
            running.run_once()
        return running.folded


def everything(engine: Engine) -> Rows:
    """All rows of all tables, as the folds see them."""
    with engine.connect() as connection:
        return {
            (name, tuple(row[column] for column in KEY_COLUMNS[name])): dict(row)
            for name, table in FOLDED.items()
            for row in connection.execute(select(table)).mappings()
        }


def mails(first: int, last: int, history: History | None = None) -> History:
    """Emails that were queued, attempted and sent, all of request r1."""
    history = history or History()
    for number in range(first, last):
        person = f"p{number}"
        history.add(topics.EMAILS_BULK, person, made.queued(person))
        history.add(topics.DELIVERIES, person, made.delivery(events.EmailAttempting, person))
        history.add(topics.DELIVERIES, person, made.delivery(events.EmailSent, person))
    return history


def sent(engine: Engine) -> int:
    with engine.connect() as connection:
        found = queries.request_status(connection, "r1")
        return 0 if found is None else found.counts["sent"]


def differences(engine: Engine, settings: Settings) -> list[Any]:
    with feed(settings) as opened:
        return verify(engine, opened).differences
