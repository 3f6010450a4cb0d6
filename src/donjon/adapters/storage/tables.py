"""The tables as they are after the newest migration."""

from sqlalchemy import Column, LargeBinary, MetaData, String, Table

METADATA = MetaData()

DOCUMENTS = Table(
    "documents",
    METADATA,
    Column("name", String(256), primary_key=True),  # of the request that it answers
    Column("body", LargeBinary, nullable=False),  # as it came; CRLs in DER
    Column("chain", LargeBinary, nullable=False),  # PEM: the signer, the root
)
