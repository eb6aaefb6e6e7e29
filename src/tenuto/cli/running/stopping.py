"""Ctrl-C: the first one asks to stop, the second one stops at once, whatever the loop is doing.

A program that was started with interrupts ignored, as a shell does it for ``program &``, goes on
ignoring them: a Ctrl-C at that terminal is meant for others. SIGTERM stops it all the same.
"""

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tenuto.cli import terminal
from tenuto.host.deadline import Deadline, StopHandler

if TYPE_CHECKING:
    from tenuto.host.host import Host


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that stop this program."""
    if is_interruptible():
        return (signal.SIGINT, signal.SIGTERM)
    return (signal.SIGTERM,)


def stop_key() -> str:
    """What stops this program, as people say it."""
    return "Ctrl-C" if is_interruptible() else "SIGTERM"


def is_interruptible() -> bool:
    """Whether Ctrl-C is for this program; not in the background."""
    return signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def say_stopping(host: "Host") -> None:
    """How long the end may take, when there is anything to wait for."""
    if running := host.engine.running:
        what = "activity" if running == 1 else "activities"
        terminal.note(
            f"stopping; up to {host.settings.drain_seconds:g} s for {running} running {what} "
            f"({stop_key()} again: at once)"
        )


@contextmanager
def stop_requests(
    at_once: Callable[[], None], drain_seconds: float = 0.0
) -> Generator["asyncio.Future[int]"]:
    """Give a future that gets the number of the first signal to stop.

    Args:
        at_once: Called right before the process ends without ado: at a further signal, or because
            it does not come to an end.
        drain_seconds: How long running work may take once it was asked to stop.
    """
    loop = asyncio.get_running_loop()
    requested: asyncio.Future[int] = loop.create_future()

    def request(number: int) -> None:
        if not requested.done():
            requested.set_result(number)

    handle = StopHandler(
        Deadline(loop, drain_seconds, at_once),
        lambda number: loop.call_soon_threadsafe(request, number),
        at_once,
    )
    before = {number: signal.signal(number, handle) for number in stop_signals()}
    try:
        yield requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
