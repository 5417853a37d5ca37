"""The provider webhooks over HTTP: durable before a 2xx, nothing kept for anything that is not genuine (row A-07)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web
from starlette.applications import Starlette

from gateway.webhooks import MAX_BODY, MAX_CERTIFICATE, Webhooks, fetched
from streams import codec, topics
from streams.events import EmailBounced, EmailComplained
from tests.services.memory import MemoryPublisher
from tests.services.ports import HOST, free_ports
from tests.unit.test_webhooks import ANN, CERTIFICATE, EC, NOW, STAMP, bounce, event, notification, shown, signed

ARN = "arn:aws:sns:us-east-1:1:feedback"
SUBSCRIBE = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription"


class World:
    """The endpoints, what they kept, and what they fetched."""

    def __init__(self) -> None:
        self.publisher = MemoryPublisher()
        self.asked: list[str] = []
        self.reachable = True
        self.certificate = CERTIFICATE
        hooks = Webhooks(self.publisher, lambda: NOW, shown(EC), frozenset({ARN}), self._fetch)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=hooks.routes())), base_url="http://espmail.test")

    async def _fetch(self, url: str) -> bytes:
        if not self.reachable:
            raise TimeoutError
        self.asked.append(url)
        return self.certificate

    @property
    def kept(self) -> list[Any]:
        assert {record.topic for record in self.publisher.records} <= {topics.FEEDBACK}
        assert all(record.key == codec.decode(record.value).address_hash.encode() for record in self.publisher.records)
        return [codec.decode(record.value) for record in self.publisher.records]

    async def sendgrid(self, body: bytes, signature: str | None = None) -> int:
        headers = {
            "X-Twilio-Email-Event-Webhook-Signature": signed(body) if signature is None else signature,
            "X-Twilio-Email-Event-Webhook-Timestamp": STAMP,
        }
        return (await self.client.post("/webhooks/sendgrid", content=body, headers=headers)).status_code

    async def sns(self, message: Any) -> int:
        return (await self.client.post("/webhooks/sns", content=json.dumps(message))).status_code


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.client.aclose()


async def test_genuine_events_of_sendgrid_are_kept(world: World) -> None:
    body = json.dumps([event(event="bounce", type="bounce"), event(event="open"), event(event="spamreport")]).encode()
    assert await world.sendgrid(body) == 204
    assert [type(kept) for kept in world.kept] == [EmailBounced, EmailComplained]
    assert {kept.address_hash for kept in world.kept} == {ANN}


async def test_nothing_else_is(world: World) -> None:
    body = json.dumps([event(event="spamreport")]).encode()
    assert await world.sendgrid(body, "") == 403
    assert await world.sendgrid(body + b" ", signed(body)) == 403
    assert await world.sendgrid(b"{}") == 400
    assert await world.sendgrid(b" " * (MAX_BODY + 1)) == 413
    assert (await world.client.get("/webhooks/sendgrid")).status_code == 405
    assert world.kept == []


async def test_without_a_key_nobody_is_believed() -> None:
    hooks = Webhooks(MemoryPublisher(), lambda: NOW)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=hooks.routes())), base_url="http://espmail.test") as client:
        assert (await client.post("/webhooks/sendgrid", content=b"[]")).status_code == 403
        assert (await client.post("/webhooks/sns", content=json.dumps(notification(bounce())))).status_code == 403


async def test_a_broker_that_is_gone_makes_the_provider_come_again(world: World) -> None:
    world.publisher.up = False
    body = json.dumps([event(event="spamreport")]).encode()
    assert await world.sendgrid(body) == 503
    assert await world.sns(notification(bounce())) == 503
    world.publisher.up = True
    assert await world.sendgrid(body) == 204
    assert len(world.kept) == 1


async def test_a_genuine_notification_of_ses_is_kept_and_its_certificate_asked_for_once(world: World) -> None:
    assert await world.sns(notification(bounce())) == 204
    assert await world.sns(notification(bounce())) == 204
    assert [kept.kind for kept in world.kept] == ["hard", "hard"]
    assert world.asked == ["https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem"]


@pytest.mark.parametrize(
    "changed",
    [
        {"TopicArn": "arn:aws:sns:us-east-1:2:mine"},
        {"SigningCertURL": "https://evil.org/x.pem"},
        {"SigningCertURL": "https://sns.s3.amazonaws.com/evil/SimpleNotificationService-1.pem"},
        {"Message": "{}"},
        {"Type": "Other"},
    ],
)
async def test_a_notification_that_is_not_for_us_or_not_genuine_is_refused(world: World, changed: dict[str, str]) -> None:
    assert await world.sns(notification(bounce()) | changed) == 403
    assert world.kept == []
    assert not any("evil" in url for url in world.asked)


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"[" * 100_000, b'{"TopicArn": []}'])
async def test_what_is_no_message_is_refused(world: World, body: bytes) -> None:
    assert (await world.client.post("/webhooks/sns", content=body)).status_code == 403


async def test_a_certificate_that_cannot_be_had_now_is_asked_for_again(world: World) -> None:
    world.reachable = False
    assert await world.sns(notification(bounce())) == 503
    world.reachable = True
    assert await world.sns(notification(bounce())) == 204


async def test_a_certificate_that_came_damaged_is_asked_for_again(world: World) -> None:
    world.certificate = CERTIFICATE[:500]
    assert await world.sns(notification(bounce())) == 403
    world.certificate = CERTIFICATE
    assert await world.sns(notification(bounce())) == 204


async def test_what_is_fetched_is_whole_however_it_comes() -> None:
    """Over a network a certificate comes in pieces; the first of them alone proves nothing."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (CERTIFICATE[:500], CERTIFICATE[500:], b"-" * MAX_CERTIFICATE):
            await response.write(piece)
            await asyncio.sleep(0.05)
        return response

    app, port = web.Application(), free_ports()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    found = await fetched(f"http://{HOST}:{port}/")
    await runner.cleanup()
    assert (found[: len(CERTIFICATE)], len(found)) == (CERTIFICATE, MAX_CERTIFICATE)


async def test_a_subscription_is_confirmed_at_sns_alone(world: World) -> None:
    confirmation = {"Type": "SubscriptionConfirmation", "SubscribeURL": SUBSCRIBE, "Token": "t"}
    assert await world.sns(notification({}, **confirmation)) == 204
    assert world.asked[-1] == SUBSCRIBE
    assert await world.sns(notification({}, **confirmation | {"SubscribeURL": "https://evil.org/"})) == 403
    assert world.asked[-1] == SUBSCRIBE
