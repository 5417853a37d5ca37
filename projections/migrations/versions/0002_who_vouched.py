"""Inbound mails say who vouched for their senders.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Mails that were decided before have none."""
    op.add_column("inbound_mail", sa.Column("judged", JSON, nullable=True))


def downgrade() -> None:
    """The topics keep it."""
    op.drop_column("inbound_mail", "judged")
