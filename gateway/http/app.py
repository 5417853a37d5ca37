"""The HTTP gateway as one ASGI application: every route, and what stands around all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp

from gateway.http import answers, moderation, public, subscriptions
from gateway.http.documents import BadDocument
from gateway.http.guards import Bearer, LimitBody, SecurityHeaders
from gateway.http.previews import Previews
from gateway.http.requests import SAYINGS, Requests
from gateway.http.world import World
from streams.domain.outgoing.dry_run import rejection
from streams.domain.outgoing.problems import RequestRefused
from streams.errors import UserError
from streams.publisher import PublishFailed

BIG_AT_ONCE = 2  # request documents in memory; the next ones wait
MAX_SMALL = 65_536
UPLOAD_S = 300.0


def build(world: World, most: int, webhooks: Sequence[BaseRoute] = ()) -> ASGIApp:
    """`most` bytes is the largest request document; `webhooks` are the routes of gateway/webhooks.py that are configured."""
    app = Starlette(
        routes=[*routes(world, most), *webhooks],
        exception_handlers={
            HTTPException: answers.on_http_error,
            BadDocument: _on_bad_document,
            RequestRefused: _on_refused,
            PublishFailed: answers.on_publish_failed,
            SQLAlchemyError: answers.on_outage,
            UserError: answers.on_outage,
            Exception: answers.on_bug,
        },
    )
    app.router.redirect_slashes = False  # it would send people, links and tokens wherever the Host field says, without TLS
    return SecurityHeaders(app)


def routes(world: World, most: int) -> list[BaseRoute]:
    """Everything that is there in every installation (docs/http.md)."""
    return [
        Route("/healthz", _healthy),
        Route("/style.css", answers.stylesheet),
        *subscriptions.routes(world),
        *public.routes(world),
        *moderation.routes(world),
        api(world, most),
    ]


def api(world: World, most: int) -> Mount:
    """Everything below /v1, all of it behind the token."""
    room = asyncio.Semaphore(BIG_AT_ONCE)
    requests, previews = Requests(world, room), Previews(world, room)
    big, small = [Middleware(LimitBody, most=most, within_s=UPLOAD_S)], [Middleware(LimitBody, most=MAX_SMALL)]
    found = [
        Route("/requests", requests.submit, methods=["POST"], middleware=big),
        Route("/preview", previews.preview, methods=["POST"], middleware=big),
        Route("/test", previews.test, methods=["POST"], middleware=big),
        Route("/requests/{request_id}", requests.status),
        *(Route(f"/requests/{{request_id}}/{word}", partial(requests.say, word), methods=["POST"], middleware=small) for word in SAYINGS),
    ]
    return Mount("/v1", Router(found, redirect_slashes=False), middleware=[Middleware(Bearer, token=world.token)])


async def _healthy(_: Request) -> Response:
    """The process answers; whether Kafka does is said by the routes that need it."""
    return JSONResponse({"status": "ok"})


async def _on_bad_document(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


async def _on_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)
    return JSONResponse(rejection(error.refused), 422)
