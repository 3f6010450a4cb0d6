"""An application's manifest for Gramine: made of what its image says, and of what its user adds. Its bytes are measured.

Source: gramineproject/gramine v1.9, `Documentation/manifest-syntax.rst`, `python/graminelibos/manifest_check.py`.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import tomli_w

from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject
from donjon.wrapping.application import Application
from donjon.wrapping.files import TrustedPath
from donjon.wrapping.mounts import EnclaveMount, MountKind
from donjon.wrapping.sizing import EnclaveSize

MAX_FRAGMENT = 4 << 20  # bytes of a user's own manifest
FOLDER = "/gramine/app_files"
NAME = f"{FOLDER}/entrypoint"
"""Where GSC, too, has what Gramine is started with, so that others find it."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}", re.ASCII)
MANIFEST, SIGNATURE = f"{NAME}.manifest.sgx", f"{NAME}.sig"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapChoices:
    """What the user says, beside a manifest of their own."""

    passthrough: tuple[str, ...] = ()  # names of variables that the pod may set
    product_id: int = 0
    svn: int = 0
    edmm: bool = False


def check_variables(names: Iterable[str]) -> tuple[str, ...]:
    """The names, where they are some that a variable can have; raises `Malformed` DJ392."""
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise Malformed("DJ392", f"variable {name[:60]!r}: expected the name of one, such as LOG_LEVEL")
    return tuple(dict.fromkeys(names))


def manifest_of(
    application: Application,
    *,
    libos: TrustedPath,
    mounts: Sequence[EnclaveMount],
    libraries: Sequence[str],
    size: EnclaveSize,
    choices: WrapChoices,
) -> JsonObject:
    """The manifest without the files that are trusted."""
    return {
        "loader": {
            "entrypoint": {"uri": f"file:{libos.path}", "sha256": libos.sha256},
            "log_level": "error",
            "argv": list(application.arguments),
            "env": _environment(application, libraries, choices.passthrough),
            "uid": application.uid,
            "gid": application.gid,
        },
        "libos": {"entrypoint": application.program},
        "fs": {
            "root": {"type": "chroot", "uri": "file:/"},
            "start_dir": application.working_dir,
            "mounts": [_mount(each) for each in mounts if each.kind is not MountKind.HOST],
        },
        "sys": {"enable_extra_runtime_domain_names_conf": True, "enable_sigterm_injection": True},
        "sgx": {
            "debug": False,
            "edmm_enable": choices.edmm,
            "enclave_size": size.text,
            "max_threads": size.threads,
            "isvprodid": choices.product_id,
            "isvsvn": choices.svn,
            "remote_attestation": "dcap",
            "file_check_policy": "strict",
            "allowed_files": [_uri(each) for each in mounts if each.kind is MountKind.HOST],
        },
    }


def _environment(application: Application, libraries: Sequence[str], passthrough: Iterable[str]) -> JsonObject:
    """The image's own; the pod sets no other, but for those named."""
    own = application.environment.get("LD_LIBRARY_PATH", "")
    path = ":".join(dict.fromkeys(each for each in (*libraries[:1], *own.split(":"), *libraries[1:]) if each))
    fixed: dict[str, Json] = {**application.environment, "LD_LIBRARY_PATH": path}
    return {**fixed, **{name: {"passthrough": True} for name in passthrough}}


def _uri(mount: EnclaveMount) -> Json:
    return f"file:{mount.path}" + ("" if mount.is_file else "/")


def _mount(mount: EnclaveMount) -> Json:
    if mount.kind is MountKind.TMPFS:
        return {"type": "tmpfs", "path": mount.path}
    return {"type": "encrypted", "path": mount.path, "uri": f"file:{mount.path}", "key_name": mount.key}


def with_trusted(manifest: JsonObject, files: Iterable[TrustedPath]) -> JsonObject:
    """The manifest with the files that are trusted, at its end."""
    sgx = manifest.get("sgx")
    entries: list[Json] = [{"uri": f"file:{each.path}", "sha256": each.sha256} for each in files]
    return {**manifest, "sgx": {**(sgx if isinstance(sgx, dict) else {}), "trusted_files": entries}}


def encode(manifest: JsonObject) -> bytes:
    """The manifest as TOML: the bytes that are measured."""
    return tomli_w.dumps(manifest).encode()


def parse(text: bytes) -> JsonObject:
    """A manifest, or part of one; raises `Malformed` DJ392."""
    if len(text) > MAX_FRAGMENT:
        raise Malformed("DJ392", f"manifest: more than {MAX_FRAGMENT} bytes")
    try:
        return dict(_plain(tomllib.loads(text.decode())))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Malformed("DJ392", f"manifest: no TOML: {str(error)[:200]}") from error


def _plain(table: Mapping[str, object]) -> JsonObject:
    return {key: _value(value) for key, value in table.items()}


def _value(value: object) -> Json:
    match value:
        case dict():
            return _plain(value)
        case list():
            return [_value(each) for each in value]
        case str() | bool() | int() | float():
            return value
        case _:
            raise ValueError(f"a {type(value).__name__}, which no manifest has")
