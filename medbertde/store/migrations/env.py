"""Alembic's entry: runs the steps on the connection that `migrations.alembic_config` carries."""

from alembic import context

from medbertde.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
