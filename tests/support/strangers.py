"""Garbage of strangers: what other libraries of a process leave to the garbage collector.

Half-made objects whose ``__del__`` raises, coroutines that wait for a closed loop and want to
wait once more in their ``finally``, generators, weak references with callbacks: all in circles, so
that only the collector finds them, at any time (ENGINE rule 40).
"""

import asyncio
import gc
import random
import sys
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from tests.support.program_interpreter import meanwhile

_ERRORS: Final = (AttributeError, SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError)


class Strangers:
    """Leaves garbage behind, and sees which loop is running for it when it is collected."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.loops: set[object] = set()
        self.collected = 0
        self._gone = asyncio.new_event_loop()
        self._gone.close()

    def litter(self) -> None:
        """Leave something, and sometimes let the collector come here and now."""
        kinds: tuple[Callable[[], object], ...] = (self._half, self._coroutine, self._reference)
        circle: list[object] = [self.chance.choice(kinds)()]
        circle.append(circle)
        del circle
        event = self.chance.randrange(20)
        if event == 0:
            gc.collect(self.chance.randrange(3))
        elif event == 1:
            gc.enable()  # as careless libraries do, after they had it disabled

    def litter_outside(self) -> None:
        """What would belong to a session if it made its first step inside one."""
        generator = self._pages()
        with suppress(StopIteration):
            generator.__anext__().__await__().send(None)
        circle: list[object] = [generator]
        circle.append(circle)
        self.litter()

    def seen(self) -> None:
        """Something is collected."""
        self.collected += 1
        self.loops.add(asyncio._get_running_loop())

    def _half(self) -> object:
        return _Half(self, self.chance.choice(_ERRORS))

    def _coroutine(self) -> object:
        coroutine = self._wait()
        coroutine.send(None)
        return coroutine

    def _reference(self) -> object:
        watched = _Half(self, ValueError)
        return [watched, weakref.ref(watched, lambda _gone: self.seen())]

    async def _wait(self) -> None:
        try:
            await asyncio.Future(loop=self._gone)
        finally:
            self.seen()
            await asyncio.sleep(5)

    async def _pages(self) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            self.seen()
            await asyncio.sleep(5)


class _Half:
    def __init__(self, strangers: Strangers, error: type[BaseException]) -> None:
        self.me = self
        self.strangers = strangers
        self.error = error

    def __del__(self) -> None:
        self.strangers.seen()
        time.time()
        loop = asyncio._get_running_loop()
        if loop is not None:
            loop.call_later(5, print)  # a session would set a timer for it
        raise self.error


@contextmanager
def strangers(chance: random.Random) -> Iterator[Strangers]:
    """They are about at each step of each program; the collector comes often."""
    around = Strangers(chance)
    threshold, hook = gc.get_threshold(), sys.unraisablehook
    meanwhile.append(around.litter)
    sys.unraisablehook = _ignore
    gc.set_threshold(chance.choice((5, 20, 100)), 2, 2)
    try:
        yield around
    finally:
        meanwhile.remove(around.litter)
        gc.set_threshold(*threshold)
        gc.enable()
        gc.collect()
        sys.unraisablehook = hook


def _ignore(_unraisable: Any) -> None:  # noqa: ANN401 - its class is known to type checkers only
    """Errors in finalizers are expected here."""
