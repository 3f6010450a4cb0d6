"""Files that a person names, up to a bound; `-` is standard input."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import IO, TextIO, cast

import click

from donjon.errors import Malformed

STDIN = "-"
UTF_16 = (BOM_UTF16_LE, BOM_UTF16_BE)


def text(file: str, bound: int) -> str:
    """What stands in the file; raises `Malformed` as `bare_content` does, and DJ930 for no UTF-8."""
    data = bare_content(file, bound)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        utf_16 = "; it looks like UTF-16, as PowerShell writes it: save it as UTF-8" if data.startswith(UTF_16) else ""
        raise Malformed("DJ930", f"no YAML: byte {error.start} is no UTF-8{utf_16}") from error


def content(file: str, bound: int) -> bytes:
    """What stands in the file; raises as `bare_content` does, with the file's name."""
    with within(file):
        return bare_content(file, bound)


def bare_content(file: str, bound: int) -> bytes:
    """What stands in the file, whose name whoever asks says; raises `Malformed` DJ932, or DJ931 beyond the bound in bytes."""
    with stream(file) as octets:
        data = octets.read(bound + 1)
    if len(data) > bound:
        raise Malformed("DJ931", f"more than {bound} bytes")
    return data


@contextmanager
def stream(file: str) -> Iterator[IO[bytes]]:
    """The file, to be read within the block; raises `Malformed` DJ932 where it cannot be."""
    try:
        with click.open_file(file, "rb") if file == STDIN else Path(file).open("rb") as octets:
            yield octets
    except (OSError, ValueError) as error:  # A name with a zero byte is a ValueError.
        raise Malformed("DJ932", f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def text_stream(file: str) -> Iterator[TextIO]:
    """The same as text: UTF-16 where its first octets say so, as PowerShell writes it, else UTF-8; what is neither becomes �."""
    with stream(file) as octets:
        head = cast("BufferedReader", octets).peek(2)[:2]
        lines = TextIOWrapper(octets, "utf-16" if head in UTF_16 else "utf-8-sig", "replace", newline="\n")
        yield lines
        lines.detach()


@contextmanager
def within(file: str) -> Iterator[None]:
    """What is malformed in the block is told with the file's name."""
    try:
        yield
    except Malformed as error:
        raise Malformed(error.code, f"{display_name(file)}: {error.message}") from error


def display_name(file: str) -> str:
    """The file's name as it is printed."""
    return "standard input" if file == STDIN else file
