"""Functions of an app that events start: what `@app.queue`, `@app.subscribe` and others are."""

import inspect
import types
import typing
from collections.abc import Callable, Collection
from dataclasses import fields as fields_of_dataclass
from dataclasses import is_dataclass
from datetime import timedelta
from typing import Any, Final, is_typeddict

import msgspec
from msgspec import Struct

from tenuto.client.causes import client_of_host
from tenuto.engine.program import Delivery, Redelivery, Trigger
from tenuto.host.native_calls import NativeCall, Offer, native_call
from tenuto.model.errors import InputError
from tenuto.model.joined_ids import joined_event_id
from tenuto.model.payload import encode
from tenuto.model.retry import RetryPolicy
from tenuto.model.timing import span
from tenuto.model.topics import Event

_MOST_AT_ONCE = 1_000


class Results(Struct, frozen=True):
    """What becomes of what a function returns.

    Attributes:
        topic: Where it is published.
        key: The field of the result that is the event's key; None for the key of the event that
            the function was run for.
        type: What kind of event it is.
    """

    topic: str
    key: str | None
    type: str | None


RESULTS: Final = "__tenuto_results__"
"""The attribute of a function that says so; set by ``App.publishes``."""


class NativeTriggered(Struct, frozen=True, kw_only=True):
    """A function of this process that events start.

    Attributes:
        name: Its name; what is known of its deliveries is kept under it.
        call: The function.
        trigger: What starts it.
        tell: Makes what it is told of a delivery.
        results: What becomes of what it returns; None: it is dropped.
    """

    name: str
    call: NativeCall
    trigger: Trigger
    tell: Callable[[Delivery], Any]
    results: Results | None = None

    async def run(self, delivery: Delivery) -> None:
        """Call the function; what it raises is raised."""
        result = await self.call.run(self.tell(delivery), delivery.data)
        if self.results is not None and result is not None:
            await self._publish(self.results, delivery, result)

    async def _publish(self, results: Results, delivery: Delivery, result: object) -> None:
        """Under an id made of the delivery: once, however often that comes."""
        event = delivery.facts.get("event")
        key = event.key if isinstance(event, Event) else None
        if results.key is not None:
            key = _field(result, results.key, self.name)
        parts = [one for one in (self.name, delivery.occurrence, delivery.id) if one]
        await client_of_host.get().publish(
            results.topic, result, key=key, type=results.type, event_id=joined_event_id(*parts)
        )


def native_triggered(
    function: Callable[..., Any],
    name: str,
    trigger: Trigger,
    offer: Offer,
    tell: Callable[[Delivery], Any],
) -> NativeTriggered:
    """What a decorated function becomes.

    Args:
        function: The function.
        name: Its name.
        trigger: What starts it.
        offer: What it may take.
        tell: Makes what it is told of a delivery.

    Raises:
        InputError: a parameter cannot be filled.
    """
    call = native_call(function, offer, f"tenuto-function-{name}")
    results = getattr(function, RESULTS, None)
    if isinstance(results, Results) and results.key is not None:
        check_field(function, results.key)
    return NativeTriggered(name=name, call=call, trigger=trigger, tell=tell, results=results)


def check_field(function: Callable[..., Any], name: str) -> None:
    """See that what a function says it returns may have a field that is the event's key.

    Raises:
        InputError: it has none of that name, or is no object.
    """
    try:
        hints = typing.get_type_hints(inspect.unwrap(function))
    except (NameError, AttributeError, TypeError, SyntaxError):
        return  # its parameters are looked at as well, and say so
    kinds = [one for one in members_of(hints.get("return", Any)) if one is not type(None)]
    known = [_fields_of(one) for one in kinds]
    if not known or any(fields is None or name in fields for fields in known):
        return
    fields = sorted({field for one in known for field in one or ()})
    has = f"it has {', '.join(map(repr, fields))}" if fields else "it is no object"
    raise InputError(f"@app.publishes(key={name!r}) names no field of what it returns: {has}")


def members_of(annotation: object) -> tuple[Any, ...]:
    """The members of a union; of anything else, itself."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return typing.get_args(annotation)
    return (annotation,)


def _fields_of(kind: object) -> Collection[str] | None:
    """Under which names its fields are written; None where only its values tell."""
    plain = typing.get_origin(kind) or kind
    if not isinstance(plain, type):
        return None
    if issubclass(plain, Struct):
        return plain.__struct_encode_fields__
    if is_typeddict(plain):
        return plain.__annotations__.keys()
    if is_dataclass(plain):
        return [one.name for one in fields_of_dataclass(plain)]
    if issubclass(plain, str | bytes | int | float | list | tuple | set | frozenset):
        return ()
    return None


def _field(result: object, name: str, function: str) -> str:
    value = msgspec.json.decode(encode(result))
    key = value.get(name) if isinstance(value, dict) else None
    if not isinstance(key, str | int):
        raise InputError(
            f"what function {function!r} has returned has no field {name!r} that can be a key, a "
            "text or a number"
        )
    return str(key)


def checked_concurrency(value: object) -> int:
    """How many deliveries are worked on at once.

    Raises:
        InputError: it is no number from 1 to 1,000.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_AT_ONCE:
        raise InputError(f"concurrency must be an int from 1 to {_MOST_AT_ONCE:,}, got {value!r}")
    return value


def redelivery_of(retry: RetryPolicy | None) -> Redelivery:
    """What is done with a delivery that has failed; the usual when nothing is said.

    Raises:
        InputError: it is no retry policy, or one with a part that has no meaning here.
    """
    if retry is None:
        return Redelivery()
    if not isinstance(retry, RetryPolicy):
        raise InputError(f"retry must be a RetryPolicy, got {retry!r}")
    if retry.retry_if is not None or retry.timeout is not None:
        raise InputError(
            "retry: a delivery knows max_attempts, first_interval, backoff and max_interval; "
            "retry_if and timeout are for calls of an orchestrator"
        )
    longest = timedelta(days=1) if retry.max_interval is None else retry.max_interval
    return Redelivery(
        attempts=retry.max_attempts,
        first_pause=span(retry.first_interval),
        backoff=float(retry.backoff),
        longest_pause=span(longest),
    )
