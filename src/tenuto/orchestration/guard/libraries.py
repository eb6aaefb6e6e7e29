"""Libraries that may run inside orchestrators though they stamp and number what they do.

An agent of pydantic-ai puts a time and an id on each message and decides nothing by them. It gets
the session's own clock, ids and chance where a function of a module can be answered so, and what is
written in C goes through. Only libraries that were looked at and are tested stand here: one that
keeps times for the whole process (a cache, a token that expires) would mix the clocks. What the
user's own code asks for below such a library, in a tool, is refused as ever.
"""

import random
import sys
import uuid
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tenuto.orchestration.loop import SessionLoop

_STAMPING: Final = frozenset({"pydantic_ai", "pydantic_graph", "genai_prices"})
_BETWEEN: Final = sys.stdlib_module_names | {"anyio", "tenuto"}
"""Packages that ask for somebody else."""

_NANO: Final = 1_000


def is_stamping(frame: FrameType | None) -> bool:
    """Whether such a library asks, and not the user's code that it calls or that calls it."""
    while frame is not None:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package not in _BETWEEN:
            return package in _STAMPING
        frame = frame.f_back
    return False


def _elapsed(loop: "SessionLoop") -> Callable[..., object]:
    return loop.time


def _elapsed_ns(loop: "SessionLoop") -> Callable[..., object]:
    return lambda: round(loop.time() * 1_000_000) * _NANO


def _chance(loop: "SessionLoop") -> random.Random:
    """The session's chance for libraries: the orchestrator's own numbers do not depend on them."""
    if loop.chance is None:
        assert loop.owner is not None, "it runs"
        loop.chance = random.Random(f"{loop.owner.info.facts.execution_id} libraries")  # noqa: S311 - replay needs the seed
    return loop.chance


_ANSWERS: Final[dict[str, Callable[["SessionLoop"], Callable[..., Any]]]] = {
    "time.time": lambda loop: lambda: loop.now / 1_000_000,
    "time.time_ns": lambda loop: lambda: loop.now * _NANO,
    **dict.fromkeys(("time.monotonic", "time.perf_counter", "time.process_time"), _elapsed),
    **dict.fromkeys(
        ("time.monotonic_ns", "time.perf_counter_ns", "time.process_time_ns"), _elapsed_ns
    ),
    "os.urandom": lambda loop: _chance(loop).randbytes,
    "uuid.uuid4": lambda loop: lambda: uuid.UUID(bytes=_chance(loop).randbytes(16), version=4),
    "random.random": lambda loop: _chance(loop).random,
    "random.uniform": lambda loop: _chance(loop).uniform,
    "random.randint": lambda loop: _chance(loop).randint,
    "random.choice": lambda loop: _chance(loop).choice,
    "random.getrandbits": lambda loop: _chance(loop).getrandbits,
}


def answer_of(loop: "SessionLoop", name: str, frame: FrameType | None) -> Callable[..., Any] | None:
    """What takes the function's place for this caller; None when the call is to be refused."""
    answer = _ANSWERS.get(name)
    return answer(loop) if answer is not None and is_stamping(frame) else None
