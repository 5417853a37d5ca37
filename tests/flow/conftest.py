"""`installation`: a whole espmail with an MTA that captures, one a module: it starts in about five seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.settings import Settings
from tests.services.inbound import world
from tests.services.installation import Installation, installed


@pytest.fixture(scope="module")
def installation(kafka: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """It knows the world of spec 9 (tests/golden/inbound_world.json)."""
    with installed(kafka, tmp_path_factory.mktemp("installation")) as one:
        one.load(world())
        yield one
