"""What one policy finds of one enclave, or of an image that has none that could be found."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from donjon.enclave.samples import DEBUG_LOADER, SAMPLE_KEYS, SampleKey
from donjon.enclave.search import Enclave
from donjon.enclave.signature import signature_faults
from donjon.enclave.trust import DebugRule, EnclaveTrust, TrustAnswer, TrustSigner
from donjon.findings import Finding, Severity
from donjon.sgx.sigstruct import SigStruct

_BY_ANSWER: dict[TrustAnswer, Severity] = {
    TrustAnswer.ALLOW: Severity.INFO,
    TrustAnswer.WARN: Severity.WARNING,
    TrustAnswer.REFUSE: Severity.ERROR,
}
_VERBS: dict[TrustAnswer, str] = {TrustAnswer.ALLOW: "allows", TrustAnswer.WARN: "warns of", TrustAnswer.REFUSE: "refuses"}
_READS = "whoever runs its node then reads its memory"
_LIST_IT = "if it is to be trusted, list it in the policy: donjon policy from-enclave prints how"


class TrustWords(NamedTuple):
    """Of a finding: what was seen, what follows from it, what to do, and what the policy makes of it."""

    observation: str
    why: str
    do: str
    verb: str = ""  # where the answer does not say it


def is_valid(sigstruct: SigStruct) -> bool:
    """Whether EINIT takes the signature."""
    return not _faults(sigstruct)


@lru_cache(maxsize=1024)  # An image that is made again and again has the same enclaves, and several policies ask.
def _faults(sigstruct: SigStruct) -> tuple[str, ...]:
    return tuple(signature_faults(sigstruct))


def findings_of(trust: EnclaveTrust, image: str, enclave: Enclave) -> Iterator[Finding]:
    """Everything that the policy has against an enclave of that image, or remarks on it."""
    subject = f"{image}: enclave {_mr_enclave(enclave)}"
    if enclave.uses_debug_key:
        yield from _debug_key(trust, subject)
    elif enclave.sigstruct is None:
        yield from _unsigned(trust, subject, enclave)
    elif is_valid(enclave.sigstruct):
        for check in _CHECKS:
            yield from check(trust, subject, enclave.sigstruct)
        yield from _another(trust, subject, enclave.measurement, enclave.sigstruct.mr_enclave)
    else:
        why = "no processor starts it, and nothing that it says of itself is believed"
        words = TrustWords(
            "; ".join(_faults(enclave.sigstruct)), why, "sign it again, or get the image again from whoever made it"
        )
        yield finding(trust, "DJ366", TrustAnswer.REFUSE, subject, words)


def _mr_enclave(enclave: Enclave) -> str:
    measurement = enclave.measurement if enclave.sigstruct is None else enclave.sigstruct.mr_enclave
    return "of unknown MRENCLAVE" if measurement is None else f"{measurement.hex()[:16]}…"


def _unsigned(trust: EnclaveTrust, subject: str, enclave: Enclave) -> Iterator[Finding]:
    words = TrustWords("has no signature", "whoever loads it signs it, with any key", "sign it: donjon enclave sign")
    yield finding(trust, "DJ367", trust.unsigned, subject, words)
    if not any(_measurements(trust, enclave.measurement)):
        words = TrustWords("is no measurement of the policy", "nobody vouches for it", _LIST_IT)
        yield finding(trust, "DJ370", trust.unknown, subject, words)


def _debug_key(trust: EnclaveTrust, subject: str) -> Iterator[Finding]:
    """Of an enclave of Open Enclave that its loader signs, for debugging, with a key that is public."""
    sample = SAMPLE_KEYS[DEBUG_LOADER]
    observation = f"has no signature, and its loader signs it with {sample.key}, MRSIGNER {DEBUG_LOADER}"
    yield _of_sample_key(trust, subject, bytes.fromhex(DEBUG_LOADER), observation)
    yield _for_debugging(trust, subject, "is signed for debugging by its loader")


def _sample_key(trust: EnclaveTrust, subject: str, sigstruct: SigStruct) -> Iterator[Finding]:
    sample = _sample(sigstruct)
    if sample is not None:
        observation = f"is signed with {sample.key}, MRSIGNER {sigstruct.mr_signer.hex()}"
        yield _of_sample_key(trust, subject, sigstruct.mr_signer, observation)


def _of_sample_key(trust: EnclaveTrust, subject: str, mr_signer: bytes, observation: str) -> Finding:
    why = f"anybody has that key ({SAMPLE_KEYS[mr_signer.hex()].place}) and signs what he likes with it"
    if mr_signer in trust.sample_keys:
        words = TrustWords(observation, why, "take it for development alone", "makes an exception of")
        return finding(trust, "DJ368", TrustAnswer.WARN, subject, words)
    words = TrustWords(observation, why, "sign it with a key of your own: donjon enclave keygen, donjon enclave sign")
    return finding(trust, "DJ368", TrustAnswer.REFUSE, subject, words)


def _sample(sigstruct: SigStruct) -> SampleKey | None:
    return SAMPLE_KEYS.get(sigstruct.mr_signer.hex())


def _debug(trust: EnclaveTrust, subject: str, sigstruct: SigStruct) -> Iterator[Finding]:
    if is_for_debugging(sigstruct):
        yield _for_debugging(trust, subject, "is signed for debugging")
    elif not sigstruct.masks_debug and trust.debug is DebugRule.NEVER:
        do = "sign it with DEBUG in the mask of attributes, and refuse debug enclaves where you attest them"
        words = TrustWords(
            "can be started for debugging by whoever loads it", f"{_READS}, and no image tells how it is started", do
        )
        yield finding(trust, "DJ369", TrustAnswer.WARN, subject, words)


def _for_debugging(trust: EnclaveTrust, subject: str, observation: str) -> Finding:
    is_here = trust.debug is DebugRule.HERE
    do = "keep secrets away from it" if is_here else "sign it without DEBUG"
    return finding(
        trust, "DJ369", TrustAnswer.WARN if is_here else TrustAnswer.REFUSE, subject, TrustWords(observation, _READS, do)
    )


def _another(trust: EnclaveTrust, subject: str, measurement: bytes | None, mr_enclave: bytes) -> Iterator[Finding]:
    """The processor holds an enclave to its signature, so what does not start is told and endangers nobody."""
    if measurement not in {None, mr_enclave}:
        words = TrustWords(f"measures as {measurement.hex()}", "the processor will not start it", "build and sign it again")
        yield finding(trust, "DJ305", TrustAnswer.WARN, subject, words)


def is_for_debugging(sigstruct: SigStruct) -> bool:
    """Whether it is signed with DEBUG, or as a debug type."""
    return sigstruct.debug or sigstruct.debug_type


def _identity(trust: EnclaveTrust, subject: str, sigstruct: SigStruct) -> Iterator[Finding]:
    if _sample(sigstruct) is not None or any(_reasons(trust, sigstruct)):  # Of a sample key there is nothing to list.
        return
    product, svn = sigstruct.isv_prod_id, sigstruct.isv_svn
    mr_signer = sigstruct.mr_signer
    mine = [each for each in trust.signers if each.mr_signer == mr_signer]
    newer = [each for each in mine if each.product_id in {None, product}]
    if newer:
        expected = f"SVN {min(each.min_svn for each in newer)} or higher"
        observation = f"is product {product} of signer {newer[0].name} with SVN {svn}, expected {expected}"
        words = TrustWords(observation, "it may have faults that are known", "take a newer version of the image")
        yield finding(trust, "DJ371", TrustAnswer.REFUSE, subject, words)
        return
    who = (
        f"product {product} of signer {mine[0].name}, of which the policy takes others" if mine else "of no signer of the policy"
    )
    observation = f"is {who}, and no measurement of it: MRSIGNER {sigstruct.mr_signer.hex()}, product {product}, SVN {svn}"
    yield finding(trust, "DJ370", trust.unknown, subject, TrustWords(observation, "nobody vouches for it", _LIST_IT))


_CHECKS: tuple[Callable[[EnclaveTrust, str, SigStruct], Iterator[Finding]], ...] = (_sample_key, _debug, _identity)


def no_enclave(trust: EnclaveTrust, image: str) -> Finding:
    """What the policy says of an image that asks for EPC, and in which no enclave was found."""
    do = "see what donjon enclave show finds in it; where the enclave comes from elsewhere, the policy can say noEnclave: allow"
    words = TrustWords("has no enclave that could be found", "it asks for EPC, and what it will load is not known", do)
    return finding(trust, "DJ372", trust.without_enclave, image, words)


# By what an enclave is trusted.


def grounds_of(trust: EnclaveTrust, enclave: Enclave) -> Iterator[str]:
    """By what the policy trusts an enclave, in words; nothing for one of which the signature is not valid."""
    if enclave.sigstruct is not None and is_valid(enclave.sigstruct):
        yield from _reasons(trust, enclave.sigstruct)


def _reasons(trust: EnclaveTrust, sigstruct: SigStruct) -> Iterator[str]:
    sample = _sample(sigstruct)
    if sample is not None:
        yield from (sample.key for each in trust.sample_keys if each == sigstruct.mr_signer)
    mr_signer = sigstruct.mr_signer  # A hash, so once for all signers.
    mine = (each for each in trust.signers if each.mr_signer == mr_signer)
    yield from (f"signer {each.name}" for each in mine if _takes(each, sigstruct))
    yield from _measurements(trust, sigstruct.mr_enclave)


def _measurements(trust: EnclaveTrust, mr_enclave: bytes | None) -> Iterator[str]:
    yield from (f"measurement {each.name}" for each in trust.measurements if each.mr_enclave == mr_enclave)


def _takes(signer: TrustSigner, sigstruct: SigStruct) -> bool:
    """Whether a SIGSTRUCT by that signer's key is of the product and version that it allows."""
    return signer.product_id in {None, sigstruct.isv_prod_id} and sigstruct.isv_svn >= signer.min_svn


def finding(trust: EnclaveTrust, code: str, answer: TrustAnswer, subject: str, words: TrustWords) -> Finding:
    """A finding of that weight, in which the policy says what it makes of it."""
    return Finding(
        code=code,
        severity=_BY_ANSWER[answer],
        subject=subject,
        observation=words.observation,
        why=f"{words.why}; {trust.name} {words.verb or _VERBS[answer]} it",
        do=words.do,
    )
