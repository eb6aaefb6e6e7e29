"""Clocks written in C: found by looking at each call of a turn.

``datetime.now`` cannot be replaced, and ``from time import time`` keeps what the guard replaced. A
profile hook sees them all, but it sees every call of the thread, at three times the price of a
small turn. So it looks at each turn in tests, replay checks and ``tenuto run``, and at one in
many in production.
"""

import logging
import random
import sys
import uuid
from asyncio.events import _get_running_loop as running_loop
from collections.abc import Callable
from datetime import date
from types import BuiltinFunctionType, FrameType
from typing import Any, Final

from tenuto.orchestration.guard.libraries import is_stamping
from tenuto.orchestration.guard.names import GUARDED_NAMES, VALUE
from tenuto.orchestration.guard.refusal import refusal, refuse
from tenuto.orchestration.loop import SessionLoop

_LOGGER: Final = logging.getLogger("tenuto.orchestration")
_SAMPLED_CALLS: Final = 10_000
"""How much of a sampled turn is looked at: about a millisecond, also when the turn is huge."""

Hook = Callable[[FrameType, str, Any], object]


def _written_in_c() -> dict[object, tuple[str, str]]:
    """Name and reason of each C function of the table whose every call is wrong."""
    found: dict[object, tuple[str, str]] = {}
    for row in GUARDED_NAMES:
        function = vars(row.module)[row.name]
        if isinstance(function, BuiltinFunctionType) and not row.given:
            found[function] = f"{row}()", row.reason
    # What uuid1 calls when it was imported by name.
    for name in ("_generate_time_safe", "_UuidCreate"):
        function = getattr(uuid, name, None)
        if function is not None:
            found[function] = "uuid.uuid1()", f"{VALUE}; use ctx.new_uuid()"
    return found


_STOCK: Final = _written_in_c()
_NOW: Final = {"now", "utcnow", "today"}
_SUSPECTS: Final = {getattr(one, "__name__", "") for one in _STOCK} | _NOW | {"seed"}
_SEED: Final = random.Random.seed.__code__


class CallWatch:
    """Decides which turns are looked at, and what follows from what is found.

    Looking at every turn, a violation fails the orchestration at once. Looking at some, it is
    logged once for each line of code: failing one instance in many would only look like chance.

    Args:
        every: 1 to look at every turn, replayed ones too; n to look at one live turn in n.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._left = 1
        self._told: set[str] = set()

    def begin(self, *, replaying: bool) -> bool:
        """Look at the turn that begins now, if it is one to look at; then call ``end_watch``."""
        if self._every != 1:
            if replaying:
                return False
            self._left -= 1
            if self._left:
                return False
            self._left = self._every
        if sys.getprofile() is not None:
            return False  # somebody profiles: their hook stays
        sys.setprofile(look if self._every == 1 else self._sample())
        return True

    def _sample(self) -> Hook:
        left = _SAMPLED_CALLS

        def look_for_a_while(frame: FrameType, event: str, arg: Any) -> None:  # noqa: ANN401 - see look
            nonlocal left
            left -= 1
            if left == 0:
                sys.setprofile(None)
            elif event == "c_call" and arg.__name__ in _SUSPECTS:
                self._tell(frame, arg)

        return look_for_a_while

    def _tell(self, frame: FrameType, function: BuiltinFunctionType) -> None:
        found = _unreplayable(frame, function)
        if found is None or is_stamping(frame):
            return
        text = str(refusal(*found, frame) or "")
        if text and text not in self._told:
            self._told.add(text)
            _LOGGER.warning("%s. Set guard_every to 1 to have it refused.", text)


def end_watch() -> None:
    """The turn is over."""
    sys.setprofile(None)


def look(frame: FrameType, event: str, arg: Any) -> None:  # noqa: ANN401 - depends on the event
    """The profile hook: called for every call and return of the thread."""
    if event == "c_call" and arg.__name__ in _SUSPECTS:
        found = _unreplayable(frame, arg)
        loop = running_loop()
        if found is not None and type(loop) is SessionLoop and not is_stamping(frame):
            refuse(loop, *found, frame)


def _unreplayable(frame: FrameType, function: BuiltinFunctionType) -> tuple[str, str] | None:
    """What a suspect C function is and what is wrong with it; None when it only looks like one."""
    name = function.__name__
    owner = function.__self__
    if name in _NOW:
        if isinstance(owner, type) and issubclass(owner, date):
            return f"{owner.__name__}.{name}()", f"{VALUE}; use ctx.current_time"
        return None
    if name == "seed":
        if frame.f_code is _SEED and frame.f_locals.get("a") is None:
            return "random.Random() without a seed", f"{VALUE}; use ctx.random"
        return None
    return _STOCK.get(function)
