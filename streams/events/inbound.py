"""Topics inbound-mail, routings and moderation: mail that came in, and what was decided.

`judged` in a decision: who vouched for the sender, as it was known then; none where nobody said, and in events of version 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from streams.events.parts import ClaimCheck, Header, Judgement


@dataclass(frozen=True, slots=True)
class InboundMailReceived:
    """One mail for one envelope recipient, as the gateway took it: `content` inline, or stored under `claim`."""

    inbound_id: str
    received_at: datetime
    mail_from: str
    rcpt_to: str
    content: bytes | None
    claim: ClaimCheck | None
    client: str
    helo: str
    protocol: str


@dataclass(frozen=True, slots=True)
class InboundRouted:
    """Delivered to people: `emails` queued, `skipped` members left out as "address_hash:reason" for the archive."""

    inbound_id: str
    at: datetime
    reason: str
    seq: int | None
    handler: str | None
    rules_hash: str
    emails: list[str]
    skipped: list[Header]
    judged: Judgement | None = None


@dataclass(frozen=True, slots=True)
class InboundHeld:
    inbound_id: str
    at: datetime
    reason: str
    seq: int | None
    handler: str | None
    rules_hash: str
    judged: Judgement | None = None


@dataclass(frozen=True, slots=True)
class InboundDropped:
    """Nobody got it. `skipped` as in InboundRouted, where leaving them out left nobody."""

    inbound_id: str
    at: datetime
    reason: str
    seq: int | None
    handler: str | None
    rules_hash: str
    judged: Judgement | None = None
    skipped: list[Header] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class InboundNoticed:
    """Undeliverable, and its known sender (`address_hash`) was told so by `email_id`. `skipped` as in InboundDropped."""

    inbound_id: str
    at: datetime
    reason: str
    rules_hash: str
    email_id: str
    address_hash: str
    judged: Judgement | None = None
    skipped: list[Header] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class InboundApproved:
    inbound_id: str
    at: datetime
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class InboundRerouted:
    """An operator wants a mail decided on anew, by the rules of today; it stands on inbound-mail at `partition`, `offset`."""

    inbound_id: str
    at: datetime
    by: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class InboundRejected:
    inbound_id: str
    at: datetime
    by: str
    note: str
