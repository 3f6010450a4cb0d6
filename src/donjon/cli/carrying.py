"""What `donjon collateral export` and `import` do: collateral across an air gap, proved on both sides."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from donjon.adapters.storage.collateral import CollateralTable
from donjon.adapters.storage.database import Database
from donjon.cli.quoting import trust_root
from donjon.cli.terminal import say
from donjon.collateral import carried
from donjon.collateral.document import Document, check_not_older, prove_all
from donjon.collateral.plan import Answer
from donjon.errors import EXIT_YES, Unavailable


def export(file: Path, database: str, root: Path | None) -> int:
    """Write all that the database holds."""
    with _opened(database) as table:
        found = prove_all(table.all(), trust_root(root))
    try:
        file.write_bytes(carried.encode(found.values()))
    except OSError as error:
        raise Unavailable("DJ282", f"{file}: {error.strerror}") from error
    _tell(file, found)
    return EXIT_YES


def import_(file: Path, database: str, root: Path | None) -> int:
    """Take all that the file holds, or nothing."""
    anchor = trust_root(root)
    try:
        with file.open("rb") as stream:
            text = stream.read(carried.MAX_CARRIED + 1)
    except OSError as error:
        raise Unavailable("DJ281", f"{file}: {error.strerror}") from error
    found = carried.parse(text, anchor)
    with _opened(database) as table:
        stored = table.all()
        held = prove_all(stored, anchor) if stored else {}
        for name, each in found.items():
            check_not_older(each, held.get(name))
        table.write({name: Answer(body=each.body, chain=each.chain) for name, each in found.items()})
    _tell(file, found)
    return EXIT_YES


@contextmanager
def _opened(address: str) -> Iterator[CollateralTable]:
    database = Database(address)
    try:
        database.migrate()
        yield CollateralTable(database)
    finally:
        database.close()


def _tell(file: Path, found: dict[str, Document]) -> None:
    first = min(found.values(), key=lambda each: each.expires)
    say(f"{file}: {len(found)} documents; the first that ends: {first.request.name()}, {first.expires:%FT%TZ}")
