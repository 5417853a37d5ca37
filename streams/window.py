"""Work on many records at once, acknowledge them strictly in order.

Faust may commit past a record that is still being worked on as soon as a later one is acknowledged, and it
acknowledges a record whose agent raised (docs/decisions/0002). So records come here past its streams (hand_over.py), and this
window alone acknowledges: a record is acknowledged when it and every earlier one of its partition are done.

A record's work starts when it is admitted; none waits for company. That is what lets a stopping worker drain by
itself: every admitted record ends, is acknowledged, and Faust's wait for unacknowledged records ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

EXIT_RESTART_ME = 70  # EX_SOFTWARE: the only way out of Faust that commits nothing more (docs/decisions/0002)
log = logging.getLogger(__name__)


class Event(Protocol):
    """What the window needs of a Faust event."""

    message: Any  # has .tp, the topic partition

    def ack(self) -> bool: ...


@dataclass(slots=True)
class Admitted:
    """One record in work."""

    event: Event
    done: bool = False


def stop_the_world(reason: str) -> NoReturn:
    """End this process at once, committing nothing: its unacknowledged records are delivered again elsewhere."""
    log.critical("stopping at once, nothing more is committed: %s", reason)
    logging.shutdown()
    os._exit(EXIT_RESTART_ME)


@dataclass(slots=True)
class Lane:
    """One partition's: how many are in work, and those not acknowledged, in offset order."""

    busy: int = 0
    in_order: deque[Admitted] = field(default_factory=deque)


class InOrderWindow:
    """At most `size` records of each partition in work; acknowledgements leave each partition in offset order.

    `work` must end in a durable outcome for its record (sent, deferred, dead-lettered, ...). If it raises, or is
    cancelled, the record must not look finished: `on_broken` is called, which ends the process.
    """

    def __init__(self, size: int, work: Callable[[Any], Awaitable[None]], on_broken: Callable[[str], Any] = stop_the_world) -> None:
        self._size = size
        self._work = work
        self._on_broken = on_broken
        self._lanes: dict[object, Lane] = defaultdict(Lane)
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()  # asyncio itself keeps only weak references

    async def admit(self, event: Event) -> None:
        """Start work on the record; blocks while its partition's window is full (this is the backpressure)."""
        partition = event.message.tp
        if not self.has_room(partition):
            await self.room(partition)
        self.begin(event)

    def has_room(self, partition: object) -> bool:
        return self._lanes[partition].busy < self._size

    async def room(self, partition: object) -> None:
        """Returns when a quarter of the partition's window is free: who waits for each single place wakes up for each single record."""
        lane = self._lanes[partition]
        while lane.busy > self._size - max(1, self._size // 4):
            self._ended.clear()
            await self._ended.wait()

    def begin(self, event: Event) -> None:
        """Start work on a record of a partition that has room."""
        lane, admitted = self._lanes[event.message.tp], Admitted(event)
        lane.busy += 1
        lane.in_order.append(admitted)
        task = asyncio.create_task(self._run(admitted, lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def in_work(self) -> int:
        """Records admitted and not yet acknowledged. May be asked in any thread."""
        return sum(len(lane.in_order) for lane in list(self._lanes.values()))

    async def _run(self, admitted: Admitted, lane: Lane) -> None:
        try:
            await self._work(admitted.event)
        except BaseException as error:  # noqa: BLE001 - a cancelled or failed record must never look finished
            self._on_broken(f"{type(error).__name__}: {error}")
            return
        admitted.done = True
        lane.busy -= 1
        self._ended.set()
        self._acknowledge_prefix(lane.in_order)

    @staticmethod
    def _acknowledge_prefix(queue: deque[Admitted]) -> None:
        while queue and queue[0].done:
            queue.popleft().event.ack()
