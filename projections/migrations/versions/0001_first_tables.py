"""The tables of the first release.

Revision ID: 0001
Revises: none
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
STATUSES = ("skipped", "queued", "attempting", "in_doubt", "deferred", "suppressed", "cancelled", "expired", "failed", "sent")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Make every table."""
    _dead_letter()
    _dead_letter_replay()
    _email_event()
    _inbound_mail()
    _message_request()
    _projection_offset()
    _request_chunk()
    _suppression()
    _text_of_email()


def downgrade() -> None:
    """There is nothing before the first release; the tables can be made from the topics at any time."""


def _dead_letter() -> None:
    op.create_table(
        "dead_letter",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("letter_offset", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", "agent", name="pk_dead_letter"),
    )
    op.create_index("ix_dead_letter_at", "dead_letter", ["at"], unique=False)


def _dead_letter_replay() -> None:
    op.create_table(
        "dead_letter_replay",
        sa.Column("letter_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", INSTANT, nullable=True),
        sa.Column("by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("letter_offset", name="pk_dead_letter_replay"),
    )


def _email_event() -> None:
    op.create_table(
        "email_event",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("email_id", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=True),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", name="pk_email_event"),
    )
    op.create_index("ix_email_event_email_id", "email_event", ["email_id"], unique=False)


def _inbound_mail() -> None:
    op.create_table(
        "inbound_mail",
        sa.Column("inbound_id", sa.Text(), nullable=False),
        sa.Column("received_at", INSTANT, nullable=True),
        sa.Column("mail_from", sa.Text(), nullable=True),
        sa.Column("rcpt_to", sa.Text(), nullable=True),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=True),
        sa.Column("client", sa.Text(), nullable=True),
        sa.Column("helo", sa.Text(), nullable=True),
        sa.Column("protocol", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("body_key", sa.Text(), nullable=True),
        sa.Column("mail_partition", sa.Integer(), nullable=True),
        sa.Column("mail_offset", sa.BigInteger(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("decided_at", INSTANT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("handler", sa.Text(), nullable=True),
        sa.Column("rules_hash", sa.Text(), nullable=True),
        sa.Column("emails", sa.BigInteger(), nullable=False),
        sa.Column("skipped", JSON, nullable=False),
        sa.Column("notice_email_id", sa.Text(), nullable=True),
        sa.Column("moderation", sa.Text(), nullable=True),
        sa.Column("moderated_at", INSTANT, nullable=True),
        sa.Column("moderated_by", sa.Text(), nullable=True),
        sa.Column("moderation_note", sa.Text(), nullable=True),
        sa.Column("rerouted_at", INSTANT, nullable=True),
        sa.Column("rerouted_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("inbound_id", name="pk_inbound_mail"),
    )
    op.create_index("ix_inbound_mail_decision_received_at", "inbound_mail", ["decision", "received_at"], unique=False)
    op.create_index("ix_inbound_mail_received_at", "inbound_mail", ["received_at"], unique=False)
    op.create_index("ix_inbound_mail_recipient_received_at", "inbound_mail", ["recipient", "received_at"], unique=False)
    op.create_index("ix_inbound_mail_sender_received_at", "inbound_mail", ["sender", "received_at"], unique=False)


def _message_request() -> None:
    op.create_table(
        "message_request",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("reply_to", sa.Text(), nullable=True),
        sa.Column("send_to", sa.Text(), nullable=True),
        sa.Column("priority", sa.Text(), nullable=True),
        sa.Column("public", sa.Boolean(), nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=True),
        sa.Column("creator_email", sa.Text(), nullable=True),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=True),
        sa.Column("submitted_at", INSTANT, nullable=True),
        sa.Column("not_before", INSTANT, nullable=True),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("recipients_total", sa.BigInteger(), nullable=True),
        sa.Column("chunks", sa.BigInteger(), nullable=True),
        sa.Column("head_partition", sa.Integer(), nullable=True),
        sa.Column("head_offset", sa.BigInteger(), nullable=True),
        sa.Column("due_at", INSTANT, nullable=True),
        sa.Column("waits_for", sa.Text(), nullable=True),
        sa.Column("approved_at", INSTANT, nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("cancel_asked_at", INSTANT, nullable=True),
        sa.Column("cancelled_at", INSTANT, nullable=True),
        sa.Column("cancelled_by", sa.Text(), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("rejected_at", INSTANT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("problems", JSON, nullable=False),
        sa.Column("warnings", JSON, nullable=False),
        sa.Column("conflicted_at", INSTANT, nullable=True),
        sa.Column("expanded_at", INSTANT, nullable=True),
        sa.Column("chunks_expanded", sa.BigInteger(), nullable=False),
        sa.Column("people", sa.BigInteger(), nullable=False),
        sa.Column("expanded", sa.BigInteger(), nullable=False),
        *[sa.Column(status, sa.BigInteger(), nullable=False) for status in STATUSES],
        sa.Column("last_ended_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("request_id", name="pk_message_request"),
    )
    op.create_index("ix_message_request_last_ended_at_request_id", "message_request", ["last_ended_at", "request_id"], unique=False)
    op.create_index("ix_message_request_submitted_at_request_id", "message_request", ["submitted_at", "request_id"], unique=False)


def _projection_offset() -> None:
    op.create_table(
        "projection_offset",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("topic_id", sa.Text(), nullable=True),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name="pk_projection_offset"),
    )


def _request_chunk() -> None:
    op.create_table(
        "request_chunk",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("chunk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", INSTANT, nullable=True),
        sa.Column("people", sa.BigInteger(), nullable=False),
        sa.Column("queued", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "chunk", name="pk_request_chunk"),
    )


def _suppression() -> None:
    op.create_table(
        "suppression",
        sa.Column("address_hash", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("suppressed", sa.Boolean(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", INSTANT, nullable=True),
        sa.Column("by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("address_hash", "purpose", name="pk_suppression"),
    )


def _text_of_email() -> None:
    op.create_table(
        "text_of_email",
        sa.Column("email_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("inbound_id", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=True),
        sa.Column("send_to", sa.Text(), nullable=True),
        sa.Column("send_from", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("queued_at", INSTANT, nullable=True),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("max_attempts", sa.BigInteger(), nullable=True),
        sa.Column("text_topic", sa.Text(), nullable=True),
        sa.Column("text_partition", sa.Integer(), nullable=True),
        sa.Column("text_offset", sa.BigInteger(), nullable=True),
        sa.Column("text_attempt", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("last_attempt_at", INSTANT, nullable=True),
        sa.Column("next_attempt_at", INSTANT, nullable=True),
        sa.Column("sent_at", INSTANT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("last_reply", sa.Text(), nullable=True),
        sa.Column("mta", sa.Text(), nullable=True),
        sa.Column("feedback", sa.Text(), nullable=True),
        sa.Column("feedback_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("email_id", name="pk_text_of_email"),
    )
    op.create_index(
        "ix_text_of_email_in_doubt",
        "text_of_email",
        ["email_id"],
        unique=False,
        postgresql_where=sa.text("status = 'in_doubt'"),
        sqlite_where=sa.text("status = 'in_doubt'"),
    )
    op.create_index("ix_text_of_email_inbound_id", "text_of_email", ["inbound_id"], unique=False)
    op.create_index("ix_text_of_email_recipient", "text_of_email", ["recipient"], unique=False)
    op.create_index("ix_text_of_email_request_id_status_email_id", "text_of_email", ["request_id", "status", "email_id"], unique=False)
