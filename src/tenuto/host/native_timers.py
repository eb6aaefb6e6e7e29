"""Functions of an app that a schedule starts: what ``@app.timer`` makes of them.

Owns how their parameters are filled, and where they run: ``async def`` on the host's loop, ``def``
in a thread of its own for each run, so that neither waits for activities.
"""

import asyncio
import inspect
import threading
import typing
from collections.abc import Callable
from contextvars import copy_context
from enum import Enum
from typing import Any

from msgspec import Struct

from tenuto.client.causes import client_of_host
from tenuto.client.client import Client
from tenuto.client.sync_client import SyncClient
from tenuto.engine.program import TimerFire
from tenuto.functions.timer_info import TimerInfo
from tenuto.model.errors import InputError
from tenuto.model.timer_schedule import IntervalSchedule, parse_schedule


class Given(Enum):
    """What fills a parameter."""

    INFO = "what the timer is told"
    CLIENT = "the host's client"
    SYNC_CLIENT = "the same, for a function in a thread"


class TimerParameter(Struct, frozen=True):
    """A parameter that is filled.

    Attributes:
        name: Its name.
        given: With what.
    """

    name: str
    given: Given


class NativeTimer(Struct, frozen=True, kw_only=True):
    """A function of this process that a schedule starts.

    Attributes:
        name: Its name; what is known of its last run is kept under it.
        function: The function.
        parameters: Those that are filled.
        schedule: NCRONTAB, or a time span.
        zone: The time zone of the schedule; None for UTC.
        runs_on_startup: Whether it also runs each time its host starts.
        keeps_state: Whether a moment that was missed is made up for.
    """

    name: str
    function: Callable[..., Any]
    parameters: tuple[TimerParameter, ...]
    schedule: str
    zone: str | None
    runs_on_startup: bool
    keeps_state: bool

    def pause_before(self, attempt: int) -> None:
        """Never tried again before its next moment: an orchestration that it starts may be."""

    async def run(self, fire: TimerFire) -> None:
        """Call the function; what it raises is raised."""
        client = client_of_host.get()
        values = {
            Given.INFO: TimerInfo.of(self.name, fire),
            Given.CLIENT: client,
            Given.SYNC_CLIENT: client,
        }
        if any(one.given is Given.SYNC_CLIENT for one in self.parameters):
            values[Given.SYNC_CLIENT] = SyncClient(client)
        # By name: so none is in the way of one with a default before it.
        arguments = {one.name: values[one.given] for one in self.parameters}
        if _is_async(self.function):
            await self.function(**arguments)
        else:
            await _in_own_thread(lambda: self.function(**arguments), f"tenuto-timer-{self.name}")


def native_timer(
    function: Callable[..., Any],
    name: str,
    *,
    schedule: str,
    zone: str | None,
    run_on_startup: bool,
    catch_up: bool,
) -> NativeTimer:
    """What a decorated function becomes.

    Raises:
        InputError: the schedule or the zone is none, or a parameter cannot be filled.
    """
    if inspect.isgeneratorfunction(inspect.unwrap(function)):
        raise InputError("it is a generator, which nobody would run on; remove the `yield`")
    if isinstance(parse_schedule(schedule, zone), IntervalSchedule) and zone is not None:
        raise InputError(f"schedule {schedule!r} is a time span, which knows no zone; got {zone!r}")
    return NativeTimer(
        name=name,
        function=function,
        parameters=tuple(_parameters(function)),
        schedule=schedule,
        zone=zone,
        runs_on_startup=run_on_startup,
        keeps_state=catch_up,
    )


def _is_async(function: Callable[..., Any]) -> bool:
    return any(map(inspect.iscoroutinefunction, (function, inspect.unwrap(function))))


def _parameters(function: Callable[..., Any]) -> list[TimerParameter]:
    try:
        annotations = typing.get_type_hints(inspect.unwrap(function))
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise InputError(
            f"an annotation cannot be resolved: {error}; its classes must be there at run time, "
            "defined before the function"
        ) from None
    found = []
    for one in inspect.signature(function).parameters.values():
        given = _given(one, annotations.get(one.name), is_async=_is_async(function))
        if given is not None:
            found.append(TimerParameter(one.name, given))
    kinds = [one.given for one in found]
    for kind in set(kinds):
        if kinds.count(kind) > 1:
            names = ", ".join(repr(one.name) for one in found if one.given is kind)
            raise InputError(f"parameters {names} are all {kind.value}; take it once")
    return found


def _given(parameter: inspect.Parameter, annotation: object, *, is_async: bool) -> Given | None:
    """What fills a parameter; None for one that has a default of its own."""
    name = parameter.name
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        raise InputError(f"parameter {name!r} cannot be given by name; remove the `/`")
    if parameter.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        raise InputError(f"it takes *{name}, which nothing fills; name each parameter")
    if isinstance(annotation, type):
        if issubclass(annotation, TimerInfo):
            return Given.INFO
        if issubclass(annotation, Client):
            if not is_async:
                raise InputError(
                    f"parameter {name!r} is the client, which must be awaited; take a SyncClient, "
                    "or use async def"
                )
            return Given.CLIENT
        if issubclass(annotation, SyncClient):
            if is_async:
                raise InputError(f"parameter {name!r} would block the host's loop; take a Client")
            return Given.SYNC_CLIENT
    if parameter.default is not inspect.Parameter.empty:
        return None
    raise InputError(
        f"parameter {name!r} is nothing that a timer can give; it takes none, or any of "
        "`timer: TimerInfo` and `client: Client` (`SyncClient` in a `def`), by their annotations"
    )


async def _in_own_thread(call: Callable[[], object], name: str) -> None:
    """Call in a thread that cannot keep the process alive; raises what the call raises."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[BaseException | None] = loop.create_future()
    context = copy_context()

    def tell(error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            context.run(call)
        except BaseException as raised:  # noqa: BLE001 - raised again where it is awaited
            error = raised
        try:
            loop.call_soon_threadsafe(tell, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    threading.Thread(target=run, name=name, daemon=True).start()
    error = await ended
    if error is not None:
        raise error
