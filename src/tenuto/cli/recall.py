"""Asks the code of an app what history does not tell: the names of the events that are waited for,
and which timers are pauses between attempts.

Runs an orchestrator over its history in a session that is thrown away: nothing else happens.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar, cast

from tenuto.cli.follow import Follower
from tenuto.cli.reading import RunReader
from tenuto.cli.steps import Run, StepKind, StepState, Waits
from tenuto.engine.ports import Clock
from tenuto.engine.state import state_of
from tenuto.functions.registry import FunctionRegistry
from tenuto.functions.runner import NativeRunner
from tenuto.host.clock import SystemClock
from tenuto.model.codec import decode_turn
from tenuto.model.events import HistoryEvent, OrchestratorStarted
from tenuto.model.execution import execution_info
from tenuto.model.limits import Limits
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.orchestration.session import Session

T = TypeVar("T")


class Recall:
    """Rebuilds sessions of an app's instances.

    Args:
        app: The functions.
        clock: Where time comes from.
        limits: Those of the instances.
    """

    def __init__(
        self, app: FunctionRegistry, clock: Clock | None = None, limits: Limits | None = None
    ) -> None:
        self._app = app
        self._clock = clock or SystemClock()
        self._limits = limits or Limits()

    @property
    def orchestrators(self) -> Collection[str]:
        """Names of those that the app has."""
        return self._app.orchestrators

    async def ask(
        self, record: InstanceRecord, turns: Sequence[bytes], question: Callable[[Session, int], T]
    ) -> T | None:
        """What the session answers, given the time of the last turn too; None when the code was
        changed so that it cannot be rebuilt.
        """
        decoded = [decode_turn(turn) for turn in turns]
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T | None] = loop.create_future()
        # Outside of any task (ENGINE rule 3).
        loop.call_soon(lambda: answer.set_result(self._ask(record, decoded, question)))
        return await answer

    def _ask(
        self,
        record: InstanceRecord,
        turns: Sequence[Sequence[HistoryEvent]],
        question: Callable[[Session, int], T],
    ) -> T | None:
        runner = NativeRunner(self._app, self._clock, limits=self._limits)
        try:
            session = runner.replay_session(execution_info(state_of(record), self._limits), turns)
        except Exception:  # noqa: BLE001 - code that was changed: the engine tells, here a name is lacking
            return None
        try:
            return question(cast("Session", session), _last_time(turns))
        finally:
            session.close()

    async def tell(self, follower: Follower, reader: RunReader) -> Run:
        """The run of a follower that has read, with what the sessions know of it."""
        asked = [
            one for one in follower.unfinished() if one.run is not None and may_know_more(one.run)
        ]
        for one in asked:
            for loaded in await reader.load([one.instance_id]):
                one.told = await self.ask(loaded.record, loaded.turns, _waits)
                one.told_of = (loaded.record.execution_id, len(loaded.turns))
        if not asked:
            return follower.picture()
        return await follower.read([one.instance_id for one in asked])


def may_know_more(run: Run) -> bool:
    """Whether a session knows more than history tells: it waits for something not work."""
    return run.record.status is RuntimeStatus.RUNNING and any(
        step.state is StepState.WAITING and step.kind in {StepKind.EVENT, StepKind.TIMER}
        for step in run.steps
    )


def _waits(session: Session, since: int) -> Waits:
    return Waits(tuple((name, since) for name in session.awaited_events()), session.retry_pauses())


def _last_time(turns: Sequence[Sequence[HistoryEvent]]) -> int:
    last = turns[-1][0]
    assert isinstance(last, OrchestratorStarted), "each turn begins with its time"
    return last.timestamp
