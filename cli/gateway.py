"""`espmail gateway`: inbound mail by SMTP and LMTP."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

from cli import shared

if TYPE_CHECKING:
    from streams.settings import Settings


def command() -> None:
    """Take inbound mail by SMTP and LMTP until SIGTERM or Ctrl-C; open mails are finished first.

    A mail is answered 250 only when Kafka has acknowledged it; otherwise 451, and the MTA comes back with it.

    Examples: espmail gateway; ESPMAIL_SMTP_PORT=0 ESPMAIL_LMTP_SOCKET=/run/espmail/lmtp espmail gateway
    """
    import uvloop

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    settings = shared.settings()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_stopped(settings))


async def _until_stopped(settings: Settings) -> None:
    from gateway.serve import serve

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop, lambda doors: print(f"gateway: {doors}", flush=True))
