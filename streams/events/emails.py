"""Topics emails.urgent and emails.bulk: one mail for one envelope recipient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from streams.events.parts import Attachment, ClaimCheck, Header


@dataclass(frozen=True, slots=True)
class Composed:
    """Text that we write: `headers` are all fields as on the wire, decoded, in order, without the MIME ones."""

    headers: list[Header]
    text: str
    html: str | None
    attachments: list[Attachment]


@dataclass(frozen=True, slots=True)
class Relayed:
    """Somebody's mail passed on: `header` is the edited header block as bytes (each line ends CRLF, no empty line).

    The body is the original's, byte for byte: inline, or the stored original from `body_start` on.
    """

    header: bytes
    body: bytes | None
    claim: ClaimCheck | None
    body_start: int


@dataclass(frozen=True, slots=True)
class EmailQueued:
    """One mail for one envelope recipient. `attempt` is the number of the next attempt, from 1.

    `reserved`: it waited for its slot of a limited rate, and has it.
    """

    email_id: str
    request_id: str | None
    inbound_id: str | None
    user_id: str | None
    purpose: str
    recipient: str
    to: str
    envelope_from: str
    subject: str
    message_id: str
    queued_at: datetime
    expires_at: datetime
    attempt: int
    max_attempts: int
    on_doubt: str
    content: Composed | Relayed
    reserved: bool = False
