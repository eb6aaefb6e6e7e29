"""Runs activities: takes work from the engine, gives outcomes back.

Owns the queues, the limits and the timeouts; where an attempt runs (threads for sync activities,
worker processes for those that compute, the host's loop for async ones); and that each attempt is
answered at most once. What an attempt does is in ``attempt``. Everything here happens on the
host's loop. Never retries: that is decided by the orchestration.
"""

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import Context
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from tenuto.engine.ports import ActivityWork, BegunWork, Clock, QueuedWork, WorkStage
from tenuto.engine.runner_figures import ActivityLoad, PoolFacts, load_by_activity
from tenuto.functions.attempt import Attempt, Lane
from tenuto.functions.locating import place_of
from tenuto.functions.threads import WorkerThreads, most_threads, processors
from tenuto.functions.whereabouts import task_place, thread_of, thread_place
from tenuto.model.built_in import activity_words
from tenuto.model.errors import ScheduleToStartTimeoutError, UnknownFunctionError
from tenuto.model.events import TaskCompleted, TaskFailed
from tenuto.model.failure import failure_of_type
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.model.usage import AttemptUsage
from tenuto.orchestration.references import AnyActivity

if TYPE_CHECKING:
    from tenuto.functions.processes import WorkerProcesses

_LOGGER = logging.getLogger(__name__)

MAX_ASYNC: Final = 1_000
"""Most async activities in flight, if not set otherwise."""

_STOP_SECONDS: Final = 1.0
_MOST_NAMED: Final = 3
_QUIET: Final = 60 * MICROSECONDS
"""How long nothing more is said of attempts that stand aside."""
_MOST_LOOKED_AT: Final = 64
_TOLD: Final = TaskCompleted(0)
"""In the place of an outcome that was handed on."""


class ActivityDirectory(Protocol):
    """Finds activities by name."""

    def get_activity(self, name: str) -> AnyActivity:
        """The activity of that name.

        Raises:
            UnknownFunctionError: there is none.
        """


class CpuWorkers(Struct, frozen=True, kw_only=True):
    """Between what the number of processes for activities that compute grows and shrinks.

    Attributes:
        most: Processes at most; None for one per processor.
        least: As many stay once they were needed.
        idle_seconds: How long one without work stays otherwise.
    """

    most: int | None = None
    least: int = 0
    idle_seconds: float = 60.0


class ActivityExecutor:
    """Runs the activities of one app.

    Args:
        directory: Where the functions are.
        clock: Measures timeouts.
        payload_bytes: Longest result, in bytes of JSON (the limit of that name).
        max_threads: Most threads for sync activities; None for four per processor (8 to 32).
        max_async: Most async activities in flight.
        cpu_workers: How many worker processes there may be.
    """

    def __init__(
        self,
        directory: ActivityDirectory,
        clock: Clock,
        *,
        payload_bytes: int,
        max_threads: int | None = None,
        max_async: int = MAX_ASYNC,
        cpu_workers: CpuWorkers | None = None,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._payload_bytes = payload_bytes
        self._max_threads = max_threads
        self._max_async = max_async
        self._cpu_workers = cpu_workers or CpuWorkers()
        self._deliver: Callable[[list[ActivityWork]], None] = _nowhere
        self._threads: WorkerThreads[Attempt] | None = None
        self._has_told_of_loss = False
        self._quiet_until: Microseconds = 0
        self._processes: WorkerProcesses | None = None
        self._lanes: dict[str, Lane] = {}
        self._attempts: dict[ActivityWork, Attempt] = {}
        self._for_threads: list[Attempt] = []
        self._for_processes: list[Attempt] = []
        self._for_loop: deque[Attempt] = deque()
        self._in_flight = 0
        self._is_starting = False
        self._ended: list[ActivityWork] = []
        self._is_flush_due = False
        self._is_closed = False
        self._emptied: asyncio.Future[None] | None = None

    # --- what the engine calls -------------------------------------------------------------------

    def bind(self, deliver: Callable[[list[ActivityWork]], None]) -> None:
        """Say where outcomes go; called on the loop, never from within ``start``."""
        self._deliver = deliver

    def start(self, works: list[ActivityWork]) -> None:
        """Run attempts as soon as there is room. Ignored once stopping has begun."""
        if self._is_closed:
            return
        for work in works:
            if work.canceled:
                failure = failure_of_type(asyncio.CancelledError, "cancelled before it began")
                self._answer(work, TaskFailed(work.task_id, failure))
                continue
            lane = self._lanes.get(work.name) or self._open_lane(work)
            if lane is None:
                continue
            attempt = Attempt(lane, work)
            if work.start_by is not None and not self._may_wait(attempt, work.start_by):
                continue
            self._attempts[work] = attempt
            lane.waiting.append(attempt)
            self._admit(lane)
        self._dispatch()

    def cancel(self, work: ActivityWork) -> bool:
        """Ask an attempt to stop, with its token.

        Returns:
            True when it had not begun: then it never does, and no outcome comes. Otherwise its
            outcome comes as ever, or has come.
        """
        work.canceled = True
        attempt = self._attempts.get(work)
        if attempt is None:
            return False
        attempt.withdraw()
        attempt.request_cancel()
        if self._processes is not None:
            self._processes.cancel(attempt)
        return attempt.is_withdrawn

    @property
    def running(self) -> int:
        """Attempts whose function runs, timed-out ones included."""
        return sum(one.begun_at is not None for one in self._attempts.values())

    @property
    def hung(self) -> int:
        """Sync attempts that were given up and keep a thread, replaced or not."""
        return sum(map(_is_hung, self._attempts.values()))

    def shortages(self) -> list[str]:
        """Whether no sync activity runs, since attempts that hang hold all threads."""
        threads = self._threads
        if threads is None:
            return []
        away = set(threads.blocked)
        hung = [one for one in self._attempts.values() if _is_hung(one) and one not in away]
        if len(hung) - threads.lost < threads.max_threads:
            return []
        text = (
            f"no sync activity runs: {len(hung)} attempts that were given up hold all threads, "
            f"such as {_places(hung)}; restart the host, and give what they call a time limit of "
            "its own"
        )
        return [text]

    def pools(self, *, has_cpu_bound: bool) -> list[PoolFacts]:
        """How many threads and processes there are, and may be.

        Args:
            has_cpu_bound: Whether processes may ever be needed.
        """
        threads, processes, cpu = self._threads, self._processes, self._cpu_workers
        count = 0 if threads is None else threads.count
        found = [PoolFacts(name="threads", workers=count, most=most_threads(self._max_threads))]
        if has_cpu_bound:
            most = cpu.most or processors()
            count = 0 if processes is None else processes.count
            found.append(
                PoolFacts(name="cpu_bound", workers=count, least=min(cpu.least, most), most=most)
            )
        return found

    @property
    def queued(self) -> int:
        """Attempts that wait for a thread or for room under a limit."""
        return sum(one.begun_at is None and not one.is_withdrawn for one in self._attempts.values())

    def loads(self) -> dict[str, ActivityLoad]:
        """Attempts that have not ended, by activity."""
        return load_by_activity(
            (one.work.name, one.begun_at is not None)
            for one in self._attempts.values()
            if not one.is_withdrawn
        )

    def stages_of(self, works: Iterable[ActivityWork]) -> dict[ActivityWork, WorkStage]:
        """How far attempts have come, but those that are not here or are just being begun."""
        attempts = [one for work in works if (one := self._attempts.get(work)) is not None]
        stages: dict[Attempt, WorkStage] = {}
        lanes = {one.lane for one in attempts}
        for pool in set(map(_pool, lanes)):
            behind = f"what runs in the {pool}"
            if pool == "worker threads" and (short := self.shortages()):
                behind = f"{behind} ({short[0]})"
            stages |= _in_order(self._queue_before(pool), behind)
            if pool == "worker threads" and self._threads is not None:
                behind = f"those that wait for orchestrations, {self._threads.max_lost} at once"
                stages |= _in_order(self._threads.aside, behind)
        for lane in lanes:
            name, most = lane.reference.name, lane.reference.max_concurrent
            behind = f"the limit of {activity_words(name)}, {most} at once"
            if lane.waiting and self._waits_for_others(lane):
                behind = f"{behind} (those that run wait for orchestrations)"
            stages |= _in_order(lane.waiting, behind)
        for attempt in attempts:
            if attempt.begun_at is not None:
                stages[attempt] = BegunWork(attempt.begun_at)
        return {one.work: stages[one] for one in attempts if one in stages}

    def _waits_for_others(self, lane: Lane) -> bool:
        blocked = [] if self._threads is None else self._threads.blocked
        return sum(one.lane is lane for one in blocked) == lane.reference.max_concurrent

    def _queue_before(self, pool: "_Pool") -> Sequence[Attempt]:
        """What was let in and waits for room, the next one first."""
        if pool == "host's loop":
            return self._for_loop
        workers = self._threads if pool == "worker threads" else self._processes
        return () if workers is None else workers.queued

    async def drain(self, seconds: float) -> bool:
        """Begin nothing more, and wait for what runs.

        Args:
            seconds: The longest wait, by the clock.

        Returns:
            Whether nothing runs any more. Attempts that had not begun have no outcome.
        """
        self._is_closed = True
        for attempt in self._attempts.values():
            attempt.withdraw()
        self._attempts = {work: one for work, one in self._attempts.items() if not one.is_withdrawn}
        if self._attempts:
            self._emptied = asyncio.get_running_loop().create_future()
            timer = self._clock.call_later(int(seconds * MICROSECONDS), self._wake_drain)
            await self._emptied
            timer.cancel()
        self._flush()
        return not self._attempts

    async def stop(self) -> None:
        """Stop, without outcomes: async activities are cancelled, processes ended, threads left."""
        self._is_closed = True
        self._deliver = _nowhere
        if self._threads is not None:
            self._threads.stop()
        tasks: list[asyncio.Task[None]] = []
        for attempt in self._attempts.values():
            attempt.withdraw()
            attempt.request_cancel()
            attempt.cancel_timers()
            if attempt.task is not None:
                attempt.task.cancel()
                tasks.append(attempt.task)
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        for attempt in self._attempts.values():
            if attempt.begun_at is not None and attempt.event is None:
                _LOGGER.warning("%r does not end in time and is left: %s", attempt, _place(attempt))
        self._attempts.clear()
        if self._processes is not None:
            await self._processes.stop()

    # --- admission -------------------------------------------------------------------------------

    def _open_lane(self, work: ActivityWork) -> Lane | None:
        try:
            reference = self._directory.get_activity(work.name)
        except UnknownFunctionError as error:
            text = f"{error} (work for {work.name!r} came to a host whose app does not have it)"
            failure = replace(failure_of_type(type(error), text), is_non_retriable=True)
            self._answer(work, TaskFailed(work.task_id, failure))
            return None
        lane = self._lanes[work.name] = Lane(reference, self._clock, self._payload_bytes)
        if reference.cpu_bound:
            lane.place = place_of(reference.function)
        return lane

    def _admit(self, lane: Lane) -> None:
        """Let waiting attempts in while the activity's own limit has room."""
        while lane.waiting and lane.free != 0:
            attempt = lane.waiting.popleft()
            if attempt.is_withdrawn:
                self._attempts.pop(attempt.work, None)
                continue
            if lane.free is not None:
                lane.free -= 1
                attempt.has_place = True
            if lane.reference.is_async:
                self._for_loop.append(attempt)
            elif lane.place is not None:
                self._for_processes.append(attempt)
            else:
                self._for_threads.append(attempt)

    def _dispatch(self) -> None:
        """Send what was admitted on its way."""
        if self._for_threads:
            if self._threads is None:
                loop = asyncio.get_running_loop()
                self._threads = WorkerThreads(
                    loop, self._on_jobs_done, on_aside=self._warn_of, max_threads=self._max_threads
                )
            self._time_queued(self._for_threads)
            self._threads.submit(self._for_threads)
            self._for_threads = []
        if self._for_processes:
            self._time_queued(self._for_processes)
            self._open_processes().submit(self._for_processes)
            self._for_processes = []
        if self._for_loop and not self._is_starting:
            # An eager activity may end here, within its start, and admit the next one: without
            # this mark that would nest as deep as the queue is long.
            self._is_starting = True
            while self._for_loop and self._in_flight < self._max_async:
                self._start_on_loop(self._for_loop.popleft())
            self._is_starting = False

    def _warn_of(self, attempt: Attempt) -> None:
        """It stands aside, since it may wait for an orchestration, as too many do already."""
        now, threads = self._clock.now(), self._threads
        assert threads is not None, "it stands in their queue"
        if now < self._quiet_until:
            return
        self._quiet_until = now + _QUIET
        blocked = threads.blocked
        _LOGGER.warning(
            "%r does not begin, nor do others that may wait for orchestrations: %d do so already, "
            "and %d may at once. Each begins when one of those has ended; if it is them that they "
            "wait for, none ever does. Wait for orchestrations in orchestrators, or in `async def` "
            "activities. They wait in %s",
            attempt,
            len(blocked),
            threads.max_lost,
            _places(blocked),
        )

    def _open_processes(self) -> "WorkerProcesses":
        if self._processes is None:
            # Most apps have no use for it.
            from tenuto.functions.processes import WorkerProcesses  # noqa: PLC0415

            loop = asyncio.get_running_loop()
            workers = self._cpu_workers
            self._processes = WorkerProcesses(
                loop,
                self._on_jobs_done,
                max_processes=workers.most,
                least_processes=workers.least,
                idle_seconds=workers.idle_seconds,
            )
        return self._processes

    def _start_on_loop(self, attempt: Attempt) -> None:
        if attempt.is_withdrawn:
            self._end(attempt)
            return
        self._in_flight += 1
        attempt.cancel_timers()
        attempt.task = eager_task(self._run_on_loop(attempt), attempt.new_context())
        timeout = attempt.work.timeout
        if timeout is not None and attempt.event is None:
            self._set_timer(attempt, timeout)

    async def _run_on_loop(self, attempt: Attempt) -> None:
        await attempt.run_async()
        self._in_flight -= 1
        self._end(attempt)
        self._dispatch()

    # --- timeouts --------------------------------------------------------------------------------

    def _may_wait(self, attempt: Attempt, start_by: Microseconds) -> bool:
        """Bound the time in the queue; False when it is over before the attempt got here."""
        if start_by <= self._clock.now():
            attempt.withdraw()
            self._answer_late(attempt)
            return False
        attempt.start_timer = self._clock.call_at(start_by, partial(self._on_late, attempt))
        return True

    def _on_late(self, attempt: Attempt) -> None:
        """An attempt should have begun by now. Whoever runs it may be about to: the first wins."""
        attempt.start_timer = None
        if not attempt.decide():
            return
        attempt.is_withdrawn = True
        self._attempts.pop(attempt.work, None)
        waiting = attempt.lane.waiting
        while waiting and waiting[0].is_withdrawn:
            waiting.popleft()
        self._answer_late(attempt)
        self._leave_lane(attempt)
        self._dispatch()

    def _answer_late(self, attempt: Attempt) -> None:
        message = f"{attempt!r} did not begin within its schedule_to_start_timeout"
        failure = failure_of_type(ScheduleToStartTimeoutError, message)
        event = TaskFailed(attempt.work.task_id, replace(failure, is_non_retriable=True))
        self._answer(attempt.work, event)
        _LOGGER.warning("%s: all places are taken, or its host was away", message)

    def _time_queued(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            if attempt.work.timeout is not None:
                self._set_timer(attempt, attempt.work.timeout)

    def _set_timer(self, attempt: Attempt, delay: Microseconds) -> None:
        attempt.timer = self._clock.call_later(delay, partial(self._on_timer, attempt))

    def _on_timer(self, attempt: Attempt) -> None:
        """Time an attempt out, unless it began later than the timer supposed.

        A sync attempt begins in its thread or process, where no timer can be set, so the timer
        is set when the attempt is queued: never too late, and perhaps too early.
        """
        attempt.timer = None
        if attempt.event is not None or attempt.is_withdrawn:
            return
        timeout = attempt.work.timeout
        assert timeout is not None
        now = self._clock.now()
        left = (now if attempt.begun_at is None else attempt.begun_at) + timeout - now
        if left > 0:
            # No more than the whole of it, should the clock have been set back.
            self._set_timer(attempt, min(left, timeout))
            return
        limit = timedelta(microseconds=timeout)
        message = f"{attempt!r} ran longer than its timeout of {limit}"
        failure = failure_of_type(TimeoutError, message)
        event = TaskFailed(attempt.work.task_id, failure)
        self._answer(attempt.work, event, attempt.begun_at)
        attempt.is_answered = True
        attempt.request_cancel()
        if attempt.task is not None:
            attempt.task.cancel()
        if self._processes is not None:
            self._processes.kill(attempt)
        _LOGGER.warning("%s; %s", message, self._give_up(attempt))
        self._dispatch()

    def _give_up(self, attempt: Attempt) -> str:
        """Nobody waits for an attempt: what it holds is for others; in words, what becomes of it.

        Its code may go on all the same: then it overlaps with what runs in its place.
        """
        self._leave_lane(attempt)
        if attempt.task is not None:
            return "it is cancelled"
        if attempt.lane.place is not None:
            return "its worker process is ended"
        threads = self._threads
        assert threads is not None, "it runs in one of them"
        if threads.lose(attempt):
            self._has_told_of_loss = False
            return (
                f"its thread is given up and replaced ({threads.lost} of at most "
                f"{threads.max_lost}); it may still be at work: {_place(attempt)}"
            )
        if threads.lost >= threads.max_lost and not self._has_told_of_loss:
            self._has_told_of_loss = True
            _LOGGER.error(
                "%d threads for sync activities hang in attempts that were given up, and no more "
                "are replaced: when the others hang as well, no sync activity runs. This one hangs "
                "at %s. Give what it calls a time limit of its own; restart the host",
                threads.lost,
                _place(attempt),
            )
        return "it keeps its thread until it returns"

    def _leave_lane(self, attempt: Attempt) -> None:
        """Its place under the limit of its activity is free."""
        lane = attempt.lane
        if lane.free is not None and attempt.has_place:
            attempt.has_place = False
            lane.free += 1
            self._admit(lane)

    # --- ends ------------------------------------------------------------------------------------

    def _on_jobs_done(self, attempts: list[Attempt]) -> None:
        self._is_flush_due = True
        try:
            for attempt in attempts:
                self._end(attempt)
            self._dispatch()
        finally:  # whatever is raised there, such as for want of memory: nobody else would flush
            self._flush()

    def _end(self, attempt: Attempt) -> None:
        """Free what the attempt held and answer, unless it never began or has timed out."""
        self._attempts.pop(attempt.work, None)
        attempt.cancel_timers()
        self._leave_lane(attempt)
        if attempt.is_answered and attempt.lane.place is None:
            _LOGGER.warning("%r ended after it was given up; its result is dropped", attempt)
        elif attempt.event is not None and not attempt.is_answered:
            work = attempt.work
            if attempt.seconds is not None:
                work.used = AttemptUsage(work.name, attempt.seconds, attempt.processor_seconds)
            self._answer(work, attempt.event, attempt.begun_at)
            # An attempt is part of a circle with its task: its result is not to wait for the
            # collector of garbage.
            attempt.event = _TOLD
        if not self._attempts:
            self._wake_drain()

    def _wake_drain(self) -> None:
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def _answer(
        self,
        work: ActivityWork,
        event: TaskCompleted | TaskFailed,
        begun_at: Microseconds | None = None,
    ) -> None:
        work.answer = event
        work.begun_at = begun_at
        self._ended.append(work)
        if not self._is_flush_due:
            # First: should there be no memory for it, the next outcome takes this one along.
            asyncio.get_running_loop().call_soon(self._flush)
            self._is_flush_due = True

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._ended:
            ended, self._ended = self._ended, []
            self._deliver(ended)


def _places(attempts: Sequence[Attempt]) -> str:
    """Where they are, each place once, with one of those that are there, and how many others."""
    there: dict[str, list[Attempt]] = {}
    for one in attempts[:_MOST_LOOKED_AT]:
        there.setdefault(_place(one), []).append(one)
    return "; ".join(
        f"{same[0]!r} at {place}" + (f" and {len(same) - 1} more there" if len(same) > 1 else "")
        for place, same in list(there.items())[:_MOST_NAMED]
    )


def _place(attempt: Attempt) -> str:
    """Where it is, for those who have to find out why it does not end."""
    if attempt.task is not None:
        return task_place(attempt.task)
    if attempt.lane.place is not None:
        return "its worker process is ended"
    return thread_place(thread_of(Attempt.run.__code__, attempt))


_Pool = Literal["host's loop", "worker threads", "worker processes"]


def _pool(lane: Lane) -> _Pool:
    """Where the attempts of an activity run."""
    if lane.reference.is_async:
        return "host's loop"
    return "worker threads" if lane.place is None else "worker processes"


def _in_order(queue: Iterable[Attempt], behind: str) -> dict[Attempt, WorkStage]:
    """The places of those in a queue that will still begin."""
    waiting = (one for one in queue if not one.is_withdrawn)
    return {one: QueuedWork(place, behind) for place, one in enumerate(waiting, 1)}


def _is_hung(attempt: Attempt) -> bool:
    """Whether its outcome went out, and its thread has not come back."""
    lane = attempt.lane
    is_in_thread = lane.place is None and not lane.reference.is_async
    return is_in_thread and attempt.is_answered and attempt.event is None


def _nowhere(_works: list[ActivityWork]) -> None:
    """Where outcomes go before ``bind`` and after ``stop``."""


if sys.version_info >= (3, 12):

    def eager_task(coroutine: Coroutine[Any, Any, None], context: Context) -> "asyncio.Task[None]":
        """A task that runs at once up to its first real wait, often to its end."""
        loop = asyncio.get_running_loop()
        return asyncio.Task(coroutine, loop=loop, context=context, eager_start=True)

else:

    def eager_task(coroutine: Coroutine[Any, Any, None], context: Context) -> "asyncio.Task[None]":
        """A task; Python 3.11 begins it in the next round of the loop."""
        return asyncio.get_running_loop().create_task(coroutine, context=context)
