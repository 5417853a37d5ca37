"""Settling doubts: the events that say that a mail was sent after all, must be sent again, or is given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from streams import codec, topics
from streams.events import EmailFailed, EmailQueued, EmailRequeued, EmailSent
from streams.publisher import Record
from streams.reading import record_at
from streams.settings import Settings

Doubt = Mapping[str, Any]  # a row of text_of_email


def sent(doubt: Doubt, evidence: str, now: datetime) -> list[Record]:
    """The MTA has it; `evidence` is kept as its reply."""
    event = EmailSent(
        email_id=doubt["email_id"],
        request_id=doubt["request_id"],
        at=now,
        attempt=doubt["attempt"],
        message_id=doubt["message_id"],
        mta="evidence",
        reply=evidence,
        size=0,
    )
    return [_delivery(doubt, event)]


def resend(doubt: Doubt, settings: Settings, by: str, reason: str, now: datetime) -> list[Record]:
    """The MTA does not have it: the next attempt, with the same Message-ID. Raises UserError if its text is no longer kept."""
    record = record_at(settings, doubt["text_topic"], doubt["text_partition"], doubt["text_offset"])
    email = codec.decode_as(EmailQueued, record.value)
    following = doubt["attempt"] + 1
    again = replace(email, attempt=following, max_attempts=max(email.max_attempts, following))
    requeued = EmailRequeued(email.email_id, email.request_id, now, following, by, reason)
    return [
        _delivery(doubt, requeued),
        _beside(doubt, Record.of(doubt["text_topic"], email.email_id, again)),
    ]


def failed(doubt: Doubt, by: str, now: datetime) -> list[Record]:
    """Given up: it stays unsent, if it was not sent."""
    event = EmailFailed(doubt["email_id"], doubt["request_id"], now, doubt["attempt"], "given_up", f"by {by}")
    return [_delivery(doubt, event)]


def _delivery(doubt: Doubt, event: Any) -> Record:
    return _beside(doubt, Record.of(topics.DELIVERIES, doubt["email_id"], event))


def _beside(doubt: Doubt, record: Record) -> Record:
    """In the partition of the email's own record, where the sender's ledger looks."""
    return replace(record, partition=doubt["text_partition"])
