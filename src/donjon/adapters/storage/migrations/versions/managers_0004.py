"""Policy management certificates that were removed, and by which a policy is signed that still applies."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """One table, as that of the certificates that count."""
    op.create_table(
        "former_certificates",
        sa.Column("instance", sa.String(256), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
    )
