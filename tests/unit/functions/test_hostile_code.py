"""User code that raises what ends programs, in whatever method: a failure of that code, no more."""

import asyncio
import ctypes
import dataclasses
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NoReturn

import pytest

from tenuto.functions.activities import ActivityExecutor
from tenuto.functions.registry import FunctionRegistry
from tenuto.functions.whereabouts import task_place, thread_of, thread_place
from tests.unit.functions.conftest import MakeExecutor, Outcomes, failure, until, work

ENDS: list[type[BaseException]] = [
    SystemExit,
    KeyboardInterrupt,
    GeneratorExit,
    asyncio.CancelledError,
    MemoryError,
    RecursionError,
]
kind: type[BaseException] = SystemExit


@pytest.fixture(params=ENDS)
def ends_with(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(globals(), "kind", request.param)
    return str(request.param.__name__)


def refuse(*_args: object, **_more: object) -> NoReturn:
    raise kind("9")


@dataclasses.dataclass
class PickyInput:
    seat: int

    def __post_init__(self) -> None:
        refuse()


class PickyResult:
    __iter__ = __str__ = __repr__ = __getattr__ = refuse


class Items(list[int]):
    def __iter__(self) -> Iterator[int]:
        refuse()


class HostileError(Exception):
    __str__ = __repr__ = refuse
    is_non_retriable = failure = property(refuse)


class Leaving:
    def __enter__(self) -> None: ...

    __exit__ = refuse

    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_args: object) -> None:
        refuse()


def register_all(app: FunctionRegistry) -> None:
    @app.activity
    def decodes(given: PickyInput) -> None: ...

    @app.activity
    async def decodes_on_loop(given: PickyInput) -> None: ...

    @app.activity
    def encodes() -> Any:  # noqa: ANN401 - whatever it is
        return PickyResult()

    @app.activity
    async def encodes_items() -> Any:  # noqa: ANN401 - as above
        return Items([1])

    @app.activity
    def raises() -> None:
        raise HostileError("no")

    @app.activity
    async def raises_on_loop() -> None:
        await asyncio.sleep(0)
        raise HostileError("no") from HostileError("why")

    @app.activity
    def leaves() -> None:
        with Leaving():
            pass

    @app.activity
    async def leaves_on_loop() -> None:
        async with Leaving():
            await asyncio.sleep(0)

    @app.activity
    def fine() -> str:
        return "fine"

    @app.activity
    async def fine_on_loop() -> str:
        return "fine"


async def test_it_fails_its_activity_and_the_next_ones_run(
    app: FunctionRegistry, make_executor: MakeExecutor, outcomes: Outcomes, ends_with: str
) -> None:
    register_all(app)
    executor = make_executor(max_threads=1)
    names = [one for one in app.activities if not one.startswith("fine")]
    for number, name in enumerate(names):
        given = '{"seat":1}' if name.startswith("decodes") else None
        executor.start([work(name, given, task_id=number)])
    executor.start([work("fine", task_id=100), work("fine_on_loop", task_id=101)])
    await outcomes.wait(len(names) + 2)
    results = outcomes.results()
    assert (results.pop(100), results.pop(101)) == ("fine", "fine")
    for number, name in enumerate(names):
        found = results[number]
        wanted = "HostileError" if name.startswith("raises") else ends_with
        # msgspec says in its own words what a class refuses while a value of it is made
        assert found.error_type.endswith(wanted) or name.startswith(("decodes", "encodes")), found
    assert executor.running == executor.queued == 0


async def test_memory_that_runs_out_in_the_encoding_may_suffice_another_time(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(globals(), "kind", MemoryError)
    monkeypatch.setattr("tenuto.model.signature.encode", refuse)

    @app.activity
    def long() -> str:
        return "x"

    executor.start([work("long")])
    (outcome,) = await outcomes.wait(1)
    assert failure(outcome).error_type == "MemoryError"
    assert not failure(outcome).is_non_retriable


# --- threads -------------------------------------------------------------------------------------


def throw_into(ident: int, error: type[BaseException]) -> None:
    """As libraries do that end calls which take too long."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(error))


async def test_what_is_thrown_into_a_thread_between_jobs_loses_no_job(
    app: FunctionRegistry, make_executor: MakeExecutor, outcomes: Outcomes
) -> None:
    idents: list[int] = []

    @app.activity
    def tell() -> str:
        idents.append(threading.get_ident())
        throw_into(idents[-1], KeyboardInterrupt)
        return "told"

    @app.activity
    def fine() -> str:
        return "fine"

    executor = make_executor(max_threads=1)
    executor.start([work("tell", task_id=1), work("fine", task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results()[2] == "fine"
    assert executor._threads is not None
    await until(lambda: executor._threads is not None and executor._threads._idle)
    (thread,) = executor._threads._idle  # it sleeps; thrown at it, it wakes and is gone
    throw_into(idents[-1], SystemExit)
    executor.start([work("fine", task_id=3)])
    executor.start([work("fine", task_id=4)])
    await outcomes.wait(4)
    assert executor._threads.count <= 1
    assert thread is not None


# --- what is left --------------------------------------------------------------------------------


async def test_an_async_activity_that_does_not_end_is_named_with_its_line(
    app: FunctionRegistry, executor: ActivityExecutor, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("tenuto.functions.activities._STOP_SECONDS", 0.01)
    gate = asyncio.Event()

    async def deeper() -> None:
        while not gate.is_set():
            with suppress(asyncio.CancelledError):
                await gate.wait()

    @app.activity
    async def stubborn() -> None:
        await deeper()

    executor.start([work("stubborn")])
    attempt = next(iter(executor._attempts.values()))
    await until(lambda: executor.running)
    await executor.stop()
    (record,) = caplog.records
    assert "activity 'stubborn' of instance 'trip-1', task 1, attempt 1" in record.message
    assert f"{__file__}:" in record.message
    assert " in stubborn > " in record.message
    assert " in deeper > " in record.message
    gate.set()
    assert attempt.task is not None
    await attempt.task
    assert task_place(attempt.task) == "at a place that cannot be seen"


def test_places_of_what_is_gone_cannot_be_seen() -> None:
    assert thread_place(None) == "at a place that cannot be seen"
    assert thread_of(test_places_of_what_is_gone_cannot_be_seen.__code__, object()) is None
