"""How bad a bounce is: `hard`, nobody should write to the address again; `soft`, this mail was not delivered."""

from __future__ import annotations

import re

from streams.domain.delivery import Phase, Reply, judge

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


def bounce_kind(status: str, diagnostic: str) -> str:
    """By the status code, else by the reply that the diagnostic quotes, read as if the server had told us."""
    if status in HARD_STATUSES:
        return "hard"
    reply = SMTP_REPLY.search(diagnostic)
    if reply is None:
        return "soft"
    text = f"{reply[2] or ''} {reply[3]}".strip()
    return "hard" if judge(Phase.RCPT, Reply(int(reply[1]), text)).hard_bounce else "soft"
