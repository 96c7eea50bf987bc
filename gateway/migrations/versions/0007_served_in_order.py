"""The outbox is read in the order in which it is served: a claim looks at the first rows of a lane and not at all of it."""

from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "served_in_order"
down_revision = "scope_shares"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_operation_lane", "operation", ["place_id", "state", "lane", "due_on", "id"], unique=False)


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
