"""What is wrong with an enclave's SIGSTRUCT, or unwise: every finding at once, the worst first.

Sources: Intel SDM, volume 3D, "EINIT", "SIGSTRUCT", "ATTRIBUTES"; the defaults of SDKs as their repositories have them.
"""

from collections.abc import Callable, Iterator
from datetime import date

from donjon.enclave.samples import SAMPLE_KEYS
from donjon.enclave.search import Enclave, EnclaveFamily
from donjon.enclave.signature import signature_faults
from donjon.findings import Finding, Severity, codes
from donjon.sgx.sigstruct import HEADER, HEADER2, SigStruct

BROKEN = frozenset({codes.NOT_SIGNED, codes.OTHER_MEASUREMENT, codes.OTHER_FORM, codes.DEBUG_KEY, codes.NO_SIGNATURE})
"""What no processor starts, what is not the enclave that was signed, or what nobody in particular signs."""
INTEL = 0x8086
_ORDER = tuple(Severity)


def lint_enclave(subject: str, enclave: Enclave, today: date) -> tuple[Finding, ...]:
    """All that is to be said of an enclave in a file, the worst first."""
    if enclave.sigstruct is None:
        return tuple(_without_signature(subject, enclave))
    findings = lint(subject, enclave.sigstruct, today)
    if enclave.measurement in {None, enclave.sigstruct.mr_enclave}:
        return findings
    other = Finding.error(
        codes.OTHER_MEASUREMENT,
        subject,
        f"is measured as {enclave.measurement.hex()}, and {enclave.sigstruct.mr_enclave.hex()} is signed",
        "the file was changed after it was signed, or it was made by a loader that is not known here; EINIT refuses the first",
        "build and sign it again, or compare it with what its author published",
    )
    return (other, *findings)


def _without_signature(subject: str, enclave: Enclave) -> Iterator[Finding]:
    """Only a stream of EDP has it beside itself."""
    if enclave.uses_debug_key:
        yield Finding.error(
            codes.DEBUG_KEY,
            subject,
            "has no signature, and its loader signs it with Open Enclave's debug key when it starts",
            "that key is public: anybody makes enclaves with this MRSIGNER, and whoever runs the host reads its memory",
            "set Debug=0 and sign it with a key of your own: oesign sign",
        )
    elif enclave.family is not EnclaveFamily.EDP:
        yield Finding.error(
            codes.NO_SIGNATURE,
            subject,
            "has no signature, and is not for debugging",
            "its loader refuses to start it",
            "sign it with a key of your own: oesign sign, ego sign",
        )


def no_enclave(subject: str) -> Finding:
    """What is said of a file without any."""
    return Finding.error(
        "DJ300",
        subject,
        "has no enclave: no SIGSTRUCT that is signed, and no SGXS stream",
        "there is nothing to check or trust",
        "name the signed file: *.signed.so, *.sig, *.sgxs; Gramine's and EDP's signature is a file of its own beside the program",
    )


def lint(subject: str, sigstruct: SigStruct, today: date) -> tuple[Finding, ...]:
    """All of it."""
    findings = [finding for check in _CHECKS for finding in check(subject, sigstruct)]
    findings += _date(subject, sigstruct, today)
    return tuple(sorted(findings, key=lambda each: _ORDER.index(each.severity)))


def _signature(subject: str, sigstruct: SigStruct) -> Iterator[Finding]:
    for fault in signature_faults(sigstruct):
        yield Finding.error(
            codes.NOT_SIGNED, subject, fault, "no processor starts this enclave", "sign it again: donjon enclave sign"
        )


def _sample_key(subject: str, sigstruct: SigStruct) -> Iterator[Finding]:
    sample = SAMPLE_KEYS.get(sigstruct.mr_signer.hex())
    if sample is not None:
        yield Finding.error(
            "DJ304",
            subject,
            f"is signed with {sample.key}",
            f"its private half is public ({sample.place}): anybody makes enclaves with this MRSIGNER",
            "sign it with a key of your own: donjon enclave keygen, then donjon enclave sign",
        )


def _debug(subject: str, sigstruct: SigStruct) -> Iterator[Finding]:
    if sigstruct.debug and sigstruct.masks_debug:
        yield Finding.error(
            "DJ302",
            subject,
            "is for debugging alone (DEBUG is set and held to)",
            "whoever runs its host reads and writes its memory",
            "sign it without DEBUG",
        )
    elif not sigstruct.masks_debug:
        yield Finding.warning(
            "DJ303",
            subject,
            "may be started for debugging, or not, as whoever loads it likes (DEBUG is not in the mask)",
            "its MRENCLAVE and MRSIGNER are the same both times, and only a verifier that looks at DEBUG tells them apart",
            "donjon enclave sign --no-debug puts DEBUG into the mask; refuse debug enclaves where you verify quotes",
        )


def _keys(subject: str, sigstruct: SigStruct) -> Iterator[Finding]:
    names = {"PROVISIONKEY": sigstruct.provision_key, "EINITTOKENKEY": sigstruct.einittoken_key}
    for name in (name for name, is_set in names.items() if is_set):
        why = "it can name the platform for ever" if name == "PROVISIONKEY" else "it can let other enclaves be launched"
        yield Finding.warning(
            "DJ306", subject, f"asks for {name}", why, "leave it out where it is no provisioning or launch enclave"
        )


def _identity(subject: str, sigstruct: SigStruct) -> Iterator[Finding]:
    zero = [name for name, number in (("product id", sigstruct.isv_prod_id), ("SVN", sigstruct.isv_svn)) if not number]
    if zero:
        yield Finding.info(
            "DJ307",
            subject,
            f"has {' and '.join(zero)} 0",
            "whoever trusts its signer trusts every enclave of that key, old ones too",
            "donjon enclave sign --product-id N --svn N: to each product its id, a higher SVN where a release mends something",
        )


def _form(subject: str, sigstruct: SigStruct) -> Iterator[Finding]:
    if sigstruct.header != HEADER or sigstruct.header2 != HEADER2:
        yield Finding.error(codes.OTHER_FORM, subject, "has another header than a SIGSTRUCT", "EINIT refuses it", "build it anew")
    if any(sigstruct.reserved):
        yield Finding.error(
            codes.OTHER_FORM, subject, "has reserved bytes that are not zero", "EINIT refuses it", "build it anew"
        )
    if sigstruct.vendor not in {0, INTEL}:
        yield Finding.warning(
            codes.OTHER_FORM,
            subject,
            f"has vendor {sigstruct.vendor:#x}, expected 0 or 0x8086 for Intel",
            "no SDK writes that",
            "build it anew",
        )


def day_of(sigstruct: SigStruct) -> date | None:
    """The day that stands in it; `None` where it is none."""
    day, month, *year = (f"{each:02x}" for each in sigstruct.date)
    try:
        return date(int(f"{year[1]}{year[0]}"), int(month), int(day))
    except ValueError:
        return None


def _date(subject: str, sigstruct: SigStruct, today: date) -> Iterator[Finding]:
    day = day_of(sigstruct)
    if day is None or day > today:
        observation = f"has the date {day}, which is to come" if day else "has a date that is none"
        yield Finding.warning(
            "DJ308", subject, observation, "it says nothing of when the enclave was signed", "sign it with today's"
        )


_CHECKS: tuple[Callable[[str, SigStruct], Iterator[Finding]], ...] = (
    _signature,
    _form,
    _sample_key,
    _debug,
    _keys,
    _identity,
)
