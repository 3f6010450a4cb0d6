"""The tables as they are after the newest migration."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

METADATA = MetaData()

DOCUMENTS = Table(
    "documents",
    METADATA,
    Column("name", String(256), primary_key=True),  # of the request that it answers
    Column("body", LargeBinary, nullable=False),  # as it came; CRLs in DER
    Column("chain", LargeBinary, nullable=False),  # PEM: the signer, the root
)

INSTANCES = Table(
    "instances",
    METADATA,
    Column("instance", String(256), primary_key=True),
    Column("generation", BigInteger, nullable=False),  # one more with each change
)

POLICIES = Table(
    "policies",
    METADATA,
    Column("instance", String(256), primary_key=True),
    Column("kind", String(64), primary_key=True),  # the attestation type
    Column("token", Text, nullable=False),  # as its setter sent it
)

CERTIFICATES = Table(
    "certificates",
    METADATA,
    Column("instance", String(256), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("certificate", LargeBinary, nullable=False),  # DER
)

FORMER_CERTIFICATES = Table(
    "former_certificates",  # removed, and the signers of policies that still apply
    METADATA,
    Column("instance", String(256), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("certificate", LargeBinary, nullable=False),  # DER
)

RECORDS = Table(
    "audit_records",
    METADATA,
    Column("writer", String(256), primary_key=True),
    Column("number", BigInteger, primary_key=True),  # from 1, without gaps
    Column("moment", BigInteger, nullable=False),  # microseconds since 1970, UTC
    Column("event", LargeBinary, nullable=False),  # as `audit.event` encodes it
    Column("previous", LargeBinary, nullable=False),  # hash
    Column("hash", LargeBinary, nullable=False),
    Index("audit_records_by_moment", "moment"),
)

HEADS = Table(
    "audit_heads",
    METADATA,
    Column("writer", String(256), primary_key=True),
    Column("number", BigInteger, primary_key=True),  # of the last record that it states
    Column("statement", Text, nullable=False),  # as `audit.heads` encodes it
)

ANCHORS = Table(
    "audit_anchors",
    METADATA,
    Column("writer", String(256), primary_key=True),
    Column("number", BigInteger, nullable=False),  # of the last record that was dropped for its age
    Column("statement", Text, nullable=False),
)

POLICY_TEXTS = Table(
    "policy_texts",
    METADATA,
    Column("instance", String(256), primary_key=True),
    Column("hash", String(43), primary_key=True),  # SHA-256 of the text, in base64url
    Column("since", BigInteger, nullable=False),  # microseconds since 1970, UTC
    Column("latest", BigInteger, nullable=False),  # moment of a record that names it; of later ones, none is much later
    Column("weight", Integer, nullable=False),  # what it counts as a new one
    Column("text", Text, nullable=False),  # in base64url; the last, since SQLite reads a row from its beginning
    Index("policy_texts_by_since", "instance", "since", "weight"),
    Index("policy_texts_by_latest", "latest"),
)


def _registration_columns() -> "list[Column[object]]":
    """The columns of what a platform says of itself."""
    return [
        Column("qe_id", String(260), primary_key=True),
        Column("pce_id", String(4), primary_key=True),  # hexadecimal
        Column("cpu_svn", LargeBinary),  # 16 bytes, as it was asked for last
        Column("pce_svn", Integer),
        Column("encrypted_ppid", LargeBinary),  # 384 bytes, which only Intel can read
        Column("manifest", LargeBinary),  # of platforms with several packages
    ]


PLATFORMS = Table(
    "platforms",
    METADATA,
    *_registration_columns(),
    Column("fmspc", String(12), nullable=False),  # hexadecimal
    Column("machine", LargeBinary, nullable=False),  # SHA-256 of the PPID
    Column("certificates", LargeBinary, nullable=False),  # PEM, one behind the other
    Column("chain", LargeBinary, nullable=False),  # PEM: the CA, the root
    Column("fetched", BigInteger, nullable=False),  # seconds since 1970, UTC
    Column("unavailable", Integer, nullable=False),  # certificates that Intel did not have then
    Column("whole", Boolean, nullable=False),  # all that Intel has of it, and not only those that were asked for
    Index("platforms_by_fmspc", "fmspc"),
    Index("platforms_by_machine", "machine"),
    Index("platforms_by_fetched", "fetched"),
)

REGISTRATIONS = Table("registrations", METADATA, *_registration_columns())
