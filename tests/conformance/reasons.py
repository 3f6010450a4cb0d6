"""Why Donjon and dcap-qvl 0.7.0 may differ about a mutant, each difference with its reason; what is not listed is a bug."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why two verifiers may differ where what ours says, what theirs says and what was changed match these patterns."""

    ours: str
    theirs: str
    why: str
    told: str = ""

    def fits(self, ours: str, theirs: str, told: str) -> bool:
        found = ((self.ours, ours), (self.theirs, " ".join(theirs.split())), (self.told, told))
        return all(re.search(pattern, text, re.DOTALL) for pattern, text in found)


JUDGED = r"^(?!refused)"
NEVER = ("LEAKED", "REMEMBERED")  # another error than ours came out; a memory made a difference
ANY_DOCUMENT = r"\| .*(tcb_info|qe_identity|pck_crl|root_ca_crl)"

REASONS = (
    # Both judge.
    Reason(
        "^Unrecognized",
        JUDGED,
        "a quoting enclave or module with a status of platforms: without effect there and in QVL, terminal here",
        "(qe_identity|modules)",
    ),
    Reason(
        JUDGED, JUDGED, "dcap-qvl compares CPUSVN, QVL and Donjon the components; Intel's are equal", "cpu_svn|extension_value"
    ),
    # Donjon judges, dcap-qvl refuses.
    Reason(
        "^NotSupported",
        "No matching TCB level|is below minimum|No TDX module identity",
        "what has no level is an error there, and a status here that nothing accepts",
    ),
    Reason("^Revoked", "TCB status is invalid: Revoked", "revoked is an error there, and a status here that nothing accepts"),
    Reason(
        JUDGED,
        "unknown variant|Unrecognized TCB status",
        "an unknown status is an error there even in a level that does not count",
    ),
    Reason(
        r"\| .*debug", "Debug mode|TD profiling|Reserved bits in TD attributes", "debug, the whole byte, is for acceptance here"
    ),
    Reason(r"\| .*sept-ve", "SEPT_VE_DISABLE", "SEPT_VE_DISABLE is for acceptance here"),
    Reason(r"\| .*DJ272", "TD migration is enabled", "MIGRATABLE is for acceptance here"),
    Reason(r"\| .*DJ273", "Invalid MR service TD", "a service TD is for acceptance here"),
    Reason(r"\| .*DJ274", "Reserved bits in TD attributes|SERVTD_EXT", "reserved and newer attributes are for acceptance here"),
    Reason(ANY_DOCUMENT, "expired|CrlExpired", "a document past its nextUpdate is for acceptance here"),
    Reason(
        JUDGED,
        r"CrlExpired { time: UnixTime\((\d+)\), next_update: UnixTime\(\1\) }",
        "the second of nextUpdate itself is good here",
    ),
    Reason(JUDGED, "before Unix epoch", "a document issued before 1970 is only old here", "rewritten"),
    Reason(JUDGED, "Invalid QE auth data length", "only 32 bytes are read there; the format has a length"),
    Reason(JUDGED, "No matching TCB level", "dcap-qvl compares CPUSVN, as above", "cpu_svn|extension_value"),
    Reason(
        JUDGED, "PceSvn length mismatch", "a PCESVN from 32768 on has three bytes in DER, of which two are read there", "pce_svn"
    ),
    Reason(JUDGED, "SGX TEE quote must have version 3", "SGX in versions 4 and 5 is read here"),
    Reason(JUDGED, "missing field `sgxtcbcomponents`|missing field `id`", "version 2 of TCB info is read here", "version"),
    Reason(
        JUDGED,
        "missing field `(attributesMask|tcbType)`|attributesMask",
        "QVL reads the module's mask and does not use it",
        "rewritten",
    ),
    # Donjon refuses, dcap-qvl judges.
    Reason(
        "DJ204",
        JUDGED,
        "PEM is read strictly: two, or three, certificates in their order, nothing between; more or fewer are taken there",
    ),
    Reason(
        "DJ205|DJ207|DJ220|DJ222 root certificate|DJ222.*signed with", JUDGED, "the root that a chain shows is not read there"
    ),
    Reason(
        "DJ222.*SGX Root CA: |DJ222 .*not a certificate that",
        JUDGED,
        "what a CA or leaf may do, its key identifiers, the root's all",
    ),
    Reason("DJ222 .*(names another key|No <class|extension was found)", JUDGED, "key identifiers are compared here"),
    Reason("DJ221", JUDGED, "roles go by names here; there, whoever chains to the root may be a signer or a PCK certificate"),
    Reason("DJ223", JUDGED, "the dates of a trusted root are looked at here", "root|pck_crl_chain|platform_ca|processor_ca"),
    Reason("DJ225", JUDGED, "CRL number, key identifier and the chain that comes with the CRL are not looked at there"),
    Reason("DJ226 (root_ca_crl|pck_crl)", JUDGED, "a CRL from the future is not noticed there"),
    Reason("DJ231 tcb_info", JUDGED, "the PCEID is not compared there", "pce_id|rewritten|extension_value"),
    Reason("DJ202 certification data: outer type", JUDGED, "the outer type is not looked at there", "outer_type|quote"),
    Reason("DJ208", JUDGED, "the PCK extension is read in full here, element by element", "extension"),
    Reason("DJ241", JUDGED, "the second half of the QE's report data must be zero here", "qe_report_data"),
    Reason(
        "DJ242 QE report: (attributes|misc_select)", JUDGED, "an identity that asks for bits beyond its mask: QVL refuses it, too"
    ),
    Reason(
        "DJ211.*(TCB levels that stand twice|none twice)",
        JUDGED,
        "levels are sorted there; twice the same is refused by QVL, too",
    ),
    Reason("DJ211.*tcbType", JUDGED, "an unknown type of TCB is not looked at there"),
    Reason(
        "DJ211 tcbInfo.*(version|components|tdxModule|each with its own)",
        JUDGED,
        "TCB infos have one shape a version and TEE here",
    ),
    Reason("DJ211|DJ210|DJ212", JUDGED, "documents are read in full and strictly here", "rewritten"),
    Reason("DJ211.*tcbEvaluationDataNumber", JUDGED, "numbers have a bound here"),
    Reason("DJ212", JUDGED, "version 3 of an identity, which Intel has not described, is read there for TDX"),
)


def reason(ours: str, theirs: str, told: str) -> Reason | None:
    """The first that fits; none can for what ours must never say."""
    if ours.startswith(NEVER):
        return None
    return next((each for each in REASONS if each.fits(ours, theirs, told)), None)
