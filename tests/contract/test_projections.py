"""What the projections promise, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Boolean, Connection, Engine, text
from sqlalchemy.event import listen

from projections import batch, database, queries
from projections.tables import FOLDED, METADATA
from streams import events, topics
from streams.domain.states import EmailState
from tests.services import history as made
from tests.services.history import NOW, History, folded
from tests.services.projecting import everything


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'new' / 'tables.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made_engine = database.open_engine(url)
    database.ensure_schema(made_engine)
    yield made_engine
    made_engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as opened:
        yield opened


def fold(engine: Engine, history: History, at_once: int = 1000, seed: int = 0) -> None:
    """Write a history into the tables, some records a transaction."""
    records = history.interleaved(Random(seed))
    for start in range(0, len(records), at_once):
        part = records[start : start + at_once]
        with database.writing(engine) as connection, connection.begin():
            batch.write(connection, part, batch.read(part))


def a_history() -> History:
    """One of each: outcomes, skips, a second attempt, feedback, inbound mail, a damaged record."""
    history = History()
    history.add(topics.MESSAGE_REQUESTS, "r1", made.request(people=4))
    for person in ("ann", "bob", "cy"):
        history.add(topics.EMAILS_BULK, person, made.queued(person))
        history.add(topics.DELIVERIES, person, made.delivery(events.EmailAttempting, person))
    history.add(topics.DELIVERIES, "ann", made.delivery(events.EmailSent, "ann"))
    history.add(topics.DELIVERIES, "bob", made.delivery(events.EmailDeferred, "bob", reply="451 later"))
    history.add(topics.EMAILS_BULK, "bob", made.queued("bob", attempt=2))
    history.add(topics.DELIVERIES, "cy", made.delivery(events.EmailInDoubt, "cy"))
    history.add(topics.EXPANSIONS, "r1", made.skipped("dee"))
    history.add(topics.EXPANSIONS, "r1", made.expanded(queued=3, skipped=1, warnings=["program.receipt is empty"]))
    history.add(topics.FEEDBACK, "f", events.EmailBounced("f", NOW, made.email_id("ann"), "hash", "soft", "4.2.2", "full", "dsn"))
    history.add(topics.INBOUND_MAIL, "i1", made.mail())
    history.add(topics.ROUTINGS, "i1", made.routed())
    history.add(topics.EMAILS_URGENT, "tess", made.queued("tess", request_id=None, inbound_id="i1"))
    history.add(topics.SUPPRESSIONS, "s", events.Suppression("hash", "*", True, "complaint", NOW, "fbl"))
    history.add_bytes(topics.DELIVERIES, "junk", b"junk")
    return history


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_the_tables_hold_what_the_folds_say(engine: Engine, at_once: int) -> None:
    history = a_history()
    fold(engine, history, at_once, seed=at_once)
    assert everything(engine) == folded(history.in_order())


def test_instants_come_back_in_utc(engine: Engine, connection: Connection) -> None:
    history = History()
    elsewhere = (NOW + timedelta(microseconds=1)).astimezone(timezone(timedelta(hours=-5)))
    history.add(topics.MESSAGE_REQUESTS, "r1", made.request(submitted_at=elsewhere))
    fold(engine, history)
    found = queries.request_status(connection, "r1")
    assert found is not None
    assert found.request["submitted_at"] == elsewhere
    assert found.request["submitted_at"].utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "hostile", ["\0", "'; DROP TABLE text_of_email; --", "\\N\t\r\n\\.", "\U0010ffff\x7f", "x" * 100_000, "{}", '"', "NULL"]
)
def test_strangers_text_is_kept_as_it_is(engine: Engine, connection: Connection, hostile: str) -> None:
    history = History()
    history.add(topics.EMAILS_BULK, "ann", made.queued(subject=hostile))
    fold(engine, history)
    row = queries.email(connection, made.email_id("ann"))
    assert row is not None
    assert row["subject"] == hostile.replace("\0", "\N{REPLACEMENT CHARACTER}")


def test_migrations_make_what_the_code_expects(connection: Connection) -> None:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    assert compare_metadata(context, METADATA) == []


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    fold(engine, a_history())
    before = everything(engine)
    database.ensure_schema(engine)
    assert everything(engine) == before


def test_a_database_of_a_newer_release_is_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(database.DatabaseUnusable, match="newer release"):
        database.ensure_schema(engine)


# -- queries ---------------------------------------------------------------------------------------------------------


def test_the_status_of_a_request(engine: Engine, connection: Connection) -> None:
    fold(engine, a_history())
    found = queries.request_status(connection, "r1")
    assert found is not None
    assert {status: number for status, number in found.counts.items() if number} == {"sent": 1, "queued": 1, "in_doubt": 1, "skipped": 1}
    assert found.counts == queries.counts(connection, "r1")
    assert (found.request["state"], found.request["expanded"], found.request["warnings"]) == ("sending", 4, ["program.receipt is empty"])
    assert found.finished_at is None
    assert queries.request_status(connection, "r2") is None


def test_a_finished_request_says_when(engine: Engine, connection: Connection) -> None:
    history = History()
    for topic, event in [
        (topics.MESSAGE_REQUESTS, made.request(people=1)),
        (topics.EXPANSIONS, made.expanded(queued=1)),
        (topics.EMAILS_BULK, made.queued()),
        (topics.DELIVERIES, made.delivery(events.EmailSent, at=NOW + timedelta(hours=1))),
    ]:
        history.add(topic, "k", event)
    fold(engine, history)
    found = queries.request_status(connection, "r1")
    assert found is not None
    assert (found.request["state"], found.finished_at) == ("finished", NOW + timedelta(hours=1))


def test_emails_of_a_request_come_in_pages(engine: Engine, connection: Connection) -> None:
    fold(engine, a_history())
    pages: list[Any] = []
    after = None
    while page := queries.emails_of_request(connection, "r1", most=3, after=after):
        pages, after = [*pages, page], page[-1]
    assert [len(page) for page in pages] == [3, 1]
    assert {row["user_id"] for page in pages for row in page} == {"ann", "bob", "cy", "dee"}
    assert [row["user_id"] for row in queries.emails_of_request(connection, "r1", EmailState.SENT)] == ["ann"]


def test_the_timeline_of_an_email(engine: Engine, connection: Connection) -> None:
    fold(engine, a_history())
    lines = queries.email_timeline(connection, made.email_id("ann"))
    assert [(line["event"], line["attempt"]) for line in lines if line["event"] != "EmailBounced"] == [
        ("EmailQueued", 1),
        ("EmailAttempting", 1),
        ("EmailSent", 1),
    ]


def test_doubts_and_inbound_mail(engine: Engine, connection: Connection) -> None:
    fold(engine, a_history())
    assert [row["user_id"] for row in queries.doubts(connection)] == ["cy"]
    mail = queries.inbound(connection, "i1")
    assert mail is not None
    assert (mail["decision"], mail["rcpt_to"]) == ("deliver", "m123-class@yale.learningu.org")
    assert [row["user_id"] for row in queries.emails_of_inbound(connection, "i1")] == ["tess"]
    assert [row["inbound_id"] for row in queries.recent_inbound(connection, "deliver")] == ["i1"]
    assert queries.recent_inbound(connection, "hold") == []
    assert [row["reason"] for row in queries.suppressed(connection, "hash")] == ["complaint"]


def test_recent_requests_come_newest_first(engine: Engine, connection: Connection) -> None:
    history = History()
    for number in range(5):
        history.add(topics.MESSAGE_REQUESTS, f"r{number}", made.request(f"r{number}", submitted_at=NOW + timedelta(hours=number % 3)))
    fold(engine, history)
    first = queries.recent_requests(connection, most=3)
    rest = queries.recent_requests(connection, most=3, before=first[-1])
    assert [found.request["request_id"] for found in [*first, *rest]] == ["r2", "r4", "r1", "r3", "r0"]


def test_a_dead_letter_says_when_it_was_put_back(engine: Engine, connection: Connection) -> None:
    history = History()
    letter = events.DeadLettered(NOW, topics.DELIVERIES, 2, 7, b"k", b"junk", [], "send", "undecodable", "why")
    history.add(topics.DEAD_LETTERS, "k", replace(letter, offset=6))
    history.add(topics.DEAD_LETTERS, "k", letter)
    history.add(topics.DEAD_LETTERS, "k", events.DeadLetterReplayed(NOW, 1, "ada"))
    fold(engine, history)
    assert {row["offset"]: row["replayed_by"] for row in queries.dead_letters(connection)} == {6: None, 7: "ada"}


# -- every read has its index (S-07) ----------------------------------------------------------------------------------

ROWS = 100_000
READS: list[Callable[[Connection], Any]] = [
    lambda c: queries.request_status(c, "r7"),
    queries.recent_requests,
    lambda c: queries.failed_lately(c, NOW),
    lambda c: queries.failed_lately(c, NOW, after=queries.RequestStatus({"last_ended_at": NOW, "request_id": "r"}, {})),
    lambda c: queries.known_emails(c, ["e7", "e8"]),
    lambda c: queries.emails_of_request(c, "r7"),
    lambda c: queries.emails_of_request(c, "r7", EmailState.FAILED),
    lambda c: queries.emails_of_request(c, "r7", after={"status": "sent", "email_id": "e"}),
    lambda c: queries.email(c, "e7"),
    lambda c: queries.email_timeline(c, "e7"),
    lambda c: queries.emails_to(c, "ann7@x.org"),
    lambda c: queries.counts(c, "r7"),
    queries.doubts,
    lambda c: queries.inbound(c, "7"),
    lambda c: queries.emails_of_inbound(c, "i7"),
    queries.recent_inbound,
    lambda c: queries.recent_inbound(c, "hold"),
    lambda c: queries.inbound_ids(c, "1234"),
    lambda c: queries.find_inbound(c, sender="ann7@x.org"),
    lambda c: queries.find_inbound(c, to="bob7@x.org", since=NOW),
    lambda c: queries.find_inbound(c, decision="hold"),
    lambda c: queries.suppressed(c, "h7"),
    queries.dead_letters,
]
# What stands in the columns that the reads look at, by the number `i` of the row.
FILLED = {
    "message_request": {
        "request_id": "'r' || i",
        "submitted_at": "'2026-11-20 10:00:00'",
        "last_ended_at": "'2026-11-19 10:00:00'",
        "problems": "'[]'",
        "warnings": "'[]'",
    },
    "text_of_email": {
        "email_id": "'e' || i",
        "request_id": "'r' || i % 100",
        "inbound_id": "'i' || i % 20000",
        "recipient": "'ann' || i % 5000 || '@x.org'",
        "status": "CASE WHEN i % 1000 = 0 THEN 'in_doubt' WHEN i % 50 = 0 THEN 'failed' ELSE 'sent' END",
    },
    "email_event": {"topic": "'deliveries'", "partition": "0", '"offset"': "i", "email_id": "'e' || i / 3", "event": "'EmailSent'"},
    "inbound_mail": {
        "inbound_id": "i",
        "sender": "'ann' || i % 5000 || '@x.org'",
        "recipient": "'bob' || i % 5000 || '@x.org'",
        "received_at": "'2026-11-20 10:00:00'",
        "decision": "CASE WHEN i % 100 = 0 THEN 'hold' ELSE 'deliver' END",
        "skipped": "'[]'",
    },
    "suppression": {"address_hash": "'h' || i", "purpose": "'*'"},
    "dead_letter": {
        "topic": "'deliveries'",
        "partition": "0",
        '"offset"': "i",
        "agent": "'send'",
        '"at"': "'2026-11-20 10:00:00'",
        "letter_offset": "i",
    },
    "dead_letter_replay": {"letter_offset": "i"},
}


@pytest.fixture
def full(engine: Engine) -> Engine:
    """The tables with ROWS rows each."""
    with engine.begin() as connection:
        for name, known in FILLED.items():
            connection.execute(text(filling(name, known)))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return engine


def filling(name: str, known: dict[str, str]) -> str:
    needed = {
        f'"{column.name}"': "false" if isinstance(column.type, Boolean) else "0" for column in FOLDED[name].columns if not column.nullable
    }
    values = {column: value for column, value in needed.items() if column.strip('"') not in {k.strip('"') for k in known}} | known
    return f"""INSERT INTO {name} ({", ".join(values)})
        WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {ROWS})
        SELECT {", ".join(values.values())} FROM numbers"""


def test_no_read_walks_through_a_table(full: Engine) -> None:
    explain = "EXPLAIN QUERY PLAN " if full.dialect.name == "sqlite" else "EXPLAIN "
    asked: list[tuple[str, Any]] = []
    with full.connect() as connection:
        listen(connection, "before_cursor_execute", lambda _c, _cursor, statement, values, *_: asked.append((statement, values)))
        for read in READS:
            read(connection)
        selects = [(statement, values) for statement, values in asked if statement.startswith("SELECT")]
        assert len(selects) == len(READS)
        for statement, values in selects:
            plan = [str(line) for line in connection.exec_driver_sql(explain + statement, values)]
            walks = [line for line in plan if "Seq Scan" in line or ("SCAN " in line and "INDEX" not in line)]
            assert not walks, (statement, plan)
