"""What whoever prepares a node wants of it beyond its devices, each said in words that a script can hold."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from donjon.errors import Malformed
from donjon.node.preparation.outline import NodeRuntime
from donjon.node.preparation.steps import DkmsDriver, PackageSource

INTELS_KEY = "150434D1488BF80308B69398E5C7F0FA1C6C6C3C"
"""The fingerprint of the key with which Intel signs its packages of SGX for Debian and Ubuntu, as those quote it who install from
there; apt there asks for its last 16 digits."""

CACHE_PATH = "/sgx/certification/v4/"
MAX_ADDRESS = 512  # characters

_CACHE = re.compile(
    r"https://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?(?P<path>/[A-Za-z0-9/._-]*)?"
)
_SOURCE = re.compile(r"(?:https?://[A-Za-z0-9][A-Za-z0-9.:-]*|file:)/[A-Za-z0-9/._~-]*")
_SUITE = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")
_DRIVER = re.compile(r"(?P<module>[a-z][a-z0-9_-]{0,30})/(?P<version>[0-9][0-9.]{0,20})")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWishes:
    """What is wanted; nothing of it is by default."""

    cache: str = ""  # the address of the cache of collateral, as the quote provider's settings have it
    authority: str = ""  # who signed the cache's certificate, in PEM
    runtime: NodeRuntime | None = None  # in place of what was read
    aesm: bool = False
    registration: bool = False
    source: PackageSource | None = None
    driver: DkmsDriver | None = None


def cache_address(text: str) -> str:
    """The address of a cache, with path and final slash; raises `Malformed` DJ861 for what is none."""
    match = _CACHE.fullmatch(text) if len(text) <= MAX_ADDRESS else None
    if match is None or not _has_port(text):
        raise Malformed(
            "DJ861", f"cache {text[:MAX_ADDRESS]!r}: expected https://HOST or https://HOST:PORT, with {CACHE_PATH} or without"
        )
    if (match["path"] or "/") not in {"/", CACHE_PATH, CACHE_PATH.rstrip("/")}:
        raise Malformed("DJ861", f"cache {text!r}: the path is {match['path']}, expected none, or {CACHE_PATH}")
    return f"https://{urlsplit(text).netloc}{CACHE_PATH}"


def _has_port(text: str) -> bool:
    try:
        return urlsplit(text).port != 0
    except ValueError:
        return False


def package_source(uri: str, suite: str = "", fingerprint: str = INTELS_KEY) -> PackageSource:
    """A source of packages; raises `Malformed` DJ862 for what apt would not take, or a shell take for something else."""
    if len(uri) > MAX_ADDRESS or not _SOURCE.fullmatch(uri):
        raise Malformed("DJ862", f"source of packages {uri[:MAX_ADDRESS]!r}: expected https://HOST/PATH or file:/PATH")
    if suite and not _SUITE.fullmatch(suite):
        raise Malformed("DJ862", f"suite {suite[:MAX_ADDRESS]!r}: expected a word such as noble")
    digits = fingerprint.replace(" ", "").upper()
    if not _FINGERPRINT.fullmatch(digits):
        raise Malformed("DJ862", f"fingerprint {fingerprint[:MAX_ADDRESS]!r}: expected 40 hexadecimal digits")
    return PackageSource(uri=uri.rstrip("/"), suite=suite, fingerprint=digits)


def driver(text: str) -> DkmsDriver:
    """MODULE/VERSION as dkms has it; raises `Malformed` DJ863."""
    match = _DRIVER.fullmatch(text)
    if match is None:
        raise Malformed(
            "DJ863", f"driver {text[:MAX_ADDRESS]!r}: expected MODULE/VERSION, such as sgx/1.41, its source in /usr/src/sgx-1.41"
        )
    return DkmsDriver(module=match["module"], version=match["version"])
