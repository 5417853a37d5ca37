"""Faust, wired so that nothing of it decides about mail: raw bytes in, no acknowledgement of its own, no tables, no web.

One agent a process and a consumer group (docs/decisions/0004): a full window of one agent holds up nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

import aiokafka
import faust
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.hand_over import HandOver
from streams.membership import Membership
from streams.settings import Settings
from streams.shell import Shell
from streams.window import stop_the_world

SCHEME = "espmail"
FETCH_MAX_WAIT_MS = 50  # Faust hard-codes 1500: a busy partition would wait out an idle one's long poll
HELD = 1024  # records in memory that wait for the agent
HELD_BIG = {"expand": 16, "expand.bulk": 16}  # of agents whose records are up to a megabyte, and work for a second
REBALANCE_TIMEOUT_S = 180.0  # above the shell's deadline for one record


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer with a short long-poll, one partition of every lane to the same worker, and an ear on its membership."""

    async def on_start(self) -> None:
        await super().on_start()
        app = cast("App", self.app)
        app.membership.listen(self._consumer)
        app.membership.guard(app.servers)

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Read when the consumer starts; Faust has no setting for either (docs/decisions/0003).
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # noqa: SLF001
        consumer._partition_assignment_strategy = [RangePartitionAssignor]  # noqa: SLF001
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        committed: Mapping[TP, int] = await self.call_thread(back_to_committed, self._ensure_consumer())
        return committed


async def back_to_committed(consumer: aiokafka.AIOKafkaConsumer) -> Mapping[TP, int]:
    """Every assigned partition is read again from what is committed; where nothing is, from its beginning.

    aiokafka's own seek leaves the latter where reading has come to: what was fetched of them and dropped would never come again.
    """
    committed: Mapping[TP, int] = await consumer.seek_to_committed()
    if fresh := [tp for tp, offset in committed.items() if not offset]:
        await consumer.seek_to_beginning(*fresh)
    return committed


class Consumer(driver.Consumer):
    """Faust's, whose records go to the agent without its conductor (streams/hand_over.py)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hand_over = HandOver(self)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:
        await self.hand_over.drain(fetcher)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in self.hand_over.done() if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self.hand_over.take_end(tp)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """What the group has refused until now it would take in its next generation, and set back whoever went on meanwhile."""
        await super().on_partitions_revoked(revoked)
        self.hand_over.forget(revoked)

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:  # noqa: FBT001, FBT002 - Faust's signature
        """Faust notes as committed what the group refused, and would never try again where nothing new is done."""
        before = {tp: self._committed_offset[tp] for tp in offsets}
        done = await super()._commit_offsets(offsets, start_new_transaction)
        if not done:
            self._committed_offset.update({tp: before[tp] for tp, offset in offsets.items() if self._committed_offset[tp] == offset})
            self.hand_over.not_committed({tp: offset for tp, offset in offsets.items() if tp in self.assignment()})
        return bool(done)


class Transport(driver.Transport):
    Consumer: ClassVar[type] = Consumer


class App(faust.App):
    """Faust's, and what it knows of its membership in the consumer group."""

    membership: Membership
    servers: str

    def _crash(self, reason: BaseException) -> None:
        """Where Faust gives up its own stop may hang (docs/decisions/0002): the process ends at once, unless it is leaving."""
        super()._crash(reason)
        if not self.membership.leaving:
            stop_the_world(f"Faust crashed: {reason!r}")


TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"


def build_app(settings: Settings, agent: str) -> App:
    """The Faust application of one agent; its consumer group is `<app>.<agent>`, its Membership `app.membership`. Opens no connection."""
    held = HELD_BIG.get(agent, HELD)
    app = App(
        f"{settings.app}.{agent}",
        broker=";".join(f"{SCHEME}://{server}" for server in settings.bootstrap.split(",")),
        processing_guarantee="at_least_once",
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        table_standby_replicas=0,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=True,
        stream_buffer_maxsize=held,
        broker_commit_interval=0.5,
        broker_max_poll_records=min(held, 500),
        broker_session_timeout=settings.session_timeout,
        broker_heartbeat_interval=settings.session_timeout / 4,
        broker_rebalance_timeout=REBALANCE_TIMEOUT_S,
        broker_request_timeout=max(90.0, settings.session_timeout + 1),
        broker_max_poll_interval=600.0,
        consumer_max_fetch_size=16_777_216,
        producer_request_timeout=30.0,
        consumer_auto_offset_reset="earliest",
    )
    app.membership = Membership(settings.session_timeout)
    app.servers = settings.bootstrap
    return app


def define_agent(app: App, make_shell: Callable[[], Awaitable[Shell]], topics: Sequence[str]) -> Any:
    """Define the app's one agent: every record of `topics` goes to the window of its shell, which acknowledges.

    `make_shell` runs once, in the event loop, when the agent starts. The stream stays empty: the agent subscribes, the consumer
    hands over (streams/hand_over.py).
    """

    async def hand_over(_stream: Any) -> None:
        shell = await make_shell()
        consumer = cast("Consumer", app.consumer)
        app.membership.busy = lambda: shell.window.in_work > 0
        app.membership.flows = lambda: bool(consumer.flow_active)
        consumer.hand_over.to(shell.window)
        await asyncio.Event().wait()  # Faust takes an agent that returned for a sound one and lets its partitions stand still

    channel = app.topic(*topics, key_serializer="raw", value_serializer="raw")
    return app.agent(channel, name=app.conf.id)(hand_over)
