"""The values that inbound routing passes along; all frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from streams.domain.addresses import normalise
from streams.events import ClaimCheck, InboundMailReceived, Judgement


class Kind(StrEnum):
    """What becomes of an inbound mail."""

    DELIVER = "deliver"
    HOLD = "hold"
    NOTICE = "notice"
    DROP = "drop"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Inbound:
    """One mail for one envelope recipient. `content` is canonical (fields.canonical) and whole, also where `claim` is set.

    `mail_from` is empty for the null sender. `outside`: the client is no MTA of ours, so that what the header says of
    authentication is the sender's own word, and the client's address is the sending host's.
    """

    inbound_id: str
    received_at: datetime
    mail_from: str
    rcpt_to: str
    content: bytes
    claim: ClaimCheck | None = None
    client: str = ""
    helo: str = ""
    protocol: str = ""
    outside: bool = False

    @classmethod
    def of(cls, event: InboundMailReceived, content: bytes, *, outside: bool = False) -> Inbound:
        """The mail of an event, with its content as fetched from the event or the body store."""
        return cls(
            event.inbound_id,
            event.received_at,
            event.mail_from,
            event.rcpt_to,
            content,
            event.claim,
            event.client,
            event.helo,
            event.protocol,
            outside,
        )


@dataclass(frozen=True, slots=True)
class Addressee:
    """An address of a site as routing sees it: lower case, +tag taken off."""

    local: str
    domain: str

    @property
    def address(self) -> str:
        return f"{self.local}@{self.domain}"


MAX_DIGITS = 19  # more do not fit 63 bits
key_of = lru_cache(maxsize=65_536)(normalise)  # the same members, list after list


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody a handler names; the address is as the directory has it: maybe blank, maybe none."""

    name: str
    address: str
    user_id: str | None = None
    active: bool = True

    @property
    def key(self) -> str:
        """What makes two members one recipient."""
        return key_of(self.address)


def number_of(text: str) -> int | None:
    """The number that these digits write, if they are digits and fit a database key."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < MAX_DIGITS else None


@dataclass(frozen=True, slots=True)
class Skip:
    """A member who gets nothing, and why (a code)."""

    address: str
    user_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    """One copy for one envelope recipient. `header` has CRLF line ends and no empty line.

    `part` is what it is of the mail, in its id: outcome.COPY, or the purpose of a notice. `body` is set in a notice only; the
    body of every other copy is the inbound mail's from `Decision.body_start` on.
    """

    envelope_from: str
    recipient: str
    to: str
    user_id: str | None
    header: bytes
    message_id: str
    subject: str
    purpose: str
    part: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a mail and why: `reason` is a code, `seq` and `handler` name the rule that accepted, if one did.

    `asked` are the notices to moderators of a held mail, `counted` what it counts under (quota.keys). `faults` are the
    rules that could not be used, for the log; `judged` is who vouched for the sender.
    """

    kind: Kind
    reason: str
    body_start: int = 0
    seq: int | None = None
    handler: str | None = None
    messages: tuple[Message, ...] = ()
    skipped: tuple[Skip, ...] = ()
    asked: tuple[Message, ...] = ()
    counted: tuple[str, ...] = ()
    faults: tuple[str, ...] = field(default=())
    judged: Judgement | None = None
