"""What mail providers report to us over HTTP: SendGrid's signed event webhook, SES through SNS.

A 2xx means that the feedback is durable; 503 makes the provider come again. What is not genuine changes nothing and gets
a constant answer.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.answered import body_of
from gateway.http.guards import BODY_S
from streams import topics
from streams.domain import sendgrid_events, sns
from streams.publisher import Publisher, PublishFailed, Record

MAX_BODY = 4 * 2**20  # SendGrid posts up to 768 kB; more is somebody else
MAX_CERTIFICATE = 65_536
FETCH_S = 10.0
KEPT_CERTIFICATES = 8

Fetch = Callable[[str], Awaitable[bytes]]


@dataclass(slots=True)
class Webhooks:
    """`sendgrid_key` is the webhook's public key, '' for none; `topic_arns` are the SNS topics that may speak to us."""

    publisher: Publisher
    now: Callable[[], datetime]
    sendgrid_key: str = ""
    topic_arns: frozenset[str] = frozenset()
    fetch: Fetch = field(default_factory=lambda: fetched)
    _certificates: dict[str, bytes] = field(default_factory=dict)

    def routes(self) -> list[Route]:
        return [
            Route("/webhooks/sendgrid", self.sendgrid, methods=["POST"]),
            Route("/webhooks/sns", self.sns, methods=["POST"]),
        ]

    async def sendgrid(self, request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _too_large()
        signature = request.headers.get("X-Twilio-Email-Event-Webhook-Signature", "")
        timestamp = request.headers.get("X-Twilio-Email-Event-Webhook-Timestamp", "")
        if not self.sendgrid_key or not sendgrid_events.genuine(self.sendgrid_key, signature, timestamp, body, self.now()):
            return _refused()
        try:
            return await self._kept(sendgrid_events.read_events(body))
        except ValueError:
            return PlainTextResponse("not a list of events\n", 400)

    async def sns(self, request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _too_large()
        message = _object(body)
        # Anybody can have a topic of their own, and SNS signs for it as well.
        if str(message.get("TopicArn")) not in self.topic_arns:
            return _refused()
        try:
            url = sns.certificate_url(message)
            certificate = self._certificates.get(url) or await self.fetch(url)
            if not sns.genuine(message, certificate):
                return _refused()
            self._keep(url, certificate)
            if message["Type"] == "SubscriptionConfirmation":
                await self.fetch(sns.subscribe_url(message))
                return Response(status_code=204)
        except ValueError:
            return _refused()
        except (OSError, TimeoutError, aiohttp.ClientError):
            return PlainTextResponse("cannot check this now\n", 503)
        return await self._kept(sns.read_event(message))

    async def _kept(self, events: Sequence[sendgrid_events.Feedback]) -> Response:
        trace = uuid.uuid4().hex
        try:
            await self.publisher.publish([Record.of(topics.FEEDBACK, event.address_hash, event, trace) for event in events])
        except PublishFailed:
            return PlainTextResponse("cannot keep this now\n", 503)
        return Response(status_code=204)

    def _keep(self, url: str, certificate: bytes) -> None:
        """Only what has proven a message: half an answer would else refuse all that come."""
        while url not in self._certificates and len(self._certificates) >= KEPT_CERTIFICATES:
            del self._certificates[next(iter(self._certificates))]
        self._certificates[url] = certificate


async def fetched(url: str) -> bytes:
    """What a GET of this URL answers, at most MAX_CERTIFICATE bytes. Raises aiohttp.ClientError or TimeoutError."""
    timeout = aiohttp.ClientTimeout(total=FETCH_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, allow_redirects=False) as response:
        response.raise_for_status()
        return await body_of(response, MAX_CERTIFICATE)


async def _body(request: Request) -> bytes | None:
    """The whole body; none once it is longer than we take. Raises HTTPException (408) if it takes long."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    return None
    except TimeoutError:
        raise HTTPException(408) from None
    return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; an empty one for anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _refused() -> Response:
    return PlainTextResponse("refused\n", 403)


def _too_large() -> Response:
    return PlainTextResponse("too large\n", 413)
