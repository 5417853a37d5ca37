"""What became of one inbound mail; beside it the suppressions and the dead letters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import RowMapping

from projections.rows import Key, Rows, Where, found, update
from streams import events, topics
from streams.domain.addresses import normalise

# What only InboundMailReceived says.
MAIL_COLUMNS = (
    *("received_at", "mail_from", "rcpt_to", "sender", "recipient", "client", "helo", "protocol"),
    *("size", "body_key", "mail_partition", "mail_offset"),
)


def mail_keys(event: Any) -> Iterable[Key]:
    return (_mail(event),)


def suppression_keys(event: events.Suppression) -> Iterable[Key]:
    return (("suppression", (event.address_hash, event.purpose)),)


def dead_letter_keys(event: events.DeadLettered) -> Iterable[Key]:
    return (("dead_letter", (event.topic, event.partition, event.offset, event.agent)),)


def replay_keys(event: events.DeadLetterReplayed) -> Iterable[Key]:
    return (("dead_letter_replay", (event.offset,)),)


# -- inbound-mail ----------------------------------------------------------------------------------------------------


def received(rows: Rows, event: events.InboundMailReceived, where: Where) -> None:
    """A retransmission has the same id; the first record is the mail."""
    if found(rows, _mail(event))["mail_offset"] is not None:
        return
    update(
        rows,
        _mail(event),
        received_at=event.received_at,
        mail_from=event.mail_from,
        rcpt_to=event.rcpt_to,
        sender=normalise(event.mail_from),
        recipient=normalise(event.rcpt_to),
        client=event.client,
        helo=event.helo,
        protocol=event.protocol,
        size=event.claim.size if event.claim else len(event.content or b""),
        body_key=event.claim.key if event.claim else None,
        mail_partition=where.partition,
        mail_offset=where.offset,
    )


def remembered(rows: Rows, row: RowMapping) -> None:
    """As `received`, from the row of a mail that the topic no longer keeps."""
    update(rows, ("inbound_mail", (row["inbound_id"],)), **{column: row[column] for column in MAIL_COLUMNS})


# -- routings: one partition a mail, the last decision stands (an approval, or a re-routing after a fix, decides anew) --


def routed(rows: Rows, event: events.InboundRouted, _: Where) -> None:
    _decided(rows, event, "deliver", seq=event.seq, handler=event.handler, emails=len(event.emails), skipped=_skipped(event))


def held(rows: Rows, event: events.InboundHeld, _: Where) -> None:
    _decided(rows, event, "hold", seq=event.seq, handler=event.handler)


def dropped(rows: Rows, event: events.InboundDropped, _: Where) -> None:
    _decided(rows, event, "drop", seq=event.seq, handler=event.handler, skipped=_skipped(event))


def noticed(rows: Rows, event: events.InboundNoticed, _: Where) -> None:
    _decided(rows, event, "notice", notice_email_id=event.email_id, emails=1, skipped=_skipped(event))


def _skipped(event: events.InboundRouted | events.InboundDropped | events.InboundNoticed) -> list[list[str]]:
    return [[header.name, header.value] for header in event.skipped]


def _decided(rows: Rows, event: Any, decision: str, **values: Any) -> None:
    nothing: dict[str, Any] = {"seq": None, "handler": None, "emails": 0, "skipped": [], "notice_email_id": None}
    decided = {"decision": decision, "decided_at": event.at, "reason": event.reason, "rules_hash": event.rules_hash}
    if event.judged is not None:  # what was found out of a mail stays true of it, though a moderator's word asks nobody again
        decided["judged"] = asdict(event.judged)
    update(rows, _mail(event), **nothing | decided | values)


# -- moderation: the first word counts, so that approving twice delivers once (spec, example 140) ----------------------


def approved(rows: Rows, event: events.InboundApproved, _: Where) -> None:
    _moderated(rows, event, "approved")


def rejected(rows: Rows, event: events.InboundRejected, _: Where) -> None:
    _moderated(rows, event, "rejected")


def rerouted(rows: Rows, event: events.InboundRerouted, _: Where) -> None:
    update(rows, _mail(event), rerouted_at=event.at, rerouted_by=event.by)


def _moderated(rows: Rows, event: Any, word: str) -> None:
    if found(rows, _mail(event))["moderation"] is None:
        update(rows, _mail(event), moderation=word, moderated_at=event.at, moderated_by=event.by, moderation_note=event.note)


# -- suppressions, dead-letters ---------------------------------------------------------------------------------------


def suppression(rows: Rows, event: events.Suppression, _: Where) -> None:
    (key,) = suppression_keys(event)
    update(rows, key, suppressed=event.suppressed, reason=event.reason, at=event.at, by=event.by)


def dead_letter(rows: Rows, event: events.DeadLettered, where: Where) -> None:
    """The first of repeats stays. The bytes stay on the topic dead-letters; the row says how many there are, and where."""
    (key,) = dead_letter_keys(event)
    if rows.get(key) is None:
        update(rows, key, at=event.at, reason=event.reason, detail=event.detail, size=len(event.value or b""))
    if where.topic == topics.DEAD_LETTERS and found(rows, key)["letter_offset"] is None:
        update(rows, key, letter_offset=where.offset)


def replayed(rows: Rows, event: events.DeadLetterReplayed, _: Where) -> None:
    """Put back on its topic; if that was done more than once, the first time stays."""
    (key,) = replay_keys(event)
    if rows.get(key) is None:
        update(rows, key, at=event.at, by=event.by)


def _mail(event: Any) -> Key:
    return "inbound_mail", (event.inbound_id,)
