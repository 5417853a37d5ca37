"""Big audiences: their files, and expansion that is killed in the middle of one."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from streams import topics
from streams.events import RequestExpanded
from streams.settings import Settings
from tests.services.agents import running
from tests.services.installation import espmail
from tests.services.mails import events
from tests.services.outgoing import document
from tests.services.until import until

PATIENCE_S = 90.0
CRASHING = "tests.services.crashing_agent"


def audience(folder: Path, request_id: str, people: int, **changes: Any) -> tuple[str, str, str]:
    """The arguments of `espmail request submit` for a request to so many people in a file of their own."""
    head = document(request_id=request_id, created_at=None, subject=request_id, **changes)
    del head["recipients"]
    path, lines = folder / f"{request_id}.json", folder / f"{request_id}.jsonl"
    path.write_text(json.dumps(head), encoding="utf-8")
    with lines.open("w", encoding="ascii") as file:
        file.writelines(json.dumps({"user_id": f"p{n}", "username": f"p{n}", "email": f"p{n}@many.example"}) + "\n" for n in range(people))
    return str(path), "--recipients", str(lines)


def everybody(people: int) -> Counter[str]:
    """The addresses of an audience, each once."""
    return Counter(f"p{n}@many.example" for n in range(people))


def expand_killed(settings: Settings, folder: Path, people: int, kills: int) -> Counter[str]:
    """Who is queued, counted by email id, when both expanders were killed so many times in the middle of a request."""
    chunks = people // 1000
    said = espmail(settings, "request", "submit", *audience(folder, "big", people), "--json")
    assert said.lines == [{"outcome": "accepted", "request_id": "big", "people": people, "records": chunks}]
    for _ in range(kills):
        with (
            running(settings, "expand"),
            running(settings, "expand.bulk", CRASHING, f"after:RequestExpanded:{chunks // (kills + 1)}") as bulk,
        ):
            assert bulk.end() == -signal.SIGKILL
    assert 0 < len(expanded(settings)) < chunks
    with running(settings, "expand"), running(settings, "expand.bulk"):
        until(lambda: len(expanded(settings)) == chunks, "every chunk is expanded", people / 200 + PATIENCE_S)
    queued = {one.email_id: one.recipient for one in events(settings, topics.EMAILS_BULK)}
    assert sum(event.queued for event in expanded(settings).values()) == people
    return Counter(queued.values())


def expanded(settings: Settings) -> dict[int, RequestExpanded]:
    """What was said of each chunk."""
    return {event.chunk: event for event in events(settings, topics.EXPANSIONS)}
