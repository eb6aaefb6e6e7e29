"""How functions of an app that schedules and events start are called.

Owns how their parameters are filled, by annotation, and where they run: ``async def`` on the host's
loop, ``def`` in a thread of its own for each run, so that neither waits for activities.
"""

import asyncio
import inspect
import threading
import types
import typing
from collections.abc import Callable
from contextvars import copy_context
from enum import Enum
from typing import Any, Final

from msgspec import Struct

from tenuto.client.causes import client_of_host
from tenuto.client.client import Client
from tenuto.client.sync_client import SyncClient
from tenuto.functions.arrived_file import ArrivedFile
from tenuto.functions.blob import Blob
from tenuto.functions.queue_message import QueueMessage
from tenuto.functions.timer_info import TimerInfo
from tenuto.model.errors import InputError
from tenuto.model.payload import decoder, encode
from tenuto.model.topics import Event
from tenuto.orchestration.context import Context

_NO_PAYLOADS: Final = (ArrivedFile, Blob, Event, QueueMessage, TimerInfo)
"""What functions of other kinds are told."""


class Given(Enum):
    """What fills a parameter."""

    INFO = "what the function is told"
    CLIENT = "the host's client"
    SYNC_CLIENT = "the same, for a function in a thread"
    PAYLOAD = "the payload"


class FilledParameter(Struct, frozen=True):
    """A parameter that is filled.

    Attributes:
        name: Its name.
        given: With what.
        decode: Of a payload with a type: makes it of JSON text.
    """

    name: str
    given: Given
    decode: Callable[[str], Any] | None = None


class Offer(Struct, frozen=True, kw_only=True):
    """What functions of one kind may take.

    Attributes:
        giver: What starts them, such as ``a timer``.
        info: The type of what they are told.
        has_payload: Whether one parameter may take the payload.
        words: What they may take, for the error when a parameter fits none.
    """

    giver: str
    info: type
    has_payload: bool
    words: str


class NativeCall(Struct, frozen=True):
    """A function with its parameters.

    Attributes:
        function: As it was decorated.
        parameters: Those that are filled.
        thread: The name of the thread that runs it when it is a ``def``.
    """

    function: Callable[..., Any]
    parameters: tuple[FilledParameter, ...]
    thread: str

    async def run(self, info: object, payload: object = None) -> object:
        """Call the function and return what it gives; what it raises is raised.

        Args:
            info: What it is told.
            payload: Plain data of JSON.
        """
        client = client_of_host.get()
        # By name: so none is in the way of one with a default before it.
        arguments: dict[str, Any] = {}
        for one in self.parameters:
            if one.given is Given.INFO:
                arguments[one.name] = info
            elif one.given is Given.CLIENT:
                arguments[one.name] = client
            elif one.given is Given.SYNC_CLIENT:
                arguments[one.name] = SyncClient(client)
            else:
                arguments[one.name] = payload if one.decode is None else one.decode(encode(payload))
        if _is_async(self.function):
            return await self.function(**arguments)
        return await _in_own_thread(lambda: self.function(**arguments), self.thread)


def native_call(function: Callable[..., Any], offer: Offer, thread: str) -> NativeCall:
    """What a decorated function is called by.

    Raises:
        InputError: it is a generator, or a parameter cannot be filled.
    """
    if inspect.isgeneratorfunction(inspect.unwrap(function)):
        raise InputError("it is a generator, which nobody would run on; remove the `yield`")
    return NativeCall(function, tuple(_parameters(function, offer)), thread)


def _is_async(function: Callable[..., Any]) -> bool:
    return any(map(inspect.iscoroutinefunction, (function, inspect.unwrap(function))))


def _parameters(function: Callable[..., Any], offer: Offer) -> list[FilledParameter]:
    try:
        annotations = typing.get_type_hints(inspect.unwrap(function))
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise InputError(
            f"an annotation cannot be resolved: {error}; its classes must be there at run time, "
            "defined before the function"
        ) from None
    found = []
    for one in inspect.signature(function).parameters.values():
        annotation = annotations.get(one.name, Any)
        given = _given(one, annotation, offer, is_async=_is_async(function))
        if given is None:
            continue
        decode = decoder(annotation) if given is Given.PAYLOAD and annotation is not Any else None
        found.append(FilledParameter(one.name, given, decode))
    kinds = [one.given for one in found]
    for kind in set(kinds):
        if kinds.count(kind) > 1:
            names = ", ".join(repr(one.name) for one in found if one.given is kind)
            raise InputError(f"parameters {names} are all {kind.value}; take it once")
    return found


def _given(
    parameter: inspect.Parameter, annotation: object, offer: Offer, *, is_async: bool
) -> Given | None:
    """What fills a parameter; None for one that has a default of its own."""
    name = parameter.name
    annotation = _named_by(annotation)
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        raise InputError(f"parameter {name!r} cannot be given by name; remove the `/`")
    if parameter.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        raise InputError(f"it takes *{name}, which nothing fills; name each parameter")
    if isinstance(annotation, type):
        if issubclass(annotation, offer.info):
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
    if annotation is Context:
        raise InputError(
            f"parameter {name!r} is the context of an orchestrator; decorate the function with "
            "@app.orchestrator first, below"
        )
    if offer.has_payload and annotation not in _NO_PAYLOADS:
        return Given.PAYLOAD
    raise InputError(
        f"parameter {name!r} is nothing that {offer.giver} can give; it takes {offer.words}"
    )


def _named_by(annotation: object) -> object:
    """What an annotation names, such as the Client of ``Client | None``."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        members = [one for one in typing.get_args(annotation) if one is not types.NoneType]
        named = (Client, SyncClient, Context, *_NO_PAYLOADS)
        if len(members) == 1 and isinstance(members[0], type) and issubclass(members[0], named):
            return members[0]
    return annotation


async def _in_own_thread(call: Callable[[], object], name: str) -> object:
    """Call in a thread that cannot keep the process alive; gives and raises what the call does."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[tuple[object, BaseException | None]] = loop.create_future()
    context = copy_context()

    def tell(result: object, error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result((result, error))

    def run() -> None:
        result: object = None
        error: BaseException | None = None
        try:
            result = context.run(call)
        except BaseException as raised:  # noqa: BLE001 - raised again where it is awaited
            error = raised
        try:
            loop.call_soon_threadsafe(tell, result, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    threading.Thread(target=run, name=name, daemon=True).start()
    result, error = await ended
    if error is not None:
        raise error
    return result
