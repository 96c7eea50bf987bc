"""What changed too much between two reads of the directory is kept beside it until a person has let it out."""

import sqlalchemy as sa
from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "churn_is_kept"
down_revision = "bound_choices"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what the last plan was held by is taken over from it."""
    with op.batch_alter_table("city_directory", schema=None) as batch_op:
        batch_op.add_column(sa.Column("churn", sa.Text(), nullable=True))


def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
