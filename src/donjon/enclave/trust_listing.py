"""Enclaves as a policy that lists them, and a policy as the document that says it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from donjon.enclave.samples import SAMPLE_KEYS
from donjon.enclave.search import Enclave
from donjon.enclave.trust import (
    MAX_NAME,
    ContainerKey,
    DebugRule,
    EnclaveTrust,
    TrustAnswer,
    TrustMeasurement,
    TrustSigner,
)
from donjon.enclave.trust_findings import is_for_debugging
from donjon.formats.json import Json, JsonObject
from donjon.sgx.sigstruct import SigStruct

_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_ENDS = " ._-"


class ListingKey(StrEnum):
    """By what enclaves are listed."""

    SIGNER = "signer"  # its later versions are admitted, too
    MEASUREMENT = "measurement"


def listing(enclaves: Mapping[str, Sequence[Enclave]], by: ListingKey, *, development: bool = False) -> EnclaveTrust:
    """A policy that lists these enclaves, which stand under the names of their files or images.

    It is as strict as it can be for them. Only for `development` it makes exceptions of sample keys and of debugging.
    """
    signatures = {name: [each.sigstruct for each in those if each.sigstruct is not None] for name, those in enclaves.items()}
    every = [sigstruct for those in signatures.values() for sigstruct in those]
    samples = frozenset(each.mr_signer for each in every if each.mr_signer.hex() in SAMPLE_KEYS)
    is_debug = any(map(is_for_debugging, every))
    trust = EnclaveTrust(
        sample_keys=samples if development else frozenset(),
        debug=DebugRule.HERE if development and is_debug else DebugRule.NEVER,
    )
    if by is ListingKey.MEASUREMENT:
        return replace(trust, measurements=_measurements(enclaves))
    return replace(trust, signers=_signers(signatures))


def _signers(signatures: Mapping[str, Sequence[SigStruct]]) -> tuple[TrustSigner, ...]:
    """One a key and product, from the lowest SVN on that is there."""
    lowest: dict[tuple[bytes, int], TrustSigner] = {}
    for name, those in signatures.items():
        for each in those:
            here = (each.mr_signer, each.isv_prod_id)
            if each.mr_signer.hex() in SAMPLE_KEYS:
                continue
            signer = lowest.get(here) or TrustSigner(
                name=name, mr_signer=each.mr_signer, product_id=each.isv_prod_id, min_svn=each.isv_svn
            )
            lowest[here] = replace(signer, min_svn=min(signer.min_svn, each.isv_svn))
    names = unique_names(each.name for each in lowest.values())
    return tuple(replace(each, name=name) for each, name in zip(lowest.values(), names, strict=True))


def _measurements(enclaves: Mapping[str, Sequence[Enclave]]) -> tuple[TrustMeasurement, ...]:
    hashes: dict[bytes, str] = {}
    for name, those in enclaves.items():
        for each in those:
            mr_enclave = each.measurement if each.sigstruct is None else each.sigstruct.mr_enclave
            if mr_enclave is not None:
                hashes.setdefault(mr_enclave, name)
    names = unique_names(hashes.values())
    return tuple(TrustMeasurement(name=name, mr_enclave=each) for each, name in zip(hashes, names, strict=True))


def unique_names(texts: Iterable[str]) -> Iterator[str]:
    """A name for each text, of the letters that a policy takes, and no two alike."""
    there: set[str] = set()
    for text in texts:
        bare = _NO_NAME.sub("-", text.rpartition("/")[2])[-MAX_NAME:].strip(_ENDS) or "enclave"
        name, number = bare, 1
        while name in there:
            number += 1
            name = f"{bare[: MAX_NAME - 6].rstrip(_ENDS)} {number}"
        there.add(name)
        yield name


def spec_of(trust: EnclaveTrust) -> JsonObject:
    """The spec of an EnclavePolicy that states the policy; but for the mode, what goes without saying is left out."""
    plain = EnclaveTrust()
    answers = {"unsigned": "unsigned", "unknown": "unknown", "noEnclave": "no_enclave", "unreachable": "unreachable"}
    members: JsonObject = {"mode": str(trust.mode), **_list("images", trust.images)}
    members |= _list("signers", [_signer(each) for each in trust.signers])
    members |= _list("measurements", [{"name": each.name, "mrEnclave": each.mr_enclave.hex()} for each in trust.measurements])
    members |= _list("sampleKeys", sorted(each.hex() for each in trust.sample_keys))
    members |= {} if trust.debug is plain.debug else {"debug": str(trust.debug)}
    for field, name in answers.items():
        answer: TrustAnswer | None = getattr(trust, name)
        members |= {} if answer is None or answer is getattr(plain, name) else {field: str(answer)}
    return members | _list("containerSignatures", [_key(each) for each in trust.container_keys])


def _list(field: str, entries: Sequence[Json]) -> JsonObject:
    return {field: list(entries)} if entries else {}


def _signer(signer: TrustSigner) -> JsonObject:
    product: JsonObject = {} if signer.product_id is None else {"productId": signer.product_id}
    svn: JsonObject = {"minSvn": signer.min_svn} if signer.min_svn else {}
    return {"name": signer.name, "mrSigner": signer.mr_signer.hex(), **product, **svn}


def _key(key: ContainerKey) -> JsonObject:
    return {"name": key.name, "key": key.key, **_list("images", key.images)}
