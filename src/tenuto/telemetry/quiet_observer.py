"""An observer that keeps its promise never to raise, whatever is behind it.

Log handlers of an app may raise, and standard error may be closed. What is only told of a thing
must not end it: a delivery, a commit, the host. Keeps the promise ``one_never_takes_all``.
"""

import inspect
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

from tenuto.engine.ports import Observer
from tenuto.model.interrupts import is_from_keyboard

_LOGGER: Final = logging.getLogger("tenuto.host")
_TOLD: Final = tuple(
    name
    for name, method in vars(Observer).items()
    # Tests crash the host at its crash points.
    if inspect.isfunction(method) and not name.startswith("_") and name != "crash_point"
)


def quiet(observer: Observer) -> Observer:
    """The same observer, which does not raise; it says once of each method that it has.

    Args:
        observer: Is told everything.
    """
    return cast("Observer", _Quiet(observer))


class _Quiet:
    """Has the methods of the port, made of those of the observer."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._said: set[str] = set()
        self.crash_point = observer.crash_point
        for name in _TOLD:
            setattr(self, name, self._quietly(name))

    @property
    def sees_turns(self) -> bool:
        """Whether it is to be told of each turn."""
        return self._observer.sees_turns

    def _quietly(self, name: str) -> Callable[..., None]:
        def tell(*arguments: object, **named: object) -> None:
            try:
                getattr(self._observer, name)(*arguments, **named)
            except BaseException as error:
                if is_from_keyboard(error):
                    raise
                self._say(name, error)

        return tell

    def _say(self, name: str, error: BaseException) -> None:
        if name in self._said:
            return
        self._said.add(name)
        with suppress(BaseException):  # it may be the log itself that raises
            _LOGGER.error("what is told of this host is lost, as %s raised", name, exc_info=error)
