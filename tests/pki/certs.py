"""Certificates for tests: made at a moment that the test says."""

from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from donjon.pki.serving import Fresh, ServingCertificate, issue

NAMES = ("donjon-webhook.donjon.svc", "127.0.0.1")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LIFETIME = 90 * DAY


def fresh(serial: int = 1) -> Fresh:
    return Fresh(
        authority_key=ec.generate_private_key(ec.SECP256R1()),
        key=ec.generate_private_key(ec.SECP256R1()),
        authority_serial=2 * serial,
        serial=2 * serial + 1,
    )


def made(moment: datetime = START, lifetime: timedelta = LIFETIME) -> ServingCertificate:
    return issue(NAMES, fresh(), moment, lifetime)
