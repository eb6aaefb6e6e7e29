"""Metrics for Prometheus: an Observer that counts, and gauges that are read when asked for.

Owns what is counted on the way of every turn, in plain integers; all else, such as queues and
memory, is looked up when somebody scrapes. Must never cost a turn more than a few additions.
This module loads prometheus_client: import it late.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from tenuto.engine.engine import Engine
from tenuto.engine.ports import ActivityWork, Observer
from tenuto.model.events import TaskCompleted, TaskFailed
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import InstanceId
from tenuto.model.status import FINISHED, InstanceRecord, RuntimeStatus
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.telemetry.counts import ACTIVITY_BOUNDS, HostCounts, RunCounts
from tenuto.telemetry.distribution import Distribution
from tenuto.telemetry.gauges import engine_gauges
from tenuto.telemetry.health import PATIENCE_SECONDS
from tenuto.telemetry.messages import MessageGauges
from tenuto.telemetry.traffic import Traffic

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of what ``MetricsObserver.render`` gives."""

_MICROSECOND: Final = 1 / MICROSECONDS
_COMMIT_BOUNDS: Final = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000,
                         500_000, 1_000_000, 5_000_000)  # fmt: skip
_TURN_BOUNDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)

_FAILED: Final = RuntimeStatus.FAILED

_Labels: TypeAlias = Sequence[str]


class MetricsObserver(Collector):
    """Counts what happens on a host and passes it on.

    Each host has its own, with a registry of its own. Times are those of the host's clock.

    Attributes:
        traffic: What a server counts of its requests.
        counts: What is counted of functions, for people too.

    Args:
        inner: Who else is told.
        version: Tenuto's, shown as a label of ``tenuto_build_info``.

    Example:
        ::

            metrics = MetricsObserver(LogObserver(), version="0.1.0")
            async with Host(app, observer=metrics) as host:
                metrics.watch(host.engine)
                print(metrics.render().decode())
    """

    def __init__(self, inner: Observer, *, version: str) -> None:
        self._inner = inner
        # Nothing of these is counted here, and they are told of often.
        self.sees_turns = inner.sees_turns
        self.instance_began = inner.instance_began
        self.turn_committed = inner.turn_committed
        self.activities_began = inner.activities_began
        self._version = version
        self._engine: Engine | None = None
        self._messages: MessageGauges | None = None
        self.traffic = Traffic()
        self._turns = 0
        self._batch_turns = Distribution(_TURN_BOUNDS)
        self._commit_seconds = Distribution(_COMMIT_BOUNDS)
        self.counts = HostCounts()
        self._now: Callable[[], Microseconds] = _not_yet
        self._storage_failures = 0
        self._dead_letters = 0
        self._held: dict[HoldReason, int] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def watch(self, engine: Engine) -> None:
        """Read gauges from this engine from now on; counters go on."""
        self._engine = engine
        self._now = engine.clock.now
        self._messages = MessageGauges(engine)

    async def refresh(self) -> None:
        """Bring up to date what takes questions to the store; before ``render``, where one can.

        Waits for the store a moment at most, and then shows what was known before.
        """
        if self._engine is not None and self._messages is not None:
            await asyncio.gather(
                self._engine.holding.counting.within(PATIENCE_SECONDS), self._messages.refresh()
            )

    def render(self) -> bytes:
        """Everything, in Prometheus' text format; of the type ``CONTENT_TYPE``."""
        return generate_latest(self._registry)

    def families(self) -> list[Metric]:
        """Everything, for who sends it in another form."""
        return list(self._registry.collect())

    # --- the Observer port -----------------------------------------------------------------------

    def committed(self, turns: int, seconds: float) -> None:
        """Count the commit and its turns."""
        if (now := self._now()) >= self.counts.step_ends:
            self.counts.next_step(now)
        self._turns += turns
        self._batch_turns.add(turns)
        self._commit_seconds.add(round(seconds * MICROSECONDS))
        self._inner.committed(turns, seconds)

    def storage_failed(self, error: Exception, attempt: int) -> None:
        """Count it."""
        self._storage_failures += 1
        self._inner.storage_failed(error, attempt)

    def storage_recovered(self, attempts: int) -> None:
        """Pass it on."""
        self._inner.storage_recovered(attempts)

    def instance_held(self, instance_id: InstanceId, hold: Hold) -> None:
        """Count it by reason."""
        self._held[hold.reason] = self._held.get(hold.reason, 0) + 1
        self._inner.instance_held(instance_id, hold)

    def instances_began(self, names: Sequence[str]) -> None:
        """Count them by orchestrator."""
        orchestrators = self.counts.orchestrators
        for name in names:
            orchestrators[name].started += 1
        self._inner.instances_began(names)

    def instance_ended(self, record: InstanceRecord) -> None:
        """Count it by status and by orchestrator."""
        counts = self.counts.orchestrators[record.name]
        status = record.status
        counts.ended[status] += 1
        taken = record.updated_at - (record.scheduled_at or record.created_at)
        counts.total += taken
        if taken > counts.slowest:  # noqa: PLR1730 - as below
            counts.slowest = taken
        if status is _FAILED:
            self.counts.instance_failed(counts, record)
        self._inner.instance_ended(record)

    def activities_ended(self, works: Sequence[ActivityWork], now: Microseconds) -> None:
        """Count each, and how long it took: the hottest loop of all metrics."""
        counts = self.counts
        if now >= counts.step_ends:
            counts.next_step(now)
        counts.activities_ended += len(works)
        activities = counts.activities
        for work in works:
            activity = activities.get(work.name) or activities[work.name]
            begun_at = work.begun_at
            if begun_at is None:
                activity.never_begun += 1
            else:
                # Distribution.add, without the call.
                taken = now - begun_at
                seconds = activity.seconds
                seconds.counts[bisect_left(ACTIVITY_BOUNDS, taken)] += 1
                seconds.total += taken
                if taken > activity.slowest:  # noqa: PLR1730 - max() would cost three times as much
                    activity.slowest = taken
            if work.attempt > 1:
                activity.retried += 1
            if type(work.answer) is not TaskCompleted:
                if work.canceled:
                    activity.canceled += 1
                elif isinstance(work.answer, TaskFailed):
                    counts.activity_failed(activity, work.instance_id, work.answer, now)
        self._inner.activities_ended(works, now)

    def timer_ended(self, name: str, error: BaseException | None, *, is_last: bool = True) -> None:
        """Count it by outcome."""
        self.counts.timers[name].ended(error, self._now(), is_last=is_last)
        self._inner.timer_ended(name, error, is_last=is_last)

    def delivery_ended(
        self, name: str, error: BaseException | None, *, is_last: bool = True
    ) -> None:
        """Count it by outcome."""
        self.counts.event_functions[name].ended(error, self._now(), is_last=is_last)
        self._inner.delivery_ended(name, error, is_last=is_last)

    def delivery_failed(self, name: str, message_id: str, error: BaseException) -> None:
        """Count it."""
        self.counts.event_functions[name].put_aside += 1
        self._inner.delivery_failed(name, message_id, error)

    def dead_letter(self, instance_id: InstanceId, reason: str) -> None:
        """Count it."""
        self._dead_letters += 1
        self._inner.dead_letter(instance_id, reason)

    def problem(self, instance_id: InstanceId | None, text: str) -> None:
        """Pass it on."""
        self._inner.problem(instance_id, text)

    def notice(self, text: str) -> None:
        """Pass it on."""
        self._inner.notice(text)

    def moved(self, text: str) -> None:
        """Pass it on."""
        self._inner.moved(text)

    def crash_point(self, name: str) -> None:
        """Pass it on."""
        self._inner.crash_point(name)

    # --- the Collector ---------------------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        """All metrics as they stand now."""
        build = GaugeMetricFamily("tenuto_build_info", "Always 1.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        yield _counter("tenuto_turns", "Turns committed.", self._turns)
        yield _counter("tenuto_commits", "Batches committed.", sum(self._batch_turns.counts))
        yield _histogram(
            "tenuto_commit_seconds",
            "Time from a batch being sent to the store to its being durable.",
            [((), self._commit_seconds)],
        )
        yield _histogram(
            "tenuto_batch_turns", "Turns in one commit.", [((), self._batch_turns)], unit=1
        )
        yield _counters(
            "tenuto_instances_ended",
            "Instances that ended, by how.",
            ["status"],
            [((status.label,), self.counts.ended(status)) for status in sorted(FINISHED)],
        )
        yield _counters(
            "tenuto_holds",
            "Times that an instance was held, by reason.",
            ["reason"],
            [((reason,), self._held.get(reason, 0)) for reason in HoldReason],
        )
        yield from self._collect_activities()
        yield _counters(
            "tenuto_timers",
            "Runs of functions that schedules start, by outcome.",
            ["timer", "outcome"],
            _runs(self.counts.timers),
        )
        yield _counters(
            "tenuto_deliveries",
            "Runs of functions that events start, by outcome.",
            ["function", "outcome"],
            _runs(self.counts.event_functions),
        )
        yield _counter(
            "tenuto_storage_failures", "Commits that the store refused.", self._storage_failures
        )
        yield _counter(
            "tenuto_dead_letters", "Messages that nobody could take.", self._dead_letters
        )
        yield from self._collect_traffic()
        if self._engine is not None:
            yield from engine_gauges(self._engine)
        if self._messages is not None:
            yield from self._messages.collect()

    def _collect_traffic(self) -> Iterator[Metric]:
        traffic = self.traffic
        yield _counters(
            "tenuto_http_requests",
            "Requests answered, by method, route and status.",
            ["method", "route", "status"],
            [((*key[:2], str(key[2])), count) for key, count in list(traffic.requests.items())],
        )
        yield _histogram(
            "tenuto_http_request_seconds",
            "Time from the head of a request to the end of its answer, by route.",
            [((route,), seconds) for route, seconds in list(traffic.seconds.items())],
            labels=["route"],
        )
        yield _counter(
            "tenuto_http_refused_keys",
            "Requests refused for want of a right key.",
            traffic.refused_keys,
        )
        yield GaugeMetricFamily(
            "tenuto_http_connections", "Connections that are open.", traffic.connections
        )
        yield _counter(
            "tenuto_http_refused_connections",
            "Connections closed because their peer had too many, or for want of descriptors.",
            traffic.refused_connections,
        )

    def _collect_activities(self) -> Iterator[Metric]:
        activities = list(self.counts.activities.items())
        yield _histogram(
            "tenuto_activity_seconds",
            "Time that attempts of activities took.",
            [((name,), activity.seconds) for name, activity in activities],
            labels=["activity"],
        )
        yield _counters(
            "tenuto_activities",
            "Attempts of activities that ended, by outcome.",
            ["activity", "outcome"],
            [
                ((name, outcome), count)
                for name, activity in activities
                for outcome, count in (
                    ("completed", activity.completed),
                    ("failed", activity.failed),
                    ("canceled", activity.canceled),
                )
            ],
        )


def _not_yet() -> Microseconds:
    """Before there is a clock."""
    return -1


def _runs(counted: Mapping[str, RunCounts]) -> list[tuple[_Labels, int]]:
    """Runs of functions by name and outcome; what has never been is left out."""
    return [
        ((name, outcome), count)
        for name, runs in list(counted.items())
        for outcome, count in (
            ("completed", runs.completed),
            ("failed", runs.failed),
            ("put_aside", runs.put_aside),
        )
        if count
    ]


def _counter(name: str, meaning: str, value: int) -> Metric:
    return CounterMetricFamily(name, meaning, value)


def _counters(
    name: str, meaning: str, labels: _Labels, values: Sequence[tuple[_Labels, int]]
) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=labels)
    for labelled, value in values:
        family.add_metric(labelled, value)
    return family


def _histogram(
    name: str,
    meaning: str,
    values: Sequence[tuple[_Labels, Distribution]],
    *,
    labels: _Labels = (),
    unit: float = _MICROSECOND,
) -> Metric:
    family = HistogramMetricFamily(name, meaning, labels=labels)
    for labelled, value in values:
        family.add_metric(labelled, value.cumulative(unit), value.total * unit)
    return family
