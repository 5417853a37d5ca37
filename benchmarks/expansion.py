"""Microseconds of one core per recipient: reading a request, checking it, and expanding it into mails of about 2 kB.

Run: python -m benchmarks.expansion
"""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from streams.domain.outgoing.check import Checked, check
from streams.domain.outgoing.expansion import Facts, expand
from streams.domain.outgoing.request import parse_request
from streams.domain.outgoing.unsubscribe import Keyring

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
FACTS = Facts(suppressed=lambda _: None, keyring=Keyring((bytes(32),)))
PEOPLE = 1000
ROUNDS = 7
WORDS = "Some words that fill a line of text in this mail of ours and more. "
SCHEDULE = {"html": "<table><tr><td>Sat 9:00am--9:50am</td><td>Knots</td><td>101</td></tr></table>"}
TEXT = (
    "Dear {{ user.first_name }},\n\n" + WORDS * 14 + "\n\n{{ program.date }} {{ user.username }}\n\n" + WORDS * 13
    + "\n\n{{ program.student_schedule }}\n\n{{ EMAIL_HOST_SENDER }}\n"
)  # fmt: skip
PARAGRAPHS = (
    "Dear <b>{{ user.first_name }}</b>,", WORDS * 8, "{{ program.date }} {{ user.username }}", WORDS * 6,
    'See <a href="/learn/x">the page</a> or <a href="{{ request.public_url }}">here</a>.', WORDS * 6, "{{ program.student_schedule }}",
    '<img src="/media/a.png" alt="Logo"> {{ EMAIL_HOST_SENDER }}<br><a href="{{ user.unsubscribe_link }}">Unsubscribe</a>',
)  # fmt: skip
HTML = "<html><style>p{color:red}</style>" + "".join(f"<p>{text}</p>\n" for text in PARAGRAPHS) + "</html>"


def main() -> None:
    """Print one line a measure: the median of ROUNDS, in CPU time."""
    for kind, body in (("text", TEXT), ("text + HTML", HTML)):
        document = _document(body)
        request = parse_request(document, NOW).request
        checked = check(request, NOW)
        if not isinstance(checked, Checked):
            raise SystemExit(checked.detail)
        _print(f"{kind} of {len(body)} characters: read, a recipient", partial(parse_request, document, NOW), PEOPLE)
        _print(f"{kind}: check, a record", partial(check, request, NOW), 1)
        _print(f"{kind}: expand, a recipient", partial(_expand, checked), PEOPLE)


def _expand(checked: Checked) -> int:
    return sum(1 for _ in expand(checked, FACTS, NOW))


def _print(what: str, call: Callable[[], Any], parts: int) -> None:
    times = [timeit.timeit(call, timer=time.process_time, number=1) / parts for _ in range(ROUNDS)]
    print(f"{what}: {statistics.median(times) * 1e6:,.0f} us")


def _document(body: str) -> dict[str, Any]:
    people = [
        {
            "user_id": str(n), "username": f"u{n}", "first_name": "Ann", "last_name": "Lee", "email": f"u{n}@x.org",
            "variables": {"program": {"student_schedule": SCHEDULE}},
        }
        for n in range(PEOPLE)
    ]  # fmt: skip
    return {
        "request_id": "bench", "subject": "For {{ user.name }}", "body": body, "created_at": NOW.isoformat(),
        "creator": {"user_id": "0"}, "site": {"domain": "d.org", "group_name": "Group", "bounces": "bounces@d.org"},
        "variables": {"program": {"date": "Jul. 07, 2222"}}, "recipients": people,
    }  # fmt: skip


if __name__ == "__main__":
    main()
