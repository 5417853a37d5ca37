"""Fixtures that several test folders share. Real servers start once a session, on free ports of loopback.

`kafka`         the real broker, one a session; its topics stand, with whatever earlier tests left on them
`fresh_topics`  the same broker with every declared topic deleted and made anew, and an `app` (the prefix of all
                consumer groups) and a var folder of the test's own: use it where records are counted
`postgres`      a real PostgreSQL 15, one a session
`postgres_url`  the SQLAlchemy URL of an empty database on it, one a test
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.broker import Broker
from streams import admin
from streams.settings import Settings
from tests.services.ports import HOST, free_ports
from tests.services.postgres import Postgres

ROOT = Path(__file__).parent.parent
JARS = ROOT / "var" / "kafka" / "jars"  # those of the checkout: fetched once, not once a session


# Tests delete topics: an installation that the developer's shell names must be out of their reach.
for name in [name for name in os.environ if name.startswith("ESPMAIL_")]:
    del os.environ[name]

# A shell's job in the background ignores Ctrl-C, and so would everything that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings that name a running embedded broker of this session, with all topics."""
    port = free_ports(2)
    settings = Settings(kafka_port=port, var=tmp_path_factory.mktemp("var"), jars=str(JARS))
    with Broker(settings):
        admin.apply(settings)
        yield replace(settings, kafka=f"{HOST}:{port}")


@pytest.fixture
def fresh_topics(kafka: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings of the test's own on the session's broker, with empty topics. Stop everything that reads them before the test ends."""
    settings = replace(kafka, app=f"test-{uuid.uuid4().hex[:8]}", var=tmp_path)
    admin.delete(settings)
    admin.apply(settings)
    yield settings
    if admin.changes(kafka):
        admin.delete(kafka)
        admin.apply(kafka)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    return postgres.new_database()
