"""The gateway with a publisher in memory, and a client of each kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.services.gateway import Client, Gateway, running_gateway
from tests.services.memory import MemoryPublisher


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of `espmail gateway`: its transports are not asyncio's own."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture
async def gateway(tmp_path: Path, publisher: MemoryPublisher) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path, publisher) as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: Gateway) -> Client:
    return await gateway.smtp()


@pytest.fixture
async def lmtp(gateway: Gateway) -> Client:
    return await gateway.lmtp()
