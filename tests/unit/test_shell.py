"""What the shell makes of one record; what Kafka and Faust make of the shell is in tests/flow/test_agents.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from streams import codec, topics
from streams.events import DeadLettered, InboundApproved
from streams.outcomes import Dead, Done, Outcome, Source
from streams.publisher import PublishFailed, Record
from streams.shell import Limits, Shell, WorldBroken
from streams.state.catch_up import LedgerUnusable
from tests.services.memory import MemoryPublisher

EVENT = InboundApproved("i1", datetime(2026, 11, 20, 10, tzinfo=UTC), "test", "note")


def message(value: bytes | None = None, offset: int = 7, headers: Any = None) -> Any:
    encoded = codec.encode(EVENT) if value is None else value
    return SimpleNamespace(topic="moderation", partition=2, offset=offset, key=b"i1", value=encoded, headers=headers, tp=("moderation", 2))


async def echo(event: Any, source: Source) -> Outcome:
    return Done("echoed", [Record(topics.ROUTINGS, b"k", event.note.encode(), source.trace)])


async def test_outputs_carry_the_trace_and_no_other_header() -> None:
    publisher = MemoryPublisher()
    headers = {"trace": b"t1", "Faust-Ag-ReplyTo": b"evil", "Subject": b"hello"}
    await Shell("a", echo, publisher).process(message(headers=headers))
    assert publisher.records == [Record(topics.ROUTINGS, b"k", b"note", "t1")]


async def test_a_handler_may_give_a_record_up() -> None:
    async def give_up(_event: Any, _source: Source) -> Outcome:
        return Dead("nonsense", "it makes no sense")

    publisher = MemoryPublisher()
    original = message(headers=[("x", b"\xff")])
    await Shell("a", give_up, publisher).process(original)
    (record,) = publisher.records
    parked = codec.decode_as(DeadLettered, record.value)
    assert (record.topic, record.key) == (topics.DEAD_LETTERS, b"i1")
    assert (parked.topic, parked.partition, parked.offset, parked.value) == ("moderation", 2, 7, original.value)
    assert (parked.agent, parked.reason, parked.detail) == ("a", "nonsense", "it makes no sense")


async def test_a_record_that_takes_too_long_is_parked() -> None:
    async def hang(_event: Any, _source: Source) -> Outcome:
        return await asyncio.Future()

    publisher = MemoryPublisher()
    await Shell("a", hang, publisher, Limits(deadline_s=0.01)).process(message())
    assert codec.decode_as(DeadLettered, publisher.records[0].value).reason == "deadline"


@pytest.mark.parametrize("frozen", [True, False])
async def test_a_process_that_was_frozen_parks_nothing(frozen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends, and its records are delivered again; where a record kept the processor busy for so long, the record is parked."""
    monkeypatch.setattr("streams.shell.LATE_S", 0.05)
    publisher = MemoryPublisher()

    async def stand_still(_event: Any, _source: Source) -> Outcome:
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            time.sleep(0.1 if frozen else 0.0)  # noqa: ASYNC251 - as a whole process that is stopped
        return await asyncio.Future()

    shell = Shell("a", stand_still, publisher, Limits(deadline_s=0.01))
    if frozen:
        with pytest.raises(WorldBroken, match="stood still"):
            await shell.process(message())
        assert publisher.records == []
    else:
        monkeypatch.setattr(time, "process_time", iter([0.0, 0.4]).__next__)
        await shell.process(message())
        assert codec.decode_as(DeadLettered, publisher.records[0].value).reason == "deadline"


async def test_what_takes_long_before_a_record_is_handled_is_not_its_fault() -> None:
    """A ledger that is read from the beginning, for one: the first records would all be parked."""

    async def prepare(_source: Source) -> None:
        await asyncio.sleep(0.05)

    publisher = MemoryPublisher()
    await Shell("a", echo, publisher, Limits(deadline_s=0.02), prepare=prepare).process(message())
    assert [record.topic for record in publisher.records] == [topics.ROUTINGS]


async def test_what_cannot_be_prepared_leaves_the_shell() -> None:
    async def prepare(_source: Source) -> None:
        raise LedgerUnusable("the topic was made anew")

    publisher = MemoryPublisher()
    with pytest.raises(LedgerUnusable, match="made anew"):
        await Shell("a", echo, publisher, prepare=prepare).process(message())
    assert publisher.records == []


async def test_a_broken_world_leaves_the_shell() -> None:
    async def break_down(_event: Any, _source: Source) -> Outcome:
        raise WorldBroken("no disk")

    publisher = MemoryPublisher()
    with pytest.raises(WorldBroken, match="no disk"):
        await Shell("a", break_down, publisher).process(message())
    assert publisher.records == []


async def test_errors_in_a_row_trip_but_bad_bytes_do_not() -> None:
    async def fail(_event: Any, _source: Source) -> Outcome:
        raise ValueError("a bug")

    shell = Shell("a", fail, MemoryPublisher(), Limits(trip=3))
    for _ in range(10):
        await shell.process(message(b"junk"))
    await shell.process(message())
    await shell.process(message())
    with pytest.raises(WorldBroken, match="3 unexpected errors in a row"):
        await shell.process(message())


async def test_a_success_between_errors_does_not_trip() -> None:
    async def sometimes(_event: Any, source: Source) -> Outcome:
        if source.offset % 2:
            raise ValueError("this one")
        return Done("fine")

    publisher = MemoryPublisher()
    shell = Shell("a", sometimes, publisher, Limits(trip=2))
    for offset in range(20):
        await shell.process(message(offset=offset))
    assert [codec.decode_as(DeadLettered, record.value).offset for record in publisher.records] == list(range(1, 20, 2))


@dataclass
class Shaky:
    """Acknowledges from the `good`-th try on."""

    good: int
    tries: int = 0
    records: list[Record] = field(default_factory=list)

    async def publish(self, records: Sequence[Record]) -> None:
        self.tries += 1
        if self.tries < self.good:
            raise PublishFailed("not yet")
        self.records.extend(records)


async def test_publishing_is_tried_again_and_then_the_world_is_broken() -> None:
    """F-07."""
    shaky = Shaky(good=3)
    await Shell("a", echo, shaky, Limits(publish_tries=3)).process(message())
    assert len(shaky.records) == 1
    with pytest.raises(WorldBroken, match="does not acknowledge"):
        await Shell("a", echo, Shaky(good=4), Limits(publish_tries=3)).process(message())
