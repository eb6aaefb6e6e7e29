"""What the doctor says of versions, a store and dead letters."""

from typing import Any

import pytest

from tenuto.cli.findings import (
    Level,
    letters_finding,
    store_findings,
    version_finding,
)
from tenuto.engine.upkeep import Examination, Remark
from tenuto.insight.wording import size
from tenuto.model.status import RuntimeStatus

GIB = 1024**3


def store(**more: Any) -> Examination:
    given: dict[str, Any] = {
        "path": "/x.db",
        "schema": 1,
        "known_schema": 1,
        "faults": [],
        "size": 5_000,
        "log_size": 0,
        "free_bytes": 50 * GIB,
        "owner": "process 7",
    }
    return Examination(**(given | more))


def test_what_a_server_is_like_is_told_with_what_to_do() -> None:
    remarks = [
        Remark(is_wrong=True, text="it is read-only", advice="name the primary"),
        Remark(is_wrong=False, text="nearly full", advice="raise it"),
    ]
    told = [
        one
        for one in store_findings(store(schema=9, remarks=remarks), 0, full=False)
        if one.text in {"it is read-only", "nearly full"}
    ]
    assert [(one.level, one.advice) for one in told] == [
        (Level.WRONG, "name the primary"),
        (Level.NOTE, "raise it"),
    ]


def test_an_sqlite_that_loses_writes_is_wrong() -> None:
    assert version_finding("3.51.2", (3, 51, 3), "all").level is Level.WRONG
    assert version_finding("3.51.3", (3, 51, 3), "all").level is Level.OK
    assert version_finding("3.100.0", (3, 51, 3), "all").level is Level.OK


@pytest.mark.parametrize(
    ("examination", "level", "text"),
    [
        (store(), Level.OK, "owned by process 7"),
        (store(owner=None), Level.NOTE, "no host runs on it"),
        (store(owner=None, was_left=True), Level.NOTE, "did not say goodbye"),
        (store(schema=0), Level.WRONG, "is not a Tenuto store"),
        (store(schema=2), Level.WRONG, "has schema 2, this Tenuto knows 1"),
        (store(schema=1, known_schema=2), Level.NOTE, "older than 2"),
        (store(faults=["a", "b", "c", "d"]), Level.WRONG, "damaged: a; b; c and 1 more"),
        (store(faults=["a"]), Level.WRONG, "damaged: a"),
        (store(free_bytes=1_000), Level.WRONG, "1000 B free on its disk"),
        (store(log_size=2 * GIB), Level.NOTE, "log 2.0 GiB"),
        (
            store(
                counts={RuntimeStatus.RUNNING: 1_200, RuntimeStatus.FAILED: 1},
                messages=3,
                oldest_pending=0,
            ),
            Level.OK,
            "1,200 Running, 1 Failed; 3 messages wait; the oldest pending one for 5.0 s",
        ),
        (store(), Level.OK, "no instances"),
    ],
)
def test_a_store_is_told_of_with_what_is_wrong_with_it(
    examination: Examination, level: Level, text: str
) -> None:
    found = [one for one in store_findings(examination, 5_000_000, full=True) if text in one.text]
    assert [one.level for one in found] == [level]
    assert found[0].advice or level is not Level.WRONG


def test_of_a_store_that_cannot_be_read_nothing_more_is_told() -> None:
    assert len(store_findings(store(schema=0), 0, full=False)) == 3


def test_dead_letters_are_wrong_and_say_where_to_look() -> None:
    assert letters_finding(0, 0, None, ()).level is Level.OK
    one = letters_finding(1, 1, None, ("--storage", "x"))
    assert (one.level, one.text) == (Level.WRONG, "1 message that nobody could take")
    assert one.advice.startswith("tenuto dead-letters list --storage x; then redrive, purge or ack")
    assert letters_finding(2, 0, None, ()).level is Level.NOTE
    assert letters_finding(2, 2, 0, ()).text.startswith(
        "2 messages that nobody could take, the newest"
    )


def test_sizes_are_for_people() -> None:
    assert [size(0), size(2048), size(3 * GIB // 2)] == ["0 B", "2.0 KiB", "1.5 GiB"]
    assert size(5_000 * GIB) == "5000.0 GiB"
