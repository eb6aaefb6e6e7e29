"""Numbers read out of a store's file, also while a host of this process runs on it.

By the SQLite that the host uses: another one in the same process, such as that of the module
``sqlite3``, drops the host's locks on the file when it closes it.
"""

from pathlib import Path
from typing import Final

import apsw

HISTORY_OF_NOBODY: Final = (
    "SELECT count(*) FROM history WHERE iid NOT IN (SELECT iid FROM instance)"
)


def number_in(store: str | Path, query: str) -> int:
    """What a query gives that asks for one number; ``store`` is a path or a URL."""
    path = str(store).removeprefix("sqlite:///")
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(5_000)
    try:
        found = connection.execute(query).get
    finally:
        connection.close()
    assert isinstance(found, int)
    return found
