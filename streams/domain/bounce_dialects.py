"""Bounces that are written for people: the dialects of servers that send no RFC 3464 report, by flufl.bounce.

It works on the stdlib's parsed message, whose parser an attacker can make slow or deep (reliability.md, section 3, rows
M-03, M-05, M-07), so only small, flat mails get there.
"""

from __future__ import annotations

import re
from email import message_from_bytes

from flufl.bounce import all_failures

from streams.domain.verdicts import one_line

MAX_CONTENT = 16_384  # some 200 patterns are tried on each line
MAX_CONTENT_FIELD = 1_000  # octets of one Content- field: its parameters are read in quadratic time
MAX_STRUCTURE = 20  # boundaries and nested messages
MAX_DELIMITERS = 400
CONTENT_FIELD = re.compile(rb"^content-[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE)
STRUCTURE = re.compile(rb"boundary|message/", re.IGNORECASE)
DELIMITER = re.compile(rb"^--", re.MULTILINE)
STATUS = re.compile(r"5\.\d{1,3}\.\d{1,3}")
SERVER_SAID = re.compile(r"\b5\d\d[ -](?:[^\n]*)|\b5\.\d{1,3}\.\d{1,3}\b[^\n]*")


def read_prose(content: bytes) -> tuple[str, str] | None:
    """(status, diagnostic) of a permanent failure; none for a warning or what is no bounce. Never raises."""
    content = content[:MAX_CONTENT]
    if not _harmless(content):
        return None
    try:
        _, permanent = all_failures(message_from_bytes(content))
    except Exception:  # noqa: BLE001 - a stranger's bytes in two parsers: whatever they raise, this is no bounce that we can read
        return None
    if not permanent:
        return None
    said = SERVER_SAID.search(content.decode("utf-8", "replace"))
    diagnostic = one_line(said[0]) if said else ""
    status = STATUS.search(diagnostic)
    return status[0] if status else "", diagnostic


def _harmless(content: bytes) -> bool:
    return (
        max(map(len, CONTENT_FIELD.findall(content)), default=0) <= MAX_CONTENT_FIELD
        and len(STRUCTURE.findall(content)) <= MAX_STRUCTURE
        and len(DELIMITER.findall(content)) <= MAX_DELIMITERS
    )
