"""The thread pool: few wake-ups for short jobs, and no job held back by a slow one."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tenuto.engine.giving_way import waiting_for_others
from tenuto.functions.threads import SLOW_SECONDS, Pace, WorkerThreads, _Thread
from tests.unit.functions.conftest import until

FAST = SLOW_SECONDS / 100


class Job:
    """A job that runs a function; ``pace`` says how long it is believed to take."""

    def __init__(
        self, function: Callable[[], object] = lambda: None, pace: Pace | None = None
    ) -> None:
        self.function = function
        self.pace = pace or believed(FAST)
        self.thread: threading.Thread | None = None
        self.seconds: float | None = None
        self.processor_seconds = 0.0

    def run(self) -> None:
        self.thread = threading.current_thread()
        self.function()


def believed(seconds: float) -> Pace:
    pace = Pace()
    pace.add(seconds)
    return pace


class Pool:
    """A pool that collects what is done, in bursts."""

    def __init__(self, **options: Any) -> None:
        self.bursts: list[list[Job]] = []
        self.threads: WorkerThreads[Job] = WorkerThreads(
            asyncio.get_running_loop(), self.bursts.append, **options
        )

    @property
    def done(self) -> list[Job]:
        return [job for burst in self.bursts for job in burst]

    def submit(self, *jobs: Job) -> None:
        self.threads.submit(jobs)

    async def finish(self, count: int) -> None:
        await until(lambda: len(self.done) >= count)
        assert len(self.done) == count


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Keeps jobs from ending; opened at the end of the test at the latest."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    made = Pool(max_threads=8)
    yield made
    made.threads.stop()
    await until(lambda: made.threads.count == 0)


async def test_jobs_run_in_named_daemon_threads(pool: Pool) -> None:
    pool.submit(Job())
    await pool.finish(1)
    thread = pool.done[0].thread
    assert thread is not None
    assert thread.daemon
    assert thread.name == "tenuto-activity-1"


async def test_a_burst_of_short_jobs_wakes_one_thread_and_returns_in_few_bursts(
    pool: Pool,
) -> None:
    jobs = [Job() for _ in range(500)]
    pool.submit(*jobs)
    await pool.finish(500)
    assert pool.done == jobs
    assert len({job.thread for job in jobs}) == 1
    assert len(pool.bursts) < 50


async def test_a_thread_is_used_again(pool: Pool) -> None:
    for count in range(1, 6):
        pool.submit(Job())
        await pool.finish(count)
        await until(lambda: pool.threads._idle)
    assert pool.threads.count == 1


async def test_jobs_known_to_be_slow_run_side_by_side(pool: Pool) -> None:
    barrier = threading.Barrier(5)
    pool.submit(*(Job(barrier.wait, believed(1.0)) for _ in range(5)))
    await pool.finish(5)


async def test_jobs_of_unknown_length_run_side_by_side(pool: Pool) -> None:
    barrier = threading.Barrier(3)
    pace = Pace()
    pool.submit(*(Job(barrier.wait, pace) for _ in range(3)))
    await pool.finish(3)


async def test_a_job_that_is_slow_by_surprise_holds_no_others_back(
    pool: Pool, gate: threading.Event
) -> None:
    surprise = Job(gate.wait)
    others = [Job() for _ in range(10)]
    pool.submit(surprise, *others)
    await pool.finish(10)
    assert pool.done == others
    gate.set()
    await pool.finish(11)


async def test_a_result_is_not_held_back_by_the_slow_job_behind_it(
    pool: Pool, gate: threading.Event
) -> None:
    first, last = Job(), Job(gate.wait)
    pool.submit(first, last)
    await pool.finish(1)
    assert pool.done == [first]
    gate.set()
    await pool.finish(2)


async def test_many_jobs_slow_by_surprise_get_threads_up_to_the_limit(
    gate: threading.Event,
) -> None:
    pool = Pool(max_threads=3)
    begun = threading.Semaphore(0)

    def hold() -> None:
        begun.release()
        gate.wait()

    pool.submit(*(Job(hold) for _ in range(6)))
    await until(lambda: begun._value == 3)
    assert pool.threads.count == 3
    await until(lambda: pool.threads._tick_seconds > 0.01)  # nothing to help: it looks less often
    gate.set()
    await pool.finish(6)
    pool.threads.stop()


async def test_a_job_that_comes_while_all_others_are_slow_runs_at_once(
    pool: Pool, gate: threading.Event
) -> None:
    pool.submit(*(Job(gate.wait, believed(1.0)) for _ in range(3)))
    await until(lambda: not pool.threads._queue)
    pool.submit(Job())
    await pool.finish(1)
    gate.set()
    await pool.finish(4)


async def test_idle_threads_end() -> None:
    pool = Pool(max_threads=4, idle_seconds=0.01)
    barrier = threading.Barrier(3)
    pool.submit(*(Job(barrier.wait, believed(1.0)) for _ in range(3)))
    await pool.finish(3)
    await until(lambda: pool.threads.count == 0)
    pool.submit(Job())
    await pool.finish(4)
    pool.threads.stop()


async def test_stopping_forgets_queued_jobs_and_ends_idle_threads(gate: threading.Event) -> None:
    pool = Pool(max_threads=2)
    barrier = threading.Barrier(2)
    pool.submit(*(Job(barrier.wait, believed(1.0)) for _ in range(2)))
    await pool.finish(2)
    await until(lambda: len(pool.threads._idle) == 2)
    running, queued = Job(gate.wait, believed(1.0)), [Job(gate.wait) for _ in range(5)]
    pool.submit(running, *queued)
    await until(lambda: running.thread)
    pool.threads.stop()
    gate.set()
    await until(lambda: pool.threads.count == 0)
    await asyncio.sleep(0)
    assert len(pool.done) == 2
    pool.submit(Job())
    assert pool.threads.count == 0


def test_a_job_that_ends_after_its_loop_was_closed_troubles_nobody(gate: threading.Event) -> None:
    job = Job(gate.wait)

    async def start() -> WorkerThreads[Job]:
        pool = Pool()
        pool.submit(job)
        await until(lambda: job.thread)
        return pool.threads

    threads = asyncio.run(start())
    gate.set()
    assert job.thread is not None
    job.thread.join()
    assert threads.count == 0


async def test_a_system_without_threads_is_asked_again(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = threading.Thread.start
    refusals = [RuntimeError("can't start new thread")] * 2

    def start_at_last(thread: threading.Thread) -> None:
        if refusals:
            raise refusals.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_at_last)
    with caplog.at_level(logging.WARNING):
        pool.submit(Job())
        await pool.finish(1)
    assert "cannot start a thread for activities: can't start new thread" in caplog.text


async def test_every_job_runs_once_whatever_the_timing(pool: Pool) -> None:
    """Many small bursts between threads that go to sleep and wake: nothing is lost or doubled."""
    counts: dict[int, int] = {}
    paces = [believed(FAST), believed(1.0), Pace()]
    total = 3_000
    for number in range(total):
        pool.submit(
            Job(lambda number=number: counts.update({number: 1}), paces[number % 3])  # type: ignore[misc]
        )
        if number % 7 == 0:
            await asyncio.sleep(0)
    await pool.finish(total)
    assert len(counts) == total


@pytest.mark.parametrize(("processors", "threads"), [(1, 8), (4, 16), (64, 32), (None, 8)])
async def test_the_number_of_threads_follows_the_machine(
    monkeypatch: pytest.MonkeyPatch, processors: int | None, threads: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    assert Pool().threads.max_threads == threads


def test_a_pace_follows_its_jobs() -> None:
    pace = Pace()
    pace.add(1.0)
    assert pace.seconds == 1.0
    for _ in range(200):
        pace.add(0.0)
    assert pace.seconds < SLOW_SECONDS


class _NeverIdleList(list[_Thread]):
    """Lets somebody wake a thread exactly when it has given up waiting."""

    def remove(self, thread: _Thread) -> None:
        super().remove(thread)
        if self.interfere:
            self.interfere = False
            thread.wake_up.release()
            raise ValueError

    interfere = True


async def test_a_thread_that_is_woken_as_it_gives_up_goes_on_working() -> None:
    pool = Pool(max_threads=1, idle_seconds=0.01)
    pool.threads._idle = idle = _NeverIdleList()
    pool.submit(Job())
    await until(lambda: not idle.interfere)
    pool.submit(Job())
    await pool.finish(2)
    await until(lambda: pool.threads.count == 0)
    pool.threads.stop()


async def test_a_job_that_comes_while_the_last_thread_ends_gets_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = Pool(max_threads=1, idle_seconds=0.01)
    leave, late = pool.threads._leave, [Job()]

    def job_comes_before_leaving(thread: _Thread) -> None:
        if late:
            pool.threads._queue.append(late.pop())
        leave(thread)

    monkeypatch.setattr(pool.threads, "_leave", job_comes_before_leaving)
    pool.submit(Job())
    await pool.finish(2)
    assert pool.done[0].thread is not pool.done[1].thread
    await until(lambda: pool.threads.count == 0)
    pool.threads.stop()


# --- lost threads ---------------------------------------------------------------------------------


async def test_a_lost_thread_is_replaced_and_ends_when_its_job_does(gate: threading.Event) -> None:
    pool = Pool(max_threads=1)
    hung, next_one = Job(gate.wait), Job()
    pool.submit(hung)
    await until(lambda: hung.thread is not None)
    pool.submit(next_one)
    assert pool.threads.lose(hung)
    await until(lambda: next_one in pool.done)
    assert next_one.thread is not hung.thread
    assert (pool.threads.count, pool.threads.lost) == (1, 1)
    gate.set()
    await until(lambda: hung in pool.done)
    await until(lambda: pool.threads.lost == 0)
    assert hung.thread is not None
    await asyncio.to_thread(hung.thread.join, 5)
    assert not hung.thread.is_alive()
    pool.threads.stop()
    await until(lambda: pool.threads.count == 0)


async def test_no_more_threads_are_lost_than_may_be(gate: threading.Event) -> None:
    pool = Pool(max_threads=1, max_lost=2)
    jobs = [Job(gate.wait) for _ in range(3)]
    for job in jobs:
        pool.submit(job)
    told = []
    for job in jobs:
        await until(lambda job=job: job.thread is not None)  # type: ignore[misc]
        told.append(pool.threads.lose(job))
    assert told == [True, True, False]
    gate.set()
    await until(lambda: len(pool.done) == 3)
    await until(lambda: (pool.threads.lost, pool.threads.count) == (0, 1))
    pool.submit(Job())
    await pool.finish(4)
    pool.threads.stop()
    await until(lambda: pool.threads.count == 0)


async def test_what_is_over_or_has_not_begun_loses_nothing(
    pool: Pool, gate: threading.Event
) -> None:
    over = Job()
    pool.submit(over)
    await pool.finish(1)
    assert not pool.threads.lose(over)
    blocking = [Job(gate.wait) for _ in range(8)]
    queued = Job()
    pool.submit(*blocking, queued)
    await until(lambda: all(job.thread is not None for job in blocking))
    assert not pool.threads.lose(queued)
    assert pool.threads.lost == 0
    gate.set()
    await pool.finish(10)


async def test_losing_a_job_while_it_ends_keeps_the_count_of_threads(pool: Pool) -> None:
    """Whichever of the two takes it out decides: no thread is counted twice, or not at all."""
    for _ in range(300):
        jobs = [Job() for _ in range(8)]
        pool.submit(*jobs)
        for job in jobs:
            pool.threads.lose(job)
        await until(lambda jobs=jobs: all(job in pool.done for job in jobs))  # type: ignore[misc]
        pool.bursts.clear()
    await until(lambda: pool.threads.lost == 0)
    assert 0 <= pool.threads.count <= 8


# --- jobs that wait for others --------------------------------------------------------------------


class Waiting:
    """Jobs of one kind, each of which waits for others until it is told that they have come."""

    def __init__(self, pool: Pool, count: int) -> None:
        self.pace = Pace()
        self.begun = 0
        self.let_go = [threading.Event() for _ in range(count)]
        self.jobs = [Job(partial(self._wait, event), self.pace) for event in self.let_go]
        pool.submit(*self.jobs)

    def _wait(self, event: threading.Event) -> None:
        self.begun += 1
        with waiting_for_others():
            event.wait()

    def end(self) -> None:
        for event in self.let_go:
            event.set()


async def test_no_more_of_a_kind_that_waits_begin_than_may_and_the_rest_goes_on() -> None:
    told: list[Job] = []
    pool = Pool(max_threads=1, max_lost=2, on_aside=told.append)
    waiting = Waiting(pool, 6)
    pool.submit(Job())
    await pool.finish(1)
    assert (waiting.begun, len(pool.threads.blocked)) == (2, 2)
    assert pool.threads.aside == waiting.jobs[2:]
    assert told == [waiting.jobs[2]]
    # One of those may hang, and be given up: another may then wait in its place.
    assert pool.threads.lose(waiting.jobs[0])
    await until(lambda: waiting.begun == 3)
    waiting.let_go[1].set()
    await until(lambda: waiting.begun == 4)
    assert pool.threads.aside == waiting.jobs[4:]
    waiting.end()
    await until(lambda: len(pool.done) == 7)
    assert pool.threads.aside == []
    pool.threads.stop()
    await until(lambda: pool.threads.count == 0)


async def test_a_kind_that_is_not_known_to_wait_takes_no_thread_for_good() -> None:
    pool = Pool(max_threads=1, max_lost=1)
    kinds = [Waiting(pool, 2) for _ in range(3)]
    pool.submit(Job())
    await pool.finish(1)
    assert [one.begun for one in kinds] == [1, 1, 1]
    for one in kinds:
        one.end()
    await until(lambda: len(pool.done) == 7)
    pool.threads.stop()
    await until(lambda: pool.threads.count == 0)


async def test_a_pool_that_stops_forgets_what_stands_aside() -> None:
    pool = Pool(max_threads=1, max_lost=1)
    waiting = Waiting(pool, 3)
    await until(lambda: len(pool.threads.aside) == 2)
    pool.threads.stop()
    waiting.end()
    await until(lambda: pool.threads.count == 0)
    assert (waiting.begun, pool.threads.aside, pool.threads.queued) == (1, [], [])


async def test_jobs_are_measured_by_the_clock_and_by_the_processor() -> None:
    """A job that is short by what is known of it, and sleeps, has used no processor for that."""
    pool = Pool(max_threads=1)
    jobs = [
        Job(),
        Job(lambda: time.sleep(0.1)),
        Job(lambda: time.sleep(0.1), believed(2 * SLOW_SECONDS)),
        Job(lambda: computed(0.1), believed(2 * SLOW_SECONDS)),
        Job(lambda: computed(0.1)),
    ]
    pool.threads.submit(jobs)
    await until(lambda: len(pool.done) == len(jobs))
    quick, slept, slow_slept, slow_computed, computed_by_surprise = jobs
    for job in jobs:
        assert job.seconds is not None
        assert 0 <= job.processor_seconds <= job.seconds
    assert quick.processor_seconds == quick.seconds
    for job in (slept, slow_slept):
        assert job.seconds is not None
        assert job.seconds >= 0.09
        assert job.processor_seconds < 0.05
    for job in (slow_computed, computed_by_surprise):
        assert job.processor_seconds >= 0.09
    pool.threads.stop()


def computed(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
