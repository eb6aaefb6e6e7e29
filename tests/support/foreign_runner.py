"""A runner of another kind: its sessions answer turn by turn with what a script says.

Stands for an engine of another language behind a pipe or a wire. Nothing of it is native: no
coroutine, no registry, no signature.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tenuto.engine.ports import ActivityWork, WorkStage
from tenuto.engine.runner_figures import ActivityLoad, PoolFacts, WorkerFacts
from tenuto.model.actions import Action, TurnActions
from tenuto.model.errors import UnknownFunctionError
from tenuto.model.events import (
    ExecutionCompleted,
    ExecutionStarted,
    HistoryEvent,
    Incoming,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
)
from tenuto.model.execution import ExecutionInfo
from tenuto.model.status import RuntimeStatus
from tenuto.orchestration.replay import split_turn

Script = str | None
"""The activity through which an orchestrator sends its input; None: it gives it back as it is."""

Work = Callable[[str | None], str | None]
"""An activity: JSON text to JSON text."""


class ForeignSession:
    """An orchestrator that has no code, only a state: what it was given, whom it has asked."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.is_closed = False

    def run_turn(
        self, timestamp: int, events: Sequence[Incoming], *, replaying: bool = False
    ) -> TurnActions:
        del timestamp, replaying
        actions: list[Action] = []
        for event in events:
            match event:
                case ExecutionStarted() if self._script is None:
                    actions.append(_completed(event.input))
                case ExecutionStarted():
                    actions.append(TaskScheduled(0, self._script or "", event.input))
                case TaskCompleted():
                    actions.append(_completed(event.result))
                case TaskFailed():
                    failed = RuntimeStatus.FAILED
                    actions.append(ExecutionCompleted(failed, None, event.failure_details))
                case _:
                    pass
        return TurnActions(actions)

    def close(self) -> int:
        self.is_closed = True
        return 0


class ForeignRunner:
    """Runs scripts and activities given by name.

    Args:
        scripts: Orchestrators; may change while it runs, as workers come and go.
        activities: Activities.
        runtime: What history says of its executions.
    """

    def __init__(
        self,
        scripts: Mapping[str, Script],
        activities: Mapping[str, Work] | None = None,
        runtime: str = "foreign 1",
    ) -> None:
        self.runtime: str = runtime
        self.scripts = scripts
        self.activities = activities or {}
        self.opened: list[str] = []
        self.replayed: list[str] = []
        self.started: list[list[str]] = []
        self.canceled: list[str] = []
        self.waiting: set[ActivityWork] = set()
        self.running: int = 0
        self.drains: list[float] = []
        self.is_stopped = False
        self.deliver: Callable[[list[ActivityWork]], None] | None = None

    @property
    def orchestrators(self) -> Sequence[str]:
        return list(self.scripts)

    @property
    def activity_limits(self) -> Mapping[str, int | None]:
        return dict.fromkeys(self.activities)

    @property
    def queued(self) -> int:
        return len(self.waiting)

    @property
    def hung(self) -> int:
        return 0

    def loads(self) -> Mapping[str, ActivityLoad]:
        return {}

    def workers(self) -> Sequence[WorkerFacts]:
        return ()

    def pools(self) -> Sequence[PoolFacts]:
        return ()

    def shortages(self) -> Sequence[str]:
        return ()

    def stages_of(self, works: Sequence[ActivityWork]) -> Mapping[ActivityWork, WorkStage]:
        return {}

    def serves(self, name: str) -> bool:
        return name in self.scripts

    def serves_activity(self, name: str) -> bool:
        return name in self.activities

    def open_session(self, info: ExecutionInfo) -> ForeignSession:
        if info.facts.name not in self.scripts:
            raise UnknownFunctionError("orchestrator", info.facts.name, self.scripts)
        self.opened.append(info.instance_id)
        return ForeignSession(self.scripts[info.facts.name])

    def replay_session(
        self, info: ExecutionInfo, turns: Sequence[Sequence[HistoryEvent]]
    ) -> ForeignSession:
        self.replayed.append(info.instance_id)
        session = ForeignSession(self.scripts[info.facts.name])
        for turn in turns:
            recorded = split_turn(turn)
            session.run_turn(recorded.timestamp, recorded.incoming, replaying=True)
        return session

    def bind(self, deliver: Callable[[list[ActivityWork]], None]) -> None:
        self.deliver = deliver

    def on_served(self, appeared: Callable[[], None]) -> None:
        """Its names are those of the beginning."""

    def start_activities(self, works: list[ActivityWork]) -> None:
        """Each begins a moment later, so that it can be withdrawn before."""
        self.started.append([work.name for work in works])
        for work in works:
            self.waiting.add(work)
            asyncio.get_running_loop().call_soon(self._run, work)

    def _run(self, work: ActivityWork) -> None:
        if work in self.waiting and self.deliver is not None:
            self.waiting.remove(work)
            result = self.activities[work.name](work.input)
            self.deliver([work.answered(TaskCompleted(work.task_id, result))])

    def cancel_activity(self, work: ActivityWork) -> bool:
        self.canceled.append(work.name)
        was_waiting = work in self.waiting
        self.waiting.discard(work)
        return was_waiting

    async def drain(self, seconds: float) -> bool:
        self.drains.append(seconds)
        self.waiting.clear()
        return self.running == 0

    async def stop(self) -> None:
        self.is_stopped = True


def _completed(result: str | None) -> ExecutionCompleted:
    return ExecutionCompleted(RuntimeStatus.COMPLETED, result)
