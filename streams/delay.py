"""The delay wheel: topics of fixed delay, each first in first out; a record hops until it is due, then to its target.

A plain consumer holds each topic's head until it is due, with the partition paused meanwhile. There is no state
to recover and no horizon: what is due in a week hops through delay.6h twenty-eight times. It is late by less than ten seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from streams import codec
from streams.events import Delayed
from streams.publisher import Record
from streams.topics import DELAYS_S

LONGEST_FIRST = sorted(DELAYS_S.items(), key=lambda item: -item[1])
SHORTEST = LONGEST_FIRST[-1][0]


def delayed(record: Record, due_at: datetime, now: datetime) -> Record:
    """The record that brings `record` to its topic at `due_at` (at once, but for a hop, if that is past)."""
    event = Delayed(due_at=due_at, topic=record.topic, key=record.key, value=record.value or b"", trace=record.trace)
    return Record(topic_for(due_at - now), record.key, codec.encode(event), record.trace)


def topic_for(remaining: timedelta) -> str:
    """The longest delay that fits."""
    seconds = remaining.total_seconds()
    return next((topic for topic, delay_s in LONGEST_FIRST if delay_s <= seconds), SHORTEST)


def ready_at(event: Delayed, topic: str, arrived: datetime) -> datetime:
    """When a record of a delay topic moves on: after the topic's delay, or when it is due, whichever is first."""
    return min(arrived + timedelta(seconds=DELAYS_S[topic]), event.due_at)


def moved_on(event: Delayed, now: datetime) -> Record:
    """Where it goes then: to its target if it is due, else to the next hop."""
    target = Record(event.topic, event.key, event.value, event.trace)
    return target if event.due_at <= now else delayed(target, event.due_at, now)
