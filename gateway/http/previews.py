"""A request looked at before it is sent: any recipient's mails as they would be, or one mail to whoever tries it out."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.http.documents import BadDocument, worked_out
from gateway.http.world import World
from streams import topics
from streams.domain.outgoing.dry_run import dry_run, row
from streams.domain.outgoing.expansion import Facts
from streams.domain.outgoing.request import Parsed, parse_request
from streams.domain.outgoing.trial import for_person, trial
from streams.events import EmailQueued
from streams.publisher import Record


@dataclass(frozen=True, slots=True)
class Previews:
    """The handlers. `room` limits how many big documents are in memory."""

    world: World
    room: asyncio.Semaphore

    async def preview(self, request: Request) -> Response:
        """For {"request", "user_id"}: that recipient's mails, as `request dry-run` has them. Keeps and sends nothing."""
        async with self.room:
            return JSONResponse(await worked_out(request, self._preview))

    async def test(self, request: Request) -> Response:
        """For {"request", "to", "user_id"}: one mail to `to` alone, with that recipient's text, or the creator's if none is named."""
        async with self.room:
            email = await worked_out(request, self._trial)
        await self.world.publisher.publish([Record.of(topics.EMAILS_URGENT, email.email_id, email)])
        return JSONResponse({"outcome": "accepted", "email_id": email.email_id, "to": email.recipient}, 202)

    def _preview(self, document: Any) -> dict[str, Any]:
        parsed, now = self._parsed(document), self.world.now()
        alone = Parsed(for_person(parsed.request, str(document.get("user_id"))), parsed.warnings)
        facts = Facts(lambda hashed: self.world.suppression(hashed, "request"), self.world.keyring)
        run = dry_run(alone, facts, now, self.world.policy, Counter())
        return {"messages": [row(line, run.checked) for line in run.lines], "warnings": list(parsed.warnings)}

    def _trial(self, document: Any) -> EmailQueued:
        parsed, user_id = self._parsed(document), document.get("user_id")
        to, who = str(document.get("to") or ""), None if user_id is None else str(user_id)
        return trial(parsed.request, to, who, self.world.now(), self.world.policy)

    def _parsed(self, document: Any) -> Parsed:
        if not isinstance(document, dict) or "request" not in document:
            raise BadDocument('send an object such as {"request": {...}, "user_id": "1"}')
        return parse_request(document["request"], self.world.now(), self.world.policy)
