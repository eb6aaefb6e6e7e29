"""Work that an orchestrator has asked for and never looked at when it returns.

It has been forgotten, most often: an ``await`` is missing. What asyncio leaves on purpose is not
meant: losers of a race, whatever was cancelled or shielded, tasks that have run beside others. Nor
is what an orchestrator that fails would still have awaited: then only what it did not even keep.
"""

import asyncio
import dis
from collections.abc import Callable, Iterable, Iterator
from types import CodeType
from typing import Any, Final

from tenuto.orchestration.futures import SessionFuture, SessionTask
from tenuto.orchestration.positions import place_of
from tenuto.orchestration.tasks import DurableTask, Made

_MOST_TOLD: Final = 1_000
_WHOLE: Final = -1
"""No offset: the beginning of a function."""
_TOLD: dict[tuple[CodeType, int], None] = {}
"""Places that this process has warned of: each instance would say the same again."""


def unawaited(
    works: Iterable[object], tasks: Iterable[SessionTask[Any]], since: int
) -> Iterator[tuple[str, str]]:
    """What nobody waits for, in words, and where it was asked for; each place once.

    Args:
        works: What waits for answers; only durable tasks are looked at.
        tasks: Tasks of asyncio that have not ended.
        since: The number of the last future before this turn: an older task has run beside others.
    """
    for work, made in _forgotten(works):
        if _is_new(made):
            yield work.what, place_of(made)
    for task in tasks:
        code = getattr(task.coroutine, "cr_code", None)
        if code is None or task.number <= since or _is_awaited(task):
            continue
        if _is_new((code, _WHOLE)):
            yield f"task of {code.co_qualname!r}", place_of((code, _WHOLE))


def thrown_away(works: Iterable[object]) -> Iterator[tuple[str, str]]:
    """The same of an orchestrator that fails: only what nobody could have awaited any more.

    Args:
        works: As above.
    """
    for work, made in _forgotten(works):
        if _is_dropped(made) and _is_new(made):
            yield work.what, place_of(made)


def _forgotten(works: Iterable[object]) -> Iterator[tuple[DurableTask[Any], Made]]:
    for work in dict.fromkeys(one for one in works if isinstance(one, DurableTask)):
        made = work.made
        if made is not None and not work.done() and not _is_awaited(work):
            yield work, made


def _is_dropped(made: Made) -> bool:
    """Whether the code that called drops what it is given: a statement that is the call alone."""
    code, offset = made
    after = (one.opname for one in dis.get_instructions(code) if one.offset > offset)
    return next(after, None) == "POP_TOP"


def _is_awaited(future: SessionFuture[Any]) -> bool:
    """Whether somebody waits for it, or has stopped doing so."""
    private: Any = future
    callbacks: list[tuple[Callable[..., object], object]] | None = private._callbacks  # noqa: SLF001 - asyncio's own
    if future.was_left:
        return True
    return any(_leads_on(function) for function, _ in callbacks or ())


def _leads_on(callback: Callable[..., object]) -> bool:
    """Whether what is called back is of use: a ``gather`` that nobody awaits is not."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task) or not isinstance(owner, SessionFuture):
        return True
    return owner.done() or _is_awaited(owner)


def _is_new(made: Made) -> bool:
    if made in _TOLD:
        return False
    if len(_TOLD) >= _MOST_TOLD:
        _TOLD.clear()
    _TOLD[made] = None
    return True
