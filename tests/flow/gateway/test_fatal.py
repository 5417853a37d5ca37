"""Row K-08: a Kafka client that has given up for good ends the process, whose supervisor starts another."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from cli.publishing import publish
from streams import topics
from streams.events import SiteRow
from streams.publisher import KafkaPublisher, PublishFailed, Record
from streams.settings import Settings
from streams.window import EXIT_RESTART_ME
from tests.services.fatal import break_for_good
from tests.services.gateway import LIST, MAIL, SITE
from tests.services.gateway_process import Process, hand_in
from tests.services.ports import free_ports

pytestmark = pytest.mark.broker


async def test_k08_a_fatal_error_is_told_once_and_publishing_fails_from_then_on(settings: Settings) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    publisher = KafkaPublisher(settings.bootstrap, on_fatal=lambda reason: loop.call_soon_threadsafe(told.put_nowait, reason))
    await publisher.publish([Record(topics.DEAD_LETTERS, b"key", b"before")])
    break_for_good(publisher)
    assert "cannot go on" in await asyncio.wait_for(told.get(), 30)
    with pytest.raises(PublishFailed):
        await publisher.publish([Record(topics.DEAD_LETTERS, b"key", b"after")])
    await publisher.close()
    assert told.empty()


@pytest.fixture
def settings(fresh_topics: Settings) -> Settings:
    settings = replace(fresh_topics, smtp_port=free_ports(), lmtp_port=0)
    publish(settings, [Record.of(topics.SITES, SITE, SiteRow(SITE, "Yale Splash", f"s@{SITE}", f"b@{SITE}", f"i@{SITE}", []))])
    return settings


def test_k08_the_gateway_ends_with_70_and_its_successor_takes_mail(settings: Settings, tmp_path: Path) -> None:
    broken = Process(settings, tmp_path / "log", ("tests.services.fatal",))
    successor = Process(settings, tmp_path / "log")
    broken.start()
    try:
        assert hand_in(settings, MAIL, LIST)
        assert broken.child is not None
        broken.child.send_signal(signal.SIGUSR1)
        assert broken.ended() == EXIT_RESTART_ME
        assert "Kafka's client cannot go on" in broken.log.read_text()
        successor.start()
        assert hand_in(settings, MAIL, LIST)
        assert successor.stop() == 0
    finally:
        broken.kill()
        if successor.child is not None:
            successor.kill()
