"""A real agent that kills itself with -9 at a chosen point: `python -m tests.services.crashing_agent NAME POINT`.

POINT is before:EVENT, half:EVENT or after:EVENT: when its publisher is handed an event of that kind, nothing, half of the
records or all of them reach the broker (acknowledged) before the process dies. before:EVENT:7 means the seventh time.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from streams import codec, ports, worker
from streams.publisher import KafkaPublisher, Publisher, Record
from streams.settings import Settings


@dataclass
class Crashing:
    """A publisher with a short life."""

    publisher: Publisher
    point: str
    event: str
    times: int

    async def publish(self, records: Sequence[Record]) -> None:
        self.times -= self.event in {type(codec.decode(record.value)).__name__ for record in records if record.value}
        if self.times:
            return await self.publisher.publish(records)
        if self.point == "half":
            await self.publisher.publish(records[: len(records) // 2])
        if self.point == "after":
            await self.publisher.publish(records)
        return os.kill(os.getpid(), signal.SIGKILL)


def main(name: str, point: str) -> None:
    when, event, times = f"{point}:1".split(":")[:3]
    ports.publisher = lambda settings: Crashing(KafkaPublisher(settings.bootstrap), when, event, int(times))  # type: ignore[assignment,return-value] # what worker.run asks for
    worker.run(Settings.from_env(os.environ), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
