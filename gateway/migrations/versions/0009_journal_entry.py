"""Entries typed into the gateway itself."""

import sqlalchemy as sa
from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "journal_entry"
down_revision = "holds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "journal_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("group_ref", sa.String(length=200), nullable=False),
        sa.Column("pupil", sa.String(length=200), nullable=False),
        sa.Column("lesson", sa.String(length=200), nullable=False),
        sa.Column("lesson_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Integer(), nullable=True),
        sa.Column("work", sa.String(length=200), nullable=False),
        sa.Column("form", sa.String(length=10), nullable=True),
        sa.Column("typed_by", sa.String(length=200), nullable=False),
        sa.Column("on_behalf_of", sa.String(length=200), nullable=False),
        sa.Column("answers", sa.String(length=200), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_by", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_journal_entry_place_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_entry")),
    )
    op.create_index("ix_journal_entry_group", "journal_entry", ["place_id", "group_ref"], unique=False)


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
