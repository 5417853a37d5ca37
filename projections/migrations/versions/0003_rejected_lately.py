"""Requests by when they were rejected: their people are told.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """For who looks every few seconds."""
    op.create_index("ix_message_request_rejected_at_request_id", "message_request", ["rejected_at", "request_id"], unique=False)


def downgrade() -> None:
    """Looking takes longer."""
    op.drop_index("ix_message_request_rejected_at_request_id", "message_request")
