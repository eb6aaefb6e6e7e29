"""Several runners behind one Runner port: a host that runs more than one program.

Owns the table of who runs what: sessions go by the name of the orchestrator, attempts by the name
of the activity, to the first runner that serves it; what was handed to a runner is cancelled there,
whatever is served by whom meanwhile. Names are asked for each time and never listed, as those of
a foreign program come and go with its workers (ENGINE rule 36).

A host with one program has no such table: its runner is the engine's.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from tenuto.engine.looking_back import LooksBack, PastSession
from tenuto.engine.ports import (
    ActivityWork,
    Runner,
    Runtime,
    Session,
    WorkStage,
)
from tenuto.engine.runner_figures import ActivityLoad, PoolFacts, WorkerFacts, together
from tenuto.model.errors import UnknownFunctionError
from tenuto.model.events import HistoryEvent, TaskFailed
from tenuto.model.execution import ExecutionInfo
from tenuto.model.failure import failure_of

T = TypeVar("T")


class RunnerSet:
    """Runs the functions of several programs.

    Args:
        runners: One for each program. Of two that serve a name, the first one runs it.
    """

    def __init__(self, runners: Sequence[Runner]) -> None:
        self._runners = tuple(runners)
        self._handed_to: dict[ActivityWork, Runner] = {}
        self._deliver: Callable[[list[ActivityWork]], None] = _to_nobody

    # --- what it can run -------------------------------------------------------------------------

    @property
    def runtime(self) -> Runtime:
        """Asked by name: each runner says it of its own orchestrators."""
        return self._runtime_of

    def _runtime_of(self, name: str) -> str:
        runner = self._of_orchestrator(name)
        runtime = "" if runner is None else runner.runtime
        return runtime if isinstance(runtime, str) else runtime(name)

    @property
    def orchestrators(self) -> Sequence[str]:
        """Names of the orchestrators of all runners."""
        return [name for runner in self._runners for name in runner.orchestrators]

    @property
    def activity_limits(self) -> Mapping[str, int | None]:
        """Names of the activities of all runners, each with its own limit."""
        limits: dict[str, int | None] = {}
        for runner in reversed(self._runners):
            limits.update(runner.activity_limits)
        return limits

    def serves(self, name: str) -> bool:
        """Whether one of them can run the orchestrator of that name."""
        return self._of_orchestrator(name) is not None

    def serves_activity(self, name: str) -> bool:
        """Whether one of them can run the activity of that name."""
        return self._of_activity(name) is not None

    def _of_orchestrator(self, name: str) -> Runner | None:
        for runner in self._runners:
            if runner.serves(name):
                return runner
        return None

    def _of_activity(self, name: str) -> Runner | None:
        for runner in self._runners:
            if runner.serves_activity(name):
                return runner
        return None

    # --- orchestrators ---------------------------------------------------------------------------

    def open_session(self, info: ExecutionInfo) -> Session:
        """A fresh session for an execution, of the runner that serves its name.

        Raises:
            UnknownFunctionError: none of them has an orchestrator of that name.
        """
        return self._at_home(info).open_session(info)

    def replay_session(
        self, info: ExecutionInfo, turns: Sequence[Sequence[HistoryEvent]]
    ) -> Session:
        """The live session of an execution, rebuilt by the runner that serves its name.

        Raises:
            NonDeterminismError: the code decides otherwise than history recorded.
            UnknownFunctionError: none of them has an orchestrator of that name.
        """
        return self._at_home(info).replay_session(info, turns)

    def open_past(self, info: ExecutionInfo) -> PastSession | None:
        """A session to be looked into, where the runner of its name has such sessions.

        Raises:
            UnknownFunctionError: none of them has an orchestrator of that name.
        """
        runner = self._at_home(info)
        return runner.open_past(info) if isinstance(runner, LooksBack) else None

    def _at_home(self, info: ExecutionInfo) -> Runner:
        runner = self._of_orchestrator(info.facts.name)
        if runner is None:
            raise UnknownFunctionError("orchestrator", info.facts.name, self.orchestrators)
        return runner

    # --- activities ------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Attempts whose function runs, wherever that is."""
        return sum(runner.running for runner in self._runners)

    @property
    def queued(self) -> int:
        """Attempts that wait for room, wherever that is."""
        return sum(runner.queued for runner in self._runners)

    @property
    def hung(self) -> int:
        """Attempts that were given up and still hold something, wherever that is."""
        return sum(runner.hung for runner in self._runners)

    def loads(self) -> Mapping[str, ActivityLoad]:
        """Attempts that have not ended, by activity, wherever they are."""
        return together(runner.loads() for runner in self._runners)

    def workers(self) -> Sequence[WorkerFacts]:
        """The worker processes of all."""
        return [one for runner in self._runners for one in runner.workers()]

    def pools(self) -> Sequence[PoolFacts]:
        """How many workers of each kind all have."""
        return [one for runner in self._runners for one in runner.pools()]

    def shortages(self) -> Sequence[str]:
        """What any of them has too little of."""
        return [text for runner in self._runners for text in runner.shortages()]

    def stages_of(self, works: Sequence[ActivityWork]) -> Mapping[ActivityWork, WorkStage]:
        """How far attempts have come where they were handed to."""
        found: dict[ActivityWork, WorkStage] = {}
        for runner in self._runners:
            found |= runner.stages_of([one for one in works if self._handed_to.get(one) is runner])
        return found

    def bind(self, deliver: Callable[[list[ActivityWork]], None]) -> None:
        """Say where attempts go that have ended; called on the host's loop, many at a time."""
        self._deliver = deliver
        for runner in self._runners:
            runner.bind(self._delivered)

    def on_served(self, appeared: Callable[[], None]) -> None:
        """Call back when functions have come that were not here, whichever program's."""
        for runner in self._runners:
            runner.on_served(appeared)

    def _delivered(self, works: list[ActivityWork]) -> None:
        for work in works:
            self._handed_to.pop(work, None)
        self._deliver(works)

    def start_activities(self, works: list[ActivityWork]) -> None:
        """Run attempts, each where its name is served; one that nobody serves fails."""
        shares: dict[Runner, list[ActivityWork]] = {}
        unserved: list[ActivityWork] = []
        for work in works:
            runner = self._of_activity(work.name)
            if runner is None:
                unserved.append(work)
            else:
                self._handed_to[work] = runner
                shares.setdefault(runner, []).append(work)
        for runner, share in shares.items():
            runner.start_activities(share)
        if unserved:
            failed = [self._failed(work) for work in unserved]
            # Not from within: whoever starts attempts is not done yet with what it does.
            asyncio.get_running_loop().call_soon(self._deliver, failed)

    def _failed(self, work: ActivityWork) -> ActivityWork:
        error = UnknownFunctionError("activity", work.name, self.activity_limits)
        failure = failure_of(error, with_traceback=False)
        return work.answered(TaskFailed(work.task_id, failure))

    def cancel_activity(self, work: ActivityWork) -> bool:
        """Ask a running attempt to stop; True when it had not begun and now never does."""
        runner = self._handed_to.get(work)
        if runner is None or not runner.cancel_activity(work):
            return False
        del self._handed_to[work]
        return True

    # --- the end ---------------------------------------------------------------------------------

    async def drain(self, seconds: float) -> bool:
        """Let all of them begin nothing more, and wait for what runs, of all at the same time.

        The error of one is raised when the others are done.
        """
        return all(await _all_of(runner.drain(seconds) for runner in self._runners))

    async def stop(self) -> None:
        """Stop all of them, also when one cannot; its error is raised when the others are done."""
        await _all_of(runner.stop() for runner in self._runners)


async def _all_of(steps: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What came of each, at the same time; one that fails cuts none of the others short."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def _to_nobody(_works: list[ActivityWork]) -> None:
    """Until an engine is there."""
