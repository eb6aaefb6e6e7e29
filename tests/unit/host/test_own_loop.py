"""The loop of a process that is ours: user code cannot end it, and cannot keep it."""

import asyncio
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import pytest

from tenuto.functions.detached_threads import DetachedThreads
from tenuto.host import own_loop
from tenuto.host.own_loop import run_on_fast_loop


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(own_loop, "_END_SECONDS", 0.05)
    if request.param == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)
    return str(request.param)


@pytest.mark.usefixtures("loop_kind")
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_programs_in_a_task_or_callback_does_not_end_the_loop(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def leave() -> None:
        raise kind(7)

    async def leave_in_a_task() -> None:
        await asyncio.sleep(0)
        leave()

    async def work() -> str:
        loop = asyncio.get_running_loop()
        loop.call_soon(leave)
        loop.call_later(0.001, leave)
        task = loop.create_task(leave_in_a_task())
        with pytest.raises(kind):
            await task
        done = loop.create_future()
        done.add_done_callback(lambda _: leave())
        done.set_result(None)
        await asyncio.sleep(0.01)
        return "done"

    assert run_on_fast_loop(work()) == "done"
    # uvloop tells of one where two came in the same round
    assert caplog.text.count(f"user code on the host's loop raised {kind.__name__}") in {3, 4}


def test_memory_that_runs_out_in_the_loop_itself_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Asyncio raises it out of the loop when there is none left to report it either."""
    monkeypatch.setitem(sys.modules, "uvloop", None)

    def fail(*_: object) -> None:
        raise MemoryError

    async def work() -> str:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "call_exception_handler", fail)
        loop.call_soon(fail)
        await asyncio.sleep(0.01)
        return "done"

    assert run_on_fast_loop(work()) == "done"
    assert "memory ran out in the host's loop" in caplog.text


@pytest.mark.usefixtures("loop_kind")
def test_the_outcome_of_the_work_itself_comes_out() -> None:
    async def fail(error: BaseException) -> None:
        await asyncio.sleep(0)
        raise error

    with pytest.raises(ValueError, match="no"):
        run_on_fast_loop(fail(ValueError("no")))
    with pytest.raises(SystemExit):
        run_on_fast_loop(fail(SystemExit(3)))


class Handlers:
    """Ways to write a handler."""

    @staticmethod
    def plain(_number: int, _frame: FrameType | None) -> None:
        sys.exit(5)

    def bound(self, _number: int, _frame: FrameType | None) -> None:
        sys.exit(5)

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        sys.exit(5)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.usefixtures("loop_kind")
@pytest.mark.parametrize(
    "handler", [Handlers.plain, Handlers().bound, Handlers(), partial(Handlers.plain)]
)
def test_a_signal_handler_of_the_program_itself_may_end_it(
    handler: Callable[[int, FrameType | None], Any],
) -> None:
    async def work() -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGUSR1)
        await asyncio.sleep(60)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(SystemExit):
            run_on_fast_loop(work())
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("loop_kind")
def test_what_does_not_end_is_named_and_left(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()

    async def stay() -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    async def fail_late() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("late")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(60)

    async def work() -> str:
        loop = asyncio.get_running_loop()
        own_loop._left.append(loop.create_task(stay(), name="stays"))
        own_loop._left.append(loop.create_task(fail_late()))
        own_loop._left.append(loop.run_in_executor(None, gate.wait))
        generator = numbers()
        own_loop._left.append(generator)
        await anext(generator)
        return "done"

    began = time.monotonic()
    assert run_on_fast_loop(work()) == "done"
    assert time.monotonic() - began < 20
    for said in (
        "task 'stays' does not end when it is cancelled and is left: ",
        f"{__file__}:",
        "ValueError: late",
        "an async generator does not end when it is closed",
        "thread 'tenuto-blocking-1' does not end and is left: ",
    ):
        assert said in caplog.text
    gate.set()


@pytest.mark.parametrize(
    ("keeping", "said"),
    [
        ("threading.Thread(target=time.sleep, args=(600,), name='slow').start()", "'slow'"),
        ("atexit.register(time.sleep, 600)", ""),
        ("sys.stdout.close()", ""),
    ],
)
def test_a_process_that_is_about_to_end_does_so(keeping: str, said: str) -> None:
    program = f"""
import atexit, logging, sys, threading, time
from tenuto.host import own_loop
logging.basicConfig()
own_loop._EXIT_SECONDS = own_loop._LAST_SECONDS = 0.05
{keeping}
own_loop.end_in_time(4)
sys.exit(4)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 4, done.stderr
    assert said in done.stderr


# --- threads --------------------------------------------------------------------------------------


def test_threads_are_reused_bounded_and_nobody_waits_for_them() -> None:
    pool = DetachedThreads(2, "pool")
    gate = threading.Event()
    busy = [pool.submit(gate.wait), pool.submit(gate.wait)]
    queued = pool.submit(threading.current_thread)
    assert len(pool.threads) == 2
    assert all(one.daemon for one in pool.threads)
    gate.set()
    assert [one.result(20) for one in busy] == [True, True]
    assert queued.result(20).name.startswith("pool-")
    with pytest.raises(SystemExit):
        pool.submit(sys.exit, 3).result(20)
    for _ in range(5):
        pool.submit(int).result(20)
    assert len(pool.threads) <= 2
    pool.shutdown()
    assert pool.threads == []
    pool.shutdown()
    with pytest.raises(RuntimeError, match="the host is stopping"):
        pool.submit(int)


def test_what_has_not_begun_can_be_forgotten() -> None:
    pool = DetachedThreads(1)
    gate, is_begun = threading.Event(), threading.Event()

    def wait() -> bool:
        is_begun.set()
        return gate.wait()

    begun = pool.submit(wait)
    assert is_begun.wait(20)
    waiting = pool.submit(gate.wait)
    pool.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    gate.set()
    assert begun.result(20)
    logging.getLogger(__name__).debug("its thread ends by itself")
