"""Whose records a scope holds, filled from the records that are stored already."""

import sqlalchemy as sa
from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "scope_shares"
down_revision = "school_calendar"
branch_labels = None
depends_on = None

_FIELDS = (("pupil", "pupil"), ("pupil", "person"), ("group", "group"), ("programme", "programme"))
_KINDS = "('mark', 'absence', 'homework', 'attempt', 'membership')"


def upgrade() -> None:
    """Make the table and fill it."""
    op.create_table(
        "scope_share",
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("form", sa.String(length=10), nullable=False),
        sa.Column("ref", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("scope", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_scope_share_place_id")),
        sa.PrimaryKeyConstraint("place_id", "form", "ref", "kind", "scope", name=op.f("pk_scope_share")),
    )
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    for form, field in _FIELDS:
        value = (
            f"convert_from(body, 'UTF8')::jsonb ->> '{field}'"
            if is_postgresql
            else f"json_extract(CAST(body AS TEXT), '$.{field}')"
        )
        # S608: the names are the ones above
        op.execute(
            f"INSERT INTO scope_share (place_id, form, ref, kind, scope) "  # noqa: S608
            f"SELECT DISTINCT place_id, '{form}', {value}, kind, scope FROM record "
            f"WHERE kind IN {_KINDS} AND {value} IS NOT NULL"
        )


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
