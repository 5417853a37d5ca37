"""The providers' webhooks within the gateway: there only if configured, and under the same guards (reliability, row A-07)."""

from __future__ import annotations

import json

import httpx
import pytest

from gateway.http.app import build
from gateway.http.guards import SECURITY_HEADERS
from gateway.http.serve import webhooks
from streams.settings import Settings
from tests.services.web import MOST, Web
from tests.unit.test_webhooks import EC, event, shown

ARN = "arn:aws:sns:us-east-1:1:feedback"


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        (Settings(), set()),
        (Settings(sendgrid_webhook_key=shown(EC)), {"/webhooks/sendgrid"}),
        (Settings(sns_topics=f" {ARN} ,"), {"/webhooks/sns"}),
        (Settings(sns_topics=" , "), set()),
    ],
)
def test_what_is_not_configured_is_not_there(web: Web, settings: Settings, paths: set[str]) -> None:
    assert {route.path for route in webhooks(settings, web.publisher)} == paths


async def test_an_unsigned_report_is_refused_under_the_guards_of_every_route(web: Web) -> None:
    settings = Settings(sendgrid_webhook_key=shown(EC))
    app = build(web.world, MOST, webhooks(settings, web.publisher))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://espmail.test") as client:
        answer = await client.post("/webhooks/sendgrid", content=json.dumps([event(event="spamreport")]))
    assert answer.status_code == 403
    assert answer.headers["content-security-policy"] == SECURITY_HEADERS["Content-Security-Policy"]
    assert web.kept == []
