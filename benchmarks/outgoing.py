"""Outgoing mail end to end, beside `smtp-source -d` to the same sink in the same run.

`python -m benchmarks.outgoing [MAILS]`. Everything on this machine: broker, all agents, projector, SQLite, and Postfix's smtp-sink.
The clock runs from the submission of one request to the last recipient's durable outcome in SQL. The baseline renders nothing and
remembers nothing: it is the speed of SMTP itself here and now. Only the ratio means anything on another machine.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.postfix import tools
from cli.publishing import publish
from deploy import sample
from deploy.demo import HOST, settings_for
from deploy.stack import running
from deploy.supervisor import Supervisor
from projections import queries
from projections.database import open_engine
from streams.domain.outgoing.policy import Policy
from streams.domain.states import TERMINAL
from streams.settings import Settings
from streams.submission import submission

VAR = Path("var")
BODY_BYTES = 2000
SESSIONS = 16
PATIENCE_S = 300.0
POLL_S = 0.05


def main(mails: int) -> None:
    """Print mails a second of both, their ratio, and the CPU time of a mail by process."""
    programs, environment = tools(VAR / "bench")
    with tempfile.TemporaryDirectory(prefix="espmail-bench-") as folder:
        settings = settings_for(Settings(var=Path(folder), jars=str(VAR / "kafka" / "jars")))
        with sink(programs, environment, settings):
            baseline = smtp_source(programs, environment, settings, mails)
            with running(settings, lambda text: print(f"... {text}", flush=True)) as stack:
                first, last, cpu = ours(settings, stack.supervisor, mails)
            again = smtp_source(programs, environment, settings, mails)
    theirs = max(baseline, again)
    print(f"smtp-source -d: {baseline:,.0f} and {again:,.0f} mails/s")
    print(f"espmail, end to end: {mails / last:,.0f} mails/s; first outcome after {first:.2f} s, last after {last:.2f} s")
    print(f"share of smtp-source -d: {mails / last / theirs:.3f}")
    print("CPU microseconds a mail: " + ", ".join(f"{name} {seconds / mails * 1e6:,.0f}" for name, seconds in cpu.items()))


@contextmanager
def sink(programs: Path, environment: dict[str, str], settings: Settings) -> Iterator[None]:
    """Postfix's smtp-sink on the settings' MTA port."""
    address = f"{HOST}:{settings.mta_endpoints[0][1]}"
    process = subprocess.Popen([programs / "smtp-sink", "-u", "nobody", address, "1000"], env=environment)
    try:
        wait_listening(*settings.mta_endpoints[0])
        yield
    finally:
        process.terminate()
        process.wait()


def wait_listening(host: str, port: int) -> None:
    """Returns when somebody listens there. Raises OSError after five seconds."""
    until = time.monotonic() + 5
    while True:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(POLL_S)
        else:
            return


def smtp_source(programs: Path, environment: dict[str, str], settings: Settings, mails: int) -> float:
    """Mails a second of the baseline."""
    address = f"{HOST}:{settings.mta_endpoints[0][1]}"
    command = [programs / "smtp-source", "-d", "-s", str(SESSIONS), "-l", str(BODY_BYTES), "-m", str(mails), address]
    started = time.monotonic()
    subprocess.run(command, env=environment, check=True)
    return mails / (time.monotonic() - started)


def ours(settings: Settings, supervisor: Supervisor, mails: int) -> tuple[float, float, dict[str, float]]:
    """Seconds to the first and to the last outcome, and CPU seconds by process meanwhile."""
    now = datetime.now(UTC)
    document = json.loads(json.dumps(request(mails, now)))
    before = cpu_seconds(supervisor)
    started = time.monotonic()
    publish(settings, submission(document, now, Policy()).records)
    first, last = watch(settings, document["request_id"], mails, started)
    after = cpu_seconds(supervisor)
    return first, last, {name: after[name] - before[name] for name in after}


def request(mails: int, now: datetime) -> dict[str, Any]:
    """One personalised mail of about BODY_BYTES to each of so many people."""
    people = [
        {"user_id": str(n), "username": f"p{n}", "first_name": f"First{n}", "last_name": f"Last{n}", "email": f"p{n}@people.example.net"}
        for n in range(mails)
    ]
    body = "Dear {{ user.name }},\n\n" + "Splash starts at nine in the main hall.\n" * (BODY_BYTES // 40)
    creator = {"user_id": "a", "first_name": "Ana", "last_name": "Admin", "email": f"ana@{sample.DOMAIN}"}
    return {
        "request_id": f"bench-{now.timestamp()}",
        "subject": "For {{ user.first_name }}",
        "body": body,
        "send_to": "send_to_self",
        "created_at": now.isoformat(),
        "creator": creator,
        "site": sample.SITE,
        "recipients": people,
    }


def watch(settings: Settings, request_id: str, mails: int, started: float) -> tuple[float, float]:
    """When the first and when the last recipient has a final outcome in SQL, in seconds since `started`."""
    engine = open_engine(settings.database_url)
    first = 0.0
    while time.monotonic() - started < PATIENCE_S:
        with engine.connect() as connection:
            status = queries.request_status(connection, request_id)
        settled = sum(status.counts[state] for state in TERMINAL) if status else 0
        first = first or (time.monotonic() - started if settled else 0.0)
        if settled == mails:
            engine.dispose()
            return first, time.monotonic() - started
        time.sleep(POLL_S)
    raise TimeoutError(f"{settled} of {mails} mails after {PATIENCE_S:g} s")


def cpu_seconds(supervisor: Supervisor) -> dict[str, float]:
    """User and system time of each process so far."""
    used = {}
    for child in supervisor.children:
        times = psutil.Process(child.process.pid).cpu_times() if child.process else None
        used[child.name] = times.user + times.system if times else 0.0
    return used


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
