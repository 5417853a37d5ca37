"""A publisher without a broker, for tests of what stands before it. It passes the contract suite of the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from streams import topics
from streams.publisher import PublishFailed, Record


@dataclass
class MemoryPublisher:
    """Keeps what was published. Clear `up` and it refuses like a broker that is gone; clear `quick` and it waits until it is set."""

    records: list[Record] = field(default_factory=list)
    up: bool = True
    quick: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.quick.set()

    async def publish(self, records: Sequence[Record]) -> None:
        """Returns when every record is kept. Raises PublishFailed, keeping none of them."""
        await self.quick.wait()
        for record in records:
            topic = topics.declared().get(record.topic)
            if not self.up or topic is None or len(record.value or b"") > topic.max_message_bytes:
                raise PublishFailed("not acknowledged")
        self.records.extend(records)
