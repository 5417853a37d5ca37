"""Row F-05: whatever ends when, no acknowledgement passes a record that is not done."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from streams.window import InOrderWindow


@dataclass
class Message:
    tp: int


@dataclass
class Record:
    """As the window sees a Faust event; `acknowledged` is shared by all records of a run."""

    number: int
    message: Message
    acknowledged: list[tuple[int, int]] = field(default_factory=list)

    def ack(self) -> bool:
        self.acknowledged.append((self.message.tp, self.number))
        return True


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.randoms(use_true_random=False), st.integers(1, 6))
def test_acknowledgements_are_prefixes(partitions: list[int], order: object, size: int) -> None:
    """`order` picks which record in work ends next; records stopped for ever leave theirs and all behind it unacknowledged."""
    asyncio.run(_run(partitions, order, size))


async def _run(partitions: list[int], order: object, size: int) -> None:
    acknowledged: list[tuple[int, int]] = []
    gates: dict[int, asyncio.Event] = {number: asyncio.Event() for number in range(len(partitions))}
    begun: list[int] = []
    done: set[int] = set()

    async def work(record: Record) -> None:
        begun.append(record.number)
        await gates[record.number].wait()
        done.add(record.number)

    broken: list[str] = []
    window = InOrderWindow(size, work, broken.append)
    records = [Record(number, Message(tp), acknowledged) for number, tp in enumerate(partitions)]
    admitting = asyncio.create_task(_admit(window, records))
    while len(done) < len(records):
        await asyncio.sleep(0)
        open_now = [number for number in begun if number not in done and not gates[number].is_set()]
        if open_now:
            gates[order.choice(open_now)].set()  # type: ignore[attr-defined]  # a random.Random
        _check(partitions, acknowledged, done)
    await admitting
    for _ in records:
        await asyncio.sleep(0)  # each step lets one finished record acknowledge
    assert len(acknowledged) == len(records)
    assert window.in_work == 0
    assert broken == []


async def _admit(window: InOrderWindow, records: list[Record]) -> None:
    for record in records:
        await window.admit(record)


def _check(partitions: list[int], acknowledged: list[tuple[int, int]], done: set[int]) -> None:
    for tp in set(partitions):
        own = [number for number, partition in enumerate(partitions) if partition == tp]
        acked = [number for partition, number in acknowledged if partition == tp]
        assert acked == own[: len(acked)], "out of order, or past a hole"
        assert set(acked) <= done
