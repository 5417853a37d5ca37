"""What a mail to the bounces address reports: a bounce, a complaint, or nothing that we act on.

    read_report(inbound_id, rcpt_to, content, at, keyring) -> EmailBounced | EmailComplained | None

Reports are anybody's bytes. Reading is bounded and never raises; MIME is not parsed but searched for the one part that
speaks to machines (RFC 3464 delivery-status, RFC 5965 feedback-report). Where there is none, bounce_dialects.py reads the
prose of older servers.

Anyone can write that an address is dead. So `address_hash` comes only from the signed unsubscribe link of a mail of ours
that the report returns: who has that link could silence the address anyway. Without one it is '' and may not suppress
anything; the bounce still stands in the email's history.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from streams.domain.bounce_dialects import read_prose
from streams.domain.bounce_kind import bounce_kind
from streams.domain.outgoing.unsubscribe import TOKEN, BadToken, Keyring, read_token
from streams.domain.verdicts import one_line
from streams.domain.verp import EMAIL_ID, read_verp
from streams.events import EmailBounced, EmailComplained

MAX_CONTENT = 262_144  # a report stands in front of the returned mail
MAX_BLOCK = 16_384
MAX_GROUPS = 50

REPORT = re.compile(rb"^content-type:[ \t]*message/(?:global-)?(delivery-status|feedback-report)\b", re.IGNORECASE | re.MULTILINE)
EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
NEXT_PART = re.compile(rb"^--", re.MULTILINE)
FOLD = re.compile(r"\n[ \t]+")
GROUP = re.compile(r"\n(?:[ \t]*\n)+")
OUR_ID = re.compile(rb"^message-id:[ \t\r\n]*<(" + EMAIL_ID.encode() + rb")@", re.IGNORECASE | re.MULTILINE)
# Of the header alone: the text of a list's mail may quote somebody else's link.
LINK = re.compile(rb"^list-unsubscribe:[ \t\r\n]*<https://[^>\s]{1,300}/(" + TOKEN.pattern.encode() + rb")>", re.IGNORECASE | re.MULTILINE)
STATUS = re.compile(r"\d\.\d{1,3}\.\d{1,3}")

# Which report is a complaint (RFC 5965, section 7.3).
COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other", "opt-out"})  # not-spam, auth-failure and the rest say nothing against us
# All actions of RFC 3464, section 2.3.3, but failed; real servers also write failure, error and worse.
NOT_FAILED = frozenset({"delayed", "delivered", "relayed", "expanded"})
RECIPIENT = frozenset({"original-recipient", "final-recipient"})


@dataclass(frozen=True, slots=True)
class Failure:
    """One recipient's failure, as its report words it."""

    status: str
    diagnostic: str


@dataclass(frozen=True, slots=True)
class Named:
    """Which email a report is about, and the hash of its address where that is proven ('' where it is not)."""

    email_id: str | None
    address_hash: str


def read_report(inbound_id: str, rcpt_to: str, content: bytes, at: datetime, keyring: Keyring) -> EmailBounced | EmailComplained | None:
    """What a mail that came to `rcpt_to` reports. None: a delay, praise, somebody's holiday, or no report. Never raises."""
    content = content[:MAX_CONTENT]
    found = REPORT.search(content)
    behind = content[found.end() :] if found else EMPTY_LINE.split(content, maxsplit=1)[-1]
    groups = list(_groups(behind)) if found else []
    named = _named(rcpt_to, behind, keyring)
    if found and found[1].lower() == b"feedback-report":
        complaint = bool(groups) and groups[0].get("feedback-type", "").lower() in COMPLAINTS
        return EmailComplained(inbound_id, at, named.email_id, named.address_hash, "fbl") if complaint else None
    ends = [(_end(group), group) for group in groups if RECIPIENT.intersection(group)]
    failed = [_failure(group) for end, group in ends if end not in NOT_FAILED]
    if failed:
        return _bounced(inbound_id, named, failed[0], "dsn", at)
    prose = None if ends else read_prose(content)
    return prose and _bounced(inbound_id, named, Failure(*prose), "prose", at)


def _groups(text: bytes) -> Iterator[dict[str, str]]:
    """The groups of fields of the part whose header we stand in, names in lower case; the first of two equal names counts."""
    block = EMPTY_LINE.split(text[:MAX_BLOCK], maxsplit=1)[-1]
    block = NEXT_PART.split(block, maxsplit=1)[0]
    lines = FOLD.sub(" ", block.decode("utf-8", "replace").replace("\r\n", "\n"))
    for group in GROUP.split(lines.strip())[:MAX_GROUPS]:
        pairs = [line.partition(":")[::2] for line in reversed(group.split("\n"))]
        yield {name.strip().lower(): value.strip() for name, value in pairs}


def _end(group: dict[str, str]) -> str:
    """How it ended with a recipient; where its server forgot to say, its status tells."""
    status = group.get("status", "")
    return group.get("action", "delayed" if status.startswith("4") else "delivered" if status.startswith("2") else "").lower().split(" ")[0]


def _failure(group: dict[str, str]) -> Failure:
    status = STATUS.match(group.get("status", ""))
    diagnostic = group.get("diagnostic-code", "")  # `smtp; 550 no`: its type goes
    return Failure(status[0] if status else "", one_line(diagnostic.partition(";")[2] or diagnostic))


def _named(rcpt_to: str, returned: bytes, keyring: Keyring) -> Named:
    """By a link of ours; else by the return path, else by the Message-ID, of what the report returns."""
    link = LINK.search(returned)
    if link:
        with suppress(BadToken):
            proven = read_token(keyring, link[1].decode())
            return Named(proven.email_id, proven.address_hash)
    found = OUR_ID.search(returned)
    return Named(read_verp(rcpt_to) or (found[1].decode().lower() if found else None), "")


def _bounced(inbound_id: str, named: Named, failure: Failure, source: str, at: datetime) -> EmailBounced:
    return EmailBounced(
        inbound_id,
        at,
        named.email_id,
        named.address_hash,
        bounce_kind(failure.status, failure.diagnostic),
        failure.status,
        failure.diagnostic,
        source,
    )
