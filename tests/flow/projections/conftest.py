"""Each test here runs twice: on SQLite and on PostgreSQL, unless it is about one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from projections import database
from streams.settings import Settings

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=DATABASES)
def settings(request: pytest.FixtureRequest, fresh_topics: Settings) -> Settings:
    """Empty topics and an empty database."""
    return fresh_topics if request.param == "sqlite" else replace(fresh_topics, database=request.getfixturevalue("postgres_url"))


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    opened = database.open_engine(settings.database_url)
    database.ensure_schema(opened)
    yield opened
    opened.dispose()
