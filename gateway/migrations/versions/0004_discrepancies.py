"""Discrepancies with their life, corrections of ours, pairs that are two things."""

import sqlalchemy as sa
from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "discrepancies"
down_revision = "access"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "apart",
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("ref", sa.String(length=200), nullable=False),
        sa.Column("city_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("scope", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_apart_place_id")),
        sa.PrimaryKeyConstraint("place_id", "kind", "ref", "city_id", name=op.f("pk_apart")),
    )
    with op.batch_alter_table("apart", schema=None) as batch_op:
        batch_op.create_index("ix_apart_scope", ["place_id", "scope"], unique=False)

    op.create_table(
        "discrepancy",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("ref", sa.String(length=200), nullable=False),
        sa.Column("scope", sa.String(length=200), nullable=False),
        sa.Column("city_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("object_key", sa.String(length=120), nullable=True),
        sa.Column("type", sa.String(length=30), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("owner", sa.String(length=20), nullable=False),
        sa.Column("assignee", sa.String(length=200), nullable=True),
        sa.Column("pattern", sa.String(length=200), nullable=False),
        sa.Column("ours", sa.LargeBinary(length=16), nullable=True),
        sa.Column("base", sa.LargeBinary(length=16), nullable=True),
        sa.Column("theirs", sa.LargeBinary(length=16), nullable=True),
        sa.Column("intent", sa.LargeBinary(), nullable=True),
        sa.Column("base_intent", sa.LargeBinary(), nullable=True),
        sa.Column("city_body", sa.LargeBinary(), nullable=True),
        sa.Column("their_key", sa.String(length=120), nullable=True),
        sa.Column("theirs_read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("on_date", sa.Date(), nullable=True),
        sa.Column("flips", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("choice", sa.String(length=20), nullable=True),
        sa.Column("chosen", sa.LargeBinary(length=16), nullable=True),
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_discrepancy_place_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discrepancy")),
        sa.UniqueConstraint("place_id", "kind", "ref", name=op.f("uq_discrepancy_place_id_kind_ref")),
    )
    with op.batch_alter_table("discrepancy", schema=None) as batch_op:
        batch_op.create_index(
            "ix_discrepancy_pattern",
            ["place_id", "state", "pattern", "owner", "type", "kind", "due_at", "opened_at"],
            unique=False,
        )
        batch_op.create_index("ix_discrepancy_scope", ["place_id", "scope", "state"], unique=False)
        batch_op.create_index("ix_discrepancy_state", ["place_id", "state", "id"], unique=False)

    op.create_table(
        "correction",
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("ref", sa.String(length=200), nullable=False),
        sa.Column("corrected", sa.LargeBinary(length=16), nullable=False),
        sa.Column("atom", sa.LargeBinary(), nullable=True),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("discrepancy_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["discrepancy_id"], ["discrepancy.id"], name=op.f("fk_correction_discrepancy_id")),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_correction_place_id")),
        sa.PrimaryKeyConstraint("place_id", "kind", "ref", name=op.f("pk_correction")),
    )
    op.create_table(
        "discrepancy_step",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("discrepancy_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("step", sa.String(length=20), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("choice", sa.String(length=20), nullable=True),
        sa.Column("pattern", sa.String(length=200), nullable=False),
        sa.Column("note_id", sa.Integer(), nullable=True),
        sa.Column("plan_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["discrepancy_id"], ["discrepancy.id"], name=op.f("fk_discrepancy_step_discrepancy_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discrepancy_step")),
    )
    with op.batch_alter_table("discrepancy_step", schema=None) as batch_op:
        batch_op.create_index("ix_discrepancy_step_life", ["discrepancy_id", "id"], unique=False)
        batch_op.create_index("ix_discrepancy_step_pattern", ["pattern", "step", "choice"], unique=False)


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
