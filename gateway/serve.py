"""The gateway as a process: sockets open, the sites known, the broker and the body store in reach; until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence

from gateway.body_store import open_bodies
from gateway.intake import Intake
from gateway.known import DIRECTORY, KnownRecipients
from gateway.limits import Limits
from gateway.listen import close_sockets, described, open_sockets
from gateway.reception import Reception
from gateway.smtp_in_commands import Identity
from gateway.smtp_in_rules import Recipients
from streams import admin, metrics, ports, topics
from streams.domain.verp import is_for_bounces
from streams.publisher import KafkaPublisher
from streams.settings import Settings, SettingsError
from streams.state.table import TopicTables
from streams.window import stop_the_world

TABLES = {"accept": (topics.SITES,), "reject": DIRECTORY}  # by ESPMAIL_UNKNOWN_RECIPIENT
FILES_BESIDE_SOCKETS = 256
ONE_AT_A_TIME = {"max.in.flight.requests.per.connection": 1}  # what comes meanwhile goes together (decision 0012)
GARBAGE = 20_000  # objects; of some hundred connections, a few MB
log = logging.getLogger(__name__)


async def serve(settings: Settings, stop: asyncio.Event, ready: Callable[[str], None]) -> None:
    """Take mail until `stop` is set, then finish what is open. Calls `ready` once, with where it listens.

    Raises UserError or SettingsError for whatever keeps it from taking mail, and then no socket stays open.
    """
    identity = identity_of(settings)
    limits = limits_of(settings)
    _allow_files(limits.connections + FILES_BESIDE_SOCKETS)
    bodies = open_bodies(settings)
    metrics.serve(settings.metrics_port, "gateway")
    async with _tables(settings, tables_for(settings)) as tables:
        publisher = KafkaPublisher(settings.bootstrap, on_fatal=stop_the_world, **ONE_AT_A_TIME)
        try:
            intake = Intake(publisher, bodies, settings.inline_limit, ports.now)
            reception = Reception(intake, recipients(settings, tables), limits)
            servers = await open_sockets(settings, reception, identity)
            _calm_collector()
            ready(described(settings))
            await stop.wait()
            close_sockets(servers)
            await reception.stop()
        finally:
            await publisher.close()


def limits_of(settings: Settings) -> Limits:
    """What clients may take. Raises SettingsError where a mail of the allowed size could never come in."""
    if settings.mail_memory < settings.max_mail:
        raise SettingsError(
            f"ESPMAIL_MAIL_MEMORY takes at least ESPMAIL_MAX_MAIL, which is {settings.max_mail}, not {settings.mail_memory}"
        )
    return Limits(mail=settings.max_mail, memory=settings.mail_memory)


def identity_of(settings: Settings) -> Identity:
    """How the gateway presents itself. Raises SettingsError for a certificate that cannot be used."""
    name = settings.gateway_name or socket.getfqdn()
    if not settings.gateway_certificate:
        return Identity(name)
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(settings.gateway_certificate)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"ESPMAIL_GATEWAY_CERTIFICATE: {settings.gateway_certificate} cannot be used ({error})") from None
    return Identity(name, context)


def tables_for(settings: Settings) -> Sequence[str]:
    """What the gateway must know to answer RCPT. Raises SettingsError for an unknown policy."""
    if settings.unknown_recipient not in TABLES:
        raise SettingsError(f"ESPMAIL_UNKNOWN_RECIPIENT takes accept or reject, not {settings.unknown_recipient!r}")
    return TABLES[settings.unknown_recipient]


def recipients(settings: Settings, tables: TopicTables) -> Recipients:
    """Who is here, by the tables as they stand at each question."""
    sites = tables.rows(topics.SITES)
    return Recipients(
        any_site=lambda: bool(sites),
        is_local=lambda domain: domain.encode() in sites,
        is_known=KnownRecipients(tables) if settings.unknown_recipient == "reject" else lambda _address: True,
        is_bounces=lambda address: is_for_bounces(address, tables.snapshot(topics.SITES)),
    )


@contextlib.asynccontextmanager
async def _tables(settings: Settings, names: Sequence[str]) -> AsyncIterator[TopicTables]:
    """The tables, once read to the end. Raises UserError if the broker cannot be read."""
    await asyncio.to_thread(admin.require, settings)
    tables = TopicTables(settings.bootstrap, names)
    try:
        await asyncio.to_thread(tables.wait_ready)
        if not tables.rows(topics.SITES):
            log.warning("no site is known yet: every recipient is told to come back, until `espmail directory load`")
        yield tables
    finally:
        await asyncio.to_thread(tables.close)


def _calm_collector() -> None:
    """What stands at the start stays, and each connection leaves a few cycles: looking for them after every few mails costs a tenth."""
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 10)


def _allow_files(wanted: int) -> None:
    """Room for the connections that the limits allow, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
