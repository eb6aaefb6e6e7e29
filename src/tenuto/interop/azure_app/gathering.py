"""Outcomes on their way to the engine: those of a wide fan-out go together.

Each turn of an orchestrator costs a message to a worker and one back, and in the packages time for
each task that is open. Of an execution with many activities out, outcomes wait until they are as
many as those that are still to come, for a tenth of a second at most. Where few are out nothing
waits: what is next may depend on it.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import Struct, field

from tenuto.engine.ports import ActivityWork

_FEW: Final = 32
_LONGEST_SECONDS: Final = 0.1


class _Execution(Struct):
    """Attempts of one execution: how many are to come, and those that have ended."""

    open: int = 0
    ended: list[ActivityWork] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class Gathering:
    """Hands over what has ended, many at a time.

    Args:
        deliver: Takes attempts that have ended, each with its answer.
    """

    def __init__(self, deliver: Callable[[list[ActivityWork]], None]) -> None:
        self._deliver = deliver
        self._executions: dict[str, _Execution] = {}
        self._ready: list[ActivityWork] = []

    @property
    def waiting(self) -> int:
        """Attempts that have ended and were not handed over yet."""
        return len(self._ready) + sum(len(one.ended) for one in self._executions.values())

    def began(self, work: ActivityWork) -> None:
        """An attempt is to come."""
        self._executions.setdefault(work.execution_id, _Execution()).open += 1

    def dropped(self, work: ActivityWork) -> None:
        """An attempt will not come."""
        self._came(work, self._executions[work.execution_id])

    def ended(self, work: ActivityWork) -> None:
        """An attempt has come."""
        execution = self._executions[work.execution_id]
        execution.ended.append(work)
        self._came(work, execution)

    def clear(self) -> None:
        """Nobody waits for anything any more."""
        for one in self._executions.values():
            if one.timer is not None:
                one.timer.cancel()
        self._executions.clear()
        self._ready.clear()

    def _came(self, work: ActivityWork, execution: _Execution) -> None:
        execution.open -= 1
        if execution.open < _FEW or len(execution.ended) >= execution.open:
            self._release(execution)
        elif execution.timer is None and execution.ended:
            loop = asyncio.get_running_loop()
            execution.timer = loop.call_later(_LONGEST_SECONDS, self._release, execution)
        if not execution.open:
            del self._executions[work.execution_id]

    def _release(self, execution: _Execution) -> None:
        if execution.timer is not None:
            execution.timer.cancel()
            execution.timer = None
        if execution.ended and not self._ready:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._ready += execution.ended
        execution.ended = []

    def _hand_over(self) -> None:
        ready, self._ready = self._ready, []
        if ready:
            self._deliver(ready)
