"""The steps by which the tables came to be; Alembic runs what a database lacks."""
