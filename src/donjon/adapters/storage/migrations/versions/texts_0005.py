"""The texts of policies by their hashes, as records name them; and those of the policies that are kept."""

import sqlalchemy as sa
from alembic import op

from donjon.maa import policies

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """One table; a policy that is kept was set by a record that is there now, at the latest."""
    texts = op.create_table(
        "policy_texts",
        sa.Column("instance", sa.String(256), primary_key=True),
        sa.Column("hash", sa.String(43), primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("latest", sa.BigInteger, nullable=False),
        sa.Column("weight", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Index("policy_texts_by_since", "instance", "since", "weight"),
        sa.Index("policy_texts_by_latest", "latest"),
    )
    connection = op.get_bind()
    latest = connection.scalar(sa.text("SELECT max(moment) FROM audit_records")) or 0
    tokens = connection.execute(sa.text("SELECT instance, token FROM policies")).all()
    names = {(each.instance, text) for each in tokens if (text := policies.stored_text(each.token)) is not None}
    rows = [
        {"instance": instance, "hash": policies.sha256_base64url(text), "since": 0, "latest": latest, "weight": 0, "text": text}
        for instance, text in sorted(names)
    ]
    if rows:
        op.bulk_insert(texts, rows)
