"""The Storage port on one SQLite file.

One writer thread owns the only writing connection; one host owns the file.
"""

from tenuto.storage.sqlite.store import SqliteStorage

__all__ = ["SqliteStorage"]
