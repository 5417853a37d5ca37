"""Mail to a site's bounces address: read for the one report that it may hold, and passed on to nobody."""

from __future__ import annotations

from dataclasses import dataclass

from streams import topics
from streams.domain.bounces import read_report
from streams.domain.outgoing.unsubscribe import Keyring
from streams.events import EmailBounced, EmailComplained, InboundMailReceived
from streams.publisher import Record

# What was read -> the reason with which the mail itself is dropped.
REASONS: dict[type, str] = {
    EmailBounced: "bounce_read",
    EmailComplained: "complaint_read",
    type(None): "no_report",  # a delay, an auto-reply, or somebody's mail: nobody reads that mailbox
}


@dataclass(frozen=True, slots=True)
class Read:
    """Why the mail is dropped, and the feedback that it was."""

    reason: str
    records: list[Record]


def read_bounce(mail: InboundMailReceived, content: bytes, keyring: Keyring, trace: str) -> Read:
    """Never raises. The same mail gives the same feedback, so that a replay says nothing new."""
    report = read_report(mail.inbound_id, mail.rcpt_to, content, mail.received_at, keyring)
    reason = REASONS[type(report)]
    if report is None:
        return Read(reason, [])
    return Read(reason, [Record.of(topics.FEEDBACK, report.address_hash or report.email_id or mail.inbound_id, report, trace)])
