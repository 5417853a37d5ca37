"""What stands around every route (reliability, rows A-01, A-15, A-18)."""

from __future__ import annotations

import asyncio
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Message, Receive, Scope, Send

from gateway.http.app import api, build, routes
from gateway.http.guards import SECURITY_HEADERS, LimitBody
from gateway.http.serve import webhooks
from gateway.http.token import NAME, load_token
from gateway.webhooks import Webhooks
from streams.errors import UserError
from streams.settings import Settings
from tests.conftest import ROOT
from tests.services.memory import MemoryPublisher
from tests.services.web import MOST, NOW, TOKEN, Web, link_token


def routed(found: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of each route."""
    for route in found:
        if isinstance(route, Mount):
            yield from routed(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield method, prefix + route.path


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer \xe9"},
        {"Cookie": f"token={TOKEN}"},
    ],
    ids=str,
)
async def test_every_route_of_the_api_needs_the_token(web: Web, said: dict[str, str]) -> None:
    found = list(routed([api(web.world, MOST)]))
    assert ("POST", "/v1/requests") in found
    for method, path in [*found, ("GET", "/v1/no/such/route")]:
        headers = httpx.Headers(list(said.items()), encoding="latin-1")
        answer = await web.client.request(method, path.replace("{request_id}", "r1"), headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
    assert web.kept == []


def test_the_routes_are_those_of_the_document(web: Web) -> None:
    """Each has its row, but for the style sheet and for what a page of another row leads to."""
    told = set(re.findall(r"^\| `([A-Z]+ /\S+)` \|", (ROOT / "docs" / "http.md").read_text(), re.MULTILINE))
    hooks = webhooks(Settings(sendgrid_webhook_key="key", sns_topics="arn"), web.publisher)
    found = {f"{method} {path}" for method, path in routed([*routes(web.world, MOST), *hooks])}
    assert told <= found
    assert {route.split(" ")[1] for route in found} - {route.split(" ")[1] for route in told} == {
        "/style.css",
        "/email/{request_id}/text",
        *(f"/v1/requests/{{request_id}}/{word}" for word in ("pause", "resume", "approve")),
    }


async def test_the_scheme_is_read_without_case(web: Web) -> None:
    assert (await web.client.get("/v1/requests/r1", headers={"Authorization": f"BEARER  {TOKEN}"})).status_code == 404


@pytest.mark.parametrize("path", ["/healthz", "/style.css", "/no/such/page", "/unsubscribe/x", "/email/r1", "/v1/requests/r1"])
async def test_every_answer_has_the_security_headers(web: Web, path: str) -> None:
    answer = await web.client.get(path)
    own = {"Cache-Control"} if path == "/style.css" else set()
    assert {name: answer.headers.get(name) for name in SECURITY_HEADERS if name not in own} == {
        name: value for name, value in SECURITY_HEADERS.items() if name not in own
    }


async def test_a_bug_is_told_without_its_words_and_with_the_headers(web: Web) -> None:
    def broken(_address: str, _purpose: str) -> str:
        raise ArithmeticError("secret")

    transport = httpx.ASGITransport(build(replace(web.world, suppression=broken), MOST), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://espmail.test") as client:
        answer = await client.get(f"/unsubscribe/{link_token()}")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Arithmetic" not in answer.text
    assert answer.headers["content-security-policy"] == SECURITY_HEADERS["Content-Security-Policy"]


async def test_a_database_that_is_gone_is_not_now(web: Web) -> None:
    with web.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE message_request")
    assert (await web.api.get("/v1/requests/r1")).status_code == 503
    assert (await web.client.get("/email/r1")).status_code == 503


async def test_an_error_repeats_nothing_that_was_asked(web: Web) -> None:
    for path in ("/<script>alert(1)</script>", "/email/<b>", "/v1/<b>"):
        answer = await web.client.get(path)
        assert "<script>" not in answer.text
        assert "<b>" not in answer.text


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends slowly holds a connection, of which there are not many."""

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def unheard(_message: Message) -> None:
        raise AssertionError

    async def read(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()

    scope: Scope = {"type": "http", "method": "POST", "headers": []}
    with pytest.raises(HTTPException) as late:
        await LimitBody(read, most=10, within_s=0.05)(scope, never, unheard)
    assert late.value.status_code == 408
    monkeypatch.setattr("gateway.webhooks.BODY_S", 0.05)
    hooks = Webhooks(MemoryPublisher(), lambda: NOW)
    for hook in (hooks.sendgrid, hooks.sns):
        with pytest.raises(HTTPException) as late:
            await hook(Request(scope, never))
        assert late.value.status_code == 408


@pytest.mark.parametrize("path", ["/healthz/", "/unsubscribe/x/", "/v1/requests/r1/", "//evil.example/healthz/", "/v1", "/v1/"])
async def test_nobody_is_sent_elsewhere(web: Web, path: str) -> None:
    for client in (web.client, web.api):
        answer = await client.get(f"http://espmail.test{path}", headers={"Host": "evil.example"})
        assert answer.status_code in {401, 404}
        assert "location" not in answer.headers


@pytest.mark.parametrize(("path", "kind"), [("/v1/x", "application/json"), ("/webhooks/sendgrid", "application/json"), ("/x", "text/html")])
async def test_programs_get_json_and_people_a_page(web: Web, path: str, kind: str) -> None:
    assert (await web.client.post(path)).headers["content-type"].startswith(kind)


async def test_webhooks_that_are_not_configured_are_not_there(web: Web) -> None:
    assert (await web.client.post("/webhooks/sendgrid", content=b"[]")).status_code == 404
    assert (await web.client.post("/webhooks/sns", content=b"{}")).status_code == 404


# -- the token -------------------------------------------------------------------------------------------------------


def test_the_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    var = tmp_path / "new"
    token = load_token(var)
    assert len(token) >= 32
    assert load_token(var) == token
    assert stat.S_IMODE((var / NAME).stat().st_mode) == 0o600
    assert [path.name for path in var.iterdir()] == [NAME]


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 40])
def test_a_damaged_token_is_never_an_open_door(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(UserError, match=NAME):
        load_token(tmp_path)


def test_secrets_do_not_show(web: Web) -> None:
    assert TOKEN not in repr(web.world)
    assert repr(web.world.keyring) == "Keyring()"
