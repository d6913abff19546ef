"""Run by alembic: every step in the transaction that `upgrade` was given."""

from alembic import context

from conveyor.ledger import schema

context.configure(
    connection=context.config.attributes["connection"], target_metadata=schema.metadata
)
context.run_migrations()
