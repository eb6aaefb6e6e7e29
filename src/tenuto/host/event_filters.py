"""Which events a subscription is for: the ``filter`` of ``@app.subscribe`` and ``app.push``.

What can never say yes or no is refused where it is decorated: a filter that is silently always
true, or never, delivers everything, or nothing.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Final, TypeAlias

from tenuto.model.errors import InputError
from tenuto.model.topics import Event

EventFilter: TypeAlias = Callable[[Event], bool] | Mapping[str, object]
"""Which events a subscription is for: a function of the event, or values that its type, key,
source, subject, an attribute or a field of its data must have; a list of values for any of them."""

_OWN: Final = frozenset({"type", "key", "source", "subject", "id"})


def accepting(given: EventFilter | None) -> Callable[[Event], bool] | None:
    """A filter as a function of the event; None for all events.

    Raises:
        InputError: it is neither a function nor a mapping, or one that can say nothing.
    """
    if given is None:
        return None
    if callable(given):
        _check_function(given)
        return given
    if not isinstance(given, Mapping):
        raise InputError(
            f"filter must be a function of the event, or a dict of names and values; got {given!r}"
        )
    wanted = {_checked_name(name): _checked(name, value) for name, value in given.items()}

    def accepts(event: Event) -> bool:
        return all(_value(event, name) in values for name, values in wanted.items())

    return accepts


def _check_function(given: Callable[..., object]) -> None:
    plain = inspect.unwrap(given)
    called = getattr(type(plain), "__call__", None)  # noqa: B004 - whose kind is looked at
    for one in (plain, called):
        if inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one):
            raise InputError("filter is an `async def`, which nobody awaits; use a plain `def`")
        if inspect.isgeneratorfunction(one):
            raise InputError("filter is a generator, which is always true; remove the `yield`")
    try:
        signature = inspect.signature(given)
    except (TypeError, ValueError):
        return  # some of C do not say what they take
    try:
        signature.bind(None)
    except TypeError as error:
        raise InputError(f"filter must take the event as its one argument: {error}") from None


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise InputError(f"a name of the filter must be a text, got {name!r}")
    return name


def _checked(name: object, value: object) -> Collection[object]:
    """The values that are wanted; those of JSON, as nothing else is in an event."""
    is_several = isinstance(value, list | tuple | set | frozenset)
    values: Collection[object] = tuple(value) if is_several else (value,)  # type: ignore[arg-type]
    if not values:
        raise InputError(f"the filter has no value for {name!r}, so that no event would do")
    for one in values:
        if one is not None and not isinstance(one, str | int | float | list | dict):
            what = "a function" if callable(one) else repr(one)
            raise InputError(
                f"the filter wants {what} for {name!r}, which no event has: text, numbers, true, "
                "false and null, or a list of several; for more give a function of the event"
            )
    return values


def _value(event: Event, name: str) -> object:
    if name in _OWN:
        return getattr(event, name)
    if isinstance(event.data, dict) and name in event.data:
        return event.data[name]
    return event.attributes.get(name)
