"""The HTTP gateway in this process, with a publisher that keeps what it was given and tables in a file of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine

from gateway.http.app import build
from gateway.http.world import World
from projections.database import ensure_schema, open_engine
from projections.tables import message_request
from streams import codec
from streams.domain.addresses import address_hash
from streams.domain.outgoing.policy import Policy
from streams.domain.outgoing.request import parse_request
from streams.domain.outgoing.unsubscribe import make_token
from streams.errors import UserError
from streams.events import MessageRequest
from tests.services.memory import MemoryPublisher
from tests.services.outgoing import KEYRING

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TOKEN = "a" * 43
MOST = 1_000_000
ANN = address_hash("ann@x.org")
EMAIL_ID = "3b1f0a9e-1111-5222-8333-000000000001"


def link_token(purpose: str = "request", address: str = "ann@x.org") -> str:
    """What stands in the unsubscribe link of a mail to that address."""
    return make_token(KEYRING, address_hash(address), purpose, EMAIL_ID)


@dataclass
class Web:
    """The application, and what it sees of the world: `suppressed` by (address hash, purpose), `taken` ids, `heads` of requests, `mails` that came in."""

    engine: Engine
    publisher: MemoryPublisher = field(default_factory=MemoryPublisher)
    suppressed: dict[tuple[str, str], str] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    heads: list[MessageRequest] = field(default_factory=list)
    mails: dict[int, bytes] = field(default_factory=dict)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.app = build(self.world, MOST)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://espmail.test")
        self.api = httpx.AsyncClient(transport=transport, base_url="http://espmail.test", headers={"Authorization": f"Bearer {TOKEN}"})

    @property
    def world(self) -> World:
        return World(
            publisher=self.publisher,
            engine=self.engine,
            keyring=KEYRING,
            policy=Policy(),
            token=TOKEN,
            suppression=lambda hashed, purpose: self.suppressed.get((hashed, purpose)) or self.suppressed.get((hashed, "*")),
            taken=lambda request_id: self.taken.get(request_id, ""),
            head=lambda _, offset: self.heads[offset],
            content=lambda _, offset: self.content(offset),
            now=lambda: self.now,
        )

    @property
    def kept(self) -> list[Any]:
        """The events that were published."""
        return [codec.decode(record.value) for record in self.publisher.records]

    def content(self, offset: int) -> bytes:
        """The inbound mail that stands there. Raises UserError, as Kafka's reader does, where none does."""
        if offset not in self.mails:
            raise UserError(f"no record stands at {offset}")
        return self.mails[offset]

    def stands(self, document: dict[str, Any], **columns: Any) -> None:
        """The request's row in the tables, and its head where the row says."""
        request = parse_request(document, self.now).request
        self.heads.append(request)
        row = {
            "request_id": request.request_id,
            "state": "finished",
            "public": request.public,
            "subject": request.subject,
            "expanded_at": self.now,
            "head_partition": 0,
            "head_offset": len(self.heads) - 1,
            **columns,
        }
        with self.engine.begin() as connection:
            connection.execute(message_request.insert(), row)

    async def close(self) -> None:
        await self.client.aclose()
        await self.api.aclose()
        self.engine.dispose()


def web_in(folder: Path) -> Web:
    engine = open_engine(f"sqlite:///{folder / 'tables.sqlite'}")
    ensure_schema(engine)
    return Web(engine)
