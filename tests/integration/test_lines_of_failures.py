"""What the log says of a function that fails for what events bring: a line for each attempt that is
followed by another one, and where it happened after the last.
"""

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from tenuto import App, ArrivedFile, Event, QueueMessage, RetryPolicy, StorageUnavailableError
from tenuto.testing import TestHost
from tests.support.away import own_store_away

THRICE = RetryPolicy(max_attempts=3, backoff=2.0)


def failing(kind: str, folder: Path, errors: list[Exception]) -> App:
    """An app whose function fails for whatever comes, each time with the next of these errors."""
    app = App()

    def fail() -> None:
        if errors:
            error = errors.pop(0)
            is_away = isinstance(error, StorageUnavailableError)
            raise own_store_away(str(error)) if is_away else error

    if kind == "topic":

        @app.subscribe("orders", retry=THRICE, name="note")
        async def on_event(event: Event) -> None:
            fail()

    elif kind == "queue":

        @app.queue("orders", retry=THRICE, name="note")
        async def on_message(message: QueueMessage) -> None:
            fail()

    else:
        (folder / "one").write_bytes(b"1")

        @app.files(folder, retry=THRICE, name="note")
        async def on_file(file: ArrivedFile) -> None:
            fail()

    return app


async def lines_of(
    kind: str, folder: Path, errors: list[Exception], caplog: pytest.LogCaptureFixture
) -> list[logging.LogRecord]:
    async with TestHost(failing(kind, folder, errors)) as host:
        if kind == "topic":
            await host.client.publish("orders", 1)
        elif kind == "queue":
            await host.client.enqueue("orders", 1)
        for _ in range(10):
            await host.advance(timedelta(seconds=5))
    return [one for one in caplog.records if "'note'" in one.getMessage()]


@pytest.mark.parametrize("kind", ["topic", "queue", "files"])
async def test_an_attempt_that_is_followed_by_another_is_one_line(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    errors: list[Exception] = [ValueError(f"no good,\nnumber {number}") for number in range(1, 4)]
    first, second, last, aside = await lines_of(kind, tmp_path, errors, caplog)
    assert first.getMessage().endswith(
        "(attempt 1 of 3), and is tried again in 1 s: ValueError: no good, number 1"
    )
    assert second.getMessage().endswith(
        "(attempt 2 of 3), and is tried again in 2 s: ValueError: no good, number 2"
    )
    assert last.getMessage() == "function 'note' failed: ValueError: no good,\nnumber 3"
    assert "was put aside after its last attempt" in aside.getMessage()
    assert [bool(one.exc_info) for one in (first, second, last, aside)] == [
        False,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("kind", ["topic", "queue", "files"])
async def test_who_wants_to_know_all_sees_where_each_attempt_has_failed(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    errors: list[Exception] = [ValueError("no good"), ValueError("no good")]
    lines = await lines_of(kind, tmp_path, errors, caplog)
    assert [one.levelno for one in lines if one.exc_info] == [logging.DEBUG, logging.DEBUG]


@pytest.mark.parametrize("kind", ["topic", "queue", "files"])
async def test_that_the_store_is_away_is_one_line_and_no_attempt(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    lines = await lines_of(kind, tmp_path, [StorageUnavailableError("away")], caplog)
    (line,) = [one.getMessage() for one in lines]
    assert line.endswith(
        "(no attempt: the store, or the host, is away), and is tried again in 1 s: "
        "StorageUnavailableError: away"
    )
