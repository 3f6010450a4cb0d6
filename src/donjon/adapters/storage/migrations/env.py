"""Run by Alembic: the migrations, in the transaction that `Database.migrate` has begun."""

from alembic import context

from donjon.adapters.storage.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
