"""Unsubscribe links and preferences: the address of a signed token decides what mail it gets, without account or cookie.

Looking changes nothing, since mail scanners look (RFC 8058, section 5); a POST counts once Kafka has acknowledged it. The
address itself stands in no link and on no page.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http.answers import page
from gateway.http.guards import LimitBody
from gateway.http.world import World
from streams import topics
from streams.domain.outgoing.unsubscribe import BadToken, Unsubscribe, read_token
from streams.events import Resubscribed, Unsubscribed
from streams.ports import EVERY_PURPOSE
from streams.publisher import Record

ONE_CLICK = ("List-Unsubscribe", "One-Click")  # RFC 8058, section 3.1; our own button says the same
MAX_FIELDS = 20
MAX_FORM = 8192

# What a person may choose, in the page's words.
PURPOSES: Mapping[str, tuple[str, str]] = {
    "request": ("Announcements", "Messages from the organizers to everybody in a program"),
    "list": ("Class lists", "Mail to the classes that you are in"),
    "alias": ("Forwarded mail", "Mail to addresses of the site that are forwarded to you"),
}
# Why mail of every purpose is stopped, where the person did not ask for that.
STOPPED: Mapping[str, str] = {
    "hard_bounce": "Mail to this address came back as undeliverable, so we stopped sending any.",
    "soft_bounces": "Mail to this address kept coming back undelivered, so we stopped sending any.",
    "complaint": "Mail to this address was reported as spam, so we stopped sending any.",
}
STOPPED_OTHERWISE = "All mail to this address is stopped."


@dataclass(frozen=True, slots=True)
class Choice:
    """One purpose on the preferences page."""

    purpose: str
    title: str
    text: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """The handlers."""

    world: World

    async def ask(self, request: Request) -> Response:
        """The page behind the link in a mail: what the button would do."""
        said = self._said(request)
        return self._answer(request, said, stopped=self._reason(said, said.purpose) is not None)

    async def unsubscribe(self, request: Request) -> Response:
        """One click, by the mail program or by the page's button."""
        said = self._said(request)
        if (await form_of(request)).get(ONE_CLICK[0]) != ONE_CLICK[1]:
            raise HTTPException(400)
        await self._publish([self._unsubscribed(said, said.purpose, "one_click")])
        return self._answer(request, said, stopped=True, done=True)

    async def resubscribe(self, request: Request) -> Response:
        """The way back, from the same page."""
        said = self._said(request)
        await self._publish([self._resubscribed(said, purpose) for purpose in (said.purpose, *self._lifted(said))])
        return self._answer(request, said, stopped=False, done=True)

    async def preferences(self, request: Request) -> Response:
        """Each purpose with a box, ticked where this address gets that mail."""
        said = self._said(request)
        return self._choices(request, said, [purpose for purpose in PURPOSES if self._reason(said, purpose) is None])

    async def save(self, request: Request) -> Response:
        """What is ticked is wanted from now on, all else is not. Says each purpose anew: the page may be older than the last word."""
        said = self._said(request)
        form = await form_of(request)
        wanted = [purpose for purpose in PURPOSES if purpose in form]
        events: list[Any] = [self._resubscribed(said, purpose) for purpose in (*wanted, *(self._lifted(said) if wanted else ()))]
        events += [self._unsubscribed(said, purpose, "preferences") for purpose in PURPOSES if purpose not in wanted]
        await self._publish(events)
        return self._choices(request, said, wanted, saved=True)

    def _said(self, request: Request) -> Unsubscribe:
        try:
            return read_token(self.world.keyring, request.path_params["token"])
        except BadToken:
            raise HTTPException(404) from None

    def _reason(self, said: Unsubscribe, purpose: str) -> str | None:
        return self.world.suppression(said.address_hash, purpose)

    def _lifted(self, said: Unsubscribe) -> tuple[str, ...]:
        """Whoever asks for mail also takes back that all mail is stopped, by a bounce or a complaint."""
        return (EVERY_PURPOSE,) if self._reason(said, EVERY_PURPOSE) else ()

    def _unsubscribed(self, said: Unsubscribe, purpose: str, source: str) -> Unsubscribed:
        return Unsubscribed(str(uuid.uuid4()), self.world.now(), said.email_id, said.address_hash, purpose, source)

    def _resubscribed(self, said: Unsubscribe, purpose: str) -> Resubscribed:
        return Resubscribed(str(uuid.uuid4()), self.world.now(), said.address_hash, purpose, "person")

    async def _publish(self, events: Sequence[Unsubscribed | Resubscribed]) -> None:
        trace = uuid.uuid4().hex
        await self.world.publisher.publish([Record.of(topics.FEEDBACK, event.address_hash, event, trace) for event in events])

    def _answer(self, request: Request, said: Unsubscribe, *, stopped: bool, done: bool = False) -> Response:
        title = PURPOSES[said.purpose][0]
        return page("unsubscribe.html", token=request.path_params["token"], title=title, stopped=stopped, done=done)

    def _choices(self, request: Request, said: Unsubscribe, wanted: Sequence[str], *, saved: bool = False) -> Response:
        reason = None if saved else self._reason(said, EVERY_PURPOSE)
        choices = [Choice(purpose, title, text, purpose in wanted) for purpose, (title, text) in PURPOSES.items()]
        note = STOPPED.get(reason, STOPPED_OTHERWISE) if reason else ""
        return page("preferences.html", token=request.path_params["token"], choices=choices, note=note, saved=saved)


def routes(world: World) -> list[Route]:
    """Each link of a mail, and the pages behind it."""
    desk, small = Subscriptions(world), [Middleware(LimitBody, most=MAX_FORM)]
    return [
        Route("/unsubscribe/{token}", desk.ask),
        Route("/unsubscribe/{token}", desk.unsubscribe, methods=["POST"], middleware=small),
        Route("/resubscribe/{token}", desk.resubscribe, methods=["POST"], middleware=small),
        Route("/preferences/{token}", desk.preferences),
        Route("/preferences/{token}", desk.save, methods=["POST"], middleware=small),
    ]


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form, in either of its encodings (RFC 8058, section 3.2, asks for both). Raises HTTPException (400)."""
    try:
        async with request.form(max_files=0, max_fields=MAX_FIELDS) as form:
            return {name: value for name, value in form.items() if isinstance(value, str)}
    except MultiPartException:
        raise HTTPException(400) from None
