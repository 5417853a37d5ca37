"""Events as the topics would hold them, without a broker: what the projections fold."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from projections import batch, folds
from projections.feed import FeedRecord, Partition
from projections.rows import READ, Key, Row, Rows, Where
from streams import codec, events, topics
from streams.domain import ids

PARTITIONS = 4
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
SITE = events.Site("yale.learningu.org", "Yale Splash", "bounces@learningu.org", "support@learningu.org")
ADA = events.Creator("9", "Ada", "Min", "ada@x.org")


class History:
    """Records by partition, each with its offset."""

    def __init__(self) -> None:
        self.partitions: dict[Partition, list[FeedRecord]] = defaultdict(list)

    def add(self, topic: str, key: str, event: Any) -> None:
        self.add_bytes(topic, key, codec.encode(event))

    def add_bytes(self, topic: str, key: str, value: bytes | None) -> None:
        at = topic, zlib.crc32(key.encode()) % (topics.declared()[topic].partitions or PARTITIONS)
        self.partitions[at].append(FeedRecord(Where(*at, len(self.partitions[at])), key.encode(), value, NOW_MS))

    def in_order(self, *, last_first: bool = False) -> list[FeedRecord]:
        """Partition by partition: those first that were written to first, or last."""
        partitions = list(self.partitions.values())
        return [record for records in (reversed(partitions) if last_first else partitions) for record in records]

    def interleaved(self, random: Random) -> list[FeedRecord]:
        """One of the orders in which a broker may hand the records out."""
        turns = [at for at, records in self.partitions.items() for _ in records]
        random.shuffle(turns)
        rest = {at: iter(records) for at, records in self.partitions.items()}
        return [next(rest[at]) for at in turns]


def folded(records: Iterable[FeedRecord]) -> Rows:
    """All rows that these records amount to, folded one by one; each fold must keep to the rows, and the columns, that are loaded for it."""
    rows: Rows = {}
    for record in records:
        (event,) = batch.read([record])
        announced = set(folds.keys_of(event))
        loaded: Rows = {key: _as_loaded(key, rows.get(key)) for key in announced}
        folds.fold(loaded, event, record.where)
        folds.settle(loaded)
        assert {table for table, _ in set(loaded) - announced} <= {"email_event"}
        rows |= {key: {**(rows.get(key) or {}), **row} for key, row in loaded.items() if row is not None}
    return rows


def _as_loaded(key: Key, row: Row | None) -> Row | None:
    return None if row is None else {column: row[column] for column in READ.get(key[0], row)}


def request(request_id: str = "r1", people: int = 2, chunks: int = 1, **values: Any) -> events.MessageRequest:
    given: dict[str, Any] = {
        "request_id": request_id,
        "submitted_at": NOW,
        "created_at": NOW,
        "not_before": None,
        "expires_at": None,
        "subject": "For {{ user.name }}",
        "body": "Hello",
        "sender": None,
        "reply_to": None,
        "special_headers": {},
        "send_to": "send_to_self",
        "priority": "bulk",
        "public": False,
        "dedupe": "auto",
        "on_doubt": "hold",
        "inline_css": False,
        "needs_approval": False,
        "creator": ADA,
        "site": SITE,
        "variables": "{}",
        "attachments": [],
        "content_hash": "c1",
        "chunk": 0,
        "chunks": chunks,
        "recipients_total": people,
        "person_variables": [],
        "mailed_before": [],
        "recipients": [],
    }
    return events.MessageRequest(**given | values)


def expanded(request_id: str = "r1", queued: int = 2, skipped: int = 0, **values: Any) -> events.RequestExpanded:
    given: dict[str, Any] = {
        "request_id": request_id,
        "at": NOW,
        "content_hash": "c1",
        "chunk": 0,
        "chunks": 1,
        "people": queued + skipped,
        "queued": queued,
        "skipped": skipped,
        "warnings": [],
    }
    return events.RequestExpanded(**given | values)


def email_id(person: str, request_id: str | None = "r1") -> str:
    return ids.request_email_id(request_id or "", person, f"{person}@x.org")


def queued(person: str = "ann", request_id: str | None = "r1", attempt: int = 1, **values: Any) -> events.EmailQueued:
    given: dict[str, Any] = {
        "email_id": email_id(person, request_id),
        "request_id": request_id,
        "inbound_id": None,
        "user_id": person,
        "purpose": "bulk",
        "recipient": f"{person}@x.org",
        "to": f'"{person}" <{person}@x.org>',
        "envelope_from": "bounces@learningu.org",
        "subject": f"For {person}",
        "message_id": f"<{person}@yale.learningu.org>",
        "queued_at": NOW,
        "expires_at": NOW + timedelta(days=7),
        "attempt": attempt,
        "max_attempts": 3,
        "on_doubt": "hold",
        "content": events.Composed([events.Header("From", "Yale Splash <info@yale.learningu.org>")], "Hello", None, []),
    }
    return events.EmailQueued(**given | values)


def delivery(kind: type, person: str = "ann", request_id: str | None = "r1", attempt: int = 1, **values: Any) -> Any:
    """An event of `deliveries`."""
    known: dict[str, Any] = {
        "email_id": email_id(person, request_id),
        "request_id": request_id,
        "at": NOW + timedelta(seconds=attempt),
        "attempt": attempt,
        "owner": "w1",
        "address_hash": "ff",
        "lane": topics.EMAILS_BULK,
        "partition": 0,
        "offset": 0,
        "message_id": f"<{person}@yale.learningu.org>",
        "mta": "127.0.0.1:25",
        "reply": "250 2.0.0 Ok",
        "size": 2000,
        "reason": "because",
        "retry_at": NOW + timedelta(minutes=attempt),
        "by": "policy",
    }
    return kind(**{name: value for name, value in (known | values).items() if name in kind.__dataclass_fields__})  # type: ignore[attr-defined]


def skipped(person: str = "ann", request_id: str = "r1", reason: str = "no_address", **values: Any) -> events.RecipientSkipped:
    given: dict[str, Any] = {
        "request_id": request_id,
        "at": NOW,
        "email_id": email_id(person, request_id),
        "user_id": person,
        "to": "",
        "reason": reason,
        "detail": "has no address",
    }
    return events.RecipientSkipped(**given | values)


def mail(inbound_id: str = "i1", **values: Any) -> events.InboundMailReceived:
    given: dict[str, Any] = {
        "inbound_id": inbound_id,
        "received_at": NOW,
        "mail_from": "ann@x.org",
        "rcpt_to": "m123-class@yale.learningu.org",
        "content": b"Subject: Hi\r\n\r\nHello\r\n",
        "claim": None,
        "client": "127.0.0.1",
        "helo": "mx",
        "protocol": "LMTP",
    }
    return events.InboundMailReceived(**given | values)


def routed(inbound_id: str = "i1", **values: Any) -> events.InboundRouted:
    given: dict[str, Any] = {
        "inbound_id": inbound_id,
        "at": NOW,
        "reason": "list",
        "seq": 20,
        "handler": "ClassList",
        "rules_hash": "h",
        "emails": ["e1", "e2"],
        "skipped": [events.Header("hash", "suppressed")],
    }
    return events.InboundRouted(**given | values)
