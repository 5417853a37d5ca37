"""The window's edges: how much is in work, and what a failure means."""

from __future__ import annotations

import asyncio

import pytest

from streams.window import InOrderWindow
from tests.properties.test_window import Message, Record


async def test_a_partition_has_at_most_its_size_in_work_and_does_not_hold_up_another() -> None:
    gate = asyncio.Event()
    begun: list[int] = []

    async def work(record: Record) -> None:
        begun.append(record.number)
        await gate.wait()

    window = InOrderWindow(2, work, lambda _: None)
    for number in range(2):
        await window.admit(Record(number, Message(0)))
    third = asyncio.create_task(window.admit(Record(2, Message(0))))
    await window.admit(Record(3, Message(1)))
    await asyncio.sleep(0)
    assert sorted(begun) == [0, 1, 3]
    assert not third.done()
    gate.set()
    await third


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, SystemExit, KeyboardInterrupt, RecursionError, MemoryError])
async def test_work_that_fails_never_looks_finished(kind: type[BaseException]) -> None:
    """Row F-02: whatever leaves the work, the record is not acknowledged and the process is told to end."""
    broken = asyncio.get_running_loop().create_future()
    acknowledged: list[tuple[int, int]] = []

    async def work(record: Record) -> None:
        raise kind("as it happens")

    window = InOrderWindow(4, work, broken.set_result)
    await window.admit(Record(0, Message(0), acknowledged))
    assert kind.__name__ in await broken
    assert acknowledged == []
