"""``GET /admin/overview``: how a host and its hub are, at a glance.

Asks the store one question with a bound, at most every other second, however many look.
"""

from operator import attrgetter
from typing import Final

from msgspec import Struct, field
from starlette.responses import Response

from tenuto.client.wire import ADMIN
from tenuto.engine.engine import Engine
from tenuto.engine.runner_figures import PoolFacts, WorkerFacts
from tenuto.http.description import Answer, Operation
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.telemetry.counts import STEP_SECONDS, FailedInstance, HostCounts
from tenuto.telemetry.health import check_health
from tenuto.telemetry.instance_counts import CountedInstances, InstanceCounts


class HostSelf(Struct, frozen=True, kw_only=True):
    """Which host it is.

    Attributes:
        description: For people: process and machine.
        version: The version of Tenuto.
        app_version: Of the app that it runs; empty when that says none.
    """

    description: str
    version: str
    app_version: str


class Backlog(Struct, frozen=True, kw_only=True, rename="camel"):
    """What waits on a host.

    Attributes:
        turns: Instances that wait for a turn.
        activities: Attempts of activities that wait for room.
        running: Attempts of activities whose function runs.
        oldest_seconds: How long the instance that waits longest for a turn, or the commit in
            flight, has waited; null when none does.
    """

    turns: int
    activities: int
    running: int
    oldest_seconds: float | None


class Series(Struct, frozen=True, kw_only=True, rename="camel"):
    """What happened in each of the last steps of time; the last one is not over.

    Attributes:
        step_seconds: How long a step is.
        from_: When the first one began, in microseconds since 1970 UTC.
        started: Instances that began.
        completed: Instances that completed.
        failed: Instances that failed.
        activities: Attempts of activities that ended.
        activity_failures: Attempts of activities that failed.
    """

    step_seconds: int
    from_: Microseconds = field(name="from")
    started: list[int]
    completed: list[int]
    failed: list[int]
    activities: list[int]
    activity_failures: list[int]


class HealthInShort(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether a host can be given work; as ``/healthz`` has it.

    Attributes:
        ready: Whether it can.
        reasons: Why it cannot.
        notes: What a person may wonder at although it is well.
    """

    ready: bool
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


class OverviewBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """A host and its hub at a glance.

    Attributes:
        at: When this was so, in microseconds since 1970 UTC.
        host: Which host tells it, for people: process and machine.
        version: The version of Tenuto.
        app_version: Of the app that it runs; empty when that says none.
        since: When it began to serve, in microseconds since 1970 UTC.
        instances: How many instances of the hub stand where; null until the store has told it.
        backlog: What waits on this host.
        series: What happened on this host in the last ten minutes.
        failures: The last ten instances of this host that failed since its start, newest first.
        workers: The processes of programs that this host runs, such as an Azure Functions app.
        pools: How many workers of each kind this host has, and may have.
        health: Whether this host can be given work.
    """

    at: Microseconds
    host: str
    version: str
    app_version: str
    since: Microseconds
    instances: InstanceCounts | None
    backlog: Backlog
    series: Series
    failures: list[FailedInstance]
    workers: list[WorkerFacts]
    pools: list[PoolFacts]
    health: HealthInShort


class OverviewApi:
    """Answers how a host and its hub are.

    Args:
        engine: Of the host.
        counts: What was counted on it.
        itself: Which host it is.
    """

    def __init__(self, engine: Engine, counts: HostCounts, itself: HostSelf) -> None:
        self._engine = engine
        self._counts = counts
        self._itself = itself
        self._instances = CountedInstances(engine)
        self._since = engine.clock.now()

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def overview(self, call: Call) -> Response:
        del call
        engine, itself = self._engine, self._itself
        instances = await self._instances.now()
        health = await check_health(engine)
        body = OverviewBody(
            at=engine.clock.now(),
            host=itself.description,
            version=itself.version,
            app_version=itself.app_version,
            since=self._since,
            instances=instances,
            backlog=_backlog(engine),
            series=_series(self._counts, engine.clock.now()),
            failures=list(reversed(self._counts.failures)),
            workers=list(engine.runner.workers()),
            pools=list(engine.runner.pools()),
            health=HealthInShort(ready=health.ready, reasons=health.reasons, notes=health.notes),
        )
        return json_answer(body)


def _backlog(engine: Engine) -> Backlog:
    since, runner = engine.waiting_since, engine.runner
    waited = None if since is None else max(0, engine.clock.now() - since) / MICROSECONDS
    return Backlog(
        turns=engine.ready,
        activities=runner.queued,
        running=runner.running,
        oldest_seconds=waited,
    )


def _series(counts: HostCounts, now: Microseconds) -> Series:
    begun_at, steps = counts.series(now)

    def row(name: str) -> list[int]:
        return list(map(attrgetter(name), steps))

    return Series(
        step_seconds=STEP_SECONDS,
        from_=begun_at,
        started=row("started"),
        completed=row("completed"),
        failed=row("failed"),
        activities=row("activities"),
        activity_failures=row("activity_failures"),
    )


_OVERVIEW: Final = Operation(
    summary="How the host and its hub are, at a glance",
    tag="admin",
    answers={
        200: Answer(
            text="Instances of the hub by status; backlog, last ten minutes, last failures, "
            "workers and health of this host.",
            kind=OverviewBody,
        )
    },
)
_ENDPOINTS: Final = (
    Endpoint("GET", f"{ADMIN}/overview", Role.READ, OverviewApi.overview, _OVERVIEW),
)
