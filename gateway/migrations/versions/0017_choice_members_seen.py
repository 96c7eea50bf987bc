"""Members of a choice about many keep the change that whoever chose was shown."""

import sqlalchemy as sa
from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "choice_members_seen"
down_revision = "choice_acts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was taken before is taken as it stands."""
    with op.batch_alter_table("choice_member", schema=None) as batch_op:
        batch_op.add_column(sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE choice_member SET seen_at ="
        " (SELECT discrepancy.changed_at FROM discrepancy WHERE discrepancy.id = choice_member.discrepancy_id)"
    )


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
