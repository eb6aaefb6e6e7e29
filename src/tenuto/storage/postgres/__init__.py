"""Storage on PostgreSQL: one task hub in one schema of a database, for one host or many."""

from tenuto.storage.postgres.address import address_of
from tenuto.storage.postgres.store import PostgresStorage

__all__ = ["PostgresStorage", "address_of"]
