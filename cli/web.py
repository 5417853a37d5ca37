"""`espmail web`: requests by HTTP, unsubscribe pages, public pages, provider webhooks."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

from cli import shared

if TYPE_CHECKING:
    from streams.settings import Settings


def command() -> None:
    """Answer HTTP on ESPMAIL_WEB_HOST and ESPMAIL_WEB_PORT until SIGTERM or Ctrl-C; put the site's web server before it, for TLS.

    Programs say `Authorization: Bearer TOKEN`; the token is made at the first start and stands in web.token of the var folder.
    People find /unsubscribe/..., /preferences/... and /email/... there, by the links in their mail.

    Example: ESPMAIL_WEB_PORT=8081 espmail web
    """
    import uvloop

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    settings = shared.settings()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_stopped(settings))


async def _until_stopped(settings: Settings) -> None:
    from gateway.http.serve import serve

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop, lambda where: print(f"web: {where}", flush=True))
