"""Where the mails of a paused request wait: on a topic of their own, once, until the request goes on or ends.

Turning them on the delay wheel instead would read and write each of them every few seconds for as long as the pause lasts
(docs/decisions/0014). What is set aside stands on the partition that it came from; agents/resume.py brings it back to its own topic.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from streams import codec
from streams.events import Delayed
from streams.outcomes import Source
from streams.publisher import Record
from streams.topics import PAUSED

LONGEST = timedelta(days=7)  # well within what the topic keeps: whatever waits longer comes back, and is set aside anew


def aside(record: Record, request_id: str, expires_at: datetime, now: datetime, source: Source) -> Record:
    """The record that keeps `record`, taken from `source`, until its request goes on. It comes back when it expires, to be recorded as that."""
    event = Delayed(min(expires_at, now + LONGEST), record.topic, record.key, record.value or b"", record.trace)
    return Record(PAUSED, request_id.encode(), codec.encode(event), record.trace, source.partition)


def back(event: Delayed, partition: int) -> Record:
    """What was set aside on a partition, on its own topic again."""
    return Record(event.topic, event.key, event.value, event.trace, partition)
