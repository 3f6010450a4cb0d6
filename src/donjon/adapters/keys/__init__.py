"""Where new keys come from: the system's randomness."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import random_serial_number

from donjon.pki.serving import Fresh


def fresh() -> Fresh:
    """Keys and serial numbers that nobody has used."""
    return Fresh(
        authority_key=ec.generate_private_key(ec.SECP256R1()),
        key=ec.generate_private_key(ec.SECP256R1()),
        authority_serial=random_serial_number(),
        serial=random_serial_number(),
    )
