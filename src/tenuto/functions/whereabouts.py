"""Where something is that does not end: the lines in which a task or a thread stands.

For people who have to find out why a host could not stop in time. Looks, and touches nothing.
"""

import asyncio
import sys
import threading
from contextvars import Context
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from tenuto.functions.attempt import Attempt

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
    """What a thread does, the outermost of its own lines first; what it was given to do, if that is
    no code of users, such as ``time.sleep``: functions of C have no lines.
    """
    innermost = sys._current_frames().get(ident or 0)  # noqa: SLF001 - made for this
    frames = _frames_of(innermost)
    called = None if any(_is_of_users(code) for code, _ in frames) else _called_by(innermost)
    if called is None:
        return _words(frames)
    places = _places(frames)
    return f"{' > '.join(places)}, which called {called}" if places else f"in a call of {called}"


def thread_of(code: CodeType, owner: object) -> int | None:
    """The thread in which a method of an object runs, None when none does."""
    for ident, innermost in sys._current_frames().items():  # noqa: SLF001 - as above
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_code is code and frame.f_locals.get("self") is owner:
                return ident
            frame = frame.f_back
    return None


def work_left(loop: asyncio.AbstractEventLoop) -> list[str]:
    """What runs for this host at this moment, and where; asked in a thread of its own.

    Args:
        loop: The host's, which may be blocked.
    """
    found: dict[Attempt, str] = {}
    for ident, innermost in sys._current_frames().items():  # noqa: SLF001 - as above
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_code in _ATTEMPTS:
                found[frame.f_locals["self"]] = thread_place(ident)
            frame = frame.f_back
    others: list[str] = []
    for task in asyncio.all_tasks(loop):
        attempt = _attempt_in(task)
        if attempt is not None:
            found.setdefault(attempt, task_place(task))
        elif is_of_users(task):
            others.append(f"task {task.get_name()!r} is left: {task_place(task)}")
    attempts = [f"{one!r} does not end in time and is left: {at}" for one, at in found.items()]
    return [*attempts, *others[:_MOST_TASKS]]


_ATTEMPTS: Final = {Attempt.run.__code__, Attempt.run_async.__code__}
_MOST_TASKS: Final = 10


def is_of_users(task: "asyncio.Task[Any]") -> bool:
    """Whether a task runs a coroutine function that is not Tenuto's."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and _is_of_users(code)


def _attempt_in(task: "asyncio.Task[Any]") -> Attempt | None:
    link: Any = task.get_coro()
    for _ in range(_MOST_LINKS):
        frame = getattr(link, "cr_frame", None)
        if frame is None:
            return None
        if frame.f_code in _ATTEMPTS:
            attempt: Attempt = frame.f_locals["self"]
            return attempt
        link = getattr(link, "cr_await", None)
    return None


def threads_python_waits_for() -> list[threading.Thread]:
    """Those that would keep this process from ending."""
    # The threads of a pool are waited for whether or not they are daemons.
    pools = vars(sys.modules.get("concurrent.futures.thread", object)).get("_threads_queues", {})
    joined = {*pools.copy()}
    return [
        one
        for one in threading.enumerate()
        if (one in joined or not one.daemon) and one is not threading.main_thread()
    ]


_FRAMES: Final = ("cr_frame", "gi_frame")
_AWAITED: Final = ("cr_await", "gi_yieldfrom")


def _frames_of(frame: FrameType | None) -> list[tuple[CodeType, int]]:
    frames: list[tuple[CodeType, int]] = []
    while frame is not None:
        frames.insert(0, (frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return frames


def _called_by(frame: FrameType | None) -> str | None:
    """The function that a thread was given to call; None when that cannot be told."""
    while frame is not None:
        own = frame.f_locals.get("self")
        given = None
        if isinstance(own, Attempt):
            given = own.lane.reference.function
        elif frame.f_code.co_filename == _DETACHED:
            given = frame.f_locals.get("function")
        elif isinstance(own, threading.Thread):
            given = getattr(own, "_target", None)
        elif frame.f_globals.get("__name__") == "concurrent.futures.thread":
            task = getattr(own, "task", None)  # since Python 3.14
            given = getattr(own, "fn", task[0] if isinstance(task, tuple) and task else None)
        if callable(given) and (name := _name_of(given)) is not None:
            return name
        frame = frame.f_back
    return None


def _name_of(function: object) -> str | None:
    """The name of what is called in the end: by ``asyncio.to_thread`` in a context, say."""
    while isinstance(function, partial):
        is_in_context = isinstance(getattr(function.func, "__self__", None), Context)
        function = function.args[0] if is_in_context and function.args else function.func
    name = getattr(function, "__qualname__", None)
    module = getattr(function, "__module__", None)
    if not isinstance(name, str):
        return None
    if not isinstance(module, str):
        return name
    return None if module.startswith("tenuto.") else f"{module}.{name}"


def _words(frames: list[tuple[CodeType, int]]) -> str:
    return " > ".join(_places(frames)) or "at a place that cannot be seen"


def _places(frames: list[tuple[CodeType, int]]) -> list[str]:
    """What the code of users does below ours, where it may call ours again."""
    ours = [at for at, one in enumerate(frames) if one[0].co_filename.startswith(_OURS)]
    called = [at for at in ours if frames[at][0] in _CALLERS]
    last = (called or ours or [-1])[-1]
    below = frames[last + 1 :]
    # A thread begins in Python's own code, which tells nothing.
    first = next((at for at, one in enumerate(below) if _is_of_users(one[0])), 0)
    shown = below[first : first + _MOST_PLACES]
    return [f"{code.co_filename}:{line} in {code.co_name}" for code, line in shown]


def _is_of_users(code: CodeType) -> bool:
    """Whether it is neither ours nor Python's."""
    file = code.co_filename
    if file.startswith((_OURS, "<frozen ")):
        return False
    return "site-packages" in file or not file.startswith(_PYTHONS)


_CALLERS: Final = {Attempt._run.__code__, Attempt.run_async.__code__}  # noqa: SLF001 - only told from others
_OURS: Final = str(Path(__file__).parents[1])
_PYTHONS: Final = str(Path(asyncio.__file__).parents[1])
_DETACHED: Final = str(Path(__file__).with_name("detached_threads.py"))
