"""A page reads of the store what it gives back, and not all that it might have given back."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
import pytest

from tenuto.storage.sqlite.queries import MIGRATIONS, SQL

_ROWS: Final = 30
_LONG: Final = 200_000

_PAGES: Final = sorted(name for name, text in SQL.items() if ":most_bytes" in text)

_FILL: Final = """
INSERT INTO partition (partition) VALUES (0);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
INSERT INTO event (event_id, topic, event_key, published_at, cause, event)
    SELECT 'e' || i, 't', 'k', i, 'event:t/first', '{{"data":"' || :long || '","type":"y"}}' FROM n;
INSERT INTO queued (message_id, queue, visible_at, queued_at, cause, data)
    SELECT event_id, 't', iif(position % 2, 0, position), 0, cause, event FROM event;
INSERT INTO failed_delivery (source, name, function, message_id, attempts, failed_at, error, cause,
    content) SELECT 'queue', 't', 'f', event_id, 1, 0, '', cause, event FROM event;
INSERT INTO redelivery (subscription, event_id, topic, published_at, event)
    SELECT 's', event_id, 't', 0, event FROM event;
INSERT INTO topic_wait (iid, task_id, partition, topic, event_key, after)
    SELECT position, 0, 0, 't', 'k', position - 1 FROM event;
INSERT INTO instance (iid, partition, status, created_at, updated_at, generation, depth,
    instance_id, name, execution_id, root_id, deliveries)
    SELECT position, 0, 0, 0, 0, 0, 0, 'i' || position, 'n', 'x', 'r', 0 FROM event;
"""


def _store(path: Path, long: str) -> None:
    connection = apsw.Connection(str(path))
    for script in MIGRATIONS:
        connection.execute(script)
    connection.execute(_FILL.format(rows=_ROWS), {"long": long})
    connection.close()


def _arguments(name: str, most_bytes: int) -> dict[str, Any]:
    known: dict[str, Any] = {
        "topic": "t",
        "queue": "t",
        "name": "s",
        "after": 0,
        "limit": _ROWS,
        "most_bytes": most_bytes,
        "now": 1_000,
        "in_work": 1 << 62,
        "causes": '["event:t/first"]',
        "waits": msgspec.json.encode([[iid, 0] for iid in range(1, _ROWS + 1)]).decode(),
        "last": 1_000,
        "position": 1_000,
        "before": 0,
    }
    if name == "failed_list":
        known |= {"source": None, "name": None, "function": None}
    return {one: known[one] for one in set(re.findall(r":(\w+)", SQL[name]))}


class _CountingFile(apsw.VFSFile):
    """A file that counts what is read of it; pages that hold one long value pass by the cache."""

    read = 0

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's name
        _CountingFile.read += amount
        return super().xRead(amount, offset)


class _Counting(apsw.VFS):
    """SQLite's own way to files, with a count."""

    def __init__(self) -> None:
        super().__init__("counting", "")

    def xOpen(  # noqa: N802 - SQLite's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        return _CountingFile("", name, flags)


@pytest.fixture
def counting() -> Iterator[str]:
    vfs = _Counting()
    yield "counting"
    vfs.unregister()


def _bytes_read(path: Path, vfs: str, name: str, most_bytes: int) -> int:
    connection = apsw.Connection(str(path), vfs=vfs)
    connection.pragma("temp_store", "memory")
    _CountingFile.read = 0
    connection.execute(SQL[name], _arguments(name, most_bytes)).fetchall()
    connection.close()
    return _CountingFile.read


@pytest.mark.parametrize("name", _PAGES)
def test_a_page_of_long_rows_reads_those_that_fit(tmp_path: Path, counting: str, name: str) -> None:
    path = tmp_path / "hub.db"
    _store(path, "x" * _LONG)
    # One row at least; beside them the first page of each row is looked at.
    heads = 2 * _ROWS * 4_096
    assert _bytes_read(path, counting, name, 1) < 2 * _LONG + heads
    assert _bytes_read(path, counting, name, 3 * _LONG) < 6 * _LONG + heads


@pytest.mark.parametrize("name", sorted(SQL))
def test_what_adds_up_lengths_takes_no_more_than_lengths(name: str) -> None:
    """A window keeps the columns that its rows have; the text of one is read and copied with it."""
    text = SQL[name]
    if " OVER " not in text:
        return
    assert re.search(r"SELECT \*|\w\.\*", text) is None
    inside = text[: text.rindex(" OVER ")]
    last = inside[inside.rindex("SELECT") :]
    assert "octet_length" not in last


def test_the_statements_that_give_pages_are_the_known_ones() -> None:
    assert {
        "topic_events",
        "newest_topic_events",
        "topic_page",
        "redeliveries",
        "failed_list",
        "queue_page",
        "queue_messages",
        "topic_matches_of",
        "flow",
    } <= set(_PAGES)
