"""The HTTP gateway as a process: on loopback unless told otherwise, behind whatever ends TLS for the site, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

import uvicorn
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.bodies import Bodies
from gateway.body_store import open_bodies
from gateway.http.app import build
from gateway.http.token import load_token
from gateway.http.world import World
from gateway.keys import load_keyring
from gateway.webhooks import Webhooks
from projections import database
from projections.heads import request_at
from streams import admin, codec, ports, topics
from streams.events import InboundMailReceived
from streams.publisher import KafkaPublisher, Publisher
from streams.reading import record_at
from streams.settings import Settings, SettingsError
from streams.state.table import TopicTables
from streams.submission import policy_of
from streams.window import stop_the_world

TABLES = (topics.REQUEST_CONTROLS, topics.SUPPRESSIONS)
CONNECTIONS = 200
STOP_S = 20
PUBLISH_S = 15.0  # then 503: whoever asks waits, and asks again


async def serve(settings: Settings, stop: asyncio.Event, ready: Callable[[str], None]) -> None:
    """Answer until `stop` is set, then finish what is open. Calls `ready` once, with where it listens.

    Raises UserError or SettingsError for whatever keeps it from answering, and then no socket stays open.
    """
    with _listening(settings.web_host, settings.web_port) as listener:
        async with _world(settings) as world:
            app = build(world, settings.web_limit, webhooks(settings, world.publisher))
            server = uvicorn.Server(_config(app))
            serving = asyncio.create_task(server.serve([listener]))
            ready(f"http://{settings.web_host}:{listener.getsockname()[1]}")
            await asyncio.wait([serving, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await serving


def webhooks(settings: Settings, publisher: Publisher) -> list[Route]:
    """The providers' routes that are configured; the others are not there at all."""
    arns = frozenset(filter(None, (arn.strip() for arn in settings.sns_topics.split(","))))
    hooks = Webhooks(publisher, ports.now, settings.sendgrid_webhook_key, arns)
    configured = {"/webhooks/sendgrid": bool(settings.sendgrid_webhook_key), "/webhooks/sns": bool(arns)}
    return [route for route in hooks.routes() if configured[route.path]]


@contextlib.asynccontextmanager
async def _world(settings: Settings) -> AsyncIterator[World]:
    token, keyring = load_token(settings.var), load_keyring(settings.var)
    engine = database.open_engine(settings.database_url)
    await asyncio.to_thread(database.ensure_schema, engine)
    await asyncio.to_thread(admin.connect, settings.bootstrap)
    tables = TopicTables(settings.bootstrap, TABLES)
    publisher = KafkaPublisher(settings.bootstrap, timeout_s=PUBLISH_S, on_fatal=stop_the_world)
    try:
        await asyncio.to_thread(tables.wait_ready)
        yield World(
            publisher=publisher,
            engine=engine,
            keyring=keyring,
            policy=policy_of(settings),
            token=token,
            suppression=ports.suppressions(tables),
            taken=_taken(tables),
            head=partial(request_at, settings),
            content=partial(content_at, settings, open_bodies(settings)),
            now=ports.now,
        )
    finally:
        await publisher.close()
        await asyncio.to_thread(tables.close)
        engine.dispose()


def content_at(settings: Settings, bodies: Bodies, partition: int, offset: int) -> bytes:
    """The inbound mail that stands there on inbound-mail, whole. Blocks. Raises UserError."""
    event = codec.decode_as(InboundMailReceived, record_at(settings, topics.INBOUND_MAIL, partition, offset).value)
    return bodies.get(event.claim) if event.claim else event.content or b""


def _taken(tables: TopicTables) -> Callable[[str], str]:
    rows = tables.rows(topics.REQUEST_CONTROLS)

    def content_hash(request_id: str) -> str:
        row = rows.get(request_id.encode())
        return row.content_hash if row else ""

    return content_hash


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise SettingsError(f"port {port} on {host} cannot be used ({error.strerror}); set ESPMAIL_WEB_PORT to a free one") from None
    with listener:
        yield listener


def _config(app: ASGIApp) -> uvicorn.Config:
    """No access log: paths hold unsubscribe tokens. No Server header. Too many at once are told 503."""
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=STOP_S,
        h11_max_incomplete_event_size=32_768,
    )
