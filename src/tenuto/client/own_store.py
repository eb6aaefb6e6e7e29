"""Which store an error speaks of: this host's, or another one that is away.

A function that meets its own host's store while that is away has not failed; one that cannot reach
another hub has. Both are told by the same class, so what a host's gateway raises bears its mark.
"""

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from tenuto.model.errors import StorageUnavailableError

P = ParamSpec("P")
T = TypeVar("T")

_MARK: Final = "_tenuto_refused_by"


def mark_refusals(asked: object, gateway: object) -> None:
    """Have what an object raises for want of the store bear the mark of a gateway.

    Args:
        asked: Whose coroutine functions are asked.
        gateway: The gateway that they belong to.
    """
    for name in dir(asked):
        call = None if name.startswith("_") else getattr(asked, name)
        if inspect.iscoroutinefunction(call):
            setattr(asked, name, _marking(call, gateway))


def mark_refusal(error: StorageUnavailableError, gateway: object) -> None:
    """Know that a gateway has refused for want of its own store."""
    setattr(error, _MARK, gateway)


def is_refused_by(error: BaseException | None, gateway: object) -> bool:
    """Whether an error was raised by a gateway whose own store is away."""
    return getattr(error, _MARK, None) is gateway


def _marking(call: Callable[P, Awaitable[T]], gateway: object) -> Callable[P, Awaitable[T]]:
    @wraps(call)
    async def marking(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return await call(*arguments, **named)
        except StorageUnavailableError as error:
            mark_refusal(error, gateway)
            raise

    return marking
