"""A real Faust process and the real shell around a handler that does what each record's note tells it to.

`python -m tests.services.odd_agent NAME TOPIC FOLDER`: records of TOPIC are InboundApproved. Their `note` is an exception's
name to raise; `wait:FILE` to wait until FOLDER/FILE exists; `large` to yield a record that no topic takes, `nowhere` one of
a topic that is not there; anything else is echoed to routings.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from streams import reads, topics, worker
from streams.app import App
from streams.events import InboundDropped
from streams.outcomes import Done, Outcome, Source
from streams.publisher import KafkaPublisher, Record
from streams.settings import Settings
from streams.shell import Limits, Shell

RAISED: dict[str, type[BaseException]] = {
    kind.__name__: kind
    for kind in (
        ValueError,
        asyncio.CancelledError,
        TimeoutError,
        KeyboardInterrupt,
        SystemExit,
        RecursionError,
        MemoryError,
        GeneratorExit,
    )
}


def handler(folder: Path) -> Any:
    async def handle(event: Any, source: Source) -> Outcome:
        if event.note in RAISED:
            raise RAISED[event.note]("as the test wished")
        if event.note.startswith("wait:"):
            (folder / f"{event.inbound_id}.waits").touch()
            while not (folder / event.note.removeprefix("wait:")).exists():  # noqa: ASYNC110 - another process makes the file
                await asyncio.sleep(0.01)
        if event.note == "large":
            return Done("large", [Record(topics.ROUTINGS, b"large", os.urandom(2_000_000))])
        if event.note == "nowhere":
            return Done("nowhere", [Record("there-is-no-such-topic", b"k", b"v")])
        echo = InboundDropped(event.inbound_id, event.at, f"{source.topic}:{event.note}", None, None, str(os.getpid()))
        return Done("echoed", [Record.of(topics.ROUTINGS, event.inbound_id, echo)])

    return handle


def main(name: str, topic: str, folder: str) -> None:
    async def make_shell(settings: Settings, _app: App) -> Shell:
        publisher = KafkaPublisher(settings.bootstrap, timeout_s=3)
        return Shell(name, handler(Path(folder)), publisher, Limits(window=16, publish_tries=2))

    reads.READS[name] = (topic,)
    worker.SHELLS[name] = make_shell
    worker.run(Settings.from_env(os.environ), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
