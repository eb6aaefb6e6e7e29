"""The outside world of the demo: a booking office with a ledger of its own.

It does what any good booking service does: a request that carries an idempotency key it has seen
before is not booked again; the first answer is given once more. The ledger is a SQLite file of its
own, so that it can be compared with Tenuto's history afterwards.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FILE = "ledger.db"

_TABLES = """
CREATE TABLE IF NOT EXISTS entry (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    what TEXT NOT NULL,
    price INTEGER NOT NULL,
    is_canceled INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS request (key TEXT NOT NULL, at REAL DEFAULT (unixepoch('subsec')));
"""


@dataclass(frozen=True)
class Entry:
    """A booking as the office knows it. ``requests``: how often it was asked for."""

    number: int
    key: str
    kind: str
    what: str
    price: int
    is_canceled: bool
    requests: int


def book(key: str, kind: str, what: str, price: int) -> int:
    """Book something, once for each key, and return the number of the booking."""
    with _opened() as ledger:
        ledger.execute("INSERT INTO request (key) VALUES (?)", [key])
        known = ledger.execute("SELECT number FROM entry WHERE key = ?", [key]).fetchone()
        if known is not None:
            return int(known[0])
        added = ledger.execute(
            "INSERT INTO entry (key, kind, what, price) VALUES (?, ?, ?, ?)",
            [key, kind, what, price],
        )
        assert added.lastrowid is not None
        return added.lastrowid


def cancel(number: int) -> None:
    """Cancel a booking; canceling it again changes nothing."""
    with _opened() as ledger:
        ledger.execute("UPDATE entry SET is_canceled = 1 WHERE number = ?", [number])


def entries(folder: Path = Path()) -> list[Entry]:
    """Everything that was ever booked, oldest first."""
    if not (folder / FILE).exists():
        return []
    with _opened(folder) as ledger:
        rows = ledger.execute(
            "SELECT number, key, kind, what, price, is_canceled, "
            "(SELECT count(*) FROM request WHERE request.key = entry.key) "
            "FROM entry ORDER BY number"
        ).fetchall()
    return [
        Entry(number, key, kind, what, price, bool(is_canceled), requests)
        for number, key, kind, what, price, is_canceled, requests in rows
    ]


@contextmanager
def _opened(folder: Path = Path()) -> Iterator[sqlite3.Connection]:
    """The ledger, in one transaction."""
    connection = sqlite3.connect(folder / FILE, timeout=10, isolation_level=None)
    try:
        connection.executescript(_TABLES)
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()
