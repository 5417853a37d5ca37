"""`web`: the HTTP gateway in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.services.web import Web, web_in


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    site = web_in(tmp_path)
    yield site
    await site.close()
