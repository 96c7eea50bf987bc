"""A plan keeps the moment at which it was sealed: what was seen in the city later, nobody who was shown it could know of."""

import sqlalchemy as sa
from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "plan_sealed_at"
down_revision = "choice_members_seen"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of a plan that was made before, the end of its run is as near as is known."""
    with op.batch_alter_table("plan", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE plan SET sealed_at = (SELECT run.finished_at FROM run WHERE run.id = plan.run_id) WHERE hash IS NOT NULL"
    )


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
