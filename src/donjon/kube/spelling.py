"""Names that are none of SGX, and the one that was probably meant."""

import re

from donjon.findings import Finding
from donjon.findings.codes import MISNAMED
from donjon.formats.words import VERY_LIKE, nearest
from donjon.kube.names import EPC, FOREIGN_EPC, SGX_RESOURCES
from donjon.kube.quantities import MAX_LENGTH
from donjon.kube.vocabulary import ASK_FOR_EPC, CLOSED, TABLE, Field, Term, is_ours

SGX = "sgx"
OTHERS = frozenset({"sgx.k8s.io/sgx"})  # SCONE's plugin, which may run beside
_BY_LETTERS = {name.casefold(): name for name in SGX_RESOURCES}
_BY_END = {name.partition("/")[2].casefold(): name for name in reversed(SGX_RESOURCES)}
_IN_MIB = {name: tuple(name.casefold().replace("-", "_").split("/", 1)) for name in FOREIGN_EPC}
"""Domain and end of the names that count MiB."""
_MIB = re.compile(r"mi?b(?![a-z])")
_TABLE_NAMES = {name.casefold(): name for name, each in TABLE.items() if each.places and name.startswith(CLOSED)}
_SMALL_SGX = re.compile(rf"(?<![a-zA-Z0-9]){SGX}(?![a-zA-Z0-9])")
_SGX = re.compile(r"(?:.*[^a-z0-9])?sgx(?:[^a-z0-9].*)?", re.DOTALL)
"""What speaks of SGX in letters: `intel.com/sgx`, `sgx-pages`. EPC alone is a word of telephone networks, too."""


def closest_resource(name: str) -> str:
    """The resource of SGX that was probably meant by another name; empty where none was."""
    if name in SGX_RESOURCES or name in OTHERS or len(name) > MAX_LENGTH:
        return ""
    letters = name.strip().casefold()
    near = nearest(letters, _BY_LETTERS, VERY_LIKE)
    return _BY_LETTERS[near] if near else _BY_END.get(letters, "")


def speaks_of_sgx(name: str) -> bool:
    """Whether a resource's name has SGX in it, and is not another plugin's that may well run."""
    return name not in OTHERS and len(name) <= MAX_LENGTH and _SGX.fullmatch(name.casefold()) is not None


def is_stray(name: str) -> bool:
    """Whether a resource has sgx in its name, as a word in small letters, and neither Donjon nor a plugin beside it may offer it.

    It is what the API server's policies can tell of every pod in no time: CEL knows no near misses.
    """
    return _SMALL_SGX.search(name) is not None and name not in SGX_RESOURCES and name not in OTHERS


def intended_resource(name: str) -> str:
    """The resource that a container may have meant by a name that no node of ours offers; empty where it speaks of no SGX."""
    if names_a_resource(name):
        return ""
    return closest_resource(name) or _of_same_unit(name) or (EPC if is_ours(name) or name in TABLE or speaks_of_sgx(name) else "")


def _of_same_unit(name: str) -> str:
    """A name that counts MiB, where the end of another is like its end: `azure.com/sgx_epc_mem_in_MiB`."""
    domain, stroke, end = name.casefold().replace("-", "_").rpartition("/")
    if not stroke or len(name) > MAX_LENGTH:
        return ""
    like = {place: resource for resource, (place, own) in _IN_MIB.items() if nearest(end, (own,), VERY_LIKE)}
    return like.get(nearest(domain, like, 0), "")


def suggestion(name: str, likely: str) -> str:
    """The question whether that was meant, with its unit where the other name speaks of another or of none."""
    says_mib = _MIB.search(name.casefold()) is not None
    counts = ", which counts bytes (64Mi)" if says_mib else ""
    if likely in FOREIGN_EPC:
        counts = "" if says_mib else ", which counts MiB (64)"
    return f"did you mean {likely}{counts}?"


def misspelt(subject: str, observation: str, name: str) -> Finding | None:
    """What is to be said of a name in Intel's domain or ours that nothing has."""
    term = TABLE.get(name)
    if not is_ours(name) or (term is not None and term.places):
        return None
    return nobodys(subject, observation, term) if term is not None else _unknown(subject, observation, name)


def nobodys(subject: str, observation: str, name: Term) -> Finding:
    """The finding about a name that people bring along and that Donjon has nothing for."""
    return Finding.warning(MISNAMED, subject, observation, f"{name.becomes}, so no node of Donjon's has it", name.instead)


def _unknown(subject: str, observation: str, name: str) -> Finding:
    near = nearest(name.casefold(), _TABLE_NAMES, VERY_LIKE)
    do = f"did you mean {_TABLE_NAMES[near]}?" if near else ASK_FOR_EPC
    return Finding.warning(MISNAMED, subject, observation, "nothing of Intel's or of Donjon's has that name", do)


def names_a_resource(name: str) -> bool:
    """Whether a container asks for SGX by it."""
    term = TABLE.get(name)
    return term is not None and Field.RESOURCE in term.places
