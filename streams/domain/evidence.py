"""What an MTA's own log says about a mail that may or may not have been handed over: its Message-ID, and when.

An entry proves that the MTA took the mail. That there is none proves nothing unless the log covers the time of the attempt;
that is for whoever reads it to judge.

    taken(kind, lines) -> {message_id: line}      what the MTA took
    shown(seen, email_id, message_id) -> Shown    what that says of one email
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

# Exim's main log: "2026-11-20 10:00:00 1xyz-000-00 <= sender@x H=... S=1234 id=left@right"
EXIM = re.compile(r" <= .* id=(?P<id>\S+)")
# Postfix's cleanup: "postfix/cleanup[1234]: 4XYZ: message-id=<left@right>"
POSTFIX = re.compile(r" message-id=<(?P<id>[^>]+)>")
READERS = {"exim": EXIM, "postfix": POSTFIX}
MAX_LINE = 500


def taken(kind: str, lines: Iterable[str]) -> dict[str, str]:
    """The log line that shows each Message-ID (angle brackets included) as taken; `kind` is a key of READERS."""
    pattern = READERS[kind]
    found = ((pattern.search(line), line) for line in lines)
    return {f"<{match['id']}>": line.strip()[:MAX_LINE] for match, line in found if match}


Shown = Literal["taken", "absent", "unclear"]


def shown(seen: Mapping[str, str], email_id: str, message_id: str) -> Shown:
    """What a log says of an email. A relayed mail's Message-ID is that of every other copy, and of the mail as it came in: it names none."""
    if message_id not in seen:
        return "absent"
    return "taken" if message_id.startswith(f"<{email_id}@") else "unclear"
