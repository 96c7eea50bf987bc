"""What is kept at the school and goes nowhere: protocols of tests, and what people did at the portal."""

import sqlalchemy as sa
from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "kept_locally"
down_revision = "mapping_life"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "attempt_protocol",
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(length=200), nullable=False),
        sa.Column("pupil", sa.String(length=200), nullable=False),
        sa.Column("group_ref", sa.String(length=200), nullable=True),
        sa.Column("programme", sa.String(length=200), nullable=False),
        sa.Column("activity", sa.String(length=200), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt_digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("absent", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("problem", sa.String(length=40), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_attempt_protocol_place_id")),
        sa.PrimaryKeyConstraint("place_id", "ref", name=op.f("pk_attempt_protocol")),
    )
    op.create_index("ix_attempt_protocol_pupil", "attempt_protocol", ["place_id", "pupil"], unique=False)
    op.create_index("ix_attempt_protocol_finished", "attempt_protocol", ["finished_at"], unique=False)
    op.create_table(
        "test_review",
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("activity", sa.String(length=200), nullable=False),
        sa.Column("review", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_test_review_place_id")),
        sa.PrimaryKeyConstraint("place_id", "activity", name=op.f("pk_test_review")),
    )
    op.create_table(
        "activity_event",
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("series", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("log_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("about", sa.String(length=200), nullable=True),
        sa.Column("programme", sa.String(length=200), nullable=True),
        sa.Column("module", sa.BigInteger(), nullable=True),
        sa.Column("component", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_activity_event_place_id")),
        sa.PrimaryKeyConstraint("place_id", "series", "log_id", name=op.f("pk_activity_event")),
    )
    op.create_index("ix_activity_event_person", "activity_event", ["place_id", "person", "at"], unique=False)
    op.create_index("ix_activity_event_at", "activity_event", ["at"], unique=False)
    op.create_table(
        "activity_taken",
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("series", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("log_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_activity_taken_place_id")),
        sa.PrimaryKeyConstraint("place_id", "series", "log_id", name=op.f("pk_activity_taken")),
    )
    op.create_table(
        "activity_unmapped",
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("component", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("target", sa.String(length=100), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_activity_unmapped_place_id")),
        sa.PrimaryKeyConstraint("place_id", "component", "action", "target", name=op.f("pk_activity_unmapped")),
    )


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
