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
from donjon.errors import EXIT_YES, Unavailable, Untrusted
from donjon.findings import codes


def export(file: Path, database: str, root: Path | None) -> int:
    """Write all collateral and platforms of the database into the file; the exit code."""
    with _open_tables(database) as (table, platforms), _naming_the_root(root):
        contents = archive.prove(table.all(), platforms.all(), trust_root(root))
    text = archive.encode(contents)
    try:
        file.write_bytes(text)
    except OSError as error:
        raise Unavailable("DJ282", f"{file}: {error.strerror}") from error
    _tell(file, contents)
    return EXIT_YES


def import_(file: Path, database: str, root: Path | None) -> int:
    """Write all that the file holds into the database, or nothing, and tell; the exit code."""
    _tell(file, fill(file, database, root))
    return EXIT_YES


def fill(file: Path, database: str, root: Path | None) -> CollateralArchive:
    """Write all that the file holds into the database, or nothing; what it held."""
    anchor = trust_root(root)
    try:
        with file.open("rb") as stream:
            text = stream.read(archive.MAX_ARCHIVE + 1)
    except OSError as error:
        raise Unavailable("DJ281", f"{file}: {error.strerror}") from error
    with _open_tables(database) as (table, platforms), _naming_the_root(root):
        contents = archive.parse(text, anchor)
        stored_documents = table.all()
        proven_documents = prove_all(stored_documents, anchor) if stored_documents else {}
        for name, each in contents.documents.items():
            check_not_older(each, proven_documents.get(name))
        table.write({name: Answer(body=each.body, chain=each.chain) for name, each in contents.documents.items()})
        platforms.write(
            [each for each in contents.platforms if not _is_older(each, platforms.read(each.stored_platform.registration.name))]
        )
    return contents


@contextmanager
def _naming_the_root(root: Path | None) -> Iterator[None]:
    """Where Intel's root was meant and another was met, say how the service's own is named."""
    try:
        yield
    except Untrusted as error:
        if error.code != codes.ANOTHER_ROOT or root is not None:
            raise
        advice = "where the service's settings name a root (unsafe-trust-root), say the same: --unsafe-trust-root FILE"
        raise Untrusted(error.code, f"{error.message}; {advice}") from error


@contextmanager
def _open_tables(address: str) -> Iterator[tuple[CollateralTable, PlatformTable]]:
    database = Database(address)
    try:
        database.migrate()
        yield CollateralTable(database), PlatformTable(database)
    finally:
        database.close()


def _is_older(platform: KnownPlatform, here: StoredPlatform | None) -> bool:
    return here is not None and platform.stored_platform.fetched_at < here.fetched_at


def _tell(file: Path, contents: CollateralArchive) -> None:
    first = min(contents.documents.values(), key=lambda each: each.expires)
    counts = f"{len(contents.documents)} documents, {len(contents.platforms)} platforms"
    say(f"{file}: {counts}; the first document that ends: {first.request.name()}, {first.expires:%FT%TZ}")
