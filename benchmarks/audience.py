"""A big audience: `python -m benchmarks.audience [PEOPLE]`, on loopback, with a real broker (its own, or ESPMAIL_KAFKA).

`espmail request submit --recipients` and the agents expand and expand.bulk, all real processes; nothing is sent. Prints people a second
and the CPU time of each while it was running, and its memory at each tenth of the way: it should be the same from the first to the last.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks.outgoing import request
from benchmarks.send import cluster, cpu_s, process
from streams import codec, ports, topics
from streams.events import RequestExpanded
from streams.reading import records_of
from streams.settings import Settings

LOOK_S = 0.5
DEADLINE_S = 600.0
MIB = 2**20


def main(people: int) -> None:
    with tempfile.TemporaryDirectory(prefix="espmail-bench-") as name, cluster(Path(name)) as (settings, _):
        chosen = replace(settings, app="benchmark-audience")
        document, recipients = files(Path(name), people)
        with process("streams.run_agent", "expand", **chosen.as_environment()) as front, agent(chosen) as bulk:
            started = time.monotonic()
            with process(
                "cli.main", "request", "submit", str(document), "--recipients", str(recipients), **chosen.as_environment()
            ) as command:
                submitted = watch({"submit": command, "expand": front, "expand.bulk": bulk}, chosen, people, started)
    for name, (seconds, spent, memory) in submitted.items():
        print(
            f"{name:12} done after {seconds:6.1f} s, {people / seconds:8,.0f} people/s, {spent / people * 1e6:4.0f} CPU us each, "
            f"at most {max(memory.values()):4.0f} MiB; by tenths: {' '.join(f'{mib:.0f}' for _, mib in sorted(memory.items()))}"
        )


def agent(settings: Settings) -> contextlib.AbstractContextManager[psutil.Process]:
    return process("streams.run_agent", "expand.bulk", **settings.as_environment())


def files(folder: Path, people: int) -> tuple[Path, Path]:
    """The request, and its people a line each; made without holding them either."""
    head = request(0, ports.now())
    del head["recipients"]
    document, recipients = folder / "request.json", folder / "people.jsonl"
    document.write_text(json.dumps(head), encoding="utf-8")
    with recipients.open("w", encoding="utf-8") as file:
        for n in range(people):
            person = {"user_id": str(n), "username": f"p{n}", "first_name": f"First{n}", "email": f"p{n}@people.example.net"}
            file.write(json.dumps(person) + "\n")
    return document, recipients


def watch(
    processes: dict[str, psutil.Process], settings: Settings, people: int, started: float
) -> dict[str, tuple[float, float, dict[int, float]]]:
    """Of each process when it was done, its CPU seconds, and its largest resident memory in MiB by tenths of the people expanded."""
    found: dict[str, tuple[float, float, dict[int, float]]] = {name: (0.0, 0.0, {}) for name in processes}
    for _ in looks(started):
        done = expanded(settings)
        for name, one in processes.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                if one.status() != psutil.STATUS_ZOMBIE:
                    tenth, memory = done * 10 // people, found[name][2]
                    memory[tenth] = max(memory.get(tenth, 0.0), one.memory_info().rss / MIB)
                    found[name] = (time.monotonic() - started, cpu_s(one), memory)
        if done >= people:
            return found
    raise SystemExit(f"not expanded within {DEADLINE_S:.0f} s")


def looks(started: float) -> Iterator[None]:
    while time.monotonic() - started < DEADLINE_S:
        yield
        threading.Event().wait(LOOK_S)


def expanded(settings: Settings) -> int:
    """How many people are expanded so far."""
    events = (codec.decode(record.value) for record in records_of(settings, topics.EXPANSIONS))
    return sum(event.people for event in events if isinstance(event, RequestExpanded))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
