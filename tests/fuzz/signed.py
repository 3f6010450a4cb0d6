"""What stands behind a signature, which no fuzzer guesses: the make-believe Intel signs the bytes before they are read."""

from dataclasses import replace
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from tests.simulation.intel import SEED, world

from donjon.pki import crl, intel, pck, pem
from donjon.pki.intel import Certificate, CertificateRole
from donjon.simulation.intel import certificates
from donjon.simulation.intel.certificates import SimulatedRole as Signer
from donjon.simulation.intel.extension import tlv
from donjon.simulation.intel.keys import private_key
from donjon.simulation.intel.world import World

_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_PCK = frozenset({CertificateRole.PCK})


def certificate(data: bytes) -> None:
    """The bytes as a PCK certificate's body."""
    pck.parse(intel.prove_certificate(_signed(data, Signer.PROCESSOR_CA), _ca(), _PCK), _ca().role)


def extension(data: bytes) -> None:
    """The bytes as the value of the SGX extension in a PCK certificate."""
    plan = replace(_world().setting.hierarchy.pck, extensions=(certificates.pck_extension(data),))
    made = certificates.issue(plan, SEED).public_bytes(Encoding.DER)
    pck.parse(intel.prove_certificate(made, _ca(), _PCK), _ca().role)


def revocations(data: bytes) -> None:
    """The bytes as a CRL's body."""
    crl.prove(_signed(data, Signer.ROOT), _root())


def bodies_of_certificates() -> list[bytes]:
    """Of a valid PCK certificate."""
    return [x509.load_pem_x509_certificate(_world().certificates[Signer.PCK]).tbs_certificate_bytes]


def extensions() -> list[bytes]:
    """Of both PCK CAs."""
    return [world(ca=ca).setting.extension.encode() for ca in (Signer.PROCESSOR_CA, Signer.PLATFORM_CA)]


def bodies_of_revocations() -> list[bytes]:
    """Of an empty CRL and of one with an entry."""
    return [x509.load_der_x509_crl(data).tbs_certlist_bytes for data in (_world().root_ca_crl, _world().pck_crl)]


def _signed(body: bytes, signer: Signer) -> bytes:
    signature = private_key(SEED, signer.name).sign(body, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return tlv(0x30, body + _ECDSA_WITH_SHA256 + tlv(0x03, b"\0" + signature))


@cache
def _world() -> World:
    return world()


@cache
def _root() -> Certificate:
    return intel.prove_root(_world().root, intel.anchor(_world().root))


@cache
def _ca() -> Certificate:
    (der,) = pem.parse(_world().certificates[Signer.PROCESSOR_CA], 1)
    return intel.prove_certificate(der, _root(), intel.PCK_CAS)
