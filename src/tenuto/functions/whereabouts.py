"""Where something is that does not end: the lines in which a task or a thread stands.

For people who have to find out why a host could not stop in time. Looks, and touches nothing.
"""

import asyncio
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

_MOST_PLACES: Final = 4
"""Places that are named, the outermost first: those are in the code of users."""

_MOST_LINKS: Final = 1_000


def task_place(task: "asyncio.Task[Any]") -> str:
    """Where a task waits, the outermost of its own lines first."""
    frames: list[tuple[CodeType, int]] = []
    link: Any = task.get_coro()
    for _ in range(_MOST_LINKS):
        frame = next(
            (found for name in _FRAMES if (found := getattr(link, name, None)) is not None), None
        )
        if frame is not None:
            frames.append((frame.f_code, frame.f_lineno))
        link = next(
            (found for name in _AWAITED if (found := getattr(link, name, None)) is not None), None
        )
        if link is None:
            break
    return _words(frames)


def thread_place(ident: int | None) -> str:
    """What a thread does, the outermost of its own lines first."""
    return _words(_frames_of(sys._current_frames().get(ident or 0)))  # noqa: SLF001 - made for this


def thread_of(code: CodeType, owner: object) -> int | None:
    """The thread in which a method of an object runs, None when none does."""
    for ident, innermost in sys._current_frames().items():  # noqa: SLF001 - as above
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_code is code and frame.f_locals.get("self") is owner:
                return ident
            frame = frame.f_back
    return None


def threads_python_waits_for() -> list[threading.Thread]:
    """Those that would keep this process from ending."""
    return [
        one
        for one in threading.enumerate()
        if one.is_alive() and not one.daemon and one is not threading.main_thread()
    ]


_FRAMES: Final = ("cr_frame", "gi_frame")
_AWAITED: Final = ("cr_await", "gi_yieldfrom")


def _frames_of(frame: FrameType | None) -> list[tuple[CodeType, int]]:
    frames: list[tuple[CodeType, int]] = []
    while frame is not None:
        frames.insert(0, (frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return frames


def _words(frames: list[tuple[CodeType, int]]) -> str:
    """What the code of users does below ours."""
    last = max(
        (at for at, one in enumerate(frames) if one[0].co_filename.startswith(_OURS)), default=-1
    )
    places = [f"{code.co_filename}:{line} in {code.co_name}" for code, line in frames[last + 1 :]]
    return " > ".join(places[:_MOST_PLACES]) or "at a place that cannot be seen"


_OURS: Final = str(Path(__file__).parents[1])
