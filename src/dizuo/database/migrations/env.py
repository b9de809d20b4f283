"""Alembic's entry: runs on the connection that `dizuo.database.migrate` (or a test) hands over."""

from alembic import context

from dizuo.database.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
