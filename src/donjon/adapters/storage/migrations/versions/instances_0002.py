"""What instances keep, and the audit records."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Instances with their policies and certificates; the chains of records with their heads and anchors."""
    _instances()
    _audit()


def _instances() -> None:
    op.create_table(
        "instances",
        sa.Column("instance", sa.String(256), primary_key=True),
        sa.Column("generation", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "policies",
        sa.Column("instance", sa.String(256), primary_key=True),
        sa.Column("kind", sa.String(64), primary_key=True),
        sa.Column("token", sa.Text, nullable=False),
    )
    op.create_table(
        "certificates",
        sa.Column("instance", sa.String(256), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
    )


def _audit() -> None:
    op.create_table(
        "audit_records",
        sa.Column("writer", sa.String(256), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("moment", sa.BigInteger, nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.Column("previous", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_index("audit_records_by_moment", "audit_records", ["moment"])
    for name, many in (("audit_heads", True), ("audit_anchors", False)):
        op.create_table(
            name,
            sa.Column("writer", sa.String(256), primary_key=True),
            sa.Column("number", sa.BigInteger, primary_key=many, nullable=False),
            sa.Column("statement", sa.Text, nullable=False),
        )
