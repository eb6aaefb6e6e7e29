"""How many workers: the formula, the controller of a pool, and a simulated day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.engine.scaling import PoolBounds, PoolSample, PoolScaler, target_workers
from tenuto.model.timing import MICROSECONDS
from tests.support.simulated_day import Day, oracle_seconds


@pytest.mark.parametrize(
    ("activities_each", "control_each", "activities", "control", "workers"),
    [
        (1, 10, 10, [1, 1, 1, 1], 10),
        (1, 10, 0, [0, 0, 0, 0], 0),
        (1, 10, 0, [2, 2, 3, 3], 1),
        (1, 10, 0, [9999, 0, 0, 0], 1),
        (1, 10, 0, [9999, 0, 0, 1], 2),
        (10, 10, 10, [2, 2, 3, 3], 1),
        (10, 10, 30, [10, 10, 10, 1], 4),
    ],
)
def test_the_target_is_that_of_the_published_vectors(
    activities_each: int, control_each: int, activities: int, control: list[int], workers: int
) -> None:
    told = target_workers(
        activities,
        sum(control),
        sum(one > 0 for one in control),
        activities_each=activities_each,
        instances_each=control_each,
    )
    assert told == workers


BOUNDS = st.builds(
    lambda least, more, room: PoolBounds(least=least, most=least + more, room=room),
    st.integers(0, 4),
    st.integers(1, 20),
    st.integers(1, 8),
)


@st.composite
def samples(draw: st.DrawFn, bounds: PoolBounds) -> PoolSample:
    workers = draw(st.integers(bounds.least, bounds.most))
    return PoolSample(
        now=0,
        workers=workers,
        starting=draw(st.integers(0, bounds.most - workers)),
        running=draw(st.integers(0, workers * bounds.room)),
        queued=draw(st.integers(0, 1_000)),
        waited=draw(st.floats(0, 100)),
        work_seconds=draw(st.none() | st.floats(0.001, 100)),
    )


@given(st.data())
def test_it_stays_between_its_bounds_and_above_what_runs(data: st.DataObject) -> None:
    bounds = data.draw(BOUNDS)
    sample = data.draw(samples(bounds))
    wanted = PoolScaler(bounds).wanted(sample)
    assert bounds.least <= wanted <= bounds.most
    assert wanted * bounds.room >= sample.running
    if not sample.queued:
        assert wanted <= max(bounds.least, sample.workers + sample.starting)


@given(st.data(), st.integers(0, 1_000))
def test_more_that_waits_never_wants_fewer(data: st.DataObject, more: int) -> None:
    bounds = data.draw(BOUNDS)
    sample = data.draw(samples(bounds))
    fuller = PoolSample(
        now=0,
        workers=sample.workers,
        starting=sample.starting,
        running=sample.running,
        queued=sample.queued + more,
        waited=sample.waited,
        work_seconds=sample.work_seconds,
    )
    assert PoolScaler(bounds).wanted(fuller) >= PoolScaler(bounds).wanted(sample)


@given(BOUNDS, st.integers(1, 24))
def test_without_work_it_comes_to_its_least_and_stays(bounds: PoolBounds, workers: int) -> None:
    scaler = PoolScaler(bounds)
    have = max(bounds.least, min(workers, bounds.most))
    for second in range(0, 61 * (have + 2), 30):
        wanted = scaler.wanted(PoolSample(now=second * MICROSECONDS, workers=have))
        assert wanted <= have
        have = wanted
    assert have == bounds.least


def test_a_short_pause_ends_no_worker() -> None:
    scaler = PoolScaler(PoolBounds(most=4, idle_seconds=10.0))
    assert scaler.wanted(PoolSample(now=0, workers=4)) == 4
    assert scaler.wanted(PoolSample(now=2 * MICROSECONDS, workers=4)) == 4
    busy = PoolSample(now=2 * MICROSECONDS, workers=4, running=4, queued=1, work_seconds=0.1)
    assert scaler.wanted(busy) == 4
    assert scaler.wanted(PoolSample(now=4 * MICROSECONDS, workers=4)) == 4
    assert scaler.wanted(PoolSample(now=7 * MICROSECONDS, workers=4)) == 3


def test_what_would_begin_in_time_starts_nobody() -> None:
    scaler = PoolScaler(PoolBounds(most=8))
    short = PoolSample(now=0, workers=2, running=2, queued=10, work_seconds=0.1)
    assert scaler.wanted(short) == 2
    slow = PoolSample(now=0, workers=2, running=2, queued=10, work_seconds=1.0)
    assert scaler.wanted(slow) == 7


def test_a_day_of_load_costs_little_more_than_who_knows_it_beforehand_needs() -> None:
    bounds = PoolBounds(least=0, most=64, idle_seconds=2.0)
    figures = Day(bounds, start_seconds=1.0).run(4 * 3600.0, burst_of=200)
    assert figures.left == 0
    assert figures.p95_wait < 2.0
    assert figures.ratio <= 1.3
    assert figures.workers_at_end == 0


def test_who_knows_the_day_needs_the_work_and_few_starts() -> None:
    # Half a worker for two seconds; the grid gives it a little more time.
    assert oracle_seconds([(0.0, 1.0)], 1.0) == pytest.approx(1.5, abs=0.1)
    steady = [(float(at), 3.0) for at in range(1_000)]
    assert 3_000 + 2 < oracle_seconds(steady, 1.0) < 3_000 + 4
