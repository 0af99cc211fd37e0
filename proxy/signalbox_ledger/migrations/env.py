"""Run by Alembic: the revisions wanted, on the connection and in the transaction of `upgrade`."""

from alembic import context

from signalbox_ledger.migrate import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
