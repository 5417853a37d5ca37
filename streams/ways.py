"""Which way each email goes out: by SMTP, or what we wrote ourselves by a provider's API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.bodies import Bodies
from gateway.signing import load_signing_key
from gateway.transport import Transport
from streams import ports
from streams.agents.message import MessageBytes
from streams.domain import sendgrid
from streams.events import Composed, EmailQueued
from streams.settings import Settings, SettingsError

SENDGRID_URL = "https://api.sendgrid.com"


@dataclass(frozen=True, slots=True)
class Way:
    """How an email's bytes are written, and who takes them."""

    messages: MessageBytes
    transport: Transport


def open_ways(settings: Settings, bodies: Bodies) -> Callable[[EmailQueued], Way]:
    """The way of each email. Opens no connection. Raises SettingsError for a transport that there is not, or half of one.

    Mail that is passed on always goes by SMTP: a provider would rewrite it.
    """
    whole = MessageBytes(bodies, load_signing_key(settings))
    smtp = Way(whole, ports.smtp_pool(settings))
    if settings.transport == "smtp":
        return lambda _: smtp
    provider = _provider(settings, bodies, whole)
    return lambda email: provider if isinstance(email.content, Composed) else smtp


def _provider(settings: Settings, bodies: Bodies, whole: MessageBytes) -> Way:
    # Their libraries take a tenth of a second to import, which an installation with SMTP need not wait for.
    if settings.transport == "ses":
        from gateway.providers.ses import Ses, ses_client

        client = ses_client(settings.ses_region, settings.smtp_connections, settings.smtp_timeout)
        return Way(whole, Ses(client, settings.smtp_connections, settings.ses_configuration_set))
    if settings.transport == "sendgrid":
        from gateway.providers.sendgrid import SendGrid

        key = ports.secret(settings.sendgrid_key_file, "ESPMAIL_SENDGRID_KEY_FILE")
        if not key:
            raise SettingsError("ESPMAIL_TRANSPORT is sendgrid; put the API key into a file and set ESPMAIL_SENDGRID_KEY_FILE to it")
        transport = SendGrid(SENDGRID_URL, key, settings.smtp_connections, settings.smtp_timeout)
        return Way(MessageBytes(bodies, write=sendgrid.payload), transport)
    raise SettingsError(f"ESPMAIL_TRANSPORT takes smtp, sendgrid or ses, not {settings.transport!r}")
