"""What agents reach the world through, built once a process from the settings."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gateway.smtp_pool import Access, SmtpPool
from streams import topics
from streams.publisher import KafkaPublisher
from streams.settings import Settings, SettingsError
from streams.state.table import TopicTables
from streams.window import stop_the_world

EVERY_PURPOSE = "*"
LINGER_MS = 5.0


def now() -> datetime:
    """The clock of the shells; the domain is handed its readings."""
    return datetime.now(UTC)


def owner() -> str:
    """A name for this process in events, never used twice."""
    return f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def publisher(settings: Settings) -> KafkaPublisher:
    """The agents': what a window of records says goes in few requests, for each costs the broker and us more than a record."""
    return KafkaPublisher(settings.bootstrap, linger_ms=LINGER_MS, on_fatal=stop_the_world)


def smtp_pool(settings: Settings) -> SmtpPool:
    """Raises SettingsError for a TLS policy that there is not, or a password file that cannot be read."""
    if settings.mta_tls not in ("opportunistic", "required", "off"):
        raise SettingsError(f"ESPMAIL_MTA_TLS takes opportunistic, required or off, not {settings.mta_tls!r}")
    access = Access(settings.mta_tls, settings.mta_user, secret(settings.mta_password_file, "ESPMAIL_MTA_PASSWORD_FILE"))
    return SmtpPool(settings.mta_endpoints, settings.smtp_connections, settings.smtp_timeout, access)


def secret(path: str, setting: str) -> str:
    """What a file holds, trimmed; empty where no file is named. Raises SettingsError with the setting's name."""
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{setting}: {error}") from None


def controls(tables: TopicTables) -> Callable[[str | None], str]:
    """How to ask for the current say over a request; `running` where nobody said anything."""
    rows = tables.rows(topics.REQUEST_CONTROLS)

    def control(request_id: str | None) -> str:
        row = rows.get(request_id.encode()) if request_id else None
        return row.state if row else "running"

    return control


def suppression_key(hashed: str, purpose: str) -> bytes:
    """The record key of a suppression: an address's hash and what it is suppressed for."""
    return f"{hashed}:{purpose}".encode()


def suppressions(tables: TopicTables) -> Callable[[str, str], str | None]:
    """How to ask why an address, given by its hash, gets no mail of a purpose; none if it does."""
    rows = tables.rows(topics.SUPPRESSIONS)

    def reason(hashed: str, purpose: str) -> str | None:
        for one in (purpose, EVERY_PURPOSE):
            row = rows.get(suppression_key(hashed, one))
            if row is not None and row.suppressed:
                return str(row.reason)
        return None

    return reason
