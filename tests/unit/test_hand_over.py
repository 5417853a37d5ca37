"""What is fetched and dropped while partitions move is fetched again before anything behind it is taken."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from streams import hand_over
from streams.app import build_app
from streams.hand_over import HandOver
from streams.settings import Settings

TP = ("lane", 0)


class Window:
    """Takes everything at once."""

    def __init__(self) -> None:
        self.begun: list[int] = []

    def has_room(self, _: object) -> bool:
        return True

    async def room(self, _: object) -> None:
        """Never waited for."""

    def begin(self, event: Any) -> None:
        self.begun.append(event.offset)


class Consumer:
    """As Faust's, of one partition with ten records. A rebalance ends while the first of them are on their way; then the seek fails."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.position = 0
        self.flow_active = True
        self.should_stop = False
        self.assigned = {TP}
        self.can_resume_flow = asyncio.Event()
        self.suspend_flow = asyncio.Event()
        self.app = SimpleNamespace(consumer_generation_id=1, should_stop=False, monitor=SimpleNamespace(stream_inbound_time={}))
        self.scheduler = SimpleNamespace(iterate=lambda records: [(TP, record) for record in records])
        self.log = logging.getLogger("test")
        self._read_offset: dict[Any, int | None] = {TP: None}

    def assignment(self) -> set[Any]:
        return self.assigned

    async def perform_seek(self) -> None:
        if self.failures:
            self.failures -= 1
            raise TimeoutError("the coordinator does not answer")
        self.position = 0

    async def _wait_next_records(self, _timeout_s: float) -> tuple[list[Any], set[Any]]:
        first, self.position = self.position, self.position + 5
        if first == 0:
            self.app.consumer_generation_id = 2
        self.should_stop = self.position > 10
        records = [] if self.should_stop else range(first, self.position)
        return [SimpleNamespace(topic="lane", partition=0, offset=at, key=b"", value=b"", headers=()) for at in records], {TP}


async def drained(consumer: Consumer) -> list[int]:
    window = Window()
    handing = HandOver(consumer)
    handing.to(window)
    await handing.drain(SimpleNamespace(should_stop=False))
    return window.begun


@pytest.mark.parametrize("failures", [0, 3])
async def test_nothing_is_taken_before_what_was_dropped(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_over, "SEEK_AGAIN_S", 0.0)
    assert await drained(Consumer(failures)) == list(range(10))


async def test_without_partitions_there_is_nothing_to_seek() -> None:
    consumer = Consumer(failures=1)
    consumer.assigned = set()
    await drained(consumer)
    assert consumer.failures == 1


async def test_an_end_that_the_group_refused_is_not_committed_in_its_next_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others had the partition meanwhile, and are further: the group's offset would go back, and stay there while nothing new comes."""
    consumer: Any = build_app(Settings(), "feedback").consumer

    async def refused(revoked: set[Any]) -> None:
        """As Faust's: waits for what is in work, and commits it, which a group that has given the partition away does not take."""
        consumer.hand_over.not_committed(dict.fromkeys(revoked, 7))

    monkeypatch.setattr(consumer, "_on_partitions_revoked", refused)
    await consumer.on_partitions_revoked({TP})
    consumer._thread.thread_loop.close()  # it was made with the consumer, and never started
    assert list(consumer._filter_tps_with_pending_acks()) == []
