"""What the sender can do: `python -m benchmarks.send [MAILS]`, on loopback, everything on this machine.

A real broker (its own, or ESPMAIL_KAFKA), one real `send.bulk` agent, and an SMTP sink that answers at once. MAILS emails
stand on emails.bulk before the agent starts. Prints mails a second from the first to the last at the sink, the CPU
microseconds a mail of each process, and what the agent's own steps cost when they run alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import timeit
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from deploy.broker import Broker
from streams import admin, codec, topics
from streams.domain.compose import compose
from streams.events import Composed, EmailAttempting, EmailQueued, EmailSent, Header
from streams.publisher import KafkaPublisher, Record
from streams.settings import Settings
from streams.state.ledger import Ledger

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
TEXT = "Splash is on Saturday; this is your schedule and the way to the room.\n" * 28  # 2 kB
DEADLINE_S = 300.0


def queued(number: int, tag: str = "benchmark") -> EmailQueued:
    """One email of 2 kB; the same number and tag give the same id."""
    email_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{tag}-{number}"))
    now = datetime.now(UTC)
    address, message_id = f"student{number}@people.example.net", f"<{email_id}@splash.example.org>"
    headers = {
        "From": '"Example Splash" <splash@splash.example.org>',
        "To": f'"Student {number}" <{address}>',
        "Subject": f"Welcome to Splash, {number}",
        "Date": now.strftime("%a, %d %b %Y %H:%M:%S +0000"),
        "Message-ID": message_id,
        "List-Unsubscribe": f"<https://splash.example.org/unsubscribe/{email_id}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    return EmailQueued(
        email_id=email_id,
        request_id=tag,
        inbound_id=None,
        user_id=str(number),
        purpose="announcements",
        recipient=address,
        to=headers["To"],
        envelope_from="bounces@splash.example.org",
        subject=headers["Subject"],
        message_id=message_id,
        queued_at=now,
        expires_at=now + timedelta(days=7),
        attempt=1,
        max_attempts=3,
        on_doubt="hold",
        content=Composed([Header(name, value) for name, value in headers.items()], TEXT, None, []),
    )


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[Settings, int | None]]:
    """Settings of a Kafka with all topics, and the broker's pid if it is our own."""
    jars = str(ROOT / "var" / "kafka" / "jars")
    if outside := os.environ.get("ESPMAIL_KAFKA"):
        settings = Settings(kafka=outside, var=folder)
        admin.delete(settings)
        admin.apply(settings)
        yield settings, None
        return
    with Broker(Settings(kafka_port=19392, var=folder, jars=jars)) as broker:
        settings = Settings(kafka=f"{HOST}:19392", var=folder, jars=jars)
        admin.apply(settings)
        yield settings, broker.pid


@contextlib.contextmanager
def process(*arguments: str, **settings: str) -> Iterator[psutil.Process]:
    child = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, env={**os.environ, **settings})
    try:
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait()


def main(mails: int) -> None:
    with tempfile.TemporaryDirectory() as name, cluster(Path(name)) as (settings, broker):
        port = free_port()
        chosen = replace(settings, app=f"benchmark-{uuid.uuid4().hex[:6]}", mta=f"{HOST}:{port}")
        asyncio.run(load(chosen, mails))
        with process("benchmarks.sink", str(port)) as sink:
            run(chosen, mails, {"sink": sink} | ({"broker": psutil.Process(broker)} if broker else {}))
        steps(Path(name))


async def load(settings: Settings, mails: int) -> None:
    publisher = KafkaPublisher(settings.bootstrap)
    emails = [queued(number) for number in range(mails)]
    await publisher.publish([Record.of(topics.EMAILS_BULK, email.email_id, email, "trace") for email in emails])
    await publisher.close()


def run(settings: Settings, mails: int, processes: dict[str, psutil.Process]) -> None:
    before = {name: cpu_s(process) for name, process in processes.items()}
    with process("streams.run_agent", "send.bulk", **settings.as_environment()) as agent:
        first, last, at_first = watch(settings, mails, agent)
        spent = {"agent": cpu_s(agent) - at_first} | {name: cpu_s(process) - before[name] for name, process in processes.items()}
    print(f"{mails} mails in {last - first:.2f} s: {mails / (last - first):.0f} mails/s")
    for name, seconds in spent.items():
        print(f"  {name:8} {seconds / mails * 1e6:6.0f} CPU us a mail")


def watch(settings: Settings, mails: int, agent: psutil.Process) -> tuple[float, float, float]:
    """When the sink had the first and the last mail, and the agent's CPU seconds at the first."""
    at_first, taken, until = 0.0, b"0", time.monotonic() + DEADLINE_S
    with connected(settings.mta_endpoints[0][1]) as client:
        while time.monotonic() < until:
            taken, first, last = client.docmd("VRFY")[1].split()
            at_first = at_first or (cpu_s(agent) if int(taken) else 0.0)
            if int(taken) >= mails:
                threading.Event().wait(1.0)  # the last outcomes
                return float(first), float(last), at_first
            threading.Event().wait(0.02)
    raise SystemExit(f"only {int(taken)} of {mails} mails came within {DEADLINE_S:.0f} s")


def free_port() -> int:
    with socket.create_server((HOST, 0)) as bound:
        return int(bound.getsockname()[1])


def connected(port: int) -> smtplib.SMTP:
    until = time.monotonic() + 10
    while True:
        try:
            return smtplib.SMTP(HOST, port)
        except ConnectionError:
            if time.monotonic() > until:
                raise
            threading.Event().wait(0.05)


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def steps(folder: Path) -> None:
    """What the pure steps of one mail cost alone."""
    email = queued(0)
    now = datetime.now(UTC)
    value = codec.encode(email)
    attempting = EmailAttempting(email.email_id, email.request_id, now, 1, "owner", "hash", topics.EMAILS_BULK, 0, 0)
    sent = EmailSent(email.email_id, email.request_id, now, 1, email.message_id, "127.0.0.1:25", "250 2.0.0 taken", 2500)
    ledger = Ledger(folder / "steps.sqlite")
    print("  of the agent's, alone:")
    for name, step in {
        "decode EmailQueued": lambda: codec.decode(value),
        "compose": lambda: compose(email, {}),
        "encode attempt and outcome": lambda: (codec.encode(attempting), codec.encode(sent)),
        "look into the ledger": lambda: ledger.state(email.email_id),
    }.items():
        print(f"    {micros(step):6.1f} us {name}")
    ledger.close()


def micros(step: Callable[[], object]) -> float:
    return min(timeit.repeat(step, number=2000, repeat=3)) / 2000 * 1e6


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
