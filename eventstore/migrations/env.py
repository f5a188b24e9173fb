"""alembic's entry: runs the revisions on the connection that eventstore.migrate opened."""

from __future__ import annotations

from alembic import context

options = context.config.attributes

context.configure(
    connection=options.get("connection"),
    dialect_name="postgresql",
    version_table="schema_version",
    version_table_schema="es",
    as_sql=options.get("as_sql", False),
    output_buffer=options.get("output"),
)
with context.begin_transaction():
    context.run_migrations()
