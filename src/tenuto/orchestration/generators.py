"""Orchestrators in the generator style: each task that is yielded is awaited for them."""

import inspect
import types
from asyncio import futures as asyncio_futures
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any


def as_coroutine(made: object) -> Coroutine[Any, Any, Any]:
    """What calling an orchestrator gave, as a coroutine: of whichever style the function is."""
    if type(made) is types.CoroutineType:  # nearly always, and the checks below are slow
        return made
    if isinstance(made, Generator):
        return drive_generator(made)
    if isinstance(made, Coroutine):
        return made
    if inspect.isawaitable(made):
        return _awaited(made)
    return _finished(made)


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable


async def _finished(value: object) -> object:
    return value


async def drive_generator(generator: Generator[Any, Any, Any]) -> object:
    """Run a generator to its end, and give what it returns."""
    try:
        yielded = next(generator)
        while True:
            if not asyncio_futures.isfuture(yielded):
                yielded = generator.throw(_not_a_task(yielded))
                continue
            try:
                value = await yielded
            except BaseException as error:  # noqa: BLE001 - handed to the generator as it came
                yielded = generator.throw(error)
            else:
                yielded = generator.send(value)
    except StopIteration as stop:
        return stop.value


def _not_a_task(yielded: object) -> TypeError:
    if isinstance(yielded, Coroutine):
        yielded.close()  # else Python warns that nobody awaited it
    return TypeError(
        f"an orchestrator must yield tasks, it yielded {yielded!r}; "
        "yield what ctx.call_activity(...) and its like return"
    )
