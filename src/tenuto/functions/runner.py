"""The Runner port for functions of this process.

Owns nothing itself: orchestrators run in sessions, activities in the executor. It only puts the
two behind the port.
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from tenuto.engine.looking_back import PastSession
from tenuto.engine.ports import ActivityWork, Clock, Session, WorkStage
from tenuto.engine.runner_figures import ActivityLoad, PoolFacts, WorkerFacts
from tenuto.functions.activities import MAX_ASYNC, ActivityExecutor, CpuWorkers
from tenuto.functions.built_in import AllActivities
from tenuto.functions.outbound import OutboundSettings
from tenuto.functions.registry import FunctionRegistry
from tenuto.model.events import HistoryEvent
from tenuto.model.execution import ExecutionInfo
from tenuto.model.limits import Limits
from tenuto.orchestration.guard.calls import CallWatch
from tenuto.orchestration.runtime import RUNTIME


class RunnerOptions(Struct, frozen=True, kw_only=True):
    """What a runner may use.

    Attributes:
        max_threads: Most threads for sync activities; None for four per processor (8 to 32).
        max_async: Most async activities in flight.
        guard_every: The guard looks at each call of one turn in this many; 1 for all, 0 for none.
        cpu_workers: Most worker processes for activities that compute; None for one per processor.
        cpu_workers_least: Of these, as many stay once they were needed.
        cpu_idle_seconds: How long one without work stays otherwise.
        outbound: Where ``ctx.call_http`` may go.
    """

    max_threads: int | None = None
    max_async: int = MAX_ASYNC
    guard_every: int = 1_000
    cpu_workers: int | None = None
    cpu_workers_least: int = 0
    cpu_idle_seconds: float = 60.0
    outbound: OutboundSettings = OutboundSettings()


class NativeRunner:
    """Runs the functions of a registry.

    Args:
        registry: The functions.
        clock: Measures the timeouts of activities.
        limits: Of these, ``payload_bytes`` holds for results of activities.
        options: Threads, processes, the guard, where calls over HTTP may go.
        webhook_base: The address under which this host is reached from outside.
        webhook_secret: What the tokens of webhooks are signed with.
    """

    def __init__(
        self,
        registry: FunctionRegistry,
        clock: Clock,
        *,
        limits: Limits | None = None,
        options: RunnerOptions | None = None,
        webhook_base: Callable[[], str] = lambda: "http://127.0.0.1",
        webhook_secret: str = "",
    ) -> None:
        if registry.orchestrators:
            _prepare_process()
        self._registry = registry
        options = options or RunnerOptions()
        self._watch = CallWatch(options.guard_every) if options.guard_every else None
        payload_bytes = (limits or Limits()).payload_bytes
        self._activities = AllActivities(
            registry,
            clock,
            outbound=options.outbound,
            payload_bytes=payload_bytes,
            webhook_base=webhook_base,
            webhook_secret=webhook_secret,
        )
        self._executor = ActivityExecutor(
            self._activities,
            clock,
            payload_bytes=payload_bytes,
            max_threads=options.max_threads,
            max_async=options.max_async,
            cpu_workers=CpuWorkers(
                most=options.cpu_workers,
                least=options.cpu_workers_least,
                idle_seconds=options.cpu_idle_seconds,
            ),
        )

    @property
    def runtime(self) -> str:
        """This Python, to the minor version: where its order matters, histories differ by it."""
        return RUNTIME

    @property
    def orchestrators(self) -> Sequence[str]:
        """Names of the orchestrators, in the order of registration."""
        return list(self._registry.orchestrators)

    @property
    def activity_limits(self) -> Mapping[str, int | None]:
        """Names of the activities, each with its own limit."""
        return {name: one.max_concurrent for name, one in self._registry.activities.items()}

    def serves(self, name: str) -> bool:
        """Whether the app has an orchestrator of that name."""
        return name in self._registry.orchestrators

    def serves_activity(self, name: str) -> bool:
        """Whether the app, or Tenuto itself, has an activity of that name."""
        return self._activities.has(name)

    @property
    def running(self) -> int:
        """Attempts whose function runs, timed-out ones included."""
        return self._executor.running

    @property
    def queued(self) -> int:
        """Attempts that wait for a thread or for room under a limit."""
        return self._executor.queued

    @property
    def hung(self) -> int:
        """Sync attempts that were given up and keep a thread."""
        return self._executor.hung

    def loads(self) -> Mapping[str, ActivityLoad]:
        """Attempts that have not ended, by activity."""
        return self._executor.loads()

    def workers(self) -> Sequence[WorkerFacts]:
        """None: processes for what keeps a processor busy are this program's own."""
        return ()

    def pools(self) -> Sequence[PoolFacts]:
        """Threads of sync activities; processes where an activity computes."""
        return self._executor.pools(
            has_cpu_bound=any(one.cpu_bound for one in self._registry.activities.values())
        )

    def shortages(self) -> Sequence[str]:
        """Whether attempts that hang hold all threads."""
        return self._executor.shortages()

    def stages_of(self, works: Sequence[ActivityWork]) -> Mapping[ActivityWork, WorkStage]:
        """How far attempts have come."""
        return self._executor.stages_of(works)

    def open_session(self, info: ExecutionInfo) -> Session:
        """A fresh session for an execution.

        Raises:
            UnknownFunctionError: no orchestrator of that name.
        """
        from tenuto.orchestration.session import Session as NativeSession  # noqa: PLC0415 - loaded by hosts alone

        orchestrator = self._registry.get_orchestrator(info.facts.name)
        return NativeSession(info, orchestrator, self._registry, watch=self._watch)

    def replay_session(
        self, info: ExecutionInfo, turns: Sequence[Sequence[HistoryEvent]]
    ) -> Session:
        """The live session of an execution, rebuilt from its recorded turns.

        Raises:
            NonDeterminismError: the code decides otherwise than history recorded.
            GuardError: it does what cannot be replayed.
            UnknownFunctionError: no orchestrator of that name.
        """
        from tenuto.orchestration.replay import replay  # noqa: PLC0415 - as above
        from tenuto.orchestration.session import Session as NativeSession  # noqa: PLC0415

        orchestrator = self._registry.get_orchestrator(info.facts.name)
        return replay(
            turns,
            lambda trace: NativeSession(
                info, orchestrator, self._registry, trace=trace, watch=self._watch
            ),
        )

    def open_past(self, info: ExecutionInfo) -> PastSession:
        """A session to be led along a history and looked into, apart from all live ones.

        Raises:
            UnknownFunctionError: no orchestrator of that name.
        """
        from tenuto.functions.looking_back import NativePast  # noqa: PLC0415 - as above
        from tenuto.orchestration.session import Session as NativeSession  # noqa: PLC0415

        orchestrator = self._registry.get_orchestrator(info.facts.name)
        session = NativeSession(info, orchestrator, self._registry, trace=True, watch=self._watch)
        return NativePast(session)

    def bind(self, deliver: Callable[[list[ActivityWork]], None]) -> None:
        """Say where attempts go that have ended; called on the host's loop, many at a time."""
        self._executor.bind(deliver)

    def on_served(self, appeared: Callable[[], None]) -> None:
        """Never: an app's functions are there when its host starts."""

    def start_activities(self, works: list[ActivityWork]) -> None:
        """Run attempts; each outcome is delivered at most once."""
        self._executor.start(works)

    def cancel_activity(self, work: ActivityWork) -> bool:
        """Ask a running attempt to stop; True when it had not begun and now never does."""
        return self._executor.cancel(work)

    async def drain(self, seconds: float) -> bool:
        """Begin nothing more and wait for what runs; False when something still does."""
        return await self._executor.drain(seconds)

    async def stop(self) -> None:
        """Stop; attempts that still run are abandoned without an outcome."""
        await self._executor.stop()
        await self._activities.stop()


def _prepare_process() -> None:
    """What sessions need of asyncio, before the host's loop is at work; never by an import."""
    from tenuto.orchestration.preparation import prepare_process  # noqa: PLC0415 - hosts alone

    prepare_process()
