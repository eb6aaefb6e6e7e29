"""The Runner port for an Azure Functions app: its functions run in worker processes."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, structs

from tenuto.engine.ports import ActivityWork, Clock, Runner, Session, WorkStage
from tenuto.engine.runner_figures import ActivityLoad, PoolFacts, WorkerFacts, together
from tenuto.interop.azure_app.activities import ActivityOptions, AppActivities
from tenuto.interop.azure_app.functions import NamedFunctions
from tenuto.interop.azure_app.inputs import Inputs
from tenuto.interop.contract.rebuilding import rebuilding
from tenuto.interop.contract.session import ContractSession, SessionOptions
from tenuto.interop.workers.launching import StartedWorker
from tenuto.interop.workers.pool import WorkerPool
from tenuto.model.errors import UnknownFunctionError
from tenuto.model.events import HistoryEvent
from tenuto.model.execution import ExecutionInfo


class AppFunctions(Struct, frozen=True):
    """What orchestrations of an app are made of, and what makes the inputs of its functions."""

    orchestrators: NamedFunctions
    activities: NamedFunctions
    inputs: Inputs


class AppRunnerOptions(Struct, frozen=True, kw_only=True):
    """How an app is run.

    Attributes:
        runtime: What its orchestrators run on; history records it.
        session: How sessions work.
        activities: Bounds of activities.
        compare_every: In one session of so many, the kept executor is compared with the plain
            call; 0 for none.
    """

    runtime: str
    session: SessionOptions
    activities: ActivityOptions
    compare_every: int


class AppRunner:
    """Runs the functions of an app.

    Args:
        functions: Which there are.
        pool: Its workers; not started yet.
        built_in: Runs Tenuto's own activities, such as requests over HTTP.
        clock: The host's time.
        options: How.
        first: A worker that was started to see what the app has.
    """

    def __init__(
        self,
        functions: AppFunctions,
        pool: WorkerPool,
        built_in: Runner,
        clock: Clock,
        options: AppRunnerOptions,
        first: StartedWorker | None,
    ) -> None:
        self._functions = functions
        self._pool = pool
        self._built_in = built_in
        self._options = options
        self._first = first
        self._sessions = 0
        self._compared = structs.replace(options.session, is_compared=True)
        self._activities = AppActivities(
            functions.activities, functions.inputs, pool, clock, options.activities
        )

    # --- what it can run -------------------------------------------------------------------------

    @property
    def runtime(self) -> str:
        """The worker's language and the package's version."""
        return self._options.runtime

    @property
    def orchestrators(self) -> Sequence[str]:
        """Names of the orchestrators."""
        return self._functions.orchestrators.names

    @property
    def activity_limits(self) -> Mapping[str, int | None]:
        """Names of the activities, none with a limit of its own."""
        return dict.fromkeys(self._functions.activities.names)

    def serves(self, name: str) -> bool:
        """Whether the app has an orchestrator of that name, and a worker is there."""
        return self._functions.orchestrators.find(name) is not None and self._pool.is_serving

    def serves_activity(self, name: str) -> bool:
        """Whether there is such an activity, and who runs it."""
        if self._functions.activities.find(name) is not None:
            return self._pool.is_serving
        return self._built_in.serves_activity(name)

    # --- orchestrators ---------------------------------------------------------------------------

    def open_session(self, info: ExecutionInfo) -> Session:
        """A fresh session for an execution.

        Raises:
            UnknownFunctionError: no orchestrator of that name, or no worker is there.
        """
        return self._session(info)

    def replay_session(
        self, info: ExecutionInfo, turns: Sequence[Sequence[HistoryEvent]]
    ) -> Session:
        """The session of an execution, rebuilt from its recorded turns with the first turn that
        it is fed; no worker is asked for that.

        Raises:
            UnknownFunctionError: no orchestrator of that name, or no worker is there.
        """
        session = self._session(info)
        session.put_off(rebuilding(session, turns))
        return session

    def _session(self, info: ExecutionInfo) -> ContractSession:
        found = self._functions.orchestrators.find(info.facts.name)
        if found is None or not self._pool.is_serving:
            raise UnknownFunctionError("orchestrator", info.facts.name, self.orchestrators)
        self._sessions += 1
        every = self._options.compare_every
        is_compared = every > 0 and self._sessions % every == 0
        options = self._compared if is_compared else self._options.session
        # It is started by what its trigger calls it; its worker knows the function.
        return ContractSession(info, self._pool, self._pool.new_key(), options, found[1].name)

    # --- activities ------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Attempts whose function runs."""
        return self._activities.running + self._built_in.running

    @property
    def queued(self) -> int:
        """Attempts that wait for room or a worker."""
        return self._activities.queued + self._built_in.queued

    @property
    def hung(self) -> int:
        """None here: a worker with a function that does not end is replaced."""
        return self._built_in.hung

    def loads(self) -> Mapping[str, ActivityLoad]:
        """Attempts that have not ended, by activity."""
        return together([self._activities.loads(), self._built_in.loads()])

    def workers(self) -> Sequence[WorkerFacts]:
        """The app's worker processes."""
        return self._pool.workers()

    def pools(self) -> Sequence[PoolFacts]:
        """The app's worker processes, as many as there are."""
        return [self._pool.facts()]

    def shortages(self) -> Sequence[str]:
        """Whether it is without workers."""
        if self._pool.is_serving:
            return self._built_in.shortages()
        language = self._options.session.dialect.language
        return [f"no worker process of the {language} app is there; its instances wait"]

    def stages_of(self, works: Sequence[ActivityWork]) -> Mapping[ActivityWork, WorkStage]:
        """How far attempts have come."""
        return {**self._built_in.stages_of(works), **self._activities.stages_of(works)}

    def bind(self, deliver: Callable[[list[ActivityWork]], None]) -> None:
        """Say where attempts go that have ended; workers are started now."""
        self._activities.bind(deliver)
        self._built_in.bind(deliver)
        first, self._first = self._first, None
        self._pool.start(first)

    def on_served(self, appeared: Callable[[], None]) -> None:
        """Call back when workers have come after there were none."""
        self._pool.on_served(appeared)

    def start_activities(self, works: list[ActivityWork]) -> None:
        """Run attempts."""
        ours: list[ActivityWork] = []
        others: list[ActivityWork] = []
        for work in works:
            is_ours = self._functions.activities.find(work.name) is not None
            (ours if is_ours else others).append(work)
        if others:
            self._built_in.start_activities(others)
        self._activities.start(ours)

    def cancel_activity(self, work: ActivityWork) -> bool:
        """Ask an attempt to stop; True when it had not begun, and never will."""
        if self._functions.activities.find(work.name) is not None:
            return self._activities.cancel(work)
        return self._built_in.cancel_activity(work)

    async def drain(self, seconds: float) -> bool:
        """Begin nothing more and wait for what runs; False when something still does."""
        began = time.monotonic()
        drained = await asyncio.gather(self._pool.drain(seconds), self._built_in.drain(seconds))
        settled = await self._activities.settle(max(0.0, seconds - (time.monotonic() - began)))
        return all(drained) and settled

    async def stop(self) -> None:
        """End the workers; what still runs is abandoned without an outcome."""
        self._activities.abandon()
        try:
            await self._pool.stop()
        finally:
            await self._functions.inputs.close()
            await self._built_in.stop()
