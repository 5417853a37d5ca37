"""A decision as events: what goes out on the urgent lane, and what routings remembers."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from streams.domain import ids
from streams.domain.addresses import address_hash
from streams.domain.routing.model import Decision, Inbound, Kind, Message
from streams.domain.verp import verp
from streams.events import EmailQueued, Header, InboundDropped, InboundHeld, InboundNoticed, InboundRouted, Relayed

# Whichever rule made it: an address gets one copy of a mail, also when it is decided anew after rules were numbered differently.
COPY = "copy"
LIFE = timedelta(days=7)  # as a request's mail
Routing = InboundRouted | InboundHeld | InboundDropped | InboundNoticed


@dataclass(frozen=True, slots=True)
class Routed:
    """`emails` go out; `routing` says why. The routing is published after the emails: it is what ends the mail."""

    emails: tuple[EmailQueued, ...]
    routing: Routing


def to_events(
    decision: Decision, mail: Inbound, now: datetime, *, rules_hash: str, max_attempts: int = 3, own_paths: bool = False
) -> Routed:
    """The events of a decision. Their ids depend on the mail and the addresses only: a replay makes the same ones.

    `own_paths`: each copy has a bounce address of its own, so that a bounce finds the list's member (spec 8, row 45).
    """
    body = None if mail.claim else mail.content[decision.body_start :]  # one slice for all copies

    def email(message: Message) -> EmailQueued:
        return _email(message, _content(message, decision, mail, body), mail, now, max_attempts, own_paths=own_paths)

    emails = tuple(map(email, decision.messages))
    # A notice to a moderator is no copy of the mail, and the archive does not count it as one.
    asked = tuple(replace(email(message), inbound_id=None) for message in decision.asked)
    return Routed(emails + asked, _routing(decision, mail, now, rules_hash, emails))


def email_id(mail: Inbound, message: Message) -> str:
    """The id of one copy."""
    return ids.inbound_email_id(mail.inbound_id, message.part, message.recipient)


def return_path(mail: Inbound, message: Message, *, own_paths: bool) -> str:
    """The envelope sender of one copy; a notice keeps the null sender, and a bounces address without room for an id stays as it is."""
    if own_paths and message.envelope_from:
        with suppress(ValueError):
            return verp(message.envelope_from, email_id(mail, message))
    return message.envelope_from


def _email(message: Message, content: Relayed, mail: Inbound, now: datetime, max_attempts: int, *, own_paths: bool) -> EmailQueued:
    return EmailQueued(
        email_id=email_id(mail, message),
        request_id=None,
        inbound_id=mail.inbound_id,
        user_id=message.user_id,
        purpose=message.purpose,
        recipient=message.recipient,
        to=message.to,
        envelope_from=return_path(mail, message, own_paths=own_paths),
        subject=message.subject,
        message_id=message.message_id,
        queued_at=now,
        expires_at=now + LIFE,
        attempt=1,
        max_attempts=max_attempts,
        on_doubt="resend",  # a list mail that comes twice, with one Message-ID, harms less than one that is lost
        content=content,
    )


def _content(message: Message, decision: Decision, mail: Inbound, body: bytes | None) -> Relayed:
    if message.body is not None:
        return Relayed(message.header, message.body, None, 0)
    if body is not None:
        return Relayed(message.header, body, None, 0)
    return Relayed(message.header, None, mail.claim, decision.body_start)


def _routing(decision: Decision, mail: Inbound, now: datetime, rules_hash: str, emails: tuple[EmailQueued, ...]) -> Routing:
    skipped = [Header(address_hash(skip.address), skip.reason) for skip in decision.skipped]
    if decision.kind is Kind.NOTICE:
        told = address_hash(emails[0].recipient)
        return InboundNoticed(mail.inbound_id, now, decision.reason, rules_hash, emails[0].email_id, told, decision.judged, skipped)
    rule = (decision.seq, decision.handler, rules_hash)
    if decision.kind is Kind.HOLD:
        return InboundHeld(mail.inbound_id, now, decision.reason, *rule, decision.judged)
    if decision.kind is not Kind.DELIVER:
        return InboundDropped(mail.inbound_id, now, decision.reason, *rule, decision.judged, skipped)
    made = [email.email_id for email in emails]
    return InboundRouted(mail.inbound_id, now, decision.reason, *rule, made, skipped, decision.judged)
