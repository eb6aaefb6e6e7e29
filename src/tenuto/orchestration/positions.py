"""Where in user code something happened, for error messages: ``file:line in function``."""

import asyncio
from collections.abc import Callable
from types import CodeType, CoroutineType, FrameType, GeneratorType, TracebackType
from typing import Any, Final

from tenuto.orchestration.generators import drive_generator

_OURS: Final = (
    __file__.rpartition("orchestration")[0],
    str(asyncio.__file__).rpartition("__init__")[0],
)
"""Folders whose frames are not user code."""


def deciding_position(frame: FrameType) -> str:
    """The innermost line of user code that led to a frame of ours."""
    while _is_ours(frame):
        if frame.f_code.co_name == "run_turn" or frame.f_back is None:
            # User code above this one runs the host. Only retries are decided without any.
            return "the retry of an earlier call"
        frame = frame.f_back
    return _position(frame)


def _position(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def place_of(made: tuple[CodeType, int]) -> str:
    """``file:line`` of an instruction: a code object, and the offset in it."""
    code, offset = made
    lines = [line for start, end, line in code.co_lines() if start <= offset < end]
    return f"{code.co_filename}:{lines[0] if lines else code.co_firstlineno}"


def waiting_position(coroutine: object) -> str | None:
    """Where a suspended coroutine waits; None when it is not in user code."""
    frames = user_frames(coroutine)
    return _position(frames[-1]) if frames else None


def user_frames(coroutine: object) -> list[FrameType]:
    """The frames of user code in which a suspended coroutine waits, the innermost one last."""
    found: list[FrameType] = []
    current: Any = coroutine
    while isinstance(current, CoroutineType | GeneratorType):
        if isinstance(current, CoroutineType):
            frame, inner = current.cr_frame, current.cr_await
            if frame is not None and frame.f_code is drive_generator.__code__:
                inner = frame.f_locals.get("generator")
        else:
            frame, inner = current.gi_frame, current.gi_yieldfrom
        if frame is not None and not _is_ours(frame):
            found.append(frame)
        current = inner
    return found


def ending_position(function: Callable[..., object], error: BaseException | None) -> str:
    """Where an orchestrator failed, or which one it was that returned."""
    found: TracebackType | None = None
    link = None if error is None else error.__traceback__
    while link is not None:
        if not _is_ours(link.tb_frame):
            found = link
        link = link.tb_next
    if found is not None:
        code, line = found.tb_frame.f_code, found.tb_lineno
        return f"{code.co_filename}:{line} in {code.co_qualname}"
    plain = getattr(function, "__code__", None)
    if plain is None:
        return f"the end of {function!r}"
    return f"{plain.co_filename}:{plain.co_firstlineno}, the end of {plain.co_qualname}"


def trim_traceback(error: BaseException) -> BaseException:
    """Leave out the frames of ours above the first one of user code."""
    link = error.__traceback__
    while link is not None and _is_ours(link.tb_frame):
        link = link.tb_next
    return error.with_traceback(link or error.__traceback__)


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_OURS)
