"""Microseconds of one core per inbound mail: decide and to_events for lists of 5 and 100 members, and building a directory.

Run: python -m benchmarks.routing
"""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from streams import codec
from streams.domain import ids
from streams.domain.routing.decide import decide
from streams.domain.routing.directory import Directory
from streams.domain.routing.document import directory_of_document, read_document
from streams.domain.routing.model import Inbound
from streams.domain.routing.outcome import to_events
from streams.events import EmailQueued

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
HEAD = (
    b"Received: from laptop (laptop [192.0.2.1])\r\n\tby mx.x.org; Fri, 20 Nov 2026 10:00:00 +0000\r\n"
    b"From: Tess Ted <p0@x.org>\r\nTo: m1-class@site.org\r\nSubject: Room change\r\nMessage-ID: <1@x.org>\r\n"
    b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
)
ROUNDS = 5


def main() -> None:
    """Print one line a measure: the median of ROUNDS, in CPU time."""
    for members in (5, 100):
        directory = _directory(members)
        mail = _mail(HEAD + b"x" * 2_000)
        decision = decide(mail, directory)
        emails = to_events(decision, mail, NOW, rules_hash="").emails
        _print(f"decide, {members} members", partial(decide, mail, directory))
        _print(f"to_events, {members} members", partial(to_events, decision, mail, NOW, rules_hash=""))
        _print(f"encode, {members} members", partial(_encode, emails))
    _print("directory of 50,000 people", partial(directory_of_document, read_document(_document(50_000))), number=1)


def _print(what: str, call: Callable[[], Any], number: int = 200) -> None:
    times = [timeit.timeit(call, timer=time.process_time, number=number) / number for _ in range(ROUNDS)]
    print(f"{what}: {statistics.median(times) * 1e6:,.0f} us")


def _encode(emails: tuple[EmailQueued, ...]) -> None:
    for email in emails:
        codec.encode(email)


def _mail(content: bytes) -> Inbound:
    return Inbound(ids.inbound_id("p0@x.org", "m1-class@site.org", content), NOW, "p0@x.org", "m1-class@site.org", content)


def _directory(members: int) -> Directory:
    return directory_of_document(read_document(_document(members)))


def _document(members: int) -> dict[str, Any]:
    people = [
        {"user_id": n, "username": f"p{n}", "first_name": "First", "last_name": f"Last{n}", "email": f"p{n}@x.org"}
        for n in range(members - 1)
    ]
    program = {"name": "Splash", "director_email": "info@site.org"}
    sections = [{"section_id": 1, "students": list(range(members - 1))}]
    return {
        "site": {"domain": "site.org", "support": "support@site.org", "bounces": "bounces@site.org"},
        "people": people,
        "classes": [{"class_id": 1, "category": "M", "program": program, "sections": sections}],
        "email_lists": [{"seq": 20, "regex": r"^\w(\d+)-(class|teachers|students)$", "handler": "ClassList"}],
    }


if __name__ == "__main__":
    main()
