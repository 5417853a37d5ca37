"""What stands around every route: headers that browsers obey, a limit on the body's size, the bearer token of the API."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_S = 20.0  # for forms and webhooks: who sends slowly holds a connection, of which there are not many
SECURITY_HEADERS: Mapping[str, str] = {
    # Our pages load their style sheet and frame a public mail, nothing else; nobody frames them.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address of an unsubscribe page is a key
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class SecurityHeaders:
    """Sets each header that a response does not set itself; also on the responses to errors."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)


class LimitBody:
    """413 for a body of more than `most` bytes, as soon as that is known; 408 for one that is not whole within `within_s`."""

    def __init__(self, app: ASGIApp, most: int, within_s: float = BODY_S) -> None:
        self._app = app
        self._most = most
        self._within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken, until = 0, asyncio.get_running_loop().time() + self._within_s

        async def limited() -> Message:
            nonlocal taken, until
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408) from None
            if not message.get("more_body"):
                until = float("inf")  # what is asked for next is whether the client is still there
            taken += len(message.get("body", b""))
            if taken > self._most:
                raise HTTPException(413)
            return message

        said = Headers(scope=scope).get("content-length", "")
        if said.isdecimal() and int(said[:20]) > self._most:
            raise HTTPException(413)
        await self._app(scope, limited, send)


class Bearer:
    """401 for every request without the token (RFC 6750), whatever it asks for."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        said = f"{scheme.lower()} {given.strip()}".encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(said, self._expected):
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
        await self._app(scope, receive, send)
