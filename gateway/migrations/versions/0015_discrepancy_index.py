"""An index of discrepancies that no query asked and every choice had to write."""

from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "discrepancy_index"
down_revision = "signed_periods"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_discrepancy_scope", table_name="discrepancy")


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
