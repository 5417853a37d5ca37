"""Alembic runs this. The connection is handed in by projections/database.py, inside its transaction."""

from alembic import context

from projections.tables import METADATA

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run `espmail project`, which migrates at its start; alembic's own command line is for writing revisions only")
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
context.run_migrations()
