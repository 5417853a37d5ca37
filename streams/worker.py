"""One agent as a process: its Faust application, its shell and its ports, until it is told to stop.

`espmail worker` runs several such processes and starts one again that ended with EXIT_RESTART_ME (cli/worker.py).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn, cast

import faust
import uvloop

from gateway.body_store import open_bodies
from gateway.signing import load_signing_key
from gateway.smtp_pool import BEGUN_PER_CONNECTION
from streams import metrics, ports, topics
from streams.agents import feedback, route
from streams.agents.chunks import Chunks
from streams.agents.delay import Wheel
from streams.agents.expand import Expander
from streams.agents.expand_bulk import BulkExpander
from streams.agents.resume import Resumer
from streams.agents.send import Ports, Sender
from streams.app import App, build_app, define_agent
from streams.begun import Begun
from streams.domain.soft_bounces import SoftPolicy
from streams.reads import READS
from streams.settings import Settings
from streams.shell import Limits, Prepare, Shell
from streams.state.catch_up import Ledgers
from streams.state.done import expanded_entry, routed_entry
from streams.state.ledger import EntryOf, email_entry
from streams.state.limiter import Limiter
from streams.state.table import TopicTables
from streams.ways import open_ways
from streams.window import EXIT_RESTART_ME

SEND_DEADLINE_S = (
    3600.0  # every step has its own patience, and the lease guards against a second worker; this ends only what hangs for ever
)
STOP_GRACE_S = 10.0  # how long a stopping worker begins what it holds; the rest goes back to its topic
STOP_DEADLINE_S = 45.0  # the longest a stopping worker may take; then it ends as a crash would, which loses nothing
GC_EVERY = 10_000  # allocations between two looks for garbage in cycles, which a mail in work makes little of
log = logging.getLogger(__name__)

MakeShell = Callable[[Settings, App], Awaitable[Shell]]
ONE_AT_A_TIME = Limits(window=1)  # a request's chunks are expanded in order, and that is work for the processor, not waiting


async def _expand_shell(settings: Settings, app: App) -> Shell:
    publisher = ports.publisher(settings)
    tables = await _tables(settings, topics.REQUEST_CONTROLS, topics.SUPPRESSIONS)
    done = _ledgers(settings, app, "expanded", topics.EXPANSIONS, expanded_entry)
    return Shell("expand", Expander(settings, tables, done, publisher), publisher, ONE_AT_A_TIME, prepare=_level(done))


async def _expand_bulk_shell(settings: Settings, app: App) -> Shell:
    publisher = ports.publisher(settings)
    tables = await _tables(settings, topics.REQUEST_CONTROLS, topics.SUPPRESSIONS)
    done = _ledgers(settings, app, "expanded.bulk", topics.EXPANSIONS, expanded_entry)
    handle = BulkExpander(Chunks(settings, tables, publisher), tables, done)
    limits = Limits(window=4)  # one may wait for the first of its request behind it
    return Shell("expand.bulk", handle, publisher, limits, prepare=_level(done))


async def _route_shell(settings: Settings, app: App) -> Shell:
    tables = await _tables(settings, *route.TABLES)
    done = _ledgers(settings, app, "routed", topics.ROUTINGS, routed_entry)
    router = route.Router(settings, tables, open_bodies(settings), done, load_signing_key(settings))
    return Shell("route", router, ports.publisher(settings), prepare=_level(done))


async def _feedback_shell(settings: Settings, _app: App) -> Shell:
    tables = await _tables(settings, *feedback.TABLES)
    policy = SoftPolicy(settings.soft_bounces, settings.soft_bounce_days)
    return Shell("feedback", feedback.Feedback(tables, policy), ports.publisher(settings))


def _send_shell(lane: str) -> MakeShell:
    async def make(settings: Settings, app: App) -> Shell:
        publisher = ports.publisher(settings)
        tables = await _tables(settings, topics.REQUEST_CONTROLS, topics.SUPPRESSIONS)
        ledgers = _ledgers(settings, app, lane, topics.DELIVERIES, email_entry)
        control = ports.controls(tables)
        reached = Ports(
            ledgers=ledgers,
            publisher=publisher,
            way=open_ways(settings, open_bodies(settings)),
            control=control,
            suppression=ports.suppressions(tables),
            lease=lambda: app.membership.sure,
            limiter=Limiter(settings.rate, settings.domain_rate, time.monotonic, lambda request_id: control(request_id) == "cancelled"),
            begun=Begun(BEGUN_PER_CONNECTION * settings.smtp_connections),
            now=ports.now,
        )
        sender = Sender(reached, ports.owner(), settings.backoff)
        limits = Limits(window=settings.window, deadline_s=SEND_DEADLINE_S)
        return Shell(f"send.{lane}", sender, publisher, limits, prepare=_level(ledgers))

    return make


def _ledgers(settings: Settings, app: faust.App, name: str, topic: str, entry_of: EntryOf) -> Ledgers:
    """The agent's memory of what it has done; read up again whenever partitions move."""
    ledgers = Ledgers(settings.bootstrap, settings.var / "ledger" / name, topic, entry_of)
    app.on_partitions_assigned.connect(_forget_levels(ledgers), weak=False)
    return ledgers


def _level(ledgers: Ledgers) -> Prepare:
    """A ledger that must be read from the beginning, on a new machine, takes minutes for some million records."""
    return lambda source: ledgers.of(source.partition)


def _forget_levels(ledgers: Ledgers) -> Callable[..., Awaitable[None]]:
    async def forget(_app: App, _assigned: Any, **_: Any) -> None:
        ledgers.forget_levels()

    return forget


SHELLS: dict[str, MakeShell] = {
    "expand": _expand_shell,
    "expand.bulk": _expand_bulk_shell,
    "route": _route_shell,
    "send.urgent": _send_shell("urgent"),
    "send.bulk": _send_shell("bulk"),
    "feedback": _feedback_shell,
}


def run(settings: Settings, name: str) -> NoReturn:
    """Run one agent until SIGTERM or SIGINT, then end the process: 0 after a clean stop, 70 if it must be started again."""
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {name} %(levelname)s %(message)s")
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    metrics.serve(settings.metrics_port, name)
    if name == "delay":
        _end(asyncio.run(_turn_wheel(settings)))
    app = build_app(settings, name)
    define_agent(app, lambda: _ready(SHELLS[name](settings, app), settings, name), READS[name])
    worker = Worker(app, quiet=True, loglevel="WARN", redirect_stdouts=False)
    worker.spinner = None  # it writes terminal codes even when quiet
    try:
        worker.execute_from_commandline()
    except SystemExit as stopped:
        _end(int(stopped.code or 0))
    _end(0)


async def _ready(making: Awaitable[Shell], settings: Settings, name: str) -> Shell:
    """The agent's shell; a world that is not there ends the process, to be tried again."""
    try:
        shell = await making
    except Exception as error:  # noqa: BLE001 - Faust would restart the agent behind our back, for ever
        log.critical("%s cannot start: %s", name, error)
        os._exit(EXIT_RESTART_ME)
    gc.collect()
    gc.freeze()  # what is there now stays; looking at it again and again found nothing
    gc.set_threshold(GC_EVERY)
    ready = settings.var / "run" / f"{name}.ready"
    await asyncio.to_thread(_touch, ready)
    return shell


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(os.getpid()), encoding="ascii")


class Worker(faust.Worker):
    """Faust's, with an end to its stopping.

    The time runs from the signal: Faust tells of its shutdown only when its consumer has stopped, which without a broker is never.
    """

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        cast("App", self.app).membership.end_within(STOP_GRACE_S)
        timer = threading.Timer(STOP_DEADLINE_S, os._exit, (EXIT_RESTART_ME,))
        timer.daemon = True
        timer.start()
        super()._schedule_shutdown(signal)


async def _tables(settings: Settings, *names: str) -> TopicTables:
    tables = TopicTables(settings.bootstrap, names)
    await asyncio.to_thread(tables.wait_ready)
    return tables


async def _turn_wheel(settings: Settings) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    publisher = ports.publisher(settings)
    try:
        control = ports.controls(await _tables(settings, topics.REQUEST_CONTROLS))
        await _together(stopping, Wheel(settings, publisher).run, Resumer(settings, publisher, control).run)
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing uncommitted was lost, and the supervisor starts anew
        log.critical("delay: %s", error)
        return EXIT_RESTART_ME
    await publisher.close()
    return 0


async def _together(stopping: asyncio.Event, *loops: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Until `stopping`; the first of them that breaks ends the others, and what broke it is raised."""

    async def run(loop: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        try:
            await loop(stopping)
        finally:
            stopping.set()

    ends = await asyncio.gather(*map(run, loops), return_exceptions=True)
    for error in ends:
        if error is not None:
            raise error


def _end(code: int) -> NoReturn:
    """Leave at once: threads of client libraries must not keep a stopped worker alive."""
    logging.shutdown()
    os._exit(code)
