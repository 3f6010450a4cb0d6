"""A user's own manifest laid over ours: theirs wins, for they know the application; but three things nobody may say.

They are what Gramine itself is (`loader.entrypoint`), another hash for a file of the image, and a root file system that is not
the image's. Lists of files and of mounts are added to ours; every other list is theirs whole.
"""

from collections.abc import Iterable, Iterator

from donjon.errors import Misconfigured
from donjon.findings import Finding
from donjon.formats.json import Json, JsonObject
from donjon.wrapping.files import TrustedPath
from donjon.wrapping.tree import FileTree, normal

_JOINED_LISTS = (("sgx", "allowed_files"), ("fs", "mounts"))
_OURS = (("loader", "entrypoint"), ("fs", "root"))
_FILE = "file:"


def lay_over(ours: JsonObject, theirs: JsonObject) -> JsonObject:
    """The manifest that comes of both; raises `Misconfigured` DJ393 for what nobody may say."""
    for section, key in _OURS:
        if isinstance(inner := theirs.get(section), dict) and key in inner:
            raise Misconfigured("DJ393", f"your manifest says {section}.{key}, which is the base image's and the image's own")
    return _merge(ours, theirs, ())


def _merge(ours: JsonObject, theirs: JsonObject, way: tuple[str, ...]) -> JsonObject:
    together: dict[str, Json] = dict(ours)
    for key, value in theirs.items():
        here, there = (*way, key), together.get(key)
        if here == ("sgx", "trusted_files"):
            continue  # `own_trusted` has them, with the hashes of the image.
        if isinstance(there, dict) and isinstance(value, dict):
            together[key] = value if _is_variable(here) else _merge(there, value, here)
        elif here in _JOINED_LISTS and isinstance(there, list) and isinstance(value, list):
            together[key] = [*there, *(each for each in value if each not in there)]
        elif isinstance(there, dict) is not isinstance(value, dict) and there is not None and not _is_variable(here):
            raise Misconfigured("DJ393", f"your manifest says {'.'.join(here)} in another form than Gramine has it")
        else:
            together[key] = value
    return together


def _is_variable(way: tuple[str, ...]) -> bool:
    """Whether it is an environment variable, which a manifest says as a text or as a table: the last word is all of it."""
    return way[:2] == ("loader", "env") and len(way) > len(("loader", "env"))


def own_trusted(theirs: JsonObject, tree: FileTree) -> Iterator[TrustedPath]:
    """The files that a user's manifest trusts beside ours; raises `Misconfigured` DJ393 for what the image bears not out."""
    sgx = theirs.get("sgx")
    entries = sgx.get("trusted_files", []) if isinstance(sgx, dict) else []
    if not isinstance(entries, list):
        raise Misconfigured("DJ393", "your manifest's sgx.trusted_files is no list")
    for entry in entries:
        uri, sha256 = (entry.get("uri"), entry.get("sha256")) if isinstance(entry, dict) else (entry, None)
        if not isinstance(uri, str) or not uri.startswith(_FILE + "/") or not isinstance(sha256, str | None):
            raise Misconfigured("DJ393", f"your manifest trusts {str(uri)[:80]!r}, expected file: and an absolute path")
        if not uri.endswith("/"):  # A folder's files are all trusted already.
            yield _by_hash(normal(uri.removeprefix(_FILE)), sha256, tree)


def _by_hash(path: str, sha256: str | None, tree: FileTree) -> TrustedPath:
    node = tree.file(path)
    if node is None and sha256 is None:
        raise Misconfigured("DJ393", f"your manifest trusts {path}, which is not in the image: say its sha256, or --mount it")
    if node is not None and sha256 not in {None, node.sha256.hex()}:
        raise Misconfigured("DJ393", f"your manifest trusts {path} as {sha256}, and the image has {node.sha256.hex()} there")
    return TrustedPath(path, sha256 or (node.sha256.hex() if node else ""))


_WEAKENS = (
    (("sgx", "debug"), True, "whoever runs the host reads and writes the enclave's memory"),
    (("sgx", "file_check_policy"), "allow_all_but_log", "every file may be read and changed by the host"),
    (("sgx", "remote_attestation"), "none", "nobody can be shown what runs there"),
    (("loader", "insecure__use_cmdline_argv"), True, "the host chooses the arguments"),
    (("loader", "insecure__use_host_env"), True, "the host chooses every variable, LD_PRELOAD too"),
    (("loader", "insecure__disable_aslr"), True, "addresses are the same at every start"),
    (("sys", "insecure__allow_eventfd"), True, "the host may signal the application as it likes"),
)


def weaknesses(manifest: JsonObject, subject: str) -> Iterator[Finding]:
    """What a manifest takes away of what an enclave is for."""
    for (section, key), bad, why in _WEAKENS:
        inner = manifest.get(section)
        if isinstance(inner, dict) and inner.get(key) == bad:
            yield Finding.warning("DJ397", subject, f"{section}.{key} is {_word(bad)}", why, "leave it out in production")
    inner = manifest.get("fs")
    if isinstance(inner, dict) and inner.get("insecure__keys"):
        why = "the key of encrypted files stands in the image for all to read"
        yield Finding.warning("DJ397", subject, "fs.insecure__keys is said", why, "give keys after attestation")
    loader = manifest.get("loader")
    level = loader.get("log_level", "error") if isinstance(loader, dict) else "error"
    if level not in {"none", "error"}:
        yield Finding.warning(
            "DJ397", subject, f"loader.log_level is {level}", "it tells the host what the application does", "say error"
        )


def _word(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def allowed_paths(manifest: JsonObject) -> Iterable[str]:
    """The paths that a manifest lets the host give as it likes, with what stands below them."""
    sgx = manifest.get("sgx")
    entries = sgx.get("allowed_files", []) if isinstance(sgx, dict) else []
    return (
        tuple(normal(each.removeprefix(_FILE)) for each in entries if isinstance(each, str)) if isinstance(entries, list) else ()
    )
