"""What is fuzzed: each parser of bytes from outside, with what it is seeded from. Nothing but errors of ours may come out."""

import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.attestation import recordings
from tests.fuzz import signed
from tests.images.made import MadeImage, layer, member

from donjon.adapters.images import entries, forward
from donjon.attestation import description, evidence, quote
from donjon.collateral import bundle, high_water, identity, tcb_info, trusted
from donjon.enclave import gramine, processes, signable, signing, sizing
from donjon.errors import DonjonError
from donjon.images import manifests, overlay
from donjon.maa import policies, requests
from donjon.maa.versions import AttestationType
from donjon.pki import crl, intel, pck, pem
from donjon.policy import forms, parsing
from donjon.sgx.sigstruct import SigStruct
from donjon.signing import signer_certificate

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "vectors"
CORPUS = Path(__file__).with_name("corpus")

_COLLATERAL = bundle.parse((VECTORS / "dcap-qvl" / "sgx_quote_collateral.json").read_bytes())
_TRUSTED = trusted.trust(_COLLATERAL, intel.INTEL)


@dataclass(frozen=True, slots=True)
class Target:
    """One parser."""

    parse: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]

    def run(self, data: bytes) -> None:
        """An error of ours is an answer; any other one is a finding."""
        try:
            self.parse(data)
        except DonjonError:
            return


def _quote(data: bytes) -> None:
    description.describe(quote.parse(evidence.unwrap(data)))


def _files(pattern: str, most: int) -> Callable[[], list[bytes]]:
    return lambda: [path.read_bytes() for path in sorted(VECTORS.glob(pattern))[:most]]


def _inner(pattern: str, name: str) -> Callable[[], list[bytes]]:
    return lambda: [bundle.unwrap(data, name).text for data in _files(pattern, 4)()]


def _certificates() -> list[bytes]:
    chains = [quote.parse(data).certification.content for data in _files("dcap-qvl/quotes/*.bin", 3)()]
    return [der for chain in chains for der in pem.parse(chain, 3)]


def _layers() -> list[bytes]:
    link = [(member("a"), b"content"), (member("b", tarfile.LNKTYPE, linkname="a"), b""), (member("x" * 300), b"")]
    return [layer(link, layout) for layout in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]


def _layer(data: bytes) -> None:
    places = overlay.Overlay()
    for entry in entries.entries(forward.Forward(iter((data,))), "fuzz"):
        places.place(entry)


def _unwrapped(data: bytes) -> None:
    bundle.unwrap(data, "tcbInfo")


def _policy_token(data: bytes) -> None:
    policies.parse_stored(requests.policy_token(data))


def _draft(data: bytes) -> None:
    policies.draft(data.decode("utf-8", "replace"))


def _policy_form(data: bytes) -> None:
    parsing.parse(forms.unwrap(data).text)


def _bodies(path: str) -> Callable[[], list[bytes]]:
    return lambda: [each.body.encode() for each in recordings.under(path) if each.body]


def _enclave(data: bytes) -> None:
    subject = signable.signable(data)
    signable.put_back(subject, subject.draft().sigstruct)


def _program(data: bytes) -> None:
    sizing.epc_need(data)
    processes.program_start("x", data)


def _messages() -> list[bytes]:
    return [SigStruct(data[: SigStruct.SIZE]).message for data in _files("sigstruct/*.sig", 2)()]


TARGETS: Mapping[str, Target] = {
    "quote": Target(_quote, _files("*/quotes/*.bin", 12)),
    "chain": Target(lambda data: pem.parse(data, 3), _files("intel-collateral/certs/*.pem", 9)),
    "root": Target(lambda data: intel.prove_root(data, intel.INTEL), _certificates),
    "certificate": Target(
        lambda data: intel.prove_certificate(data, _TRUSTED.root, frozenset(intel.CertificateRole)), _certificates
    ),
    "pck": Target(pck.parse_unverified, _certificates),
    "crl": Target(lambda data: crl.prove(data, _TRUSTED.pck_ca), _files("intel-collateral/crl/*.der", 4)),
    "tcb_info": Target(tcb_info.parse, _inner("intel-collateral/tcbinfo/*.json", "tcbInfo")),
    "identity": Target(identity.parse, _inner("intel-collateral/qeidentity/*.json", "enclaveIdentity")),
    "document": Target(_unwrapped, _files("intel-collateral/tcbinfo/*.json", 2)),
    "bundle": Target(bundle.parse, _files("dcap-qvl/*.json", 2)),
    "signed_certificate": Target(signed.certificate, signed.bodies_of_certificates),
    "signed_extension": Target(signed.extension, signed.extensions),
    "signed_crl": Target(signed.revocations, signed.bodies_of_revocations),
    "attest_request": Target(lambda data: requests.attest(data, AttestationType.SGX_ENCLAVE), _bodies("/attest/SgxEnclave")),
    "policy_token": Target(_policy_token, _bodies("/policies/")),
    "draft": Target(_draft, _bodies("/policies/")),
    "policy_form": Target(_policy_form, _bodies("/policies/")),
    "signer": Target(signer_certificate.parse, _certificates),
    "enclave": Target(_enclave, _files("sigstruct/*[!c]", 8)),
    "enclave_program": Target(_program, _files("sigstruct/*.signed", 1)),
    "gramine_manifest": Target(gramine.read_manifest, _files("gramine/*.manifest.sgx", 3)),
    "enclave_message": Target(signing.parse_message, _messages),
    "layer": Target(_layer, _layers),
    "manifest": Target(
        lambda data: manifests.parse_document(data, "", "fuzz"), lambda: [MadeImage(each).manifest for each in _layers()]
    ),
    "state": Target(high_water.parse, lambda: [high_water.encode(high_water.HighWater())]),
}
