"""`espmail gateway` as a process on a real Kafka: what is answered 250 stands on the topic, whatever is killed when."""

from __future__ import annotations

import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cli.publishing import publish
from streams import admin, codec, topics
from streams.domain.ids import inbound_id
from streams.domain.routing.document import read_document, rows
from streams.events import InboundMailReceived, RedirectRow, SiteRow
from streams.publisher import Record
from streams.settings import Settings
from tests.services.env import environment
from tests.services.gateway import LIST, MAIL, NOW, SITE
from tests.services.gateway_process import ENDS_S, SENDER, Process, hand_in
from tests.services.inbound import world
from tests.services.ports import HOST, free_ports
from tests.services.records import read
from tests.services.until import until

pytestmark = pytest.mark.broker


@pytest.fixture
def settings(fresh_topics: Settings, tmp_path: Path) -> Settings:
    """Of a gateway for one site."""
    port = free_ports(2)
    settings = replace(fresh_topics, smtp_port=port, lmtp_port=port + 1, lmtp_socket=str(tmp_path / "lmtp"))
    publish(settings, [Record.of(topics.SITES, SITE, SiteRow(SITE, "Yale Splash", f"s@{SITE}", f"b@{SITE}", f"i@{SITE}", []))])
    return settings


@pytest.fixture
def process(settings: Settings, tmp_path: Path) -> Iterator[Process]:
    process = Process(settings, tmp_path / "log")
    process.start()
    yield process
    assert process.child is not None
    process.child.kill()
    process.child.wait()


def hand_in_all(settings: Settings, contents: Collection[bytes], count: int | None, then: Callable[[], None]) -> list[bytes]:
    """Hand in all, eight at a time, and do something when `count` are accepted; returns those that were."""
    taken: list[bytes] = []
    with ThreadPoolExecutor(8) as clients:
        for content, accepted in zip(contents, clients.map(lambda content: hand_in(settings, content), contents), strict=True):
            if accepted:
                taken.append(content)
                if len(taken) == count:
                    then()
    return taken


def on_the_topic(settings: Settings) -> list[InboundMailReceived]:
    return [codec.decode_as(InboundMailReceived, message.value()) for message in read(settings.bootstrap, topics.INBOUND_MAIL)]


def run(settings: Settings, **more: str) -> subprocess.CompletedProcess[str]:
    """A gateway that is expected to end by itself."""
    command = [sys.executable, "-m", "cli.main", "gateway"]
    env = environment(settings, **more)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=ENDS_S, check=False)


def test_it_takes_mail_and_ends_when_told(process: Process, settings: Settings) -> None:
    assert hand_in(settings, MAIL, LIST, f"ann@{SITE}")
    assert hand_in(settings, b"x: y\r\n\r\n" + b"z\r\n" * 100_000)
    assert not hand_in(settings, MAIL, "a@elsewhere.org")
    events = on_the_topic(settings)
    assert sorted(event.rcpt_to for event in events) == [f"ann@{SITE}", LIST, LIST]
    assert sorted(event.content is None for event in events) == [False, False, True]
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


def test_i10_memory_is_bounded(process: Process, settings: Settings) -> None:
    assert process.child is not None
    assert hand_in(settings, MAIL)
    before = psutil.Process(process.child.pid).memory_info().rss
    with smtplib.SMTP(HOST, settings.smtp_port, timeout=ENDS_S) as client:
        client.ehlo()
        client.mail(SENDER)
        client.rcpt(LIST)
        client.putcmd("DATA")
        assert client.getreply()[0] == 354
        for _ in range(100):
            client.send(b"x" * 76 + b"\r\n" + b"y\r\n" * 300_000)
        assert psutil.Process(process.child.pid).memory_info().rss - before < 60_000_000
        client.send(b".\r\n")
        assert client.getreply()[0] == 552


def test_unknown_recipients_are_refused_where_told_to(settings: Settings, tmp_path: Path) -> None:
    publish(settings, [Record.of(topic, key, row) for topic, key, row in rows(read_document(world()), NOW)])
    process = Process(replace(settings, unknown_recipient="reject"), tmp_path / "log")
    process.start()
    try:
        assert hand_in(settings, MAIL, LIST)
        assert not hand_in(settings, MAIL, f"m99999-class@{SITE}")
        assert not hand_in(settings, MAIL, f"nobody-here@{SITE}")
        publish(settings, [Record.of(topics.REDIRECTS, "n", RedirectRow("nobody-here", "a@x.org"))])
        until(lambda: hand_in(settings, MAIL, f"nobody-here@{SITE}"), "the new redirect is known")
    finally:
        process.stop()


def test_i04_killed_while_mail_comes_in_it_loses_nothing(process: Process, settings: Settings) -> None:
    """Clients come again with what was not answered 250; then each mail has a record, and a mail's records have one id."""
    waiting = {f"Subject: {number}\r\n\r\nbody\r\n".encode() for number in range(300)}
    expected = {inbound_id(SENDER, LIST, content) for content in waiting}
    for kill_after in (40, 120, None):
        taken = hand_in_all(settings, waiting, kill_after, process.kill)
        waiting -= set(taken)
        if kill_after is not None:
            assert waiting, "the kill came too late to test anything"
            process.start()
    assert not waiting
    assert {event.inbound_id for event in on_the_topic(settings)} == expected


def test_a_stop_loses_nothing_either(process: Process, settings: Settings) -> None:
    contents = [f"Subject: {number}\r\n\r\nbody\r\n".encode() for number in range(200)]
    codes: list[int] = []
    taken = hand_in_all(settings, contents, 50, lambda: codes.append(process.stop()))
    assert codes == [0]
    stand = {event.content for event in on_the_topic(settings)}
    assert stand == set(taken)


def test_a_site_may_come_later(fresh_topics: Settings, tmp_path: Path) -> None:
    settings = replace(fresh_topics, smtp_port=free_ports(), lmtp_port=0)
    process = Process(settings, tmp_path / "log")
    process.start()
    try:
        assert not hand_in(settings, MAIL)
        assert "no site is known yet" in process.log.read_text()
        publish(settings, [Record.of(topics.SITES, SITE, SiteRow(SITE, "Yale Splash", f"s@{SITE}", f"b@{SITE}", f"i@{SITE}", []))])
        until(lambda: hand_in(settings, MAIL), "the site is known")
    finally:
        process.stop()


# -- bad input: one clear line, a non-zero exit, nothing half-started -----------------------------------------------------


def test_a_broker_that_is_down(settings: Settings) -> None:
    nowhere = f"{HOST}:{free_ports()}"
    ended = run(replace(settings, kafka=nowhere))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"espmail: no Kafka answers at {nowhere}; start it (`espmail kafka`) or set ESPMAIL_KAFKA to one that runs\n"


def test_topics_that_are_missing(settings: Settings) -> None:
    admin.delete(settings)
    try:
        ended = run(settings)
    finally:
        admin.apply(settings)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "espmail topics apply" in ended.stderr


def test_a_port_in_use(process: Process, settings: Settings, tmp_path: Path) -> None:
    ended = run(replace(settings, lmtp_port=0, lmtp_socket=str(tmp_path / "second")))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "the gateway cannot listen" in ended.stderr
    assert "ESPMAIL_GATEWAY_HOST" in ended.stderr
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize(
    ("name", "value", "code", "said"),
    [
        ("ESPMAIL_SMTP_PORT", "many", 2, "ESPMAIL_SMTP_PORT takes a whole number"),
        ("ESPMAIL_UNKNOWN_RECIPIENT", "maybe", 2, "ESPMAIL_UNKNOWN_RECIPIENT takes accept or reject"),
        ("ESPMAIL_GATEWAY_CERTIFICATE", "absent.pem", 2, "ESPMAIL_GATEWAY_CERTIFICATE"),
        ("ESPMAIL_BODIES", "/dev/null/bodies", 1, "the body store /dev/null/bodies cannot be used (Not a directory)"),
        ("ESPMAIL_BODIES", "ftp://host", 2, "ESPMAIL_BODIES takes a folder or s3://"),
    ],
)
def test_a_wrong_setting(settings: Settings, name: str, value: str, code: int, said: str) -> None:
    ended = run(settings, **{name: value})
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (code, "", 1)
    assert said in ended.stderr


def test_a_client_does_not_write_the_log(process: Process, settings: Settings) -> None:
    with socket.create_connection((HOST, settings.smtp_port), ENDS_S) as connection:
        connection.sendall(b"\x1b[31mHELLO\rforged\r\n" * 30)
        while connection.recv(65_536):
            pass
    assert hand_in(settings, MAIL)
    assert process.log.read_text().count("\n") == 1
