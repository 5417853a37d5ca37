"""What Prometheus reads of a running gateway."""

from __future__ import annotations

import smtplib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli.publishing import publish
from streams import metrics, topics
from streams.events import SiteRow
from streams.publisher import Record
from streams.settings import Settings
from tests.services.env import environment
from tests.services.gateway import LIST, MAIL, SITE
from tests.services.gateway_process import ENDS_S, SENDER, Process, hand_in
from tests.services.ports import HOST, free_ports
from tests.services.scraping import scraped
from tests.services.until import until

pytestmark = pytest.mark.broker


@pytest.fixture
def settings(fresh_topics: Settings) -> Settings:
    ports = free_ports(2)
    settings = replace(fresh_topics, smtp_port=ports, lmtp_port=0, metrics_port=ports + 1 - metrics.SERVED.index("gateway"))
    publish(settings, [Record.of(topics.SITES, SITE, SiteRow(SITE, "Yale Splash", f"s@{SITE}", f"b@{SITE}", f"i@{SITE}", []))])
    return settings


@pytest.fixture
def process(settings: Settings, tmp_path: Path) -> Iterator[Process]:
    process = Process(settings, tmp_path / "log")
    process.start()
    yield process
    process.kill()


def test_what_was_accepted_and_what_was_refused_and_why(process: Process, settings: Settings) -> None:
    assert hand_in(settings, MAIL, LIST)
    assert hand_in(settings, MAIL * 2, LIST)
    assert not hand_in(settings, MAIL, "a@elsewhere.org")
    assert not hand_in(settings, b"x" * 999 + b"\r\n", LIST)
    found = until(lambda: at_rest(settings), "all clients have left")
    assert found["espmail_gateway_accepted_total"] == 2
    assert found["espmail_gateway_accepted_bytes_total"] == 3 * len(MAIL)
    assert found['espmail_gateway_refused_total{reply="550 5.7.1"}'] == 1
    assert found['espmail_gateway_refused_total{reply="550 5.6.0"}'] == 1
    assert found["espmail_gateway_durable_seconds_count"] == 2
    assert found["espmail_gateway_in_flight"] == 0
    assert found["espmail_gateway_held_bytes"] == 0


def at_rest(settings: Settings) -> dict[str, float]:
    found = scraped(settings, "gateway")
    return {} if found["espmail_gateway_connections"] else found


def test_who_is_inside_and_what_is_held(process: Process, settings: Settings) -> None:
    with smtplib.SMTP(HOST, settings.smtp_port, timeout=ENDS_S) as client:
        client.ehlo()
        client.mail(SENDER)
        client.rcpt(LIST)
        client.putcmd("DATA")
        assert client.getreply()[0] == 354
        client.send(b"\r\n" + b"0123456\r\n" * 100_000)
        until(lambda: scraped(settings, "gateway")["espmail_gateway_held_bytes"] > 500_000, "the big mail is held")
        found = scraped(settings, "gateway")
        assert found["espmail_gateway_in_flight"] == 1
        assert found["espmail_gateway_connections"] == 1
        client.send(b".\r\n")
        assert client.getreply()[0] == 250


def test_a_port_in_use_is_said_and_nothing_is_opened(process: Process, settings: Settings) -> None:
    other = environment(replace(settings, smtp_port=free_ports()))
    command = [sys.executable, "-m", "cli.main", "gateway"]
    ended = subprocess.run(command, env=other, capture_output=True, text=True, timeout=ENDS_S, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "choose another ESPMAIL_METRICS_PORT" in ended.stderr


def test_memory_for_less_than_one_mail_is_refused(settings: Settings) -> None:
    command = [sys.executable, "-m", "cli.main", "gateway"]
    few = environment(settings, ESPMAIL_MAIL_MEMORY="1000")
    ended = subprocess.run(command, env=few, capture_output=True, text=True, timeout=ENDS_S, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "ESPMAIL_MAIL_MEMORY takes at least ESPMAIL_MAX_MAIL" in ended.stderr
