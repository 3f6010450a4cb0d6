"""Platforms with their PCK certificates, and those that wait for theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Two tables, by the names of platforms."""
    op.create_table(
        "platforms",
        *_registered(),
        sa.Column("fmspc", sa.String(12), nullable=False),
        sa.Column("machine", sa.LargeBinary, nullable=False),
        sa.Column("certificates", sa.LargeBinary, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
        sa.Column("fetched", sa.BigInteger, nullable=False),
        sa.Column("unavailable", sa.Integer, nullable=False),
        sa.Column("whole", sa.Boolean, nullable=False),
    )
    for column in ("fmspc", "machine", "fetched"):
        op.create_index(f"platforms_by_{column}", "platforms", [column])
    op.create_table("registrations", *_registered())


def _registered() -> list["sa.Column[object]"]:
    return [
        sa.Column("qe_id", sa.String(260), primary_key=True),
        sa.Column("pce_id", sa.String(4), primary_key=True),
        sa.Column("cpu_svn", sa.LargeBinary),
        sa.Column("pce_svn", sa.Integer),
        sa.Column("encrypted_ppid", sa.LargeBinary),
        sa.Column("manifest", sa.LargeBinary),
    ]
