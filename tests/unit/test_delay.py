"""The delay wheel's arithmetic: the longest hop that fits, never early by a hop's length, the original bytes at the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from streams import codec
from streams.delay import delayed, moved_on, ready_at, topic_for
from streams.events import Delayed
from streams.publisher import Record
from streams.topics import DELAYS_S

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
TARGET = Record("emails.bulk", b"key", b"value", "trace")


@pytest.mark.parametrize(
    ("seconds", "topic"),
    [
        (-5, "delay.10s"),
        (0, "delay.10s"),
        (59, "delay.10s"),
        (60, "delay.1m"),
        (599, "delay.1m"),
        (600, "delay.10m"),
        (3600, "delay.1h"),
        (21_600, "delay.6h"),
        (604_800, "delay.6h"),
    ],
)
def test_a_record_takes_the_longest_delay_that_fits(seconds: int, topic: str) -> None:
    assert topic_for(timedelta(seconds=seconds)) == topic


@pytest.mark.parametrize("days", [0, 0.001, 0.3, 7])
def test_it_hops_until_it_is_due_and_arrives_as_it_was(days: float) -> None:
    due = NOW + timedelta(days=days)
    record, clock, hops = delayed(TARGET, due, NOW), NOW, 0
    while record.topic in DELAYS_S:
        assert record.value is not None
        event = codec.decode_as(Delayed, record.value)
        ready = ready_at(event, record.topic, clock)
        assert ready <= max(due, clock), "never held beyond its time"
        clock, hops = max(clock, ready), hops + 1
        record = moved_on(event, clock)
    assert record == TARGET
    assert due <= clock <= due + timedelta(seconds=10)
    assert hops <= days * 4 + 30
