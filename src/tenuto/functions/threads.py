"""Threads for sync activities: many short jobs for few wake-ups (ENGINE rule 24).

All jobs stand in one queue that the threads drain. Waking a thread costs more than a short job, so
a burst of short jobs wakes one thread. A job that is slow, or of unknown length, must not hold
others back: before a thread begins one while more are queued and nobody else drains, it wakes
another. A supervisor on the loop catches the job that is slow by surprise. Results go back in
bursts too. Knows nothing of activities; never runs a job on the loop.

A job that nobody waits for any more may hang for ever, and its thread with it. Such a thread is
*lost*: another one takes its place, up to a bound, and it ends should its job ever return.

A job may wait for what only other jobs can bring about, and say so (``engine.giving_way``). Its
thread is *away* then: another one takes its place. When it is back there may be one too many; the
next whose job is over ends. Of the kinds of which one has waited so, no more begin than up to a
bound: the rest stands *aside*, and what does not wait goes on (``one_never_takes_all``). Only while
a kind is not known yet more may be away, by no more than all threads for each kind.

A thread is *draining* while it is expected to take the next job soon: it has been woken, or runs
something short. Whoever adds to the queue looks at the draining threads afterwards; whoever stops
draining looks at the queue afterwards. So one of the two always sees the other.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from math import inf
from time import perf_counter, thread_time  # of jobs; they decide nothing but wake-ups
from typing import Final, Generic, Protocol, TypeVar

from tenuto.engine.giving_way import is_of_pool
from tenuto.engine.waking import call_from_thread

_LOGGER = logging.getLogger(__name__)

SLOW_SECONDS: Final = 0.0003
"""A job that takes longer than this is worth waking another thread for the jobs behind it."""

IDLE_SECONDS: Final = 30.0
"""How long a thread without work stays."""

_TICK_SECONDS: Final = 0.0015
_LONGEST_TICK_SECONDS: Final = 0.1
_NEWEST_WEIGHT: Final = 0.1


class Pace:
    """How the jobs of one kind go.

    Attributes:
        seconds: How long they take: a moving average, endless until the first is done.
        waits: One of them has waited for others, so that all may.
    """

    __slots__ = ("seconds", "waits")

    def __init__(self) -> None:
        self.seconds = inf
        self.waits = False

    def add(self, seconds: float) -> None:
        """Count one more. Threads may overwrite each other here; it is an estimate."""
        if self.seconds == inf:
            self.seconds = seconds
        else:
            self.seconds += (seconds - self.seconds) * _NEWEST_WEIGHT


class Job(Protocol):
    """Something to run in a thread.

    Attributes:
        seconds: How long it took; set when it is over.
        processor_seconds: How long a processor was at work for it. Of short jobs it is how long
            they took: to ask the system costs more than they do.
    """

    seconds: float | None
    processor_seconds: float

    @property
    def pace(self) -> Pace:
        """How jobs like this one go."""

    def run(self) -> None:
        """Do it. Never raises, whatever happens."""


J = TypeVar("J", bound=Job)


class _Thread:
    """One of the threads; blocked on ``wake_up`` while it is idle."""

    __slots__ = ("_measured_to", "is_away", "is_lost", "waits", "wake_up")

    def __init__(self) -> None:
        self._measured_to = 0.0
        self.wake_up = threading.Lock()
        self.wake_up.acquire()
        self.is_away = False
        self.is_lost = False
        self.waits = 0

    def processor_seconds(self) -> float:
        """How long a processor was at work for it since this was asked before; asked within it.

        Of a job that is slow by surprise that is with the short ones just before it.
        """
        before, self._measured_to = self._measured_to, thread_time()
        return self._measured_to - before


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # a container may have fewer than the machine
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def most_threads(asked: int | None) -> int:
    """How many threads there may be; without a number, four per processor, 8 to 32."""
    return asked or max(8, min(32, 4 * (os.cpu_count() or 1)))


class WorkerThreads(Generic[J]):
    """A pool of daemon threads, started on demand.

    Args:
        loop: The host's loop; ``submit`` and ``on_done`` run on it.
        on_done: Gets finished jobs, many at a time.
        on_aside: Told of a job that stands aside when no other did; in one of the threads.
        max_threads: Most threads; None for four per processor, at least 8 and at most 32.
        max_lost: Most lost threads that are replaced, and most jobs at once of the kinds that
            wait; None for four for each of those.
        idle_seconds: How long a thread without work stays.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_done: Callable[[list[J]], None],
        *,
        on_aside: Callable[[J], None] = lambda _job: None,
        max_threads: int | None = None,
        max_lost: int | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.max_threads = most_threads(max_threads)
        self.max_lost = 4 * self.max_threads if max_lost is None else max_lost
        self._loop = loop
        self._on_done = on_done
        self._on_aside = on_aside
        self._idle_seconds = idle_seconds
        self._queue: deque[J] = deque()
        self._aside: deque[J] = deque()
        self._done: deque[J] = deque()
        self._announced = False
        self._idle: list[_Thread] = []
        self._draining: set[_Thread] = set()
        self._running: dict[J, _Thread] = {}
        self._count = 0
        self._lost = 0
        self._started = 0
        self._count_lock = threading.Lock()
        self._closed = False
        self._ticking = False
        self._tick_seconds = _TICK_SECONDS
        self._head: J | None = None

    # --- on the loop -----------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Threads that exist now, those left out that are lost or away."""
        return self._count

    @property
    def lost(self) -> int:
        """Threads whose job nobody waits for any more."""
        return self._lost

    @property
    def blocked(self) -> list[J]:
        """Jobs that wait for others."""
        return [job for job, thread in self._running.copy().items() if thread.waits]

    @property
    def queued(self) -> list[J]:
        """Jobs that no thread has taken, the next one first."""
        return list(self._queue.copy())  # at once: threads take from it meanwhile

    @property
    def aside(self) -> list[J]:
        """Jobs that stand aside until one of those that may wait is over, the next one first."""
        return list(self._aside.copy())

    def submit(self, jobs: Iterable[J]) -> None:
        """Queue jobs, in order."""
        self._queue.extend(jobs)
        # Nothing can get stuck when one job has a thread woken for it alone. The supervisor must
        # be under way before any thread may begin: results may soon rely on being fetched by it.
        if len(self._queue) > 1 or self._draining:
            self._supervise()
        if not self._draining and not self._wake_one():
            self._supervise()

    def lose(self, job: J) -> bool:
        """Nobody waits for this job any more: its thread is given up, and another takes its place.

        Returns:
            Whether it is: not when the job is over or in no thread, nor when too many are lost.
        """
        if self._lost >= self.max_lost:
            return False
        # Whoever takes it out decides: this, or the thread whose job is over.
        thread = self._running.pop(job, None)
        if thread is None:
            return False
        with self._count_lock:
            if thread.is_away:
                thread.is_away = False
            else:
                self._count -= 1
            thread.is_lost = True
            self._lost += 1
        self._call_back()
        self._let_others_in(thread)
        return True

    def stop(self) -> None:
        """Forget queued jobs and end the threads; a job that is running is left behind."""
        self._closed = True
        self._queue.clear()
        self._aside.clear()
        while self._idle:
            self._wake_one()

    def _supervise(self) -> None:
        if not self._ticking and not self._closed:
            self._tick_seconds = _TICK_SECONDS
            self._loop.call_later(_TICK_SECONDS, self._tick)  # first: there may be no memory for it
            self._ticking = True

    def _tick(self) -> None:
        """Every 1.5 ms while jobs are queued: fetch results, go round threads that are stuck."""
        try:
            self._tick_once()
        except BaseException:  # memory ran out: whoever comes next has it begin again
            self._ticking = False
            raise

    def _tick_once(self) -> None:
        self._collect()
        try:
            head = self._queue[0]
        except IndexError:
            head = None
        self._ticking = head is not None and not self._closed
        if self._ticking:
            stuck = head is self._head
            if stuck:
                self._draining.clear()
            # With all threads at work there is nothing to do but wait, less and less eagerly.
            can_help = not stuck or self._wake_one()
            self._tick_seconds = (
                _TICK_SECONDS if can_help else min(self._tick_seconds * 2, _LONGEST_TICK_SECONDS)
            )
            self._loop.call_later(self._tick_seconds, self._tick)
        self._head = head

    def _collect(self) -> None:
        # Before looking: a result that comes later announces itself again.
        self._announced = False
        done = self._done
        finished = [done.popleft() for _ in range(len(done))]
        if finished and not self._closed:
            self._on_done(finished)

    # --- on any thread ---------------------------------------------------------------------------

    def _wake_one(self) -> bool:
        """Have one more thread drain; False when all are at work."""
        try:
            thread = self._idle.pop()
        except IndexError:
            return self._start_one()
        self._draining.add(thread)
        thread.wake_up.release()
        return True

    def _start_one(self) -> bool:
        with self._count_lock:
            if self._count >= self.max_threads or self._closed:
                return False
            self._count += 1
            self._started += 1
            name = f"tenuto-activity-{self._started}"
        thread = _Thread()
        self._draining.add(thread)
        try:
            threading.Thread(target=self._live, args=(thread,), name=name, daemon=True).start()
        except RuntimeError as error:
            # The system gives no more threads now; the supervisor will ask again.
            _LOGGER.warning("cannot start a thread for activities: %s", error)
            self._leave(thread)
            return False
        return True

    def _leave(self, thread: _Thread) -> None:
        self._draining.discard(thread)
        with self._count_lock:
            self._count -= 1

    def _let_others_in(self, thread: _Thread) -> None:
        """A thread takes no further job for now: see to it that another does."""
        self._draining.discard(thread)
        if self._queue and not self._draining:
            self._wake_one()

    # --- in the threads --------------------------------------------------------------------------

    @contextmanager
    def _give_way(self, thread: _Thread) -> Generator[None]:
        """Around a wait of the job of a thread for what others have to do."""
        thread.waits += 1
        if thread.waits == 1:
            self._go_away(thread)
        try:
            yield
        finally:
            thread.waits -= 1
            with self._count_lock:
                if thread.is_away and not thread.waits:
                    thread.is_away = False
                    self._count += 1

    def _go_away(self, thread: _Thread) -> None:
        with self._count_lock:
            if thread.is_lost:
                return
            thread.is_away = True
            self._count -= 1
            for job, its in self._running.copy().items():
                if its is thread:
                    job.pace.waits = True
        self._announce()  # what it has done so far must not wait with it
        self._let_others_in(thread)

    def _may_begin(self, job: J, thread: _Thread) -> bool:
        """Whether a job that may wait begins now; else it stands aside."""
        with self._count_lock:
            if self._has_room_to_wait():
                self._running[job] = thread
                return True
            is_first = not self._aside
            self._aside.append(job)
        if is_first:
            self._on_aside(job)
        return False

    def _call_back(self) -> None:
        """A job is over or lost: one that stands aside may be next."""
        with self._count_lock:
            if self._aside and self._has_room_to_wait() and not self._closed:
                self._queue.appendleft(self._aside.popleft())

    def _has_room_to_wait(self) -> bool:
        return sum(one.pace.waits for one in self._running.copy()) < self.max_lost

    def _is_one_too_many(self) -> bool:
        with self._count_lock:
            if self._count <= self.max_threads:
                return False
            self._count -= 1
            return True

    def _live(self, thread: _Thread) -> None:
        is_of_pool(partial(self._give_way, thread))
        try:
            self._run(thread)
        except BaseException:
            # Something was thrown into this thread between two jobs: it is no longer one of ours.
            _LOGGER.exception("a thread for activities was ended from outside")
            self._take_off_idle(thread)
            self._leave(thread)
            if self._queue and not self._draining:
                self._wake_one()

    def _run(self, thread: _Thread) -> None:
        queue, done, draining = self._queue, self._done, self._draining
        running = self._running
        while True:
            try:
                job = queue.popleft()
            except IndexError:
                draining.discard(thread)
                self._announce()
                if self._rest(thread):
                    draining.add(thread)
                    thread.processor_seconds()
                    continue
                return
            pace = job.pace
            if pace.waits and not self._may_begin(job, thread):
                continue
            is_slow = pace.seconds > SLOW_SECONDS
            if is_slow:
                self._begin_slow(thread)
            running[job] = thread
            began = perf_counter()
            try:
                job.run()
            except BaseException:  # thrown into this thread when the job was done: the job counts
                _LOGGER.exception("a thread for activities was interrupted")
            job.seconds = job.processor_seconds = seconds = perf_counter() - began
            pace.add(seconds)
            if seconds > SLOW_SECONDS:
                job.processor_seconds = min(seconds, thread.processor_seconds())
            done.append(job)
            if running.pop(job, None) is None:
                self._return_late()
                return
            if pace.waits:
                self._call_back()
            if self._is_one_too_many():
                self._announce()
                self._let_others_in(thread)
                return
            draining.add(thread)
            if is_slow:
                self._announce()

    def _begin_slow(self, thread: _Thread) -> None:
        """It takes no further job for a while, and others must not wait for it."""
        self._draining.discard(thread)
        self._announce()
        if self._queue and not self._draining:
            self._wake_one()
        thread.processor_seconds()

    def _return_late(self) -> None:
        """The job of a lost thread is over after all, and the thread with it."""
        with self._count_lock:
            self._lost -= 1
        self._announce()

    def _announce(self) -> None:
        """Have the loop fetch the results; once until it does."""
        if self._done and not self._announced:
            self._announced = True
            try:
                call_from_thread(self._loop, self._collect)
            except RuntimeError:  # the loop is closed: nobody waits for results any more
                self._closed = True

    def _rest(self, thread: _Thread) -> bool:
        """Wait for work; False when the thread shall end."""
        self._idle.append(thread)
        may_wait = not (self._queue or self._closed)
        is_woken = may_wait and thread.wake_up.acquire(timeout=self._idle_seconds)
        if not is_woken and not self._take_off_idle(thread):
            thread.wake_up.acquire()  # somebody is waking it at this moment
            is_woken = True
        if not self._closed and (is_woken or not may_wait):
            return True
        self._leave(thread)
        # A job may have come while this thread still counted, so that no other was started.
        if self._queue and not self._draining:
            self._wake_one()
        return False

    def _take_off_idle(self, thread: _Thread) -> bool:
        """False when somebody else took it off, in order to wake it."""
        try:
            self._idle.remove(thread)
        except ValueError:
            return False
        return True
