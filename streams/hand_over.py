"""Records from Faust's consumer straight into the agent's window, and the end of what is done back to its commits.

Faust's own way from a fetched batch to an agent is a queue, a stream, an event and four tasks for every record, which cost more
than all else that Kafka asks of us. Fetching, membership, commits and the life of the process stay Faust's (docs/decisions/0016).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from aiokafka.errors import ConsumerStoppedError
from mode.utils.futures import notify

FETCH_WAIT_S = 1.0
SEEK_AGAIN_S = 0.2


class Window(Protocol):
    """What takes the records (streams/window.py)."""

    def has_room(self, partition: object) -> bool: ...

    async def room(self, partition: object) -> None: ...

    def begin(self, event: Any) -> None: ...


class Held:
    """A record in hand: what the window and the shell ask of an event and of its message, and Faust of what is not acknowledged."""

    __slots__ = ("_hand_over", "acked", "headers", "key", "offset", "partition", "topic", "tp", "value")
    refcount = 1  # Faust's warnings name it

    def __init__(self, hand_over: HandOver, tp: Any, record: Any) -> None:
        self._hand_over = hand_over
        self.tp = tp
        self.topic: str = record.topic
        self.partition: int = record.partition
        self.offset: int = record.offset
        self.key: bytes | None = record.key
        self.value: bytes | None = record.value
        self.headers = record.headers
        self.acked = False

    def __repr__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"

    @property
    def message(self) -> Held:
        return self

    def ack(self) -> bool:
        """Everything up to this record is done: the window acknowledges in order."""
        self.acked = True
        self._hand_over.done_up_to(self)
        return True


class HandOver:
    """In place of the conductor of one Faust consumer, with whose private names it works. Used from the agent's event loop."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        consumer._unacked_messages = set[Held]()  # noqa: SLF001 - Faust's is weak, for events that nobody took
        self._done: dict[Any, int] = {}
        self._window: Window | None = None
        self._has_window = asyncio.Event()

    def to(self, window: Window) -> None:
        """The agent is ready: `window` gets every record from now on."""
        self._window = window
        self._has_window.set()

    def done_up_to(self, held: Held) -> None:
        self._consumer._unacked_messages.discard(held)  # noqa: SLF001
        self._done[held.tp] = held.offset + 1
        notify(self._consumer._waiting_for_ack)  # noqa: SLF001

    def done(self) -> Iterable[Any]:
        """Partitions of which more is done than was asked for."""
        return list(self._done)

    def take_end(self, tp: Any) -> int | None:
        """Behind the last record of the partition that is done, once."""
        return self._done.pop(tp, None)

    def not_committed(self, ends: Mapping[Any, int]) -> None:
        """These ends are taken again, unless more is done by now."""
        self._done = {**ends, **self._done}

    def forget(self, partitions: Iterable[Any]) -> None:
        """They are somebody else's; should they come back, they are fetched from what is committed then."""
        for tp in partitions:
            self._done.pop(tp, None)

    async def drain(self, fetcher: Any) -> None:
        """From batch to batch until the consumer or its fetcher stops."""
        consumer = self._consumer
        try:
            while not (consumer.should_stop or fetcher.should_stop):
                await asyncio.sleep(0)
                if not consumer.flow_active:
                    await consumer.wait_first(consumer.can_resume_flow.wait())
                generation = consumer.app.consumer_generation_id
                records, active = await consumer._wait_next_records(FETCH_WAIT_S)  # noqa: SLF001
                if records and self._current(generation):
                    await self._hand_over(records, active, generation)
                elif records:
                    await self._fetch_again()
        except (asyncio.CancelledError, ConsumerStoppedError):
            if not consumer.app.should_stop:
                raise

    def _current(self, generation: int) -> bool:
        """Whether the flow still is that of the assignment for which something was fetched."""
        return bool(self._consumer.flow_active and self._consumer.app.consumer_generation_id == generation)

    async def _fetch_again(self) -> None:
        """What was fetched while partitions moved belongs to nobody, but aiokafka has moved on behind it.

        Tried until it is done, or another assignment is on its way, which seeks too: what comes later must not be taken before.
        """
        consumer, sought = self._consumer, False
        while consumer.assignment() and not sought:
            try:
                await consumer.perform_seek()
                sought = True
            except Exception as error:  # noqa: BLE001 - whatever it is, going on would leave out what was dropped
                consumer.log.warning("cannot seek while partitions move: %r", error)
                if consumer.should_stop or not consumer.flow_active:
                    break
                await asyncio.sleep(SEEK_AGAIN_S)

    async def _hand_over(self, records: Any, active: set[Any], generation: int) -> None:
        """As far as the flow lasts: when it is stopped, the rest is fetched again from what is committed by whoever has it then."""
        for tp, record in self._consumer.scheduler.iterate(records):
            window = self._window
            if window is None or not window.has_room(tp):
                window = await self._room(tp)
            if window is None or not self._current(generation):
                return
            if tp in active and record.offset >= (self._consumer._read_offset[tp] or 0):  # noqa: SLF001
                self._take(window, tp, record)

    async def _room(self, tp: Any) -> Window | None:
        """The window when it has room for the partition; none if the flow was stopped meanwhile."""
        consumer = self._consumer
        if self._window is None:
            await consumer.wait_first(self._has_window.wait(), consumer.suspend_flow.wait())
        if self._window is not None and consumer.flow_active:
            await consumer.wait_first(self._window.room(tp), consumer.suspend_flow.wait())
        return self._window if consumer.flow_active else None

    def _take(self, window: Window, tp: Any, record: Any) -> None:
        held = Held(self, tp, record)
        self._consumer._unacked_messages.add(held)  # noqa: SLF001
        self._consumer._read_offset[tp] = record.offset  # noqa: SLF001
        self._consumer.app.monitor.stream_inbound_time[tp] = time.monotonic()  # Faust looks whether anybody takes what is there
        window.begin(held)
