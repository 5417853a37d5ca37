"""Mail at the door becomes records: one InboundMailReceived for each envelope recipient, durable before anybody says 250.

`records` is pure. `Intake.accept` puts a big body into the store, publishes, and returns when all of it is acknowledged.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.bodies import Bodies
from streams import topics
from streams.domain.ids import inbound_id_of
from streams.events import ClaimCheck, InboundMailReceived
from streams.publisher import Publisher, Record

REMEMBERED = 20_000  # 5 MB; days of a busy site's mail
TRACE_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom, and how it came: `protocol` is SMTP, ESMTP, LMTP (RFC 3848's names), `client` the peer's address.

    `mail_from` is empty for the null sender.
    """

    mail_from: str
    rcpt_tos: Sequence[str]
    client: str
    helo: str
    protocol: str


def records(envelope: Envelope, content: bytes, claim: ClaimCheck | None, received_at: datetime) -> dict[str, Record]:
    """The records of one mail by inbound_id; a recipient named twice counts once. All of them carry the same trace.

    The trace comes from the content, so that a retransmission is found under it too.
    """
    digest = hashlib.sha256(content).digest() if claim is None else bytes.fromhex(claim.sha256)
    trace = digest.hex()[:TRACE_DIGITS]
    inline = content if claim is None else None
    made = {}
    for rcpt_to in envelope.rcpt_tos:
        inbound_id = inbound_id_of(envelope.mail_from, rcpt_to, digest)
        event = InboundMailReceived(
            inbound_id=inbound_id,
            received_at=received_at,
            mail_from=envelope.mail_from,
            rcpt_to=rcpt_to,
            content=inline,
            claim=claim,
            client=envelope.client,
            helo=envelope.helo,
            protocol=envelope.protocol,
        )
        made[inbound_id] = Record.of(topics.INBOUND_MAIL, inbound_id, event, trace)
    return made


class Intake:
    """The way from the door to the topic. One a process."""

    def __init__(self, publisher: Publisher, bodies: Bodies, inline_limit: int, now: Callable[[], datetime]) -> None:
        self._publisher = publisher
        self._bodies = bodies
        self._inline_limit = inline_limit
        self._now = now
        self._recent: OrderedDict[str, None] = OrderedDict()

    async def accept(self, envelope: Envelope, content: bytes) -> int:
        """Returns how many records are new, when all are durable. Raises PublishFailed or BodyError; then it may be repeated.

        A mail that this process accepted lately and gets again (the client missed our answer: RFC 1047) is accepted
        without a second record. After a restart it gets one, with the same inbound_id, by which readers know it.
        """
        claim = await asyncio.to_thread(self._bodies.put, content) if len(content) > self._inline_limit else None
        made = records(envelope, content, claim, self._now())
        new = [inbound_id for inbound_id in made if inbound_id not in self._recent]
        await self._publisher.publish([made[inbound_id] for inbound_id in new])
        self._remember(new)
        return len(new)

    def _remember(self, ids: Sequence[str]) -> None:
        self._recent.update(dict.fromkeys(ids))
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
