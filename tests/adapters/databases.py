"""New databases of SQLite with their tables, which are made once and copied: to make them takes as long as most tests."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from donjon.adapters.storage.database import Database

_SQLITE = "sqlite:///"


@cache
def _first_start() -> bytes:
    """The file that a first start leaves."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "x.db"
        database = Database(f"{_SQLITE}{file}")
        database.migrate()
        database.close()
        return file.read_bytes()


def prepare(address: str) -> str:
    """The same address; where it is that of a file that is not there, the file is made, as a first start leaves it."""
    if address.startswith(_SQLITE) and not (file := Path(address.removeprefix(_SQLITE))).exists():
        file.write_bytes(_first_start())
    return address


def opened(address: str) -> Database:
    """The database there, with its tables."""
    database = Database(prepare(address))
    database.migrate()
    return database
