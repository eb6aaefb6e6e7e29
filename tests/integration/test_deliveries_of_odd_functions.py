"""Functions that do to their host what they can: none of them keeps it from the others.

``one_never_takes_all``: whatever a function raises, and whatever it does to its own task or to the
log, is a failure of this delivery, and the next one comes.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tenuto import App, ArrivedFile, Event, QueueMessage, RetryPolicy, StorageUnavailableError
from tenuto.telemetry.log_setup import HostLogHandler
from tenuto.testing import RecordingObserver, TestHost

TWICE = RetryPolicy(max_attempts=2)
KINDS = ("topic", "queue", "files")


class TruthError(Exception):
    def __bool__(self) -> bool:
        raise RuntimeError("no truth")


class AttributesError(Exception):
    def __getattribute__(self, name: str) -> NoReturn:
        raise RuntimeError(f"no {name}")


class Meta(type):
    def __getattribute__(cls, name: str) -> NoReturn:
        raise RuntimeError(f"no {name}")


class MetaError(Exception, metaclass=Meta):
    pass


class CancelsError(Exception):
    def __str__(self) -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return "cancels whoever asks"


def cancel_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def cancelled_meanwhile() -> None:
    cancel_itself()
    await asyncio.sleep(0)


async def cancelled_and_raising() -> None:
    cancel_itself()
    raise ValueError("cancelled, and more")


def raising(error: type[BaseException]) -> Callable[[], Any]:
    async def run() -> None:
        raise error

    return run


ODD: dict[str, Callable[[], Any]] = {
    "truth": raising(TruthError),
    "attributes": raising(AttributesError),
    "metaclass": raising(MetaError),
    "text": raising(CancelsError),
    "exit": raising(SystemExit),
    "interrupt": raising(KeyboardInterrupt),
    "cancelled": cancelled_meanwhile,
    "cancelled_and_raising": cancelled_and_raising,
}


def odd_app(kind: str, folder: Path, odd: Callable[[], Any], came: list[str]) -> App:
    """An app whose function does something odd for what is called ``bad``."""
    app = App()

    async def work(name: str) -> None:
        came.append(name)
        if name == "bad":
            await odd()

    if kind == "topic":

        @app.subscribe("things", retry=TWICE, concurrency=1)
        async def on_event(event: Event) -> None:
            await work(event.id)

    elif kind == "queue":

        @app.queue("things", retry=TWICE, concurrency=1)
        async def on_message(message: QueueMessage) -> None:
            await work(message.id)

    else:

        @app.files(folder, retry=TWICE, concurrency=1)
        async def on_file(file: ArrivedFile) -> None:
            await work(file.path.name)

    return app


async def bring(host: TestHost, kind: str, folder: Path, name: str) -> None:
    if kind == "topic":
        await host.client.publish("things", 1, key="same", event_id=name)
    elif kind == "queue":
        await host.client.enqueue("things", 1, message_id=name)
    else:
        (folder / name).write_bytes(b"")


async def advance(host: TestHost, seconds: int = 10) -> None:
    for _ in range(seconds):
        await host.advance(timedelta(seconds=1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", ODD)
async def test_one_never_takes_all_whatever_a_function_raises(
    kind: str, odd: str, tmp_path: Path
) -> None:
    came: list[str] = []
    async with asyncio.timeout(20), TestHost(odd_app(kind, tmp_path, ODD[odd], came)) as host:
        await bring(host, kind, tmp_path, "bad")
        await advance(host)
        await bring(host, kind, tmp_path, "good")
        await advance(host)
        assert came == ["bad", "bad", "good"]
        assert isinstance(host.observer, RecordingObserver)
        assert len(host.observer.put_aside) == 1


async def test_a_function_that_cancels_itself_and_returns_has_succeeded(tmp_path: Path) -> None:
    came: list[str] = []

    async def odd() -> None:
        cancel_itself()

    async with TestHost(odd_app("topic", tmp_path, odd, came)) as host:
        await bring(host, "topic", tmp_path, "bad")
        await advance(host)
        assert came == ["bad"]
        assert host.problems == []


@pytest.mark.parametrize("odd", ODD)
async def test_a_timer_goes_on_whatever_its_function_raises(odd: str) -> None:
    app, came = App(), list[str]()

    @app.timer("00:01:00")
    async def tick() -> None:
        came.append("tick")
        await ODD[odd]()

    async with asyncio.timeout(20), TestHost(app) as host:
        for _ in range(3):
            await host.advance(timedelta(minutes=1))
        assert came == ["tick"] * 3


async def test_a_filter_that_ends_the_process_fails_like_any_other(tmp_path: Path) -> None:
    app, came = App(), list[str]()

    def odd(_event: Event) -> bool:
        sys.exit(3)

    @app.subscribe("things", filter=odd)
    async def note(event: Event) -> None:
        came.append(event.id)

    async with TestHost(app) as host:
        await bring(host, "topic", tmp_path, "one")
        await host.idle()
        assert came == ["one"]
        assert "the filter of subscription" in host.problems[0][1]


# --- the log -------------------------------------------------------------------------------------


@pytest.fixture
def rude_handler() -> Iterator[None]:
    class Rude(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("the log server is away")

    handler, root = Rude(), logging.getLogger()
    root.addHandler(handler)
    yield
    root.removeHandler(handler)


@pytest.mark.usefixtures("rude_handler")
@pytest.mark.parametrize("kind", KINDS)
async def test_one_never_takes_all_a_log_handler_that_raises(kind: str, tmp_path: Path) -> None:
    came: list[str] = []
    app = odd_app(kind, tmp_path, raising(ValueError), came)

    @app.timer("00:00:02")
    async def tick() -> None:
        came.append("tick")
        raise ValueError

    async with asyncio.timeout(20), TestHost(app) as host:
        await bring(host, kind, tmp_path, "bad")
        await advance(host)
        await bring(host, kind, tmp_path, "good")
        await advance(host)
        assert [one for one in came if one != "tick"] == ["bad", "bad", "good"]
        assert came.count("tick") == 10


def test_a_line_for_a_closed_standard_error_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = HostLogHandler("text")
    with Path("/dev/null").open("w", encoding="utf-8") as closed:
        pass
    monkeypatch.setattr(sys, "stderr", closed)
    handler.emit(logging.LogRecord("shop", logging.ERROR, __file__, 1, "a line", (), None))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_function_says_is_cut_for_the_log(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def odd() -> None:
        error: BaseException | None = None
        for number in range(5_000):
            cause = ValueError(f"{number} {'x' * 20_000}")
            cause.__cause__ = error
            error = cause
        raise ValueError("x" * 10_000_000) from error

    came: list[str] = []
    async with TestHost(odd_app(kind, tmp_path, odd, came)) as host:
        await bring(host, kind, tmp_path, "bad")
        await advance(host)
        assert came == ["bad", "bad"]
    # Both ends of the chain, each text as a history keeps it, once by itself and once in its trace.
    assert len(caplog.text) < 3_000_000
    assert "ValueError: xxx" in caplog.text


# --- another store -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_that_another_store_is_away_costs_an_attempt(kind: str, tmp_path: Path) -> None:
    came: list[str] = []

    async def odd() -> None:
        raise StorageUnavailableError("the store of another hub is away")

    async with TestHost(odd_app(kind, tmp_path, odd, came)) as host:
        await bring(host, kind, tmp_path, "bad")
        await bring(host, kind, tmp_path, "good")
        await advance(host)
        assert sorted(came) == ["bad", "bad", "good"]
        (failed,) = await host.host.client.gateway.failed_deliveries()
        assert failed.error.endswith("StorageUnavailableError: the store of another hub is away")
