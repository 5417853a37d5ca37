"""Ledgers are read up before use: by one reader at a time, and anew when partitions moved meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from streams.state import catch_up
from streams.state.catch_up import Ledgers
from streams.state.ledger import Ledger


class Readings:
    """In place of reading a topic: counts, and waits in the middle for whoever plays the world."""

    def __init__(self) -> None:
        self.begun = 0
        self.at_once = 0
        self.most_at_once = 0
        self.go_on = threading.Event()

    def read_up(self, *_: Any) -> None:
        self.begun += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.go_on.wait(10)
        self.at_once -= 1

    async def until_begun(self, times: int) -> None:
        while self.begun < times:  # noqa: ASYNC110 - a thread counts
            await asyncio.sleep(0.001)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Readings:
    readings = Readings()
    monkeypatch.setattr(catch_up, "read_up", readings.read_up)
    return readings


async def test_one_reading_serves_all_who_wait(readings: Readings, tmp_path: Path) -> None:
    ledgers = Ledgers("", tmp_path)
    asked = [asyncio.create_task(ledgers.of(0)) for _ in range(5)]
    await readings.until_begun(1)
    readings.go_on.set()
    found = await asyncio.gather(*asked)
    assert all(ledger is found[0] for ledger in found)
    assert readings.begun == 1


async def test_a_reading_that_was_begun_before_partitions_moved_does_not_count(readings: Readings, tmp_path: Path) -> None:
    ledgers = Ledgers("", tmp_path)
    asked = asyncio.create_task(ledgers.of(0))
    await readings.until_begun(1)
    ledgers.forget_levels()
    readings.go_on.set()
    await asked
    assert readings.begun == 2


async def test_the_readings_in_the_background_do_not_cross_the_one_before_use(
    readings: Readings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "TAIL_EVERY_S", 0.0)
    ledgers = Ledgers("", tmp_path)
    readings.go_on.set()
    await ledgers.of(0)
    readings.go_on.clear()
    await readings.until_begun(readings.begun + 1)  # in the background
    ledgers.forget_levels()
    asked = asyncio.create_task(ledgers.of(0))
    await asyncio.wait({asked}, timeout=0.1)  # a reader that does not wait begins meanwhile
    readings.go_on.set()
    await asked
    assert readings.most_at_once == 1


async def test_the_readings_in_the_background_outlive_a_disk_that_fails(
    readings: Readings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> list[bytes]:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(catch_up, "TAIL_EVERY_S", 0.0)
    ledgers = Ledgers("", tmp_path)
    readings.go_on.set()
    await ledgers.of(0)
    monkeypatch.setattr(Ledger, "reached", fail)
    begun = readings.begun
    await readings.until_begun(begun + 3)
    assert readings.begun >= begun + 3
