"""Several sources of the school: which records are one thing, and where their words differ."""

import sqlalchemy as sa
from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "several_sources"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both tables."""
    op.create_table(
        "record_link",
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("ref", sa.String(length=200), nullable=False),
        sa.Column("canonical", sa.String(length=200), nullable=False),
        sa.Column("group_ref", sa.String(length=200), nullable=False),
        sa.Column("how", sa.String(length=30), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_record_link_place_id")),
        sa.PrimaryKeyConstraint("place_id", "kind", "ref", name=op.f("pk_record_link")),
    )
    op.create_index("ix_record_link_canonical", "record_link", ["place_id", "kind", "canonical"], unique=False)
    op.create_index("ix_record_link_group", "record_link", ["place_id", "group_ref"], unique=False)
    op.create_table(
        "source_conflict",
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("ref", sa.String(length=200), nullable=False),
        sa.Column("field", sa.String(length=40), nullable=False),
        sa.Column("group_ref", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("owner", sa.String(length=20), nullable=False),
        sa.Column("winner", sa.String(length=200), nullable=False),
        sa.Column("others", sa.Text(), nullable=False),
        sa.Column("rule_version", sa.String(length=64), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_source_conflict_place_id")),
        sa.PrimaryKeyConstraint("place_id", "kind", "ref", "field", name=op.f("pk_source_conflict")),
    )
    op.create_index("ix_source_conflict_group", "source_conflict", ["place_id", "group_ref"], unique=False)


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
