"""The page behind the link in a moderator's notice: the mail that waits, and two buttons.

Looking changes nothing, since mail scanners look. A POST counts once Kafka has acknowledged it; of several words about one
mail route obeys the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http.answers import page
from gateway.http.guards import LimitBody
from gateway.http.subscriptions import form_of
from gateway.http.world import World
from projections import queries
from streams import topics
from streams.domain.outgoing.unsubscribe import BadToken
from streams.domain.routing import words
from streams.domain.routing.authentication import in_words, judgement_of
from streams.domain.routing.fields import canonical, scan, text_of
from streams.domain.routing.moderation import Said, read_token
from streams.domain.routing.notices import MAX_NOTE
from streams.errors import UserError
from streams.events import InboundApproved, InboundRejected
from streams.publisher import Record

SHOWN_FIELDS = ("From", "To", "Cc", "Subject", "Date")
SHOWN_BODY = 4_000  # bytes
SHOWN_VALUE = 1_000  # characters
MAX_FORM = 16_384

# The button -> (the event, what the page says then).
DECISIONS: Mapping[str, tuple[Callable[[str, datetime, str, str], Any], str]] = {
    "approve": (InboundApproved, "approved"),
    "reject": (InboundRejected, "rejected"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """The beginning of a mail, for a person to judge."""

    fields: list[tuple[str, str]]
    body: str
    cut: bool


@dataclass(frozen=True, slots=True)
class Moderation:
    """The handlers."""

    world: World

    async def look(self, request: Request) -> Response:
        """The mail, with its buttons while nobody has decided."""
        mail = await self._mail(self._said(request))
        return page(
            "moderation.html",
            token=request.path_params["token"],
            mail=mail,
            vouched=in_words(judgement_of(mail["judged"])),
            waits=_waits(mail),
            shown=await self._shown(mail) if _waits(mail) else None,
            max_note=MAX_NOTE,
        )

    async def decide(self, request: Request) -> Response:
        """One of the buttons; `note` is kept beside the mail and, of a rejection, told to a known sender."""
        said, form = self._said(request), await form_of(request)
        decision, note = DECISIONS.get(form.get("decision", "")), form.get("note", "").strip()
        if decision is None or len(note) > MAX_NOTE:
            raise HTTPException(400)
        if not _waits(await self._mail(said)):
            return await self.look(request)
        event, word = decision
        record = Record.of(topics.MODERATION, said.inbound_id, event(said.inbound_id, self.world.now(), f"link in {said.email_id}", note))
        await self.world.publisher.publish([record])
        return page("message.html", title=f"The mail is {word}", advice="Thank you. You can close this page.")

    def _said(self, request: Request) -> Said:
        try:
            return read_token(self.world.keyring, request.path_params["token"])
        except BadToken:
            raise HTTPException(404) from None

    async def _mail(self, said: Said) -> queries.Row:
        """The mail's row. A genuine link to a mail without one came faster than the tables: 503."""
        row = await self.world.ask(lambda connection: queries.inbound(connection, said.inbound_id))
        if row is None or row["decision"] is None:
            raise HTTPException(503)
        return row

    async def _shown(self, mail: queries.Row) -> Shown | None:
        """None where the mail itself is no longer kept where all mail is; its envelope is on the page all the same."""
        if mail["mail_offset"] is None:
            return None
        try:
            content = await asyncio.to_thread(self.world.content, mail["mail_partition"], mail["mail_offset"])
        except UserError:
            return None
        return shown(canonical(content))


def shown(content: bytes) -> Shown:
    """What the page shows of a canonical content."""
    head = scan(content)
    found = [(name, field) for name in SHOWN_FIELDS for field in head.all(name.lower())]
    fields = [(name, words.decoded(field.text)[:SHOWN_VALUE]) for name, field in found]
    body = content[head.body_start :]
    return Shown(fields, text_of(body[:SHOWN_BODY]), len(body) > SHOWN_BODY)


def routes(world: World) -> list[Route]:
    """The link's page, and its buttons."""
    desk = Moderation(world)
    return [
        Route("/moderation/{token}", desk.look),
        Route("/moderation/{token}", desk.decide, methods=["POST"], middleware=[Middleware(LimitBody, most=MAX_FORM)]),
    ]


def _waits(mail: queries.Row) -> bool:
    return queries.waits_for_moderator(mail)
