"""A server as a command: its event loop, its log, and an end at SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

import uvloop

from cli import shared
from streams.settings import Settings

Serve = Callable[[Settings, asyncio.Event, Callable[[str], None]], Awaitable[None]]


def run(serve: Serve, name: str) -> None:
    """Run `serve` until it is told to stop; what it says of where it listens is printed behind `name`. Raises what it raises."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    settings = shared.settings()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_stopped(serve, settings, name))


async def _until_stopped(serve: Serve, settings: Settings, name: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop, lambda where: print(f"{name}: {where}", flush=True))
