"""The one shell that every agent runs in: decode, handle, publish and confirm, then acknowledge.

No exception leaves it, for Faust would acknowledge the record (docs/decisions/0002). A record ends in one of three ways:
its outputs are confirmed by the broker; its original bytes are in dead-letters, confirmed; or the process ends at
once with nothing committed, and the record is delivered again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from streams import codec, metrics, topics
from streams.events import DeadLettered, Header
from streams.outcomes import Dead, Done, Outcome, Source
from streams.publisher import Publisher, PublishFailed, Record, RecordTooLarge
from streams.window import InOrderWindow, stop_the_world

log = logging.getLogger(__name__)

Handle = Callable[[Any, Source], Awaitable[Outcome]]
Prepare = Callable[[Source], Awaitable[object]]
MAX_DETAIL = 2000
LATE_S = 3.0  # a loop that lives sees a deadline within far less


class WorldBroken(Exception):
    """Something that every record needs is gone (a disk, a body store). Raised by a handler to end the process."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`deadline_s` must stay under the group's rebalance timeout, or a slow record would be worked on twice.

    `trip` unexpected exceptions in a row end the process: a bug must not empty a topic into dead-letters.
    Poison data never trips it; any number of bad records flows by at full speed.
    """

    window: int = 64
    deadline_s: float = 120.0
    publish_tries: int = 3
    trip: int = 50


async def _nothing(_source: Source) -> None:
    """For handlers that need nothing beforehand."""


class Shell:
    """Runs `handle` over records. One an agent; lives in the agent's event loop.

    `prepare` is awaited before each, outside its deadline: what takes long there is no record's fault. If it raises, the world is broken.
    """

    def __init__(
        self,
        agent: str,
        handle: Handle,
        publisher: Publisher,
        limits: Limits = Limits(),
        on_broken: Callable[[str], Any] = stop_the_world,
        prepare: Prepare = _nothing,
    ) -> None:
        self.agent = agent
        self._prepare = prepare
        self._handle = handle
        self._publisher = publisher
        self._limits = limits
        self._failures_in_a_row = 0
        self.window = InOrderWindow(limits.window, self._work, on_broken)
        metrics.IN_WORK.labels(agent).set_function(lambda: self.window.in_work)
        self._records = cache(partial(metrics.RECORDS.labels, agent))  # looking a labelled metric up costs more than counting
        self._handling_s = metrics.HANDLING_S.labels(agent)
        self._last_ack = metrics.LAST_ACK.labels(agent)

    async def _work(self, event: Any) -> None:
        started = time.monotonic()
        await self.process(event.message)
        self._handling_s.observe(time.monotonic() - started)
        self._last_ack.set_to_current_time()

    async def process(self, message: Any) -> None:
        """Returns when the record's outcome is durable. Raises only if the world is broken."""
        source = source_of(message)
        outcome = await self._outcome(message.value, source)
        settled = outcome.settled if isinstance(outcome, Done) else None
        if isinstance(outcome, Done):
            outcome = await self._finish(outcome)
        if isinstance(outcome, Dead):
            metrics.DEAD_LETTERS.labels(self.agent, outcome.reason).inc()
            await self._publish([dead_letter(message, source, self.agent, outcome)])
        if settled is not None:
            settled()
        self._records(outcome.reason).inc()

    async def _finish(self, outcome: Done) -> Outcome:
        try:
            await self._publish(outcome.records)
            if outcome.closing:
                await self._publish(outcome.closing)
        except RecordTooLarge as error:
            return Dead("too_large", str(error))
        return outcome

    async def _outcome(self, value: bytes | None, source: Source) -> Outcome:
        try:
            event = codec.decode(value)
        except codec.Undecodable as error:
            return Dead("undecodable", str(error))
        await self._prepare(source)
        return await self._handled(event, source)

    async def _handled(self, event: Any, source: Source) -> Outcome:
        deadline, worked_s = asyncio.timeout(self._limits.deadline_s), time.process_time()
        try:
            async with deadline:
                outcome = await self._handle(event, source)
        except (WorldBroken, PublishFailed):
            raise
        except TimeoutError:
            if deadline.expired() and stood_still(deadline.when(), time.process_time() - worked_s):
                raise WorldBroken("this process stood still for longer than a record may take") from None
            return Dead("deadline", f"not handled within {self._limits.deadline_s:g} s")
        except BaseException as error:  # noqa: BLE001 - nothing may leave the shell but a broken world
            return self._unexpected(error, source)
        self._failures_in_a_row = 0
        return outcome

    def _unexpected(self, error: BaseException, source: Source) -> Dead:
        """A bug, or one record that breaks the code: park the record, unless everything breaks."""
        self._failures_in_a_row += 1
        log.error("%s %s[%d]@%d", self.agent, source.topic, source.partition, source.offset, exc_info=error)
        if self._failures_in_a_row >= self._limits.trip:
            raise WorldBroken(f"{self._failures_in_a_row} unexpected errors in a row, the last: {error!r}")
        return Dead("unexpected", f"{type(error).__name__}: {error}"[:MAX_DETAIL])

    async def _publish(self, records: Sequence[Record]) -> None:
        """Confirmed by the broker when it returns. The same records again are harmless: events are known by their ids."""
        for attempt in range(1, self._limits.publish_tries + 1):
            try:
                await self._publisher.publish(records)
            except RecordTooLarge:
                raise
            except PublishFailed:
                log.warning("%s: publish failed, try %d of %d", self.agent, attempt, self._limits.publish_tries)
            else:
                return
        raise WorldBroken("Kafka does not acknowledge; see the broker's log")


def stood_still(due: float | None, worked_s: float) -> bool:
    """True if a deadline was seen much later than it was due, though the process had not worked: it was frozen, the record is not to blame."""
    late_s = asyncio.get_running_loop().time() - (due or 0.0)
    return late_s > LATE_S and worked_s < late_s / 2


def source_of(message: Any) -> Source:
    """Where a Faust message stands. Of its headers only `trace` is read, and none is ever obeyed or copied."""
    for name, value in header_pairs(message.headers) if message.headers else ():
        if name == "trace":
            trace = value.decode("ascii", "replace")[:64]
            break
    else:
        trace = ""
    return Source(message.topic, message.partition, message.offset, message.key, trace)


def header_pairs(headers: Any) -> list[tuple[str, bytes]]:
    """Kafka headers as pairs, whatever shape the client library gives them."""
    pairs = headers.items() if isinstance(headers, dict) else headers or []
    return [(str(name), value if isinstance(value, bytes) else str(value).encode()) for name, value in pairs]


def dead_letter(message: Any, source: Source, agent: str, outcome: Dead) -> Record:
    """The record that parks a Faust message."""
    return dead_letter_of(message.value, message.headers, source, agent, outcome)


def dead_letter_of(value: bytes | None, headers: Any, source: Source, agent: str, outcome: Dead) -> Record:
    """The record that parks another: its original key, bytes and headers, its origin, who gave up and why."""
    event = DeadLettered(
        at=datetime.now(UTC),
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        key=source.key,
        value=value,
        headers=[Header(name, text.decode("utf-8", "backslashreplace")) for name, text in header_pairs(headers)],
        agent=agent,
        reason=outcome.reason,
        detail=outcome.detail[:MAX_DETAIL],
    )
    return Record(topics.DEAD_LETTERS, source.key or b"", codec.encode(event), source.trace)
