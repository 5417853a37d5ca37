"""What an installation needs, asked one by one: each check says what it found, or what is wrong and how to mend it."""

from __future__ import annotations

import shutil
import smtplib
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streams.errors import UserError
from streams.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

TIMEOUT_S = 5.0
FREE_BYTES = 1 << 30
MOST_COUNTED = 10_000
NOT_KNOWN = "not known without the database"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check; `text` of a wrong one is what is wrong; then, behind a semicolon, what to do."""

    name: str
    ok: bool
    text: str


def check_up(settings: Settings) -> list[Finding]:
    """All checks, in order. Changes nothing; blocks for some seconds where something does not answer."""
    return [_finding(name, check, settings) for name, check in CHECKS]


def _finding(name: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(name, True, check(settings))
    except UserError as error:
        return Finding(name, False, str(error))


def _disk(settings: Settings) -> str:
    folder = settings.var if settings.var.exists() else settings.var.absolute().parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise UserError(
            f"the folder of {settings.var} cannot be looked at ({error.strerror}); set ESPMAIL_VAR to one that exists"
        ) from None
    if free < FREE_BYTES:
        raise UserError(f"the disk of {settings.var} has only {free >> 20} MB left; free some space, or set ESPMAIL_VAR to another disk")
    return f"{free >> 30} GB free for {settings.var}"


def _java(settings: Settings) -> str:
    from deploy import preflight

    return f"{settings.kafka} is used, none needed" if settings.kafka else str(preflight.java())


def _kafka(settings: Settings) -> str:
    from streams import admin

    admin.connect(settings.bootstrap)
    return f"answers at {settings.bootstrap}"


def _topics(settings: Settings) -> str:
    from streams import admin

    admin.require(settings)
    return "as declared in schemas/topics.yaml"


def _database(settings: Settings) -> str:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy.exc import DBAPIError

    from projections.database import alembic_config, open_engine, unusable

    engine = open_engine(settings.database_url)
    shown = engine.url.render_as_string(hide_password=True)
    if _is_missing(engine):
        raise UserError(f"{shown} is not there yet; `espmail project` makes it")
    try:
        with engine.connect() as connection:
            stands = MigrationContext.configure(connection).get_current_revision()
            newest = ScriptDirectory.from_config(alembic_config(connection)).get_current_head()
    except DBAPIError as error:
        raise unusable(engine, error) from None
    finally:
        engine.dispose()
    if stands != newest:
        raise UserError(f"{shown} is at version {stands or 'none'}, this release is at {newest}; `espmail project` migrates it")
    return f"{shown} at version {stands}"


def _is_missing(engine: Engine) -> bool:
    """True for a SQLite file that is not there; to connect would make it."""
    return engine.url.get_backend_name() == "sqlite" and not Path(str(engine.url.database)).exists()


def _left_over(settings: Settings) -> str:
    """Doubts wait for somebody; dead letters may have been left on purpose, so they are only told of."""
    from sqlalchemy.exc import DBAPIError

    from projections import queries
    from projections.database import open_engine

    engine = open_engine(settings.database_url)
    if _is_missing(engine):
        return NOT_KNOWN
    try:
        with engine.connect() as connection:
            doubts = len(queries.doubts(connection, MOST_COUNTED))
            letters = [letter for letter in queries.dead_letters(connection, MOST_COUNTED) if letter["replayed_at"] is None]
    except DBAPIError:
        return NOT_KNOWN  # what is wrong with it is said beside
    finally:
        engine.dispose()
    if doubts:
        raise UserError(
            f"mails in doubt: {doubts}; `espmail doubts list` shows them, `espmail doubts reconcile` settles them by the MTA's log"
        )
    return f"no mails in doubt; dead letters that were not replayed: {len(letters)}" + (" (`espmail dead-letters list`)" if letters else "")


def _mta(settings: Settings) -> str:
    for host, port in settings.mta_endpoints:
        try:
            with smtplib.SMTP(host, port, timeout=TIMEOUT_S) as mta:
                mta.noop()
        except (OSError, smtplib.SMTPException) as error:
            raise UserError(f"no MTA answers at {host}:{port} ({error}); start it, or set ESPMAIL_MTA") from None
    return f"answers at {settings.mta}"


def _unsubscribe_key(settings: Settings) -> str:
    from gateway import keys

    path = settings.var / keys.NAME
    if not path.exists():
        return "made at the first start"
    try:
        count = len(keys.load_keyring(settings.var).secrets)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); run as the user who owns it, or mend the owner") from None
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UserError(f"others on this machine can read {path}; run chmod 600 {path}")
    return f"{count} in {path}"


CHECKS: tuple[tuple[str, Callable[[Settings], str]], ...] = (
    ("disk", _disk),
    ("java", _java),
    ("kafka", _kafka),
    ("topics", _topics),
    ("database", _database),
    ("left over", _left_over),
    ("mta", _mta),
    ("unsubscribe key", _unsubscribe_key),
)
