"""Whether policies admit an image by the enclaves in it: every finding at once, whichever policy says it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from donjon.enclave.search import Enclave
from donjon.enclave.trust import EnclaveTrust, TrustAnswer
from donjon.enclave.trust_findings import TrustWords, finding, findings_of, grounds_of, is_valid, no_enclave
from donjon.errors import DonjonError, Unavailable
from donjon.findings import Finding, Severity, is_refusal
from donjon.findings.codes import LOOKED_INTO_NOW, NOT_LOOKED_INTO

_WEIGHTS = tuple(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustVerdict:
    """What policies say of an image."""

    findings: tuple[Finding, ...] = ()
    admits: bool = True
    would_admit: bool = True  # if every policy did enforce
    grounds: tuple[str, ...] = ()  # by what enclaves are trusted, each in words


def judge_enclaves(trust: EnclaveTrust, image: str, enclaves: Sequence[Enclave], *, needs_enclave: bool = True) -> TrustVerdict:
    """What one policy says of an image by that name, in which these enclaves were found.

    With `needs_enclave` an image without any is a finding, too: say so of a container that asks for EPC. Of an image that the
    policy does not cover it says nothing, and admits it.
    """
    if not trust.covers(image):
        return TrustVerdict()
    bodies = _apart(enclaves)
    findings = [one for each in bodies for one in findings_of(trust, image, each)]
    if not enclaves and needs_enclave:
        findings.append(no_enclave(trust, image))
    grounds = (ground for each in bodies for ground in grounds_of(trust, each))
    return _verdict(trust, findings, tuple(dict.fromkeys(grounds)))


_ASK_AGAIN = {
    **dict.fromkeys(NOT_LOOKED_INTO, "see that the registry answers and lets us in, then make the pod again"),
    LOOKED_INTO_NOW: "make the pod again, as its controller does by itself: what is found is kept for it",
}


def judge_unseen(trust: EnclaveTrust, image: str, error: DonjonError) -> TrustVerdict:
    """What a policy says of an image that could not be looked into, for that error.

    Only an image that could not be reached is up to the policy; of one that is not what it says to be, nothing is ever believed.
    """
    if not trust.covers(image):
        return TrustVerdict()
    is_away = isinstance(error, Unavailable)
    answer = trust.unreachable if is_away else TrustAnswer.REFUSE
    do = _ASK_AGAIN.get(error.code, f"donjon explain {error.code}")
    words = TrustWords(f"could not be looked into: {error.message} [{error.code}]", "which enclaves it has is not known", do)
    return _verdict(trust, [finding(trust, "DJ373", answer, image, words)], ())


def judge_containers(trust: EnclaveTrust, image: str, refusals: Mapping[str, DonjonError]) -> TrustVerdict:
    """What a policy says of an image by its keys' signatures: `refusals` says of each key, by its name, why there is none."""
    findings = []
    for key in trust.keys_for(image) if trust.covers(image) else ():
        if (error := refusals.get(key.name)) is not None:
            answer = trust.unreachable if isinstance(error, Unavailable) else TrustAnswer.REFUSE
            why, do = "the image itself must be signed, too", f"sign it with that key: donjon explain {error.code}"
            words = TrustWords(f"no signature of {key.name} was proved: {error.message} [{error.code}]", why, do)
            findings.append(finding(trust, "DJ384", answer, image, words))
    return _verdict(trust, findings, ())


def judge_all(verdicts: Iterable[TrustVerdict]) -> TrustVerdict:
    """What several policies say together: an image is admitted where each of them admits it.

    Of what several find, the one finding is told that weighs most.
    """
    each = tuple(verdicts)
    findings = (one for verdict in each for one in verdict.findings)
    by_weight = sorted(findings, key=lambda one: _WEIGHTS.index(one.severity), reverse=True)
    return TrustVerdict(
        findings=tuple({(one.code, one.subject, one.observation): one for one in by_weight}.values())[::-1],
        admits=all(verdict.admits for verdict in each),
        would_admit=all(verdict.would_admit for verdict in each),
        grounds=tuple(dict.fromkeys(ground for verdict in each for ground in verdict.grounds)),
    )


def _verdict(trust: EnclaveTrust, findings: list[Finding], grounds: tuple[str, ...]) -> TrustVerdict:
    refuses = is_refusal(findings)
    if not trust.enforces:
        findings = [_as_warning(each) for each in findings]
    return TrustVerdict(
        findings=tuple(findings), admits=not (refuses and trust.enforces), would_admit=not refuses, grounds=grounds
    )


def _as_warning(one: Finding) -> Finding:
    if one.severity is not Severity.ERROR:
        return one
    return replace(one, severity=Severity.WARNING, why=f"{one.why}, once it enforces")


def _apart(enclaves: Sequence[Enclave]) -> tuple[Enclave, ...]:
    """Enclaves to be judged: a stream of EDP whose SIGSTRUCT is another file of the image is judged there; twins are one."""
    of_signatures = {each.sigstruct.mr_enclave for each in enclaves if each.sigstruct is not None and is_valid(each.sigstruct)}
    bodies = [each for each in enclaves if _has_signer(each) or each.measurement not in of_signatures]
    return tuple({(each.sigstruct and each.sigstruct.raw, each.measurement): each for each in bodies}.values())


def _has_signer(enclave: Enclave) -> bool:
    """Whether it is signed in its file, or by its loader, whatever other files of the image say."""
    return enclave.sigstruct is not None or enclave.uses_debug_key
