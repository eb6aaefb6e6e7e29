"""Counters of a host: steps of time, bounded names, last failures."""

from tenuto.model.failure import failure_of
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.telemetry.counts import (
    FAILURES,
    MOST_NAMES,
    OTHER,
    STEP_SECONDS,
    STEPS,
    ActivityCounts,
    HostCounts,
)
from tenuto.telemetry.log_observer import LogObserver
from tenuto.telemetry.metrics import MetricsObserver

STEP = STEP_SECONDS * 1_000_000
BEGAN = 1_000_000 * STEP


def ended(number: int, status: RuntimeStatus = RuntimeStatus.COMPLETED) -> InstanceRecord:
    name = InstanceId(f"instance-{number}")
    failed = status is RuntimeStatus.FAILED
    return InstanceRecord(
        iid=number,
        instance_id=name,
        partition=0,
        name="pay",
        execution_id=ExecutionId("0" * 32),
        created_at=BEGAN,
        root_id=name,
        status=status,
        updated_at=BEGAN + number,
        completed_at=BEGAN + number,
        failure=failure_of(ValueError("x" * 10_000)) if failed else None,
    )


def counting() -> tuple[MetricsObserver, HostCounts]:
    metrics = MetricsObserver(LogObserver(), version="1")
    return metrics, metrics.counts


def test_steps_show_what_was_in_them_however_seldom_anybody_counts() -> None:
    metrics, counts = counting()
    counts.next_step(BEGAN + 1)
    counts.orchestrators["pay"].started += 1
    metrics.instance_ended(ended(1))
    counts.next_step(BEGAN + STEP)
    counts.orchestrators["pay"].started += 1
    # Nothing for a minute; then much in one step.
    counts.next_step(BEGAN + 13 * STEP + 5)
    for number in range(7):
        metrics.instance_ended(ended(number, RuntimeStatus.FAILED))
    began_at, steps = counts.series(BEGAN + 15 * STEP - 1)
    assert began_at == BEGAN + (14 - STEPS + 1) * STEP
    assert len(steps) == STEPS
    assert [one.started for one in steps[-15:]] == [1, 1, *[0] * 13]
    assert [one.completed for one in steps[-15:]] == [1, *[0] * 14]
    assert [one.failed for one in steps[-15:]] == [*[0] * 13, 7, 0]


def test_steps_older_than_ten_minutes_are_forgotten_and_take_no_memory() -> None:
    counts = HostCounts()
    for step in range(1_000):
        counts.next_step(BEGAN + step * STEP)
        counts.orchestrators["pay"].started += 1
    _, steps = counts.series(BEGAN + 1_000 * STEP)
    assert [one.started for one in steps] == [*[1] * (STEPS - 1), 0]
    _, steps = counts.series(BEGAN + 5_000 * STEP)
    assert not any(one.started for one in steps)
    assert counts.totals.started == 1_000


def test_a_clock_that_is_set_back_makes_no_step() -> None:
    counts = HostCounts()
    counts.next_step(BEGAN)
    counts.orchestrators["pay"].started += 1
    _, steps = counts.series(BEGAN - 100 * STEP)
    assert steps[-1].started == 1


def test_of_many_names_the_later_ones_share_one_place() -> None:
    counts = HostCounts()
    for number in range(2 * MOST_NAMES):
        counts.activities[f"work-{number}"].retried += 1
    assert len(counts.activities) == MOST_NAMES + 1
    assert counts.activities[OTHER].retried == MOST_NAMES
    assert isinstance(counts.activities["new"], ActivityCounts)
    assert len(counts.activities) == MOST_NAMES + 1


def test_the_last_failures_are_kept_and_their_messages_cut() -> None:
    metrics, counts = counting()
    for number in range(100):
        metrics.instance_ended(ended(number, RuntimeStatus.FAILED))
    assert [one.instance_id for one in counts.failures] == [
        f"instance-{number}" for number in range(100 - FAILURES, 100)
    ]
    assert max(len(one.message) for one in counts.failures) < 600
    last = counts.orchestrators["pay"].last_failure
    assert last is not None
    assert (last.instance_id, last.at) == ("instance-99", BEGAN + 99)
    assert last.message.startswith("ValueError: xxx")
