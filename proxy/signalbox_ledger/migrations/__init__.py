"""The ledger's tables and how they came about: Alembic revisions for both databases.

`tables` makes a new database as the newest release has it; `versions` bring older ones there;
`upgrade` runs them. `migrate` decides which of these a database needs.
"""
