"""Choices about many discrepancies that are taken whole and carried out a part at a time."""

import sqlalchemy as sa
from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "choice_acts"
down_revision = "discrepancy_index"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "choice_act",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("choice", sa.String(length=20), nullable=False),
        sa.Column("own_value", sa.String(length=20), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_removing", sa.Boolean(), nullable=False),
        sa.Column("actor_kind", sa.String(length=20), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("actor_role", sa.String(length=40), nullable=True),
        sa.Column("is_authenticated", sa.Boolean(), nullable=False),
        sa.Column("note_id", sa.Integer(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("left_out", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_choice_act_place_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_choice_act")),
    )
    op.create_index("ix_choice_act_finished", "choice_act", ["place_id", "finished_at"])
    op.create_table(
        "choice_member",
        sa.Column("discrepancy_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("act_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["act_id"], ["choice_act.id"], name=op.f("fk_choice_member_act_id")),
        sa.PrimaryKeyConstraint("discrepancy_id", name=op.f("pk_choice_member")),
    )


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
