"""What `donjon policy from-enclave` prints, from enclaves in files or from a policy on enclaves."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NoReturn

from donjon.admission.manifests.check import ManifestDocument, parse_documents
from donjon.admission.manifests.documents import MAX_SIZE
from donjon.admission.policies.printing import manifest
from donjon.cli.enclave.images import image_enclaves
from donjon.cli.files import bare_content, display_name, within
from donjon.cli.manifests import NAMESPACE
from donjon.cli.policy.from_enclave import ATTESTATION
from donjon.cli.registries import image_named
from donjon.cli.terminal import say_finding, write
from donjon.enclave.search import Enclave, enclaves
from donjon.enclave.trust import EnclaveTrust, TrustMode
from donjon.enclave.trust_judgement import judge_enclaves
from donjon.enclave.trust_listing import ListingKey, listing, spec_of
from donjon.enclave.trust_reading import read_policy
from donjon.enclave.trust_statement import attestation_policy
from donjon.errors import EXIT_NO, EXIT_YES, Malformed
from donjon.findings import is_refusal
from donjon.formats.json import JsonObject
from donjon.images.access import RegistryAccess
from donjon.images.references import parse_reference
from donjon.kube.names import POLICY_VERSION
from donjon.policy.advice import advice
from donjon.policy.printing import policy_text

MAX_FILE = 1 << 30  # bytes of a file with enclaves


def print_policy(sources: tuple[str, ...], access: RegistryAccess, kind: str, by: str, name: str, *, development: bool) -> int:
    """Print it, or what forbids it; the exit code."""
    contents = {source: _content(source) for source in sources if image_named(source) is None}
    if any(is_policy(source, content) for source, content in contents.items()):
        write(_for_tokens(_only_policy(contents, alone=kind == ATTESTATION and len(contents) == len(sources))))
        return EXIT_YES
    by_source = dict(place for source in sources for place in _enclaves(source, contents.get(source), access))
    trust = listing(by_source, ListingKey(by), development=development)
    if _is_refused(trust, by_source):
        return EXIT_NO
    write(_text(trust, kind, name))
    return EXIT_YES


def _content(source: str) -> bytes:
    """What stands in a file; raises `Malformed` DJ931 or DJ932."""
    with within(source):
        return bare_content(source, MAX_FILE)


def is_policy(source: str, content: bytes) -> bool:
    """Whether a file is a manifest, by its name or, as what comes from kubectl, by what is in it."""
    return source.endswith((".yaml", ".yml", ".json")) or (len(content) <= MAX_SIZE and POLICY_VERSION.encode() in content)


def _only_policy(contents: Mapping[str, bytes], *, alone: bool) -> EnclaveTrust:
    documents = [document for source, content in contents.items() for document in _documents(source, content)]
    things = [thing for document in documents for thing in document.things if thing.version == POLICY_VERSION]
    if len(things) != 1 or not alone:
        raise Malformed("DJ365", f"{len(things)} policies on enclaves: expected one alone, and --kind {ATTESTATION}")
    return read_policy(things[0].content, NAMESPACE).trust


def _documents(source: str, content: bytes) -> tuple[ManifestDocument, ...]:
    with within(source):
        try:
            if len(content) > MAX_SIZE:
                raise Malformed("DJ931", f"more than {MAX_SIZE} bytes")
            return parse_documents(source, content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise Malformed("DJ930", f"no YAML: byte {error.start} is no UTF-8") from error


def _enclaves(source: str, content: bytes | None, access: RegistryAccess) -> Iterator[tuple[str, tuple[Enclave, ...]]]:
    """The enclaves of a file, or without its content of each file of an image, by the file's name."""
    with within(source):
        if content is not None:
            yield display_name(source), enclaves(content) or _none()
            return
        for each in image_enclaves(parse_reference(source), access) or _none():
            if each.error is not None:
                raise each.error
            yield each.name, each.enclaves


def _none() -> NoReturn:
    raise Malformed("DJ300", "no enclave is in it; name a signed file, such as *.signed.so or *.sig, or an image that has one")


def _is_refused(trust: EnclaveTrust, by_source: dict[str, tuple[Enclave, ...]]) -> bool:
    """Whether the policy would refuse what it is to list; tells everything that it finds."""
    strict = replace(trust, name="a policy", mode=TrustMode.ENFORCE)
    findings = [finding for source, those in by_source.items() for finding in judge_enclaves(strict, source, those).findings]
    for finding in findings:
        say_finding(finding, err=True)
    return is_refusal(findings)


def _text(trust: EnclaveTrust, kind: str, name: str) -> str:
    if kind == ATTESTATION:
        return _for_tokens(replace(trust, name="this policy"))
    return manifest([_document(trust, kind, name)])


def _for_tokens(trust: EnclaveTrust) -> str:
    statement = attestation_policy(trust)
    for finding in advice(statement):
        say_finding(finding, err=True)
    return policy_text(statement)


def _document(trust: EnclaveTrust, kind: str, name: str) -> JsonObject:
    return {"apiVersion": POLICY_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec_of(trust)}
