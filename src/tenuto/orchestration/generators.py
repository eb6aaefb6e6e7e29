"""Orchestrators in the generator style: each task that is yielded is awaited for them."""

import inspect
import types
from asyncio import futures as asyncio_futures
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, NoReturn, Protocol

from tenuto.model.execution import ExecutionInfo


class Driver(Protocol):
    """What a generator's steps need of its session."""

    @property
    def info(self) -> ExecutionInfo:
        """Whose session it is."""

    @property
    def is_dead(self) -> bool:
        """Whether user code may do nothing more."""

    def spins_in_place(self, generator: Generator[Any, Any, Any]) -> NoReturn:
        """End the orchestration, because it never waits."""


def as_coroutine(made: object, driver: Driver) -> Coroutine[Any, Any, Any]:
    """What calling an orchestrator gave, as a coroutine: of whichever style the function is."""
    if type(made) is types.CoroutineType:  # nearly always, and the checks below are slow
        return made
    if isinstance(made, Generator):
        return drive_generator(made, driver)
    if isinstance(made, Coroutine):
        return made
    if inspect.isawaitable(made):
        return _awaited(made)
    return _finished(made)


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable


async def _finished(value: object) -> object:
    return value


async def drive_generator(generator: Generator[Any, Any, Any], driver: Driver) -> object:
    """Run a generator to its end, and give what it returns.

    One that catches everything and yields what is done, or no task at all, never waits.
    """
    most = left = driver.info.limits.callbacks_per_event
    try:
        yielded = next(generator)
        while True:
            if driver.is_dead:
                yielded = _Never()  # told to end it goes on: now it waits until it is told again
            elif left == 0:
                driver.spins_in_place(generator)
            elif not asyncio_futures.isfuture(yielded):
                left -= 1
                yielded = generator.throw(_not_a_task(yielded))
                continue
            elif yielded.done():
                left -= 1
            else:
                left = most
            try:
                value = await yielded
            except BaseException as error:  # noqa: BLE001 - handed to the generator as it came
                yielded = generator.throw(error)
            else:
                yielded = generator.send(value)
    except StopIteration as stop:
        return stop.value


class _Never:
    def __await__(self) -> Generator[None, None, None]:
        while True:
            yield


def _not_a_task(yielded: object) -> TypeError:
    if isinstance(yielded, Coroutine):
        yielded.close()  # else Python warns that nobody awaited it
    return TypeError(
        f"an orchestrator must yield tasks, it yielded {yielded!r}; "
        "yield what ctx.call_activity(...) and its like return"
    )
