"""`espmail web` as a process on a real Kafka: what it has accepted stands on its topic (G1), and 503 where Kafka does not answer."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.publishing import publish
from gateway.http.app import build
from gateway.http.token import NAME
from gateway.keys import load_keyring
from projections.database import ensure_schema, open_engine
from projections.tables import message_request
from streams import codec, topics
from streams.domain.addresses import address_hash
from streams.domain.outgoing.unsubscribe import make_token
from streams.events import MessageRequest, RequestControl, Suppression, Unsubscribed
from streams.publisher import KafkaPublisher, Record
from streams.settings import Settings
from tests.services.env import environment
from tests.services.outgoing import document
from tests.services.ports import HOST, free_ports
from tests.services.records import read
from tests.services.until import until
from tests.services.web import EMAIL_ID, MOST, NOW, TOKEN, Web, web_in

pytestmark = pytest.mark.broker
ENDS_S = 60


@dataclass
class Process:
    """`espmail web`, as a person starts it."""

    settings: Settings
    log: Path
    child: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.settings.web_port}"

    @property
    def said(self) -> str:
        return self.log.read_text()

    def api(self) -> httpx.Client:
        token = (self.settings.var / NAME).read_text().strip()
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"})

    def events(self, topic: str) -> list[Any]:
        return [codec.decode(message.value()) for message in read(self.settings.bootstrap, topic)]


def started(settings: Settings, log: Path) -> Process:
    with log.open("wb") as output:
        child = subprocess.Popen([sys.executable, "-m", "cli.main", "web"], env=environment(settings), stdout=output, stderr=output)
    return Process(settings, log, child)


@pytest.fixture
def process(fresh_topics: Settings, tmp_path: Path) -> Iterator[Process]:
    settings = replace(fresh_topics, web_port=free_ports(), database=f"sqlite:///{tmp_path / 'tables.sqlite'}")
    web = started(settings, tmp_path / "log")
    try:
        until(lambda: web.child.poll() is not None or "web: " in web.said, "it is ready", ENDS_S)
        assert web.child.poll() is None, web.said
        yield web
    finally:
        web.child.kill()
        web.child.wait()


def test_what_is_accepted_stands_on_its_topic_and_the_id_is_taken(process: Process) -> None:
    with process.api() as api:
        answer = api.post("/v1/requests", json=document("ann", "bob", request_id="r1"))
        assert (answer.status_code, answer.json()["records"]) == (202, 1)
        (request,) = process.events(topics.MESSAGE_REQUESTS)
        assert isinstance(request, MessageRequest)
        taken = RequestControl("r2", NOW, "running", "expand", "another content", [])
        publish(process.settings, [Record.of(topics.REQUEST_CONTROLS, "r2", taken)])
        until(lambda: api.post("/v1/requests", json=document("ann", request_id="r2")).status_code == 409, "it learns who has the id")


def test_a_link_of_this_installation_unsubscribes_and_the_pages_follow(process: Process) -> None:
    hashed = address_hash("ann@x.org")
    token = make_token(load_keyring(process.settings.var), hashed, "request", EMAIL_ID)
    with httpx.Client(base_url=process.url) as client:
        assert client.post(f"/unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"}).status_code == 200
        (event,) = process.events(topics.FEEDBACK)
        assert isinstance(event, Unsubscribed)
        assert event.address_hash == hashed
        row = Suppression(hashed, "request", True, "unsubscribed", NOW, "one_click")
        publish(process.settings, [Record.of(topics.SUPPRESSIONS, f"{hashed}:request", row)])
        until(lambda: "This address is unsubscribed" in client.get(f"/unsubscribe/{token}").text, "the page knows")


def test_a_public_page_is_read_from_where_its_request_stands(process: Process) -> None:
    with process.api() as api:
        assert (
            api.post("/v1/requests", json=document("ann", request_id="r1", public=True, body="Dear {{ user.first_name }}")).status_code
            == 202
        )
    (message,) = read(process.settings.bootstrap, topics.MESSAGE_REQUESTS)
    engine = open_engine(process.settings.database_url)
    ensure_schema(engine)
    with engine.begin() as connection:
        row = {"request_id": "r1", "public": True, "state": "sending", "expanded_at": NOW, "head_offset": message.offset()}
        connection.execute(message_request.insert(), {**row, "head_partition": message.partition()})
    engine.dispose()
    with httpx.Client(base_url=process.url) as client:
        assert "Dear [first name]" in client.get("/email/r1/text").text
        assert client.get("/email/r2").status_code == 404


def test_it_stops_when_asked_and_logs_no_token(process: Process) -> None:
    token = make_token(load_keyring(process.settings.var), address_hash("ann@x.org"), "request", EMAIL_ID)
    with process.api() as api:
        assert api.get(f"/unsubscribe/{token}").status_code == 200
        secret = api.headers["Authorization"].removeprefix("Bearer ")
    process.child.send_signal(signal.SIGTERM)
    assert process.child.wait(ENDS_S) == 0
    assert token not in process.said
    assert secret not in process.said


def test_a_header_without_end_and_a_body_without_end_are_cut_off(process: Process) -> None:
    for endless in (b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, b"GET /" + b"x" * 100_000):
        with socket.create_connection((HOST, process.settings.web_port), ENDS_S) as connection:
            connection.sendall(endless)
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_port_in_use_is_one_clear_line(fresh_topics: Settings, tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        web = started(replace(fresh_topics, web_port=taken.getsockname()[1]), tmp_path / "log")
        assert web.child.wait(ENDS_S) == 2
    assert web.said.count("\n") == 1
    assert "set ESPMAIL_WEB_PORT to a free one" in web.said


# -- without Kafka -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def web(tmp_path: Path) -> Any:
    site = web_in(tmp_path)
    yield site
    await site.close()


async def test_nothing_is_accepted_that_kafka_does_not_acknowledge(web: Web) -> None:
    publisher = KafkaPublisher(f"{HOST}:{free_ports()}", timeout_s=1)
    transport = httpx.ASGITransport(build(replace(web.world, publisher=publisher), MOST))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://espmail.test", timeout=ENDS_S) as client:
            answer = await client.post("/v1/requests", json=document("ann"), headers={"Authorization": f"Bearer {TOKEN}"})
    finally:
        await publisher.close()
    assert answer.status_code == 503
