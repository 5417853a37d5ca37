"""The projector on real topics: killed, doubled, cut off from its database or its broker, fed with damaged records."""

from __future__ import annotations

import random
import secrets
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from deploy.broker import Broker
from projections import database, queries
from projections.database import DatabaseUnusable
from projections.feed import BrokerGone, Feed
from projections.runner import Limits, TooManyUnfoldable
from streams import admin, events, topics
from streams.settings import Settings
from tests.services import history as made
from tests.services.env import environment
from tests.services.history import History
from tests.services.ports import HOST, free_ports
from tests.services.projecting import catch_up, differences, mails, projector, send, sent
from tests.services.until import until

pytestmark = pytest.mark.broker
ON_POSTGRES = pytest.mark.parametrize("settings", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)


def test_what_was_folded_live_equals_what_is_folded_anew(engine: Engine, settings: Settings) -> None:
    send(settings, mails(0, 300))
    assert catch_up(engine, settings, limits=Limits(records=100)) == 900
    assert sent(engine) == 300
    assert catch_up(engine, settings) == 0
    assert differences(engine, settings) == []


@pytest.mark.chaos
def test_killed_at_any_moment_it_neither_loses_nor_doubles(engine: Engine, settings: Settings) -> None:
    send(settings, mails(0, 4000))
    chance = random.Random(7)
    for _ in range(5):
        before = sent(engine)
        child = subprocess.Popen([sys.executable, "-m", "cli.main", "project"], env=environment(settings), stdout=subprocess.DEVNULL)
        until(lambda before=before: sent(engine) > before or sent(engine) == 4000, "the projector gets on")  # type: ignore[misc]
        threading.Event().wait(chance.random() * 0.05)  # anywhere in a batch
        child.kill()
        child.wait()
    catch_up(engine, settings)
    assert sent(engine) == 4000
    assert differences(engine, settings) == []


def test_of_two_projectors_each_goes_on_where_the_other_got_to(engine: Engine, settings: Settings) -> None:
    """The same as a commit whose answer was lost: the tables are further than this process knows (S-05)."""
    send(settings, mails(0, 50))
    with projector(engine, settings, limits=Limits(records=40)) as slow:
        until(slow.run_once, "the first records come")
        before = slow.folded
        assert catch_up(engine, settings) == 150 - before
        while not slow.feed.at_end({partition: extent.high for partition, extent in slow.feed.extents().items()}):
            slow.run_once()
        assert slow.folded == before
    assert sent(engine) == 50
    assert differences(engine, settings) == []


def test_damaged_records_are_told_and_passed_by(engine: Engine, settings: Settings) -> None:
    history = History()
    for value in (b"junk", b"", None, b"\xc3\x01" + b"\0" * 8):
        history.add_bytes(topics.DELIVERIES, "p1", value)
    send(settings, mails(0, 10, history))
    told: list[events.DeadLettered] = []
    catch_up(engine, settings, on_dead=told.extend)
    assert sent(engine) == 10
    assert [(letter.topic, letter.offset, letter.value) for letter in told] == [
        (topics.DELIVERIES, 0, b"junk"),
        (topics.DELIVERIES, 1, b""),
        (topics.DELIVERIES, 2, None),
        (topics.DELIVERIES, 3, b"\xc3\x01" + b"\0" * 8),
    ]
    with engine.connect() as connection:
        assert {row["reason"] for row in queries.dead_letters(connection)} == {"undecodable"}
    assert differences(engine, settings) == []


@ON_POSTGRES
def test_a_record_that_the_database_refuses_hurts_only_itself(engine: Engine, settings: Settings) -> None:
    history = mails(0, 10)
    history.add(topics.EMAILS_BULK, "p1", made.queued("p1", email_id=secrets.token_hex(10_000)))  # no index takes such a key
    send(settings, mails(10, 20, history))
    assert catch_up(engine, settings) == 61
    assert sent(engine) == 20
    with engine.connect() as connection:
        assert [(row["reason"], row["detail"]) for row in queries.dead_letters(connection)] == [("unfoldable", "ProgramLimitExceeded")]
    assert differences(engine, settings) == []


@ON_POSTGRES
def test_if_nothing_can_be_folded_the_projector_stops(engine: Engine, settings: Settings) -> None:
    history = History()
    for _ in range(5):
        history.add(topics.EMAILS_BULK, "p1", made.queued("p1", email_id=secrets.token_hex(10_000)))
    send(settings, history)
    with pytest.raises(TooManyUnfoldable, match="3 records in a row"):
        catch_up(engine, settings, limits=Limits(trip=3))


@ON_POSTGRES
def test_connections_cut_in_the_middle_change_nothing(engine: Engine, settings: Settings) -> None:
    send(settings, mails(0, 1500))
    stop = threading.Event()

    def cut() -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for _ in range(10):
                stop.wait(0.1)
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
                    )
                )

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        catch_up(engine, settings, limits=Limits(records=50, deadline_s=60))
    finally:
        stop.set()
        cutter.join()
    assert sent(engine) == 1500
    assert differences(engine, settings) == []


def test_it_waits_for_a_broker_that_comes_back_and_not_for_one_that_does_not(kafka: Settings, tmp_path: Path) -> None:
    settings = replace(kafka, kafka="", kafka_port=free_ports(2), var=tmp_path)
    engine = database.open_engine(settings.database_url)
    database.ensure_schema(engine)
    broker = Broker(settings).start()
    try:
        admin.apply(settings)
        send(settings, mails(0, 10))
        with projector(engine, settings, limits=Limits(wait_s=0.2)) as running:
            broker.kill()
            until(lambda: running.run_once() == 0, "it runs on without a broker")
            broker = Broker(settings).start()
            until(lambda: running.run_once() >= 0 and sent(engine) == 10, "everything is folded")
        opened = Feed(settings.bootstrap, deadline_s=1.0)
        opened.start({(topics.DELIVERIES, 0): 0})
        broker.kill()
        with pytest.raises(BrokerGone, match="no Kafka answers"):
            until(lambda: opened.take(1000, 0.1) is None, "it gives up")
        opened.close()
    finally:
        broker.stop()
        engine.dispose()


def test_it_does_not_wait_for_ever_for_its_database(fresh_topics: Settings) -> None:
    engine = database.open_engine(f"postgresql://espmail@{HOST}:{free_ports()}/espmail")
    with pytest.raises(DatabaseUnusable), projector(engine, fresh_topics, limits=Limits(deadline_s=0.3)):
        pass
