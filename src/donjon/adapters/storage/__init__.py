"""What outlives the process, in a database: SQLAlchemy Core speaks to it, Alembic brings its tables up to date."""
