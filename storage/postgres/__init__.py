"""PostgreSQL: accounts and projections of each cluster, room logs of those with one primary."""

from storage.postgres.connections import CannotOpen
from storage.postgres.migration import NewerSchema
from storage.postgres.store import PostgresStore, open_postgres

__all__ = ["CannotOpen", "NewerSchema", "PostgresStore", "open_postgres"]
