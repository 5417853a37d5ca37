"""The projections' database: SQLite or PostgreSQL behind one URL, opened and brought up to date.

On SQLite the file is shared by the projector and readers: write-ahead logging lets readers read on while it writes.
`synchronous=NORMAL` can lose the last transactions at a power cut, and with them their offsets: they are folded again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from streams.errors import UserError

MIGRATIONS = Path(__file__).parent / "migrations"
DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}  # the driver that is installed
# Never prepared: PostgreSQL keeps a prepared statement's plan, and one made for an empty table walks through the full one.
POSTGRESQL = {"connect_timeout": 10, "prepare_threshold": None}
PROGRAM_LIMIT = "54"  # SQLSTATE class of PostgreSQL: a key too long for its index, for one; it comes as an operational error
BUSY_TIMEOUT_S = 30
CACHE_KIB = 65_536  # SQLite's default of 2 MiB re-reads the index of random ids at a million rows
CHECKPOINT_PAGES = 8000  # 32 MiB of log: a page that many transactions changed is written back once
MIGRATION_LOCK = 7_377_001  # any number, the same in every release: two starting processes migrate one after the other


class DatabaseUnusable(UserError):
    """The database cannot be used; the message says which (without its password), why, and what to do."""


def open_engine(url: str) -> Engine:
    """An engine for the projections; nothing is connected yet. Raises DatabaseUnusable for a URL that names no database we know."""
    try:
        parsed = make_url(url)
        parsed = parsed.set(drivername=DRIVERS.get(parsed.drivername, parsed.drivername))
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_S}))
        return create_engine(parsed, connect_args=POSTGRESQL, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise DatabaseUnusable(f"ESPMAIL_DATABASE is no URL of SQLite or PostgreSQL: {error}") from None


def ensure_schema(engine: Engine) -> None:
    """Create the tables, or migrate them to this release. May be repeated, and by several processes at once.

    Raises DatabaseUnusable.
    """
    _make_folder(engine)
    with explained(engine), writing(engine) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        try:
            command.upgrade(alembic_config(connection), "head")
        except CommandError as error:
            raise DatabaseUnusable(f"{error}: a newer release has migrated the database; run that release") from None


def writing(engine: Engine) -> Connection:
    """A connection whose transactions mean to write."""
    return to_write(engine.connect())


def to_write(connection: Connection) -> Connection:
    """The same connection; on SQLite its transactions take the write lock when they begin from now on, not halfway."""
    return connection.execution_options(espmail_write=True)


def snapshot(engine: Engine) -> Connection:
    """A connection whose transactions see the tables as they were at their first read."""
    level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}  # SQLite does so anyway
    return engine.connect().execution_options(**level)


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """Raises DatabaseUnusable for what the database does wrong inside."""
    try:
        yield
    except Exception as error:
        if is_outage(engine, error):
            raise unusable(engine, error) from None
        raise


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for an open connection."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def is_outage(engine: Engine, error: BaseException) -> bool:
    """True if the database failed for reasons of its own (gone, locked, full, transactions in conflict), not of the data's."""
    raw, driver = getattr(error, "orig", error), engine.dialect.loaded_dbapi
    if not isinstance(raw, driver.Error) or isinstance(raw, (driver.DataError, driver.IntegrityError)):
        return False
    return (getattr(raw, "sqlstate", None) or "")[:2] != PROGRAM_LIMIT


def unusable(engine: Engine, error: BaseException) -> DatabaseUnusable:
    """One line for people: which database, and the driver's own words."""
    words = str(getattr(error, "orig", None) or error).strip().splitlines() or [repr(error)]
    url = engine.url.render_as_string(hide_password=True)
    return DatabaseUnusable(f"the database {url} cannot be used: {words[0]}; is it up, and is ESPMAIL_DATABASE right?")


def _make_folder(engine: Engine) -> None:
    if engine.dialect.name == "sqlite" and engine.url.database not in (None, "", ":memory:"):
        try:
            Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(engine, error) from None


def _sqlite(engine: Engine) -> Engine:
    """Python's sqlite3 opens transactions by guessing from the statement; here SQLAlchemy's begin opens them."""

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        wants_write = connection.get_execution_options().get("espmail_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if wants_write else "BEGIN")

    return engine
