"""A one-time approval is bound to what was proposed, and a choice about many names for whom it was made."""

import sqlalchemy as sa
from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "bound_choices"
down_revision = "plan_sealed_at"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what was proposed before is proposed anew."""
    with op.batch_alter_table("period_approval", schema=None) as batch_op:
        batch_op.add_column(sa.Column("items", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("signatures", sa.Text(), nullable=True))
    with op.batch_alter_table("choice_act", schema=None) as batch_op:
        batch_op.add_column(sa.Column("originator", sa.String(length=200), nullable=True))


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
