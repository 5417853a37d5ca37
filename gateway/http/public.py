"""The public page of a request (spec 2.8): what it says, to anybody, once it has gone out; 404 for every other request.

The text stands in a frame of its own that may run nothing and load nothing, whatever its author wrote.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import nh3
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http.answers import page
from gateway.http.requests import named
from gateway.http.world import World
from projections import queries
from streams.domain.outgoing.problems import RequestRefused
from streams.domain.outgoing.public_view import public_view
from streams.domain.outgoing.rendering import Rendered
from streams.domain.outgoing.templates import RenderFault

FRESH = timedelta(seconds=180)
KEPT = 64
CACHED = {"Cache-Control": f"public, max-age={FRESH.seconds}"}
IN_FRAME = {
    "Content-Security-Policy": "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:;"
    " style-src 'unsafe-inline'; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
}
HIDDEN = frozenset({"rejected", "cancelled", "cancelling"})
# What mail programs understand of style attributes, none of which places or loads anything.
STYLES = {
    "background-color", "border", "border-collapse", "border-color", "border-style", "border-width", "color", "font-family", "font-size",
    "font-style", "font-weight", "line-height", "list-style-type", "margin", "padding", "text-align", "text-decoration", "vertical-align",
    "width",
}  # fmt: skip
ATTRIBUTES = {**nh3.ALLOWED_ATTRIBUTES, "*": {"style"}}


@dataclass(frozen=True, slots=True)
class Shown:
    """A public request, rendered."""

    text: Rendered
    created_at: datetime
    until: datetime


@dataclass(slots=True)
class Public:
    """The handlers, with what they rendered lately."""

    world: World
    _kept: OrderedDict[str, Shown] = field(default_factory=OrderedDict)

    async def read(self, request: Request) -> Response:
        """Subject and date, and the frame for the text."""
        request_id = named(request)
        shown = await self._shown(request_id)
        answer = page("email.html", subject=shown.text.subject, created_at=shown.created_at, request_id=request_id)
        answer.headers.update(CACHED)
        return answer

    async def body(self, request: Request) -> Response:
        """The text alone, for the frame."""
        text = (await self._shown(named(request))).text
        answer = page("text.html", text=text.text if text.html is None else Markup(cleaned(text.html)), plain=text.html is None)  # noqa: S704 - cleaned
        answer.headers.update(CACHED | IN_FRAME)
        return answer

    async def _shown(self, request_id: str) -> Shown:
        found, now = self._kept.get(request_id), self.world.now()
        if found is None or found.until <= now:
            found = await self._rendered(request_id, now)
            self._kept[request_id] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    async def _rendered(self, request_id: str, now: datetime) -> Shown:
        status = await self.world.ask(lambda connection: queries.request_status(connection, request_id))
        row = status.request if status else {}
        if not row.get("public") or row["expanded_at"] is None or row["state"] in HIDDEN:
            raise HTTPException(404)
        request = await asyncio.to_thread(self.world.head, row["head_partition"], row["head_offset"])
        try:
            text = await asyncio.to_thread(public_view, request, now, self.world.policy)
        except (RequestRefused, RenderFault):
            raise HTTPException(404) from None
        return Shown(text, request.created_at, now + FRESH)


def routes(world: World) -> list[Route]:
    """The page and its frame."""
    desk = Public(world)
    return [Route("/email/{request_id}", desk.read), Route("/email/{request_id}/text", desk.body)]


def cleaned(html: str) -> str:
    """The HTML without anything that runs, loads, submits or covers; links open beside the page and tell nobody where from."""
    return nh3.clean(html, attributes=ATTRIBUTES, filter_style_properties=STYLES, set_tag_attribute_values={"a": {"target": "_blank"}})
