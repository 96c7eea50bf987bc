"""People's decisions about who is who: refused pairs, doubts about links, links set right and their incidents."""

import sqlalchemy as sa
from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "people"
down_revision = "undo"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "link_rejection",
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("local_ref", sa.String(length=200), nullable=False),
        sa.Column("city_id", sa.String(length=100), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=16), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("note_id", sa.Integer(), nullable=True),
        sa.Column("rejected_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_link_rejection_place_id")),
        sa.PrimaryKeyConstraint("place_id", "kind", "local_ref", "city_id", name=op.f("pk_link_rejection")),
    )
    op.create_table(
        "link_doubt",
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("local_ref", sa.String(length=200), nullable=False),
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("city_id", sa.String(length=100), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=16), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_link_doubt_place_id")),
        sa.PrimaryKeyConstraint("place_id", "kind", "local_ref", "code", name=op.f("pk_link_doubt")),
    )
    op.create_table(
        "relink",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("moves", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("proposed_by", sa.String(length=200), nullable=False),
        sa.Column("person_ref", sa.String(length=200), nullable=True),
        sa.Column("note_id", sa.Integer(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.String(length=200), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approval_note_id", sa.Integer(), nullable=True),
        sa.Column("is_alone", sa.Boolean(), nullable=False),
        sa.Column("plan_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_relink_place_id")),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_relink_plan_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_relink")),
    )
    op.create_index("ix_relink_state", "relink", ["place_id", "state"], unique=False)
    op.create_table(
        "relink_item",
        sa.Column("relink_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("ref", sa.String(length=200), nullable=False),
        sa.Column("moved_ref", sa.String(length=200), nullable=False),
        sa.Column("scope", sa.String(length=200), nullable=False),
        sa.Column("city_id", number, nullable=False),
        sa.Column("object_key", sa.String(length=120), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("old", sa.LargeBinary(), nullable=False),
        sa.Column("on_date", sa.Date(), nullable=True),
        sa.Column("stood_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removal", sa.String(length=10), nullable=False),
        sa.Column("to_pupil_id", number, nullable=True),
        sa.Column("to_object_key", sa.String(length=120), nullable=True),
        sa.Column("to_digest", sa.LargeBinary(length=16), nullable=True),
        sa.ForeignKeyConstraint(["relink_id"], ["relink.id"], name=op.f("fk_relink_item_relink_id")),
        sa.PrimaryKeyConstraint("relink_id", "seq", name=op.f("pk_relink_item")),
    )
    op.create_index("ix_relink_item_record", "relink_item", ["kind", "ref"], unique=False)
    op.create_table(
        "incident",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("relink_id", sa.Integer(), nullable=False),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("notice_due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("findings_due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noticed_by", sa.String(length=200), nullable=False),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("notified_by", sa.String(length=200), nullable=True),
        sa.Column("notice_note_id", sa.Integer(), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("found_by", sa.String(length=200), nullable=True),
        sa.Column("findings_note_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_incident_place_id")),
        sa.ForeignKeyConstraint(["relink_id"], ["relink.id"], name=op.f("fk_incident_relink_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    op.create_index("ix_incident_relink", "incident", ["relink_id"], unique=False)


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
