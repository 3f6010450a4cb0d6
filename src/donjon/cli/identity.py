"""Options that say which enclave or trust domain is meant, of quotes and of tokens."""

from collections.abc import Callable
from typing import TypeVar

import click

from donjon.cli.options import with_options

F = TypeVar("F", bound=Callable[..., object])

_BYTES = {"mrenclave": 32, "mrsigner": 32, "mrtd": 48}


def _measurements(_: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> frozenset[bytes]:
    """Whole measurements alone: with one digit less an option would match nothing."""
    length = _BYTES[parameter.name or ""]
    for text in texts:
        if len(text) != 2 * length or set(text.lower()) - set("0123456789abcdef"):
            raise click.BadParameter(f"{text[:20]!r}: expected {2 * length} hexadecimal digits")
    return frozenset(map(bytes.fromhex, texts))


_OPTIONS: tuple[Callable[[F], F], ...] = (
    click.option(
        "--mrenclave", multiple=True, callback=_measurements, metavar="HEX", help="The enclave; repeated: one of these."
    ),
    click.option(
        "--mrsigner", multiple=True, callback=_measurements, metavar="HEX", help="The enclave's signer; repeated: one of these."
    ),
    click.option(
        "--mrtd", multiple=True, callback=_measurements, metavar="HEX", help="The trust domain; repeated: one of these."
    ),
    click.option("--product-id", type=click.IntRange(0, 0xFFFF), help="The enclave's product id."),
    click.option("--min-svn", type=click.IntRange(0, 0xFFFF), help="The least security version of the enclave."),
)


def with_identity(command: F) -> F:
    """The options that name an enclave or a trust domain; measurements are bytes, none where any would do."""
    return with_options(command, _OPTIONS)
