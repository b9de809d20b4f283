"""The database: one metadata for all tables, sessions, migrations. Imports only `core`."""
