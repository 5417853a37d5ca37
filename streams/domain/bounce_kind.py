"""How bad a bounce is: `hard`, nobody should write to the address again; `soft`, this mail was not delivered."""

from __future__ import annotations

import re

from streams.domain.delivery import Phase, Reply, Verdict, judge

SMTP_REPLY = re.compile(r"\b([45]\d\d)[ -](?:([245]\.\d{1,3}\.\d{1,3}) ?)?(.*)")

# Codes of RFC 3463 by which an address is dead; with any other it may live, and one failure is counted.
HARD_STATUSES = frozenset({
    "5.1.1",  # no such mailbox
    "5.1.2",  # no such system
    "5.1.3",  # no address at all
    "5.1.6",  # moved, nobody knows where
    "5.1.10",  # the domain takes no mail (RFC 7505)
    "5.2.1",  # mailbox disabled
    "5.4.310",  # Exchange: the domain does not exist
})  # fmt: skip


# What a server says at once that others say in a report: the mailbox is there, and took nothing.
SOFT_REASONS = frozenset({"mailbox_full"})


def bounce_of(verdict: Verdict) -> str | None:
    """What the refusal that ended a mail says of its address; none if it says nothing of it."""
    return "hard" if verdict.hard_bounce else "soft" if verdict.reason in SOFT_REASONS else None


def reply_of(diagnostic: str) -> Reply | None:
    """The SMTP reply that a diagnostic quotes; none if it quotes none."""
    found = SMTP_REPLY.search(diagnostic)
    return found and Reply(int(found[1]), f"{found[2] or ''} {found[3]}".strip())


def bounce_kind(status: str, diagnostic: str) -> str:
    """By the status code, else by the reply that the diagnostic quotes, read as if the server had told us."""
    if status in HARD_STATUSES:
        return "hard"
    reply = reply_of(diagnostic)
    return "hard" if reply and judge(Phase.RCPT, reply).hard_bounce else "soft"
