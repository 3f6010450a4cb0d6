"""What is said of a manifest of Gramine, for people in lines and for programs as JSON."""

from collections.abc import Iterator

from donjon.enclave.gramine import GramineManifest
from donjon.formats.json import JsonObject
from donjon.kube.quantities import readable

MOST_NAMED = 5  # allowed files in one line


def manifest_document(manifest: GramineManifest) -> JsonObject:
    """As JSON."""
    return {
        "entry": manifest.entry,
        "enclave_size": manifest.enclave_size,
        "threads": manifest.threads,
        "edmm": manifest.has_edmm,
        "preheat": manifest.is_preheated,
        "debug": manifest.debug,
        "remote_attestation": manifest.attestation,
        "product_id": manifest.product_id,
        "svn": manifest.svn,
        "trusted_files": manifest.trusted_files,
        "allowed_files": list(manifest.allowed_files),
        "insecure": list(manifest.insecure),
    }


def manifest_lines(manifest: GramineManifest) -> Iterator[tuple[str, str]]:
    """A label and its value each."""
    size = readable(manifest.enclave_size)
    yield "starts", manifest.entry or "nothing that it names"
    yield (
        "enclave",
        f"{size} of addresses, " + ("added when used (EDMM)" if manifest.has_edmm else "all of it added when it starts"),
    )
    yield "threads", f"{manifest.threads}" + (", more when needed" if manifest.has_edmm else " at most")
    yield "debug", "yes: whoever runs its host reads its memory" if manifest.debug else "no"
    yield "attestation", "none: nobody can tell from afar what runs" if manifest.attestation == "none" else manifest.attestation
    yield "product id", f"{manifest.product_id}, SVN {manifest.svn}"
    yield "trusts", f"{manifest.trusted_files} files by their hashes"
    files = ", ".join(manifest.allowed_files[:MOST_NAMED]) + (", …" if len(manifest.allowed_files) > MOST_NAMED else "")
    yield "allows", f"{len(manifest.allowed_files)} files whatever is in them" + (f": {files}" if files else "")
    if manifest.insecure:
        yield "insecure", ", ".join(manifest.insecure)
