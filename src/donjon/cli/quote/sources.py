"""Collateral from where a person says: a bundle, a folder of files as Intel's service answered, or such a service itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from donjon.attestation.certification import CertificationKind
from donjon.attestation.quote import Quote, read_platform
from donjon.collateral import bundle
from donjon.collateral.bundle import FILES, MAX_BUNDLE, Collateral
from donjon.collateral.plan import Channel
from donjon.errors import Misconfigured, Unavailable
from donjon.sgx.platform import Platform

if TYPE_CHECKING:
    from donjon.adapters.intel.pcs import Service

Source = Callable[[Quote], Collateral]


def source(path: Path | None, pccs: str | None, *, pcs: bool, channel: Channel) -> Source:
    """The one source that was named; raises `Misconfigured` DJ280 for none, and `click.UsageError` for several."""
    choices = [each for each in (path, pccs, pcs or None) if each is not None]
    if not choices:
        raise Misconfigured(
            "DJ280", "collateral: no source named: --collateral BUNDLE.json|DIR, --pccs URL, or --pcs for Intel's own"
        )
    if len(choices) > 1:
        raise click.UsageError("--collateral, --pccs and --pcs exclude one another")
    return _FileSource(path).of if path is not None else _ServiceSource(pccs, channel).of


def read(path: Path) -> Collateral:
    """The collateral there; raises `Unavailable` DJ281 where it cannot be read, and `Malformed` for what is none."""
    try:
        if path.is_dir():
            return bundle.of_files({each.stem: _read_bounded(each) for each in sorted(path.iterdir()) if _is_collateral(each)})
        return bundle.parse(_read_bounded(path))
    except OSError as error:
        raise Unavailable("DJ281", f"collateral {path}: {error.strerror or error}") from error


def write(collateral: Collateral, path: Path) -> None:
    """A bundle where the name ends in .json, a folder otherwise; raises `Unavailable` DJ282."""
    try:
        if path.suffix == ".json":
            path.write_bytes(bundle.encode(collateral))
            return
        path.mkdir(parents=True, exist_ok=True)
        for name, content in bundle.files(collateral).items():
            (path / name).write_bytes(content)
    except OSError as error:
        raise Unavailable("DJ282", f"{path}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class _FileSource:
    """One file or folder, read when the first quote needs it."""

    path: Path
    cache: list[Collateral] = field(default_factory=list)

    def of(self, _: Quote) -> Collateral:
        if not self.cache:
            self.cache.append(read(self.path))
        return self.cache[0]


@dataclass(frozen=True, slots=True)
class _ServiceSource:
    """A service, asked once for each platform."""

    address: str | None  # None: Intel's
    channel: Channel
    cache: dict[tuple[Platform, bytes | None], Collateral] = field(default_factory=dict)

    def of(self, quote: Quote) -> Collateral:
        try:
            from donjon.adapters.intel import pcs  # noqa: PLC0415 - only those who fetch need its library.
        except ModuleNotFoundError as error:
            raise Misconfigured(
                "DJ045", f"fetching collateral needs {error.name}: install the extra donjon[attestation]"
            ) from error
        with pcs.open_service(self.address) as service:
            chain = None if quote.carries_chain else _look_up_chain(quote, service)
            platform = read_platform(quote, chain or quote.certification.content)
            if (platform, chain) not in self.cache:
                self.cache[platform, chain] = service.collateral(platform, self.channel, chain)
        return self.cache[platform, chain]


def _look_up_chain(quote: Quote, service: "Service") -> bytes:
    """The chain of a quote that carries none, by the encrypted identifier in it and its quoting enclave's id (user data)."""
    if quote.certification.kind not in {CertificationKind.PPID_RSA_2048, CertificationKind.PPID_RSA_3072}:
        kind = f"certification data {quote.certification.kind.value} ({quote.certification.kind.name})"
        raise Unavailable("DJ203", f"PCK certificate: no service looks one up by {kind}")
    return service.pck_chain(quote.header.user_data[:16], quote.certification.content)


def _is_collateral(file: Path) -> bool:
    return file.stem in {*FILES, bundle.PCK_CHAIN}


def _read_bounded(file: Path) -> bytes:
    """One byte more than is taken, so that a reader of it says that it is too long."""
    with file.open("rb") as stream:
        return stream.read(MAX_BUNDLE + 1)
