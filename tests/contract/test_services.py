"""The tests' own servers do what the tests that use them assume."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.services.postgres import Postgres


@pytest.mark.postgres
def test_postgres_keeps_what_was_committed_through_a_crash(postgres: Postgres, postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE kept (n int)"))
        connection.execute(sa.text("INSERT INTO kept VALUES (1)"))
    postgres.crash()
    postgres.start()
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT n FROM kept")).scalar() == 1
        assert str(connection.execute(sa.text("SHOW server_version")).scalar()).startswith("15")
