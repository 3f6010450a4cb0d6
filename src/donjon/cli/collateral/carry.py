"""What `donjon collateral export` and `import` do: collateral across an air gap, proved on both sides."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from donjon.adapters.storage.collateral import CollateralTable
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.platforms import PlatformTable
from donjon.cli.quote.work import trust_root
from donjon.cli.terminal import say
from donjon.collateral import archive
from donjon.collateral.archive import CollateralArchive
from donjon.collateral.document import check_not_older, prove_all
from donjon.collateral.plan import Answer
from donjon.collateral.platforms import KnownPlatform, StoredPlatform
from donjon.errors import EXIT_YES, Unavailable


def export(file: Path, database: str, root: Path | None) -> int:
    """Write all that the database holds."""
    with _opened(database) as (table, platforms):
        found = archive.prove(table.all(), platforms.all(), trust_root(root))
    text = archive.encode(found)
    try:
        file.write_bytes(text)
    except OSError as error:
        raise Unavailable("DJ282", f"{file}: {error.strerror}") from error
    _tell(file, found)
    return EXIT_YES


def import_(file: Path, database: str, root: Path | None) -> int:
    """Take all that the file holds, or nothing."""
    anchor = trust_root(root)
    try:
        with file.open("rb") as stream:
            text = stream.read(archive.MAX_ARCHIVE + 1)
    except OSError as error:
        raise Unavailable("DJ281", f"{file}: {error.strerror}") from error
    found = archive.parse(text, anchor)
    with _opened(database) as (table, platforms):
        stored = table.all()
        held = prove_all(stored, anchor) if stored else {}
        for name, each in found.documents.items():
            check_not_older(each, held.get(name))
        table.write({name: Answer(body=each.body, chain=each.chain) for name, each in found.documents.items()})
        platforms.write(
            [each for each in found.platforms if not _is_older(each, platforms.read(each.stored_platform.registration.name))]
        )
    _tell(file, found)
    return EXIT_YES


@contextmanager
def _opened(address: str) -> Iterator[tuple[CollateralTable, PlatformTable]]:
    database = Database(address)
    try:
        database.migrate()
        yield CollateralTable(database), PlatformTable(database)
    finally:
        database.close()


def _is_older(found: KnownPlatform, here: StoredPlatform | None) -> bool:
    return here is not None and found.stored_platform.fetched_at < here.fetched_at


def _tell(file: Path, found: CollateralArchive) -> None:
    first = min(found.documents.values(), key=lambda each: each.expires)
    counted = f"{len(found.documents)} documents, {len(found.platforms)} platforms"
    say(f"{file}: {counted}; the first document that ends: {first.request.name()}, {first.expires:%FT%TZ}")
