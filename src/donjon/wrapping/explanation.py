"""What was chosen for an application, and why: each a line that its developer can answer to."""

from collections.abc import Iterator, Sequence

from donjon.findings import Finding
from donjon.kube.quantities import readable
from donjon.wrapping.application import Application
from donjon.wrapping.files import TrustedFiles
from donjon.wrapping.mounts import EnclaveMount
from donjon.wrapping.obstacles import MANY
from donjon.wrapping.sizing import EnclaveSize


def _choice(subject: str, words: str, why: str) -> Finding:
    return Finding.info("DJ399", subject, words, why)


def explain_size(size: EnclaveSize) -> Iterator[Finding]:
    """The enclave's size and its threads."""
    yield _choice("enclave", f"{readable(size.size)} of memory, fixed at its start", size.why_size)
    yield _choice("enclave", f"{size.threads} threads at once", size.why_threads)


def explain_application(application: Application) -> Iterator[Finding]:
    """What is started, and as what."""
    started = " ".join(application.arguments)
    yield _choice(
        "process", f"{application.program}, called as: {started}", "fixed, as the image says; arguments in a pod are not seen"
    )
    why = "those of the image, fixed; a pod's env is not seen, but for what --env names"
    yield _choice("environment", f"{len(application.environment)} variables", why)
    yield _choice("user", f"{application.uid}:{application.gid}", "as the image says; inside, only Gramine minds it")


def explain_mounts(mounts: Sequence[EnclaveMount]) -> Iterator[Finding]:
    """What is mounted when a pod starts."""
    for mount in mounts:
        key = f" under the key {mount.key}" if mount.key else ""
        yield _choice(mount.path, f"{mount.kind}{key}", mount.why)


def explain_files(files: TrustedFiles, manifest: int) -> Iterator[Finding]:
    """What is trusted, and what that costs."""
    yield from files.aside
    hidden, count = files.below("/var"), len(files.files)
    words = f"{count} paths trusted by hash, {hidden} of them below /var; the manifest has {manifest / 1024:.0f} KiB"
    why = "every file of the image; what is not listed cannot be opened. GSC leaves /var out, and with it whatever lies there"
    yield _choice("files", words, why)
    if count > MANY:
        top = ", ".join(f"{folder} {number}" for folder, number in files.by_top()[:3])
        yield Finding.warning(
            "DJ396",
            "files",
            f"{count} paths are trusted (most below {top})",
            "their hashes are read into the enclave at each start, and take their share of its memory",
            "leave out of the image what the application does not need: compilers, documents, package lists",
        )


def explain_fixed() -> Iterator[Finding]:
    """What is the same for all."""
    yield _choice("attestation", "dcap", "the enclave can be quoted, by the node's quoting service")
    yield _choice("debug", "off", "nobody reads the enclave's memory from outside")
    yield _choice(
        "SIGTERM", "reaches the application", "so that it can end itself when its pod is deleted; the host could kill it anyway"
    )
    yield _choice("names", "by the pod's resolv.conf, as Gramine reads it", "an answer of a name server proves nothing: use TLS")
