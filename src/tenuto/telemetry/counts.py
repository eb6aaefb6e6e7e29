"""What has happened on a host since its start, in plain integers: for Prometheus and for people.

Owns the counters by function, the last failures, and how much there was in each of the last steps
of time. Written on the host's loop only, by ``MetricsObserver``. Bounded: of many names the later
ones share one place. Must never cost a turn more than a few additions.
"""

from collections import deque
from typing import Final, Generic, TypeVar

from msgspec import Struct

from tenuto.model.events import TaskFailed
from tenuto.model.failure import FailureDetails, failure_of
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.telemetry.distribution import Distribution

MOST_NAMES: Final = 500
"""Different names of a kind of function that are counted apart; the others share ``other``."""

OTHER: Final = "other"

STEP_SECONDS: Final = 5
STEPS: Final = 120
"""Steps of time that are remembered: ten minutes."""

FAILURES: Final = 10
"""Instances that failed last, and are remembered."""

_STEP: Final[Microseconds] = STEP_SECONDS * MICROSECONDS
_LONGEST_MESSAGE: Final = 500
ACTIVITY_BOUNDS: Final = (1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000,
                           15_000_000, 60_000_000, 300_000_000, 3_600_000_000)  # fmt: skip

C = TypeVar("C")


class LastFailure(Struct, frozen=True, kw_only=True, rename="camel"):
    """A failure, for people.

    Attributes:
        instance_id: Of the orchestration; null for a function that none has called.
        at: When, in microseconds since 1970 UTC.
        message: What failed in the first place, and how it got here; cut when it is long.
    """

    instance_id: InstanceId | None = None
    at: Microseconds
    message: str


class FailedInstance(Struct, frozen=True, kw_only=True, rename="camel"):
    """An instance that failed; as ``LastFailure``, with the name of its orchestrator."""

    instance_id: InstanceId
    name: str
    at: Microseconds
    message: str


class ActivityCounts:
    """What is counted of the attempts of one activity; ``slowest`` in microseconds."""

    __slots__ = (
        "canceled", "failed", "last_failure", "never_begun", "retried", "seconds", "slowest",
    )  # fmt: skip

    def __init__(self) -> None:
        self.seconds = Distribution(ACTIVITY_BOUNDS)
        self.never_begun = 0
        self.failed = 0
        self.canceled = 0
        self.retried = 0
        self.slowest: Microseconds = 0
        self.last_failure: LastFailure | None = None

    @property
    def begun(self) -> int:
        """Those whose function has run."""
        return sum(self.seconds.counts)

    @property
    def completed(self) -> int:
        """Those that neither failed nor were cancelled."""
        return self.begun + self.never_begun - self.failed - self.canceled


class OrchestratorCounts:
    """What is counted of the instances of one orchestrator; times in microseconds.

    Attributes:
        ended: Those that are over, by the number of their status: an enum member is hashed in
            Python.
    """

    __slots__ = ("ended", "last_failure", "slowest", "started", "total")

    def __init__(self) -> None:
        self.started = 0
        self.ended: list[int] = [0] * len(RuntimeStatus)
        self.total: Microseconds = 0
        self.slowest: Microseconds = 0
        self.last_failure: LastFailure | None = None


class RunCounts:
    """What is counted of a function that schedules or events start."""

    __slots__ = ("completed", "failed", "last_failure", "put_aside", "retried")

    def __init__(self) -> None:
        self.completed = 0
        self.failed = 0
        self.retried = 0
        self.put_aside = 0
        self.last_failure: LastFailure | None = None

    def ended(self, error: BaseException | None, at: Microseconds, *, is_last: bool) -> None:
        """It has run; if that was not the last attempt, another one follows."""
        if error is None:
            self.completed += 1
            return
        self.failed += 1
        self.retried += not is_last
        failure = failure_of(error, with_traceback=False)
        self.last_failure = LastFailure(at=at, message=_message(failure))


class ByName(dict[str, C], Generic[C]):
    """Counters by name; one that is asked for by ``[]`` is there. Of many, the later share one."""

    def __init__(self, make: type[C]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> C:
        if len(self) >= MOST_NAMES:
            name = OTHER
            if name in self:
                return self[name]
        self[name] = counts = self._make()
        return counts


class Totals(Struct, frozen=True):
    """How much there was since the start of a host.

    Attributes:
        started: Instances whose first turn is durable.
        completed: Instances that completed.
        failed: Instances that failed.
        activities: Attempts of activities that ended.
        activity_failures: Those of them that failed.
    """

    started: int = 0
    completed: int = 0
    failed: int = 0
    activities: int = 0
    activity_failures: int = 0


class HostCounts:
    """All that is counted on a host.

    Attributes:
        activities: By name.
        orchestrators: By name.
        timers: Functions that schedules start, by name.
        event_functions: Functions that events start, by name.
        failures: Instances that failed last, the newest last.
        step_ends: When ``next_step`` is to be called; for who has the time at hand.
    """

    def __init__(self) -> None:
        self.activities: ByName[ActivityCounts] = ByName(ActivityCounts)
        self.orchestrators: ByName[OrchestratorCounts] = ByName(OrchestratorCounts)
        self.timers: ByName[RunCounts] = ByName(RunCounts)
        self.event_functions: ByName[RunCounts] = ByName(RunCounts)
        self.failures: deque[FailedInstance] = deque(maxlen=FAILURES)
        self.activities_ended = 0
        self.activities_failed = 0
        self.step_ends: Microseconds = 0
        self._steps: deque[tuple[int, Totals]] = deque(maxlen=STEPS + 1)

    # --- counting --------------------------------------------------------------------------------

    def instance_failed(self, counts: OrchestratorCounts, record: InstanceRecord) -> None:
        """Remember it; that it has ended is counted already."""
        at, message = record.updated_at, _message(record.failure)
        one = FailedInstance(
            instance_id=record.instance_id, name=record.name, at=at, message=message
        )
        self.failures.append(one)
        counts.last_failure = LastFailure(instance_id=one.instance_id, at=at, message=message)

    def activity_failed(
        self,
        counts: ActivityCounts,
        instance_id: InstanceId,
        answer: TaskFailed,
        at: Microseconds,
    ) -> None:
        """An attempt of an activity has failed."""
        self.activities_failed += 1
        counts.failed += 1
        counts.last_failure = LastFailure(
            instance_id=instance_id, at=at, message=_message(answer.failure_details)
        )

    def ended(self, status: RuntimeStatus) -> int:
        """How many instances ended like this."""
        return sum(one.ended[status] for one in self.orchestrators.values())

    # --- steps of time ---------------------------------------------------------------------------

    @property
    def totals(self) -> Totals:
        """How much there was until now."""
        return Totals(
            sum(one.started for one in self.orchestrators.values()),
            self.ended(RuntimeStatus.COMPLETED),
            self.ended(RuntimeStatus.FAILED),
            self.activities_ended,
            self.activities_failed,
        )

    def next_step(self, now: Microseconds) -> None:
        """The time has come for another step, perhaps long ago: what was counted by now was in the
        last one in which anything was.
        """
        step = now // _STEP
        if self.step_ends:
            self._steps.append((self.step_ends // _STEP - 1, self.totals))
        self.step_ends = (step + 1) * _STEP

    def series(self, now: Microseconds) -> tuple[Microseconds, list[Totals]]:
        """When the first of the last steps has begun, and how much there was in each of them; the
        last one is not over.
        """
        if now >= self.step_ends:
            self.next_step(now)
        last = self.step_ends // _STEP - 1
        first = last - STEPS + 1
        before = Totals()
        by_step: dict[int, Totals] = {}
        for step, totals in self._steps:
            if step < first:
                before = totals
            by_step[step] = totals
        by_step[last] = self.totals
        found: list[Totals] = []
        for step in range(first, last + 1):
            after = by_step.get(step, before)
            found.append(_difference(after, before))
            before = after
        return first * _STEP, found


def _difference(after: Totals, before: Totals) -> Totals:
    return Totals(
        after.started - before.started,
        after.completed - before.completed,
        after.failed - before.failed,
        after.activities - before.activities,
        after.activity_failures - before.activity_failures,
    )


def _message(failure: FailureDetails | None) -> str:
    return "" if failure is None else shortened(failure.summary)


def shortened(text: str) -> str:
    """A text that is not too long to be remembered."""
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"
