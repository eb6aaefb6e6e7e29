"""Breaks a loop that does not wait, calls a dead session again and again and catches all errors.

Nothing but an exception gets such code out of its loop, and it catches those that its calls raise.
So this one is raised by a trace function, at whatever line comes next, and again at the next one:
in the ``except`` block that caught it, in the loop around that, until none of the frames is left.
Each raise goes outwards, so it ends. Python switches a trace function off when it raises; the one
here notices that by being freed, and is switched on again.
"""

import sys
from types import FrameType
from typing import Any, Final

from tenuto.model.errors import SessionDiscarded

_TENUTO: Final = __file__.rpartition("orchestration")[0]


class Breaker:
    """At work from its making until ``stop``."""

    def __init__(self, frame: FrameType | None) -> None:
        self.is_on = True
        self._before = sys.gettrace()
        while frame is not None and not _begins(frame):
            if not _is_ours(frame):
                frame.f_trace = _AtEachLine(self, frame)
            frame = frame.f_back
        sys.settrace(self.enter)

    # From here on what measures the coverage of tests is switched off, as any tracer is.

    def enter(  # pragma: no cover
        self, frame: FrameType, _event: str, _arg: object
    ) -> "_AtEachLine | None":
        """A function is called."""
        return None if _is_ours(frame) else _AtEachLine(self, frame)

    def stop(self) -> None:  # pragma: no cover
        """Whoever traced before goes on."""
        self.is_on = False
        sys.settrace(self._before)


class _AtEachLine:
    """The trace function of one frame."""

    def __init__(self, breaker: Breaker, frame: FrameType) -> None:
        self._breaker = breaker
        self._frame = frame

    def __call__(  # pragma: no cover
        self, _frame: FrameType, _event: str, _arg: object
    ) -> Any:  # noqa: ANN401 - or itself
        if self._breaker.is_on:
            raise SessionDiscarded
        return None

    def __del__(self) -> None:
        if self._breaker.is_on:  # pragma: no cover
            self._frame.f_trace = _AtEachLine(self._breaker, self._frame)
            sys.settrace(self._breaker.enter)


def _begins(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_TENUTO) and frame.f_code.co_name == "run"


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_TENUTO)
