"""Urgent mail beside bulk: `python -m benchmarks.urgent [BULK]`, the whole installation on loopback, with a sink that takes everything.

A request to BULK people is handed in. From its first mail on, urgent requests to one person each are handed in two a second. Prints how
long they took, from before the submission to the durable EmailSent, and how much of the bulk was still to be sent at the end.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.audience import files
from benchmarks.outgoing import request
from benchmarks.send import HOST, connected, free_port, process
from cli.request_handing_in import hand_in
from deploy.demo import settings_for
from deploy.stack import running
from streams import codec, ports, topics
from streams.domain.ids import request_email_id
from streams.domain.outgoing.policy import Policy
from streams.events import EmailSent
from streams.reading import records_of
from streams.settings import Settings
from streams.submission import submission

JARS = Path("var") / "kafka" / "jars"
URGENT = 60
EVERY_S = 0.5
PATIENCE_S = 120.0


def main(bulk: int) -> None:
    with tempfile.TemporaryDirectory(prefix="espmail-bench-") as name:
        port = free_port()
        settings = replace(settings_for(Settings(var=Path(name), jars=str(JARS))), mta=f"{HOST}:{port}")
        with process("benchmarks.sink", str(port)), running(settings, lambda text: print(f"... {text}", flush=True)):
            hand_in(settings, *files(Path(name), bulk))
            wait_for_first(port)
            asked = asyncio.run(ask(settings))
            left = bulk - taken(port)
            took = answers(settings, asked)
    percentiles = statistics.quantiles(took, n=100, method="inclusive")
    print(f"{len(took)} urgent mails beside {bulk}: p50 {percentiles[49]:.3f} s, p99 {percentiles[98]:.3f} s, longest {max(took):.3f} s")
    print(f"of the bulk {left} were still to be sent when the last urgent one was handed in")


def wait_for_first(port: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while not taken(port):
        if time.monotonic() > until:
            raise SystemExit("no mail came")
        threading.Event().wait(0.1)


def taken(port: int) -> int:
    """How many mails the sink has."""
    with connected(port) as client:
        return int(client.docmd("VRFY")[1].split()[0])


async def ask(settings: Settings) -> dict[bytes, datetime]:
    """Hand in the urgent requests; returns when each was, by the id of its one email."""
    publisher = ports.publisher(settings)
    asked = {}
    for _ in range(URGENT):
        at = datetime.now(UTC)
        document = {**request(1, at), "priority": "urgent"}
        person = document["recipients"][0]
        asked[request_email_id(document["request_id"], person["user_id"], person["email"]).encode()] = at
        await publisher.publish(submission(document, at, Policy()).records)
        await asyncio.sleep(EVERY_S)
    await publisher.close()
    return asked


def answers(settings: Settings, asked: dict[bytes, datetime]) -> list[float]:
    """The seconds that each took, once all are sent."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        ours = [codec.decode(record.value) for record in records_of(settings, topics.DELIVERIES) if record.key in asked]
        took = [(one.at - asked[one.email_id.encode()]).total_seconds() for one in ours if isinstance(one, EmailSent)]
        if len(took) == len(asked):
            return took
    raise SystemExit("not every urgent mail was sent")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
