"""Gramine's manifest for SGX (`*.manifest.sgx`): what of it decides the enclave's size, its threads and what it trusts.

Source: gramineproject/gramine, `Documentation/manifest-syntax.rst`. The file is measured whole, beside Gramine's own loader.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from donjon.enclave.gramine_measurement import GramineEnclave, measure_gramine
from donjon.errors import Malformed
from donjon.findings import Finding
from donjon.formats.json import Json

MAX_MANIFEST = 32 << 20  # bytes; a hash of each file of a large image is ten of them
MAX_PARTS = 64  # of one key: with 20,000 of them the library takes 15 s, and the square of it with more
_LONG_KEY = re.compile(r"[\w'\"-](?:[ \t]*+\.[ \t]*+(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')){64}")
MAX_ENCLAVE = 1 << 48  # bytes
MAX_THREADS = 1 << 16
DEFAULT_SIZE, DEFAULT_SIZE_WITH_EDMM = "256M", "1024G"
DEFAULT_THREADS = 4
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_Table = Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class GramineManifest:
    """What is read of a manifest."""

    enclave_size: int  # bytes of its addresses; without EDMM all of them are committed when it starts
    threads: int
    has_edmm: bool
    is_preheated: bool  # every page is touched when it starts
    debug: bool
    attestation: str  # "none" or "dcap"
    product_id: int
    svn: int
    entry: str  # the program that it starts
    trusted_files: int  # with a hash
    allowed_files: tuple[str, ...]  # read and written whatever is in them
    insecure: tuple[str, ...]  # settings of which the name says so, and that are on


def looks_like_manifest(content: bytes) -> bool:
    """Whether a file may be one: text with what every manifest has."""
    head = content[:MAX_MANIFEST]
    return b"\0" not in head[:4096] and b"sgx" in head and (b"entrypoint" in head or b"enclave_size" in head)


def read_manifest(content: bytes) -> GramineManifest:
    """What a manifest says, with Gramine's defaults; raises `Malformed` DJ317."""
    document = _document(content)
    sgx, loader, libos = (_table(document, name) for name in ("sgx", "loader", "libos"))
    has_edmm = _flag(sgx, "edmm_enable")
    return GramineManifest(
        enclave_size=_size(sgx.get("enclave_size", DEFAULT_SIZE_WITH_EDMM if has_edmm else DEFAULT_SIZE)),
        threads=_threads(sgx.get("max_threads", sgx.get("thread_num", DEFAULT_THREADS))),
        has_edmm=has_edmm,
        is_preheated=_flag(sgx, "preheat_enclave"),
        debug=_flag(sgx, "debug"),
        attestation=_text(sgx, "remote_attestation") or "none",
        product_id=_number(sgx, "isvprodid"),
        svn=_number(sgx, "isvsvn"),
        entry=_text(libos, "entrypoint") or _text(loader, "entrypoint"),
        trusted_files=len(_files(sgx, "trusted_files")),
        allowed_files=tuple(_uri(each) for each in _files(sgx, "allowed_files")),
        insecure=tuple(
            sorted((*_insecure("loader", loader), *_insecure("sgx", sgx), *_insecure("sys", _table(document, "sys"))))
        ),
    )


MAX_BUILT = 1 << 34  # bytes of an enclave that is measured


def manifest_measurement(content: bytes, manifest: GramineManifest, pal: bytes) -> bytes | None:
    """MRENCLAVE of it and a libpal.so of Gramine 1.6 to 1.9; `None` beyond 16 GiB. Raises `Malformed` DJ310 and DJ398."""
    if manifest.enclave_size > MAX_BUILT and not manifest.has_edmm:
        return None
    enclave = GramineEnclave(size=manifest.enclave_size, threads=manifest.threads, edmm=manifest.has_edmm)
    return measure_gramine(content, pal, enclave)


def pair_findings(subject: str, measurement: bytes | None, signature: bytes | None) -> Iterator[Finding]:
    """What is wrong where the MRENCLAVE that was worked out is not the one that was signed."""
    if None not in {measurement, signature} and measurement != signature:
        yield Finding.warning(
            "DJ318",
            subject,
            "its MRENCLAVE, worked out of it and libpal.so, is not the one that its signature has",
            "it was changed after it was signed, libpal.so is another one, or Gramine is of a version before 1.6",
            "sign it again: gramine-sgx-sign; or name the libpal.so that it was signed with: --pal",
        )


def _document(content: bytes) -> _Table:
    if len(content) > MAX_MANIFEST:
        raise Malformed("DJ317", f"a manifest of more than {MAX_MANIFEST} bytes")
    try:
        text = content.decode()
        if (long := _LONG_KEY.search(text)) is not None:
            raise Malformed("DJ317", f"a key of more than {MAX_PARTS} parts at sign {long.start()}")
        return cast("_Table", tomllib.loads(text))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Malformed("DJ317", f"no TOML: {str(error)[:200] or type(error).__name__}") from error


def _table(document: _Table, name: str) -> _Table:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise Malformed("DJ317", f"{name} is no table")
    return table


def _flag(table: _Table, name: str) -> bool:
    value = table.get(name, False)
    if not isinstance(value, bool):
        raise Malformed("DJ317", f"{name} is neither true nor false")
    return value


def _text(table: _Table, name: str) -> str:
    """A text; empty where it is something else, as a table with a path in it."""
    value = table.get(name, "")
    if isinstance(value, dict):
        value = value.get("uri", "")
    return value if isinstance(value, str) else ""


def _number(table: _Table, name: str) -> int:
    value = table.get(name, 0)
    if not isinstance(value, int) or not 0 <= value < 1 << 16:
        raise Malformed("DJ317", f"{name} is no number of 16 bits")
    return value


def _threads(value: Json) -> int:
    if not isinstance(value, int) or not 0 < value <= MAX_THREADS:
        raise Malformed("DJ317", f"max_threads is no number from 1 to {MAX_THREADS}")
    return value


def _size(value: Json) -> int:
    """Bytes of a size such as `512M`."""
    text = value if isinstance(value, str) else ""
    unit = _UNITS.get(text[-1:], 1)
    try:
        size = int(text[: -1 if unit > 1 else len(text)][:32], 0) * unit
    except ValueError:
        size = 0
    if not 0 < size <= MAX_ENCLAVE or size & (size - 1):
        raise Malformed("DJ317", "enclave_size is no power of two with K, M or G behind it")
    return size


def _files(sgx: _Table, name: str) -> Sequence[Json]:
    value = sgx.get(name, [])
    if isinstance(value, dict):  # As old versions had it: a name for each.
        return tuple(value.values())
    if not isinstance(value, list):
        raise Malformed("DJ317", f"{name} is no list of files")
    return value


def _uri(file: Json) -> str:
    text = file.get("uri", "") if isinstance(file, dict) else file
    return text if isinstance(text, str) else ""


def _insecure(name: str, table: _Table) -> Sequence[str]:
    on = [f"{name}.{key}" for key, value in table.items() if key.startswith("insecure__") and value]
    return [*on, *(f"{name}.file_check_policy" for _ in (0,) if table.get("file_check_policy") == "allow_all_but_log")]
