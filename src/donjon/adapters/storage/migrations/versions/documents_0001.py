"""The collateral's documents."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """One table, by the name of the request that a document answers."""
    op.create_table(
        "documents",
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
    )
