"""The SQL tables: what anybody may ask about a request, an email or an inbound mail. Each is a fold of the topics.

Times are aware UTC on every database. A mail's own text is not copied here: `text_topic`, `text_partition` and
`text_offset` say where it stands for as long as the topic keeps it (schemas/topics.yaml), as `head_*` do for a request.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, DateTime, Dialect, Index, Integer, MetaData, Table, Text, TypeDecorator
from sqlalchemy.dialects import postgresql

from streams.domain.states import EmailState


class Utc(TypeDecorator[datetime]):
    """An aware instant. SQLite keeps no zone, so it is stored there as UTC; PostgreSQL answers in the session's zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy calls it so
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy calls it so
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Words(TypeDecorator[str]):
    """Text of any length, strangers' text too: PostgreSQL refuses NUL, so it becomes the replacement character."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy calls it so
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if value and "\0" in value else value


# jsonb on PostgreSQL, because rows are compared there and its json type has no equality.
Json = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

METADATA = MetaData(naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"})


def _text(name: str, **options: Any) -> Column[Any]:
    return Column(name, Words, **options)


def _count(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, default=0)


def _at(name: str) -> Column[Any]:
    return Column(name, Utc)


message_request = Table(
    "message_request",
    METADATA,
    _text("request_id", primary_key=True),
    _text("state", nullable=False, default="unknown"),
    _text("content_hash"),
    _text("subject"),
    _text("sender"),
    _text("reply_to"),
    _text("send_to"),
    _text("priority"),
    Column("public", Boolean),
    _text("creator_id"),
    _text("creator_email"),
    _text("site"),
    _at("created_at"),
    _at("submitted_at"),
    _at("not_before"),
    _at("expires_at"),
    Column("recipients_total", BigInteger),
    Column("chunks", BigInteger),
    Column("head_partition", Integer),
    Column("head_offset", BigInteger),
    _at("due_at"),
    _text("waits_for"),
    _at("approved_at"),
    _text("approved_by"),
    Column("paused", Boolean, nullable=False, default=False),
    _at("cancel_asked_at"),
    _at("cancelled_at"),
    _text("cancelled_by"),
    _text("cancel_reason"),
    _at("rejected_at"),
    _text("reason"),
    Column("problems", Json, nullable=False, default=[]),
    Column("warnings", Json, nullable=False, default=[]),
    _at("conflicted_at"),  # when another request last came under this id; nothing of that one went out
    _at("expanded_at"),
    _count("chunks_expanded"),
    _count("people"),
    _count("expanded"),  # emails and skips that expansion announced; the counts below sum up to it (G5)
    *[_count(state.value) for state in EmailState],
    _at("last_ended_at"),
    Index(None, "submitted_at", "request_id"),
    Index(None, "last_ended_at", "request_id"),
    Index(None, "rejected_at", "request_id"),
)

request_chunk = Table(
    "request_chunk",
    METADATA,
    _text("request_id", primary_key=True),
    Column("chunk", BigInteger, primary_key=True, autoincrement=False),
    _at("at"),
    _count("people"),
    _count("queued"),
    _count("skipped"),
)

text_of_email = Table(
    "text_of_email",
    METADATA,
    _text("email_id", primary_key=True),
    _text("request_id"),
    _text("inbound_id"),
    _text("user_id"),
    _text("purpose"),
    _text("recipient"),
    _text("send_to"),
    _text("send_from"),
    _text("subject"),
    _text("message_id"),
    _at("queued_at"),
    _at("expires_at"),
    Column("max_attempts", BigInteger),
    _text("text_topic"),
    Column("text_partition", Integer),
    Column("text_offset", BigInteger),
    Column("text_attempt", BigInteger),  # which attempt's EmailQueued that is; 0: a skip, there is no text
    _text("status"),
    Column("attempt", BigInteger, nullable=False, default=0),  # as in streams/domain/states.py
    _count("attempts"),
    _text("reason"),
    _text("detail"),
    _at("last_attempt_at"),
    _at("next_attempt_at"),
    _at("sent_at"),
    _at("ended_at"),
    _text("last_reply"),
    _text("mta"),
    _text("feedback"),
    _at("feedback_at"),
    Index(None, "request_id", "status", "email_id"),
    Index(None, "inbound_id"),
    Index(None, "recipient"),
)
_in_doubt = text_of_email.c.status == EmailState.IN_DOUBT.value
Index("ix_text_of_email_in_doubt", text_of_email.c.email_id, postgresql_where=_in_doubt, sqlite_where=_in_doubt)

email_event = Table(
    "email_event",
    METADATA,
    _text("topic", primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    _text("email_id", nullable=False),
    _at("at"),
    _text("event", nullable=False),
    Column("attempt", BigInteger),
    _text("reason"),
    _text("reply"),
    Index(None, "email_id"),
)

inbound_mail = Table(
    "inbound_mail",
    METADATA,
    _text("inbound_id", primary_key=True),
    _at("received_at"),
    _text("mail_from"),
    _text("rcpt_to"),
    _text("sender"),  # the two again, normalised, to be found by
    _text("recipient"),
    _text("client"),
    _text("helo"),
    _text("protocol"),
    Column("size", BigInteger),
    _text("body_key"),
    Column("mail_partition", Integer),
    Column("mail_offset", BigInteger),
    _text("decision"),
    _at("decided_at"),
    _text("reason"),
    Column("seq", BigInteger),
    _text("handler"),
    _text("rules_hash"),
    _count("emails"),
    Column("skipped", Json, nullable=False, default=[]),
    _text("notice_email_id"),
    Column("judged", Json),  # who vouched for the sender; none: nobody said
    _text("moderation"),
    _at("moderated_at"),
    _text("moderated_by"),
    _text("moderation_note"),
    _at("rerouted_at"),  # when somebody last asked for a decision by the rules of that day
    _text("rerouted_by"),
    Index(None, "received_at"),
    Index(None, "decision", "received_at"),
    Index(None, "sender", "received_at"),
    Index(None, "recipient", "received_at"),
)

suppression = Table(
    "suppression",
    METADATA,
    _text("address_hash", primary_key=True),
    _text("purpose", primary_key=True),
    Column("suppressed", Boolean),
    _text("reason"),
    _at("at"),
    _text("by"),
)

dead_letter = Table(
    "dead_letter",
    METADATA,
    _text("topic", primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    _text("agent", primary_key=True),
    _at("at"),
    _text("reason"),
    _text("detail"),
    Column("size", BigInteger),
    Column("letter_offset", BigInteger),  # where it stands on dead-letters; none: met by the projector, which has the record's own place
    Index(None, "at"),
)

dead_letter_replay = Table(
    "dead_letter_replay",
    METADATA,
    Column("letter_offset", BigInteger, primary_key=True, autoincrement=False),
    _at("at"),
    _text("by"),
)

projection_offset = Table(
    "projection_offset",
    METADATA,
    _text("topic", primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    _text("topic_id"),  # Kafka's own id of the topic: another id means that it was deleted and made anew
    Column("next_offset", BigInteger, nullable=False, default=0),
)

# Everything that the topics determine; projection_offset says how much of them has been folded.
FOLDED: dict[str, Table] = {
    table.name: table
    for table in (message_request, request_chunk, text_of_email, email_event, inbound_mail, suppression, dead_letter, dead_letter_replay)
}
