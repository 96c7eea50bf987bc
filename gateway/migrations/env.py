"""Alembic's door into the database: the caller's connection, in the caller's transaction.

Alembic loads this file by path under the name `env_py`; imported as a module of the package it does nothing.
"""

from __future__ import annotations

from alembic import context


def run() -> None:
    """Run the chosen scripts on the connection that `gateway.store.schema` or the generator passed."""
    attributes = context.config.attributes
    connection = attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=attributes.get("metadata"),
        # SQLite can't alter a column: a changed table is copied
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,  # Alembic assumes that SQLite can't; under our own BEGIN it can
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if __name__ == "env_py":
    run()
