"""What a policy on enclaves says, and hardly means: entries that do nothing, and lists that admit nobody."""

from collections.abc import Callable, Iterator

from donjon.enclave.samples import SAMPLE_KEYS
from donjon.enclave.trust import EnclaveTrust, TrustAnswer
from donjon.findings import Finding


def advice(trust: EnclaveTrust) -> tuple[Finding, ...]:
    """All of it, as warnings; nothing here changes what the policy decides."""
    return tuple(finding for check in _CHECKS for finding in check(trust))


def _sample_signers(trust: EnclaveTrust) -> Iterator[Finding]:
    for each in trust.signers:
        sample = SAMPLE_KEYS.get(each.mr_signer.hex())
        if sample is not None and each.mr_signer not in trust.sample_keys:
            yield _warning(
                trust,
                f"signer {each.name} is {sample.key}",
                "anybody has that key, and no policy trusts it as a signer",
                "take it out, or, for development, name its MRSIGNER under sampleKeys",
            )


def _other_samples(trust: EnclaveTrust) -> Iterator[Finding]:
    for key in sorted(each.hex() for each in trust.sample_keys if each.hex() not in SAMPLE_KEYS):
        yield _warning(
            trust,
            f"sampleKeys has {key}, which is no sample key that is known here",
            "it is an exception of nothing",
            "list it under signers if it is a key of somebody whom you trust",
        )


def _nobody(trust: EnclaveTrust) -> Iterator[Finding]:
    lists_nobody = not (trust.signers or trust.measurements or trust.sample_keys)
    if lists_nobody and trust.unknown is TrustAnswer.REFUSE:
        yield _warning(
            trust,
            "lists no signer and no measurement",
            "once it enforces, no enclave is admitted",
            "list some (donjon policy from-enclave), or say unknown: allow where others list them",
        )


def _versions(trust: EnclaveTrust) -> Iterator[Finding]:
    for each in trust.signers:
        if each.min_svn and each.product_id is None:
            yield _warning(
                trust,
                f"signer {each.name} has minSvn and no productId",
                "each product of a key counts its SVNs by itself",
                "list each product with its own minSvn",
            )


_CHECKS: tuple[Callable[[EnclaveTrust], Iterator[Finding]], ...] = (_sample_signers, _other_samples, _nobody, _versions)


def _warning(trust: EnclaveTrust, observation: str, why: str, do: str) -> Finding:
    return Finding.warning("DJ374", trust.name, observation, why, do)
