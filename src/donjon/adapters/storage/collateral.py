"""Collateral in the database, by the name of its request. What comes out is proved again before it is used."""

from sqlalchemy import select

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.octets import octets
from donjon.adapters.storage.tables import DOCUMENTS
from donjon.collateral.plan import Answer


class CollateralTable:
    """Reads and writes the collateral documents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Answer]:
        """Every document by its name; raises `Unavailable` DJ502."""
        with self._database.reading() as connection:
            rows = connection.execute(select(DOCUMENTS.c.name, DOCUMENTS.c.body, DOCUMENTS.c.chain)).all()
        return {str(name): Answer(body=octets(body), chain=octets(chain)) for name, body, chain in rows}

    def read(self, name: str) -> Answer | None:
        """The document of that name; raises `Unavailable` DJ502."""
        with self._database.reading() as connection:
            query = select(DOCUMENTS.c.body, DOCUMENTS.c.chain).where(DOCUMENTS.c.name == name)
            row = connection.execute(query).one_or_none()
        return None if row is None else Answer(body=octets(row.body), chain=octets(row.chain))

    def write(self, documents: dict[str, Answer]) -> None:
        """Keep these, all or none, in place of those of the same name; raises `Unavailable` DJ502."""
        rows = [{"name": name, "body": answer.body, "chain": answer.chain} for name, answer in documents.items()]
        insertion = self._database.insert(DOCUMENTS)
        upsert = insertion.on_conflict_do_update(
            index_elements=["name"], set_={"body": insertion.excluded.body, "chain": insertion.excluded.chain}
        )
        with self._database.changing() as connection:
            connection.execute(upsert, rows)
