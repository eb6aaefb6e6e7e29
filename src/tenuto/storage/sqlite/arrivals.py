"""How far a file has counted what comes into it; also while nobody has it open."""

import msgspec

from tenuto.storage.sqlite.database import open_reader, value
from tenuto.storage.sqlite.errors import translated


def arrival_numbers(path: str) -> dict[str, int]:
    """The last number of each table that others add to.

    Args:
        path: Of the file.

    Raises:
        StorageError: it cannot be read.
    """
    connection = open_reader(path)
    try:
        with translated(path, "read"):
            return msgspec.json.decode(value(connection, "arrival_numbers"), type=dict[str, int])
    finally:
        connection.close()
