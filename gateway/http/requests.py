"""Message requests over HTTP: hand in, follow, stop, let go. 202 means durable (G1)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.http.documents import BadDocument, read_json, worked_out
from gateway.http.world import World
from projections import queries
from streams import topics
from streams.domain.outgoing.people import MAX_ID
from streams.domain.outgoing.request import ID
from streams.domain.verdicts import one_line
from streams.events import (
    MessageRequest,
    MessageRequestApproved,
    MessageRequestCancelled,
    MessageRequestPaused,
    MessageRequestResumed,
)
from streams.publisher import Record
from streams.submission import submission

KEPT_IDS = 10_000
NOBODY_SAID = "api"

# The last part of the path -> the event; beside id and instant it is told by whom, and why.
SAYINGS: Mapping[str, Callable[[str, datetime, str, str], Any]] = {
    "cancel": MessageRequestCancelled,
    "pause": lambda request_id, at, by, _: MessageRequestPaused(request_id, at, by),
    "resume": lambda request_id, at, by, _: MessageRequestResumed(request_id, at, by),
    "approve": lambda request_id, at, by, _: MessageRequestApproved(request_id, at, by),
}


@dataclass(slots=True)
class Requests:
    """The handlers. `room` limits how many big documents are in memory."""

    world: World
    room: asyncio.Semaphore
    _taken: OrderedDict[str, str] = field(default_factory=OrderedDict)  # what this process handed in, until the table has it

    async def submit(self, request: Request) -> Response:
        """202 when every record is acknowledged. The same document again is the same request: it completes what a 503 left open."""
        async with self.room:
            handed_in = await worked_out(request, lambda document: submission(document, self.world.now(), self.world.policy))
            if self._conflicts(handed_in.request):
                return JSONResponse({"outcome": "conflict", "request_id": handed_in.request.request_id, "reason": "taken_id"}, 409)
            await self.world.publisher.publish(handed_in.records)
        self._take(handed_in.request)
        return JSONResponse(
            {
                "outcome": "accepted",
                "request_id": handed_in.request.request_id,
                "people": handed_in.request.recipients_total,
                "records": len(handed_in.records),
                "warnings": list(handed_in.warnings),
            },
            202,
        )

    async def status(self, request: Request) -> Response:
        """The request's row, and how many of its emails are in each status; 404 until the tables know it."""
        request_id = named(request)
        found = await self.world.ask(lambda connection: queries.request_status(connection, request_id))
        if found is None:
            raise HTTPException(404)
        return JSONResponse(_plain({**found.request, "counts": found.counts, "finished_at": found.finished_at}))

    async def say(self, word: str, request: Request) -> Response:
        """Cancel, pause, resume or approve; optional in the body: {"by", "reason"}. It counts even before the request is known."""
        request_id = named(request)
        by, reason = _words(await request.body())
        event = SAYINGS[word](request_id, self.world.now(), by, reason)
        await self.world.publisher.publish([Record.of(topics.MESSAGE_REQUESTS, request_id, event)])
        return JSONResponse({"outcome": "accepted", "request_id": request_id, "said": word, "by": by}, 202)

    def _conflicts(self, request: MessageRequest) -> bool:
        """As far as this process can know; expansion decides, and records it (RequestConflicted)."""
        taken = self.world.taken(request.request_id) or self._taken.get(request.request_id, "")
        return taken not in ("", request.content_hash)

    def _take(self, request: MessageRequest) -> None:
        self._taken[request.request_id] = request.content_hash
        while len(self._taken) > KEPT_IDS:
            self._taken.popitem(last=False)


def named(request: Request) -> str:
    """The request's id in the path. Raises HTTPException (404) for what can be none."""
    text: str = request.path_params["request_id"]
    if len(text) > MAX_ID or not ID.fullmatch(text):
        raise HTTPException(404)
    return text


def _words(body: bytes) -> tuple[str, str]:
    """Who says so, and why. Raises BadDocument."""
    said = read_json(body) if body.strip() else {}
    if not isinstance(said, dict) or not all(isinstance(said.get(name, ""), str) for name in ("by", "reason")):
        raise BadDocument('send nothing, or an object such as {"by": "ada", "reason": "wrong date"}')
    return one_line(said.get("by", "")) or NOBODY_SAID, one_line(said.get("reason", ""))


def _plain(value: Any) -> Any:
    """The same in JSON's types; instants in ISO 8601."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value.isoformat() if isinstance(value, datetime) else value
