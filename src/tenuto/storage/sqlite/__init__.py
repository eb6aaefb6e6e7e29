"""The Storage port on one SQLite file.

One writer thread owns the only writing connection; one host owns the file.
"""

from tenuto.storage.sqlite.database import MEMORY
from tenuto.storage.sqlite.queries import MIGRATIONS
from tenuto.storage.sqlite.store import SqliteStorage, is_open_here

__all__ = ["MEMORY", "NEWEST_FILE_SCHEMA", "SqliteStorage", "is_open_here"]

NEWEST_FILE_SCHEMA = len(MIGRATIONS)
"""The version of a file that this Tenuto knows."""
