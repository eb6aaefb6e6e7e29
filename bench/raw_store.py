"""The raw store: how fast a plain loop writes the same history rows, and nothing else.

One statement per batch of 200 rows, into a table of the same schema with the same durability
(WAL, ``synchronous=FULL``). What the engine does beyond that is what the ratio shows.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import apsw
import msgspec

BATCH = 200

Row = tuple[int, int, int, str]
"""Number, generation and turn of an instance, and the events as a JSON array."""

_INSERT = "INSERT INTO history (iid, generation, turn, events) "
_FROM_JSON = (
    _INSERT + "SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM jsonb_each(?)"
)
_HISTORY = "SELECT iid, generation, turn, events FROM history WHERE id > ? ORDER BY id"
_SCHEMA = (
    "SELECT sql FROM sqlite_schema WHERE tbl_name = 'history' AND sql IS NOT NULL "
    "ORDER BY type = 'index'"
)
PASSES = 3


def last_row(store: Path) -> int:
    """The number of the newest history row."""
    return int(_query(store, "SELECT coalesce(max(id), 0) FROM history")[0][0])


def rows_after(store: Path, number: int) -> list[Row]:
    """The history rows written after that one, in the order in which they were written."""
    return _query(store, _HISTORY, number)


def seconds_as_json(store: Path, rows: Sequence[Row]) -> float:
    """Seconds to write the rows, each batch as one JSON array, which is how the store does it."""
    ready = [(*row[:3], msgspec.Raw(row[3].encode())) for row in rows]

    def write(connection: apsw.Connection) -> None:
        for first in range(0, len(ready), BATCH):
            batch = msgspec.json.encode(ready[first : first + BATCH]).decode()
            connection.execute(_FROM_JSON, (batch,))

    return _median_seconds(store, write)


def seconds_as_values(store: Path, rows: Sequence[Row]) -> float:
    """The same with bound values: SQLite parses no JSON."""

    def write(connection: apsw.Connection) -> None:
        for first in range(0, len(rows), BATCH):
            batch = rows[first : first + BATCH]
            places = ", ".join(["(?, ?, ?, ?)"] * len(batch))
            connection.execute(f"{_INSERT} VALUES {places}", tuple(chain.from_iterable(batch)))

    return _median_seconds(store, write)


def _median_seconds(store: Path, write: Callable[[apsw.Connection], None]) -> float:
    """Median of some passes, each into a fresh file beside the store."""
    schema = [str(statement) for (statement,) in _query(store, _SCHEMA)]
    return statistics.median(_pass(store.with_name("raw.db"), schema, write) for _ in range(PASSES))


def _pass(path: Path, schema: Sequence[str], write: Callable[[apsw.Connection], None]) -> float:
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    for statement in schema:
        connection.execute(statement)
    began = time.perf_counter()
    write(connection)
    seconds = time.perf_counter() - began
    connection.close()  # folds the log in and removes it
    path.unlink()
    return seconds


def _query(store: Path, statement: str, *arguments: object) -> list[Any]:
    connection = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(statement, arguments).fetchall()
    finally:
        connection.close()
