"""One attempt of an activity, from its recorded input to the event that records its end.

Owns decoding the input, calling the function with its context, encoding the result, and turning
whatever the function raises into a failure. Never decides when or where an attempt runs, and never
lets an exception out, so that user code cannot end a worker.
"""

import asyncio
import inspect
from collections import deque
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any

from msgspec.structs import replace

from tenuto.engine.ports import ActivityWork, Clock, TimerHandle
from tenuto.functions.activity_context import ActivityContext, Cancellation, running_activity
from tenuto.functions.locating import Place
from tenuto.functions.threads import Pace
from tenuto.model.built_in import activity_words
from tenuto.model.errors import PayloadError
from tenuto.model.events import TaskCompleted, TaskFailed
from tenuto.model.failure import failure_of
from tenuto.model.limits import check_payload
from tenuto.model.timing import Microseconds
from tenuto.orchestration.references import AnyActivity


class Lane:
    """All attempts of one activity on this host: what they share, and their own limit.

    Attributes:
        free: How many more may run now; None without a limit.
        waiting: Attempts for which there was no room, oldest first.
        place: Where worker processes find the function; None when it runs in this one.
    """

    __slots__ = (
        "clock", "context", "free", "pace", "payload_bytes", "place", "reference", "waiting",
    )  # fmt: skip

    def __init__(self, reference: AnyActivity, clock: Clock, payload_bytes: int) -> None:
        self.reference = reference
        self.clock = clock
        self.payload_bytes = payload_bytes
        self.pace = Pace()
        self.free = reference.max_concurrent
        self.waiting: deque[Attempt] = deque()
        self.place: Place | None = None
        # Attempts see the host's context variables, each in a copy of its own.
        self.context = copy_context()


class Attempt:
    """One attempt.

    ``event`` is how it ended, None until then; ``begun_at`` is None until user code may run;
    ``is_withdrawn`` means that it never begins, ``is_answered`` that its outcome went out,
    ``is_cancel_requested`` that nobody waits for it, ``has_place`` that it counts under the limit
    of its activity. ``seconds`` and ``processor_seconds`` say how long it took and how long a
    processor was at work for it: whoever runs it in a thread or a process measures that. On the
    host's loop, where activities take turns with everything else, nobody can tell the latter, and
    both are left alone.
    """

    __slots__ = (
        "_context",
        "_undecided",
        "begun_at",
        "event",
        "has_place",
        "is_answered",
        "is_cancel_requested",
        "is_withdrawn",
        "lane",
        "pace",
        "processor_seconds",
        "seconds",
        "start_timer",
        "task",
        "timer",
        "work",
    )

    def __init__(self, lane: Lane, work: ActivityWork) -> None:
        self.lane = lane
        self.work = work
        self.pace = lane.pace
        self.event: TaskCompleted | TaskFailed | None = None
        self.begun_at: Microseconds | None = None
        self.seconds: float | None = None
        self.processor_seconds = 0.0
        self.is_withdrawn = False
        self.is_answered = False
        self.has_place = False
        self.task: asyncio.Task[None] | None = None
        self.timer: TimerHandle | None = None
        self.start_timer: TimerHandle | None = None
        self._context: ActivityContext | None = None
        self.is_cancel_requested = False
        # The attempt belongs to the one who takes this: a thread to begin it, or the loop to
        # withdraw it. Taking from a list is atomic.
        self._undecided = [True]

    def __repr__(self) -> str:
        work = self.work
        return (
            f"{activity_words(work.name)} of instance {work.instance_id!r}, "
            f"task {work.task_id}, attempt {work.attempt}"
        )

    def run(self) -> None:
        """Run a sync activity, in the thread that calls this. Never raises."""
        if not self.decide():
            return
        try:
            self.begun_at = self.lane.clock.now()
            self.lane.context.copy().run(self._run)
        except BaseException as error:  # noqa: BLE001 - such as one that was thrown into the thread
            self.fail(error)

    def _run(self) -> None:
        running_activity.set(self.context)
        arguments = self._arguments()
        if arguments is None:
            return
        try:
            result = self.lane.reference.function(*arguments)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its failure
            self.fail(error)
        else:
            self._complete(result)

    async def run_async(self) -> None:
        """Run an async activity, in the current task. Never raises."""
        if not self.decide():
            return
        self.begun_at = self.lane.clock.now()
        running_activity.set(self.context)
        arguments = self._arguments()
        if arguments is None:
            return
        try:
            result = await self.lane.reference.function(*arguments)
        except BaseException as error:  # noqa: BLE001 - as above; cancelled ones end here too
            self.fail(error)
        else:
            self._complete(result)

    def withdraw(self) -> None:
        """Keep it from beginning, unless it has begun."""
        if self.decide():
            self.is_withdrawn = True

    def decide(self) -> bool:
        """Begin or withdraw: True for the first who asks, never again."""
        try:
            return self._undecided.pop()
        except IndexError:
            return False

    def cancel_timers(self) -> None:
        """Nothing limits its time any more."""
        for timer in (self.timer, self.start_timer):
            if timer is not None:
                timer.cancel()

    def new_context(self) -> Context:
        """Context variables for this attempt."""
        return self.lane.context.copy()

    def context(self) -> ActivityContext:
        """What the activity is told; made when it asks, as most never do."""
        if self._context is None:
            work = self.work
            self._context = ActivityContext(
                work.name,
                instance_id=work.instance_id,
                attempt=work.attempt,
                idempotency_key=work.idempotency_key,
                cancellation=Cancellation(),
                trace_headers=None if work.trace is None else work.trace.headers,
            )
            # Cancelling may have come between: it looks at the two in the other order.
            if self.is_cancel_requested:
                self._context.cancellation.request()
        return self._context

    def request_cancel(self) -> None:
        """Turn the activity's token on."""
        self.is_cancel_requested = True
        if self._context is not None:
            self._context.cancellation.request()

    def _arguments(self) -> tuple[Any, ...] | None:
        reference = self.lane.reference
        try:
            arguments = reference.signature.decode_arguments(self.work.input)
        except BaseException as error:  # noqa: BLE001 - types of users may refuse data in any way
            self.fail(error, is_final=type(error) is not MemoryError)
            return None
        return arguments if reference.make_context is None else (self.context(), *arguments)

    def _complete(self, result: object) -> None:
        try:
            text = self.lane.reference.signature.encode_result(result)
            limit = self.lane.payload_bytes
            if len(text) * 4 > limit:  # else the words alone would cost something each time
                check_payload(text, limit, f"the result of {activity_words(self.work.name)}")
        except BaseException as error:  # noqa: BLE001 - objects of users may fail in any way
            self._refuse(result, error)
        else:
            self.event = TaskCompleted(self.work.task_id, text)

    def _refuse(self, result: object, error: BaseException) -> None:
        """End as failed by a result that cannot be stored."""
        try:
            if isinstance(error, PayloadError):
                error = error.of(f"the result of {activity_words(self.work.name)}")
            error = _about_coroutine(result, self.work.name) or error
        except BaseException as worse:  # noqa: BLE001 - even asking what it is runs code of users
            error = worse
        # Memory may suffice another time.
        self.fail(error, is_final=type(error) is not MemoryError)

    def fail(self, error: BaseException, *, is_final: bool = False) -> None:
        """End as failed; ``is_final`` when another attempt would fail in the same way.

        Never raises.
        """
        with suppress(BaseException):  # an exception may refuse to have its traceback set
            _trim_traceback(error)
        failure = failure_of(error)
        if is_final:
            failure = replace(failure, is_non_retriable=True)
        self.event = TaskFailed(self.work.task_id, failure)


def _about_coroutine(result: object, name: str) -> TypeError | None:
    if not inspect.iscoroutine(result):
        return None
    result.close()
    return TypeError(f"activity {name!r} returned a coroutine; declare it `async def`")


def _trim_traceback(error: BaseException) -> None:
    """Leave out the frames of this module, which tell users nothing."""
    entry = error.__traceback__
    while entry is not None and entry.tb_frame.f_code.co_filename == _THIS_FILE:
        entry = entry.tb_next
    if entry is not None:
        error.__traceback__ = entry


_THIS_FILE = _trim_traceback.__code__.co_filename
