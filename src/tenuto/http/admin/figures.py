"""``GET /admin/functions/figures``: how the functions of a host have fared since its start."""

from collections import Counter
from collections.abc import Mapping
from itertools import chain, islice
from typing import Final

from msgspec import Struct
from starlette.responses import Response

from tenuto.client.wire import ADMIN
from tenuto.engine.engine import Engine
from tenuto.engine.runner_figures import ActivityLoad
from tenuto.http.description import Answer, Operation
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.telemetry.counts import (
    MOST_NAMES,
    ActivityCounts,
    HostCounts,
    LastFailure,
    OrchestratorCounts,
    RunCounts,
)

MOST_COUNTED: Final = 50_000
"""Instances in memory that are looked at for one answer: some milliseconds of the host's loop."""

_FRESH: Final[Microseconds] = 1 * MICROSECONDS


class OrchestratorFigures(Struct, frozen=True, kw_only=True, rename="camel"):
    """How an orchestrator has fared on this host since its start.

    Attributes:
        name: Its name.
        started: Instances that began.
        completed: Instances that completed.
        failed: Instances that failed.
        terminated: Instances that were ended from outside.
        running: Instances in this host's memory that have not ended; one that only waits may be
            unloaded, and is not among them.
        mean_seconds: How long those that have ended took, from their start, waits included; null
            when none has.
        slowest_seconds: The same of the slowest.
        last_failure: The last one that failed.
    """

    name: str
    started: int
    completed: int
    failed: int
    terminated: int
    running: int
    mean_seconds: float | None
    slowest_seconds: float | None
    last_failure: LastFailure | None


class FunctionFigures(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a function has fared on this host since its start; an activity by its attempts.

    Attributes:
        name: Its name.
        completed: Runs that completed.
        failed: Runs that failed, each attempt counted.
        retried: Runs that were another attempt of one that had failed.
        running: Runs that go on now; null where that is not known.
        queued: Runs that wait for room; null where none ever does.
        mean_seconds: How long a run took; null when none has ended, or that is not measured.
        slowest_seconds: The same of the slowest.
        last_failure: The last run that failed.
    """

    name: str
    completed: int
    failed: int
    retried: int
    running: int | None
    queued: int | None
    mean_seconds: float | None
    slowest_seconds: float | None
    last_failure: LastFailure | None


class FiguresBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """How the functions of a host have fared. Those that never ran are left out; of many names, the
    later ones share ``other``.

    Attributes:
        since: Since when, in microseconds since 1970 UTC.
        orchestrators: The orchestrators, in the order of their first run.
        activities: The activities, in the same order.
        timers: The functions that schedules start, in the same order.
        event_functions: The functions that events start, in the same order.
    """

    since: Microseconds
    orchestrators: list[OrchestratorFigures]
    activities: list[FunctionFigures]
    timers: list[FunctionFigures]
    event_functions: list[FunctionFigures]


class FiguresApi:
    """Answers how the functions of a host have fared.

    Args:
        engine: Of the host.
        counts: What was counted on it.
    """

    def __init__(self, engine: Engine, counts: HostCounts) -> None:
        self._engine = engine
        self._counts = counts
        self._since = engine.clock.now()
        self._running: Mapping[str, int] = {}
        self._fresh_until: Microseconds = 0

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def figures(self, call: Call) -> Response:
        del call
        counts = self._counts
        running, loads = self._instances(), self._engine.runner.loads()
        body = FiguresBody(
            since=self._since,
            orchestrators=[
                _of_orchestrator(name, counts.orchestrators.get(name, _NO_ORCHESTRATION), running)
                for name in _names(counts.orchestrators, running)
            ],
            activities=[
                _of_activity(name, counts.activities.get(name, _NO_ACTIVITY), loads)
                for name in _names(counts.activities, loads)
            ],
            timers=[_of_runs(name, runs) for name, runs in counts.timers.items()],
            event_functions=[_of_runs(name, runs) for name, runs in counts.event_functions.items()],
        )
        return json_answer(body)

    def _instances(self) -> Mapping[str, int]:
        """Instances in memory that have not ended, by orchestrator, as they were a moment ago."""
        now = self._engine.clock.now()
        if now >= self._fresh_until:
            states = (one.state for one in islice(self._engine.residents, MOST_COUNTED))
            self._running = Counter(one.facts.name for one in states if not one.is_finished)
            self._fresh_until = now + _FRESH
        return self._running


def _names(counted: Mapping[str, object], present: Mapping[str, object]) -> list[str]:
    """Functions of which something was counted, then those that only run now: so many at most."""
    others = (name for name in present if name not in counted)
    return list(islice(chain(counted, others), MOST_NAMES + 1))


_NO_ORCHESTRATION: Final = OrchestratorCounts()
_NO_ACTIVITY: Final = ActivityCounts()


def _of_orchestrator(
    name: str, counts: OrchestratorCounts, running: Mapping[str, int]
) -> OrchestratorFigures:
    ended = sum(counts.ended)
    completed = counts.ended[RuntimeStatus.COMPLETED]
    failed = counts.ended[RuntimeStatus.FAILED]
    return OrchestratorFigures(
        name=name,
        started=counts.started,
        completed=completed,
        failed=failed,
        terminated=ended - completed - failed,
        running=running.get(name, 0),
        mean_seconds=_mean(counts.total, ended),
        slowest_seconds=counts.slowest / MICROSECONDS if ended else None,
        last_failure=counts.last_failure,
    )


def _of_activity(
    name: str, counts: ActivityCounts, loads: Mapping[str, ActivityLoad]
) -> FunctionFigures:
    load = loads.get(name, ActivityLoad())
    return FunctionFigures(
        name=name,
        completed=counts.completed,
        failed=counts.failed,
        retried=counts.retried,
        running=load.running,
        queued=load.queued,
        mean_seconds=_mean(counts.seconds.total, counts.begun),
        slowest_seconds=counts.slowest / MICROSECONDS if counts.begun else None,
        last_failure=counts.last_failure,
    )


def _of_runs(name: str, counts: RunCounts) -> FunctionFigures:
    return FunctionFigures(
        name=name,
        completed=counts.completed,
        failed=counts.failed,
        retried=counts.retried,
        running=None,
        queued=None,
        mean_seconds=None,
        slowest_seconds=None,
        last_failure=counts.last_failure,
    )


def _mean(total: Microseconds, count: int) -> float | None:
    return total / count / MICROSECONDS if count else None


_FIGURES: Final = Operation(
    summary="How the functions of this host have fared since its start",
    tag="admin",
    answers={200: Answer(text="Figures by function.", kind=FiguresBody)},
)
_ENDPOINTS: Final = (
    Endpoint("GET", f"{ADMIN}/functions/figures", Role.READ, FiguresApi.figures, _FIGURES),
)
