"""Compacted topics in memory, without a broker: a long topic is waited for while it comes, and a reader that fails is heard of."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from streams import topics
from streams.state.table import TableUnready, TopicTables
from tests.services.until import until

NOBODY = "127.0.0.1:1"
PART = TopicPartition(topics.REDIRECTS, 0)


@pytest.fixture
def done() -> Iterator[threading.Event]:
    done = threading.Event()
    yield done
    done.set()


def test_a_reader_that_fails_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: TopicTables, _messages: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(TopicTables, "_seek_to_start", lambda _: {})
    monkeypatch.setattr(TopicTables, "_take", broken)
    heard: list[str] = []
    TopicTables(NOBODY, [topics.REDIRECTS], heard.append)
    until(lambda: heard, "the reader said that it failed")
    assert heard == ["redirects cannot be followed: MemoryError()"]


def test_a_topic_that_takes_long_is_waited_for_as_long_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(tables: TopicTables) -> None:
        for number in range(10):
            time.sleep(0.15)
            tables._positions = {PART: number + 1}
        tables._ready.set()

    monkeypatch.setattr(TopicTables, "_follow", slowly)
    tables = TopicTables(NOBODY, [topics.REDIRECTS])
    tables.wait_ready(timeout_s=1.0)
    assert tables._positions == {PART: 10}


def test_a_topic_that_stops_coming_is_given_up(monkeypatch: pytest.MonkeyPatch, done: threading.Event) -> None:
    def halfway(tables: TopicTables) -> None:
        tables._positions = {PART: 5}
        done.wait(10)

    monkeypatch.setattr(TopicTables, "_follow", halfway)
    with pytest.raises(TableUnready, match="redirects"):
        TopicTables(NOBODY, [topics.REDIRECTS]).wait_ready(timeout_s=0.05)
