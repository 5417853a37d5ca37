"""What the HTTP gateway reaches the world through, built once a process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, Engine

from streams.domain.outgoing.policy import Policy
from streams.domain.outgoing.unsubscribe import Keyring
from streams.events import MessageRequest
from streams.publisher import Publisher

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """`suppression(address_hash, purpose)` says why that mail is stopped, `taken(request_id)` which content has the id ('' for none).

    `head(partition, offset)` reads a request where the tables say that it stands, and `content(partition, offset)` an inbound
    mail; they block, and raise UserError.
    """

    publisher: Publisher
    engine: Engine
    keyring: Keyring
    policy: Policy
    token: str = field(repr=False)
    suppression: Callable[[str, str], str | None]
    taken: Callable[[str], str]
    head: Callable[[int, int], MessageRequest]
    content: Callable[[int, int], bytes]
    now: Callable[[], datetime]

    async def ask(self, question: Callable[[Connection], T]) -> T:
        """The answer of a query of projections/queries.py, off the event loop. Raises SQLAlchemyError."""
        return await asyncio.to_thread(self._ask, question)

    def _ask(self, question: Callable[[Connection], T]) -> T:
        with self.engine.connect() as connection:
            return question(connection)
