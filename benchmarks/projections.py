"""Events a second into the SQL tables, without a broker: decode, load, fold, save and commit, with the CPU of each step.

Run: python -m benchmarks.projections [SQLAlchemy URL of an empty database]
"""

from __future__ import annotations

import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from projections import batch, database, folds, store
from projections.feed import FeedRecord
from projections.rows import READ, Where
from projections.tables import FOLDED
from streams import codec, events, topics

EMAILS = 20_000
IN_WORK = 256  # emails queued before the first of them is attempted
STEPS = ("decode", "load", "fold", "save", "commit")
BATCHES = (100, 500, 2000, 5000)
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
TEXT = "x" * 2000


def main() -> None:
    """Print one line a batch size. Every email is queued, attempted and sent: three events."""
    history = list(records())
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'tables.sqlite'}"
        engine = database.open_engine(url)
        database.ensure_schema(engine)
        for at_once in BATCHES:
            _print(engine.dialect.name, at_once, *measure(engine, history, at_once))
        engine.dispose()


def records() -> Iterator[FeedRecord]:
    """The records of EMAILS emails of one request, in the order in which the broker would hand them out."""
    ends: Counter[tuple[str, int]] = Counter()
    for start in range(0, EMAILS, IN_WORK):
        for make in (_queued, _attempting, _sent):
            for number in range(start, min(start + IN_WORK, EMAILS)):
                at = topics.EMAILS_BULK if make is _queued else topics.DELIVERIES, number % 4
                yield FeedRecord(Where(*at, ends[at]), None, codec.encode(make(number)), 0)
                ends[at] += 1


def measure(engine: Any, history: list[FeedRecord], at_once: int) -> tuple[float, dict[str, float]]:
    """Events a second, and microseconds an event by step (wall clock: the database's part counts)."""
    spent: dict[str, float] = dict.fromkeys(STEPS, 0.0)
    with database.writing(engine) as connection:
        with connection.begin():
            for table in FOLDED.values():
                connection.execute(table.delete())
        began = time.perf_counter()
        for start in range(0, len(history), at_once):
            _project(connection, history[start : start + at_once], spent)
        seconds = time.perf_counter() - began
    return len(history) / seconds, {step: 1e6 * total / len(history) for step, total in spent.items()}


def _project(connection: Any, part: list[FeedRecord], spent: dict[str, float]) -> None:
    """The same steps as projections/batch.py, with a clock between them."""
    clock = [time.perf_counter()]
    said = batch.read(part)
    clock.append(time.perf_counter())
    with connection.begin():
        rows = store.load(connection, (key for event in said for key in folds.keys_of(event)), columns=READ)
        clock.append(time.perf_counter())
        for record, event in zip(part, said, strict=True):
            folds.fold(rows, event, record.where)
        folds.settle(rows)
        clock.append(time.perf_counter())
        store.save(connection, rows)
        clock.append(time.perf_counter())
    clock.append(time.perf_counter())
    for step, began, ended in zip(STEPS, clock, clock[1:], strict=False):
        spent[step] += ended - began


def _print(name: str, at_once: int, rate: float, spent: dict[str, float]) -> None:
    print(
        f"{name}, {at_once} a transaction: {rate:,.0f} events/s; us an event: "
        + ", ".join(f"{step} {us:.1f}" for step, us in spent.items())
    )


def _id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def _queued(number: int) -> events.EmailQueued:
    address = f"p{number}@x.org"
    return events.EmailQueued(
        email_id=_id(number),
        request_id="r1",
        inbound_id=None,
        user_id=str(number),
        purpose="bulk",
        recipient=address,
        to=f'"P {number}" <{address}>',
        envelope_from="bounces@learningu.org",
        subject=f"For P {number}",
        message_id=f"<{_id(number)}@x.org>",
        queued_at=NOW,
        expires_at=NOW + timedelta(days=7),
        attempt=1,
        max_attempts=3,
        on_doubt="hold",
        content=events.Composed([events.Header("From", "A <a@x.org>"), events.Header("Subject", f"For P {number}")], TEXT, None, []),
    )


def _attempting(number: int) -> events.EmailAttempting:
    return events.EmailAttempting(_id(number), "r1", NOW, 1, "w1", "f" * 64, topics.EMAILS_BULK, number % 4, number // 4)


def _sent(number: int) -> events.EmailSent:
    return events.EmailSent(_id(number), "r1", NOW, 1, f"<{_id(number)}@x.org>", "127.0.0.1:25", "250 2.0.0 Ok: queued as 4bX", 2500)


if __name__ == "__main__":
    main()
