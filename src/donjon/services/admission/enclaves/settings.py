"""The settings of admission by an enclave's identity: whether there is any, and which registries are asked."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from donjon.runtime.settings import Setting, SettingForm, Values, several, switch

_REGISTRY = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?", re.ASCII)


def registry(text: str) -> str:
    """The HOST or HOST:PORT of a registry; a `ValueError` says what is expected."""
    if not _REGISTRY.fullmatch(text):
        raise ValueError("HOST or HOST:PORT, such as registry.example:5000")
    return text


def _file(text: str) -> Path | None:
    return Path(text) if text else None


def _registries(name: str, words: str) -> "Setting[tuple[str, ...]]":
    read: Callable[[str], tuple[str, ...]] = several(registry)
    return Setting(name, read, "", words, "HOST", SettingForm.SEVERAL)


ENCLAVE_CHOICES = (
    ENCLAVES := Setting(
        "enclaves",
        switch,
        "false",
        "Judge pods that ask for SGX by the enclaves in their images, as EnclavePolicy and ClusterEnclavePolicy objects say.",
        form=SettingForm.SWITCH,
    ),
    REGISTRIES := _registries("registry", "A registry that may be asked for images of pods; without any, every one may."),
    INSIDE := _registries("registry-inside", "A registry that may have an address of this cluster, this node or this network."),
    PLAIN_HTTP := _registries("registry-plain-http", "A registry that speaks no TLS."),
    REGISTRY_CONFIG := Setting("registry-config", _file, "", "A Docker config.json with the credentials for registries.", "PATH"),
    REGISTRY_AUTHORITY := Setting(
        "registry-authority",
        _file,
        "",
        "A PEM file of authorities that registries are trusted by, instead of the system's.",
        "PATH",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveSettings:
    """Which registries are asked for the images of pods, and how."""

    registries: frozenset[str] = frozenset()  # none: all
    inside: frozenset[str] = frozenset()
    plain_http: frozenset[str] = frozenset()
    config: Path | None = None
    authority: Path | None = None


def enclave_settings(values: Values) -> EnclaveSettings | None:
    """What they say; `None` where pods are not judged so."""
    if ENCLAVES not in values or not values[ENCLAVES]:
        return None
    return EnclaveSettings(
        registries=frozenset(values[REGISTRIES]),
        inside=frozenset(values[INSIDE]),
        plain_http=frozenset(values[PLAIN_HTTP]),
        config=values[REGISTRY_CONFIG],
        authority=values[REGISTRY_AUTHORITY],
    )
