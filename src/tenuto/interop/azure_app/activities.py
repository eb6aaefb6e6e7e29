"""Activities of an app: attempts that go to its workers, and come back as outcomes."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from tenuto.engine.ports import ActivityWork, BegunWork, Clock, QueuedWork, WorkStage
from tenuto.engine.runner_figures import ActivityLoad, load_by_activity
from tenuto.interop.azure_app.bindings.binder import BoundCall, StorageBindingError
from tenuto.interop.azure_app.functions import NamedFunctions
from tenuto.interop.azure_app.gathering import Gathering
from tenuto.interop.azure_app.inputs import Inputs, NoServerError
from tenuto.interop.workers.errands import CallErrand
from tenuto.interop.workers.executed import FunctionLog
from tenuto.interop.workers.pool import WorkerPool
from tenuto.interop.workers.protocol import Call, Datum, Failed, FunctionFacts, Result, Trace
from tenuto.model.causes import instance_cause
from tenuto.model.errors import LimitError, TenutoError
from tenuto.model.events import TaskCompleted, TaskFailed
from tenuto.model.failure import FailureDetails, failure_of
from tenuto.model.limits import check_payload
from tenuto.model.timing import Microseconds

_EXECUTED: Final = FunctionLog(logging.DEBUG)
"""A line takes a tenth of the time of a small activity, so that it is for those who ask for it."""


class ActivityOptions(Struct, frozen=True, kw_only=True):
    """How activities of an app are run.

    Attributes:
        payload_bytes: Longest result.
        timeout: How long one may run, in microseconds; None for no end.
        most_at_once: How many may be out with workers.
    """

    payload_bytes: int
    timeout: Microseconds | None
    most_at_once: int


class AppActivities:
    """Runs activities of an app.

    Args:
        functions: Which there are.
        inputs: Makes what they are given.
        pool: The workers.
        clock: The host's time.
        options: Bounds.
    """

    def __init__(
        self,
        functions: NamedFunctions,
        inputs: Inputs,
        pool: WorkerPool,
        clock: Clock,
        options: ActivityOptions,
    ) -> None:
        self._functions = functions
        self._inputs = inputs
        self._pool = pool
        self._clock = clock
        self._options = options
        self._out: dict[ActivityWork, CallErrand] = {}
        self._begun: dict[ActivityWork, Microseconds] = {}
        self._queue: dict[ActivityWork, None] = {}
        self._reading: dict[ActivityWork, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gathering = Gathering(_to_nobody)

    @property
    def queued(self) -> int:
        """Attempts that wait."""
        return len(self._queue) + len(self._out) + len(self._reading) - len(self._begun)

    @property
    def running(self) -> int:
        """Attempts that a worker has, or that have ended and are on their way."""
        return len(self._begun) + self._gathering.waiting

    def loads(self) -> Mapping[str, ActivityLoad]:
        """Attempts that have not ended, by activity."""
        works = {**self._queue, **dict.fromkeys(self._out), **dict.fromkeys(self._reading)}
        return load_by_activity((work.name, work in self._begun) for work in works)

    def bind(self, deliver: Callable[[list[ActivityWork]], None]) -> None:
        """Say where attempts go that have ended."""
        self._gathering = Gathering(deliver)

    def start(self, works: Sequence[ActivityWork]) -> None:
        """Run attempts, as many at once as may be."""
        for work in works:
            self._queue[work] = None
            self._gathering.began(work)
        self._fill()

    def _fill(self) -> None:
        most = self._options.most_at_once
        while self._queue and len(self._out) + len(self._reading) < most:
            work = next(iter(self._queue))
            del self._queue[work]
            self._begin(work)

    def _begin(self, work: ActivityWork) -> None:
        found = self._functions.find(work.name)
        assert found is not None, "the runner is asked for activities that it has"
        function = found[1]
        given = None if work.input is None else Datum(string=work.input)
        try:
            inputs = self._inputs.of(function, given)
        except NoServerError as error:
            self._refused(work, error)
            return
        bound = self._inputs.bound(function)
        if bound is None:
            self._send(work, function, inputs, None)
        else:
            cause = instance_cause(work.instance_id)
            call = bound.call(given, _metadata(work), cause=cause)
            self._reading[work] = self._in_task(self._read(work, function, inputs, call))

    def _refused(self, work: ActivityWork, error: TenutoError) -> None:
        failed = TaskFailed(work.task_id, failure_of(error, with_traceback=False))
        self._gathering.ended(work.answered(failed, None))

    def _send(
        self,
        work: ActivityWork,
        function: FunctionFacts,
        inputs: Mapping[str, Datum | None],
        bound: BoundCall | None,
    ) -> None:
        invocation = f"{work.instance_id}/{work.task_id}"
        call = Call(0, function.name, invocation, inputs, _metadata(work), trace=_trace(work))

        def begun() -> None:
            self._begun[work] = self._clock.now()

        def ended(answer: Result | Failed, _attachment: bytes) -> None:
            if bound is None or isinstance(answer, Failed):
                self._ended(work, answer)
            elif work in self._out or work in self._reading:
                _ = self._in_task(self._write(work, answer, bound))

        errand = CallErrand(call, b"", ended, begun, self._options.timeout)
        self._out[work] = errand
        self._pool.call(errand)

    # --- inputs and outputs of their own ---------------------------------------------------------

    def _in_task(self, doing: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle(self, seconds: float) -> bool:
        """Wait until outputs are written, at most this long; False when some are not."""
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        return all(one.done() for one in tasks)

    async def _read(
        self,
        work: ActivityWork,
        function: FunctionFacts,
        inputs: Mapping[str, Datum | None],
        bound: BoundCall,
    ) -> None:
        found: Mapping[str, Datum | None] = {}
        error: StorageBindingError | None = None
        try:
            found = await bound.read()
        except StorageBindingError as failed:
            error = failed
        del self._reading[work]
        if error is None:
            self._send(work, function, {**inputs, **found}, bound)
        else:
            self._refused(work, error)
            self._fill()

    async def _write(self, work: ActivityWork, answer: Result, bound: BoundCall) -> None:
        try:
            await bound.write(answer)
        except StorageBindingError as error:
            self._ended(work, Failed(answer.id, type(error).__name__, str(error)))
        else:
            self._ended(work, answer)

    def cancel(self, work: ActivityWork) -> bool:
        """Ask an attempt to stop; True when it had not begun, and never will."""
        if work in self._queue:
            del self._queue[work]
            self._gathering.dropped(work)
            return True
        errand = self._out.get(work)
        if errand is None and work in self._reading:
            self._reading.pop(work).cancel()
            self._gathering.dropped(work)
            self._fill()
            return True
        if errand is None:
            return False
        work.canceled = True
        if not self._pool.cancel(errand):
            return False
        del self._out[work]
        self._begun.pop(work, None)
        self._gathering.dropped(work)
        self._fill()
        return True

    def stages_of(self, works: Sequence[ActivityWork]) -> Mapping[ActivityWork, WorkStage]:
        """How far attempts have come."""
        places = {work: place for place, work in enumerate(self._queue, 1)}
        found: dict[ActivityWork, WorkStage] = {}
        for work in works:
            begun_at = self._begun.get(work)
            if begun_at is not None:
                found[work] = BegunWork(begun_at)
            elif work in places:
                most = self._options.most_at_once
                found[work] = QueuedWork(places[work], f"the {most} activities that may run")
            elif work in self._out:
                coming = ", and one is starting" if self._pool.is_growing else ""
                found[work] = QueuedWork(1, f"a worker process{coming}")
        return found

    def abandon(self) -> None:
        """Nobody waits for anything any more."""
        self._queue.clear()
        self._out.clear()
        self._reading.clear()
        for one in self._tasks:
            one.cancel()
        self._begun.clear()
        self._gathering.clear()

    def _ended(self, work: ActivityWork, answer: Result | Failed) -> None:
        if self._out.pop(work, None) is None:
            return
        begun_at = self._begun.pop(work, None)
        self._log(work, answer, begun_at)
        event = self._outcome(work, answer)
        self._gathering.ended(work.answered(event, begun_at))
        self._fill()

    def _log(
        self, work: ActivityWork, answer: Result | Failed, begun_at: Microseconds | None
    ) -> None:
        found = self._functions.find(work.name)
        assert found is not None, "it has run"
        _EXECUTED.executed(
            found[1].name,
            f"{work.instance_id}/{work.task_id}",
            0 if begun_at is None else self._clock.now() - begun_at,
            error=f"{answer.error_type}: {answer.message}" if isinstance(answer, Failed) else None,
            instance_id=work.instance_id,
        )

    def _outcome(self, work: ActivityWork, answer: Result | Failed) -> TaskCompleted | TaskFailed:
        if isinstance(answer, Failed):
            return TaskFailed(work.task_id, failure(answer))
        try:
            text = json_text(answer.value)
            what = f"the result of activity {work.name!r}"
            check_payload(text, self._options.payload_bytes, what)
        except (LimitError, ValueError) as error:
            return TaskFailed(work.task_id, failure_of(error, with_traceback=False))
        return TaskCompleted(work.task_id, text)


def _metadata(work: ActivityWork) -> dict[str, Any]:
    return {"instanceId": work.instance_id}


def _trace(work: ActivityWork) -> Trace | None:
    trace = work.trace
    return None if trace is None else Trace(trace.parent, trace.state or "")


def json_text(value: Datum | None) -> str | None:
    """What a function returned as JSON text: a text is put as JSON, JSON is kept to the letter."""
    if value is None:
        return None
    if value.json is not None:
        return value.json
    text = value.string if value.string is not None else value.bytes
    return None if text is None else msgspec.json.encode(text).decode()


class _Details(Struct, frozen=True, rename="camel"):
    """What an error in JavaScript says of itself, when the app has asked for that."""

    error_type: str = "Error"
    error_message: str = ""
    stack_trace: str | None = None
    is_non_retriable: bool = False
    properties: dict[str, Any] | None = None


_read_details: Final = msgspec.json.Decoder(_Details).decode


def failure(answer: Failed) -> FailureDetails:
    """What a worker says of an error, in the words of the house."""
    details = None if answer.details is None else _details(answer.details)
    if details is None:
        return FailureDetails(answer.error_type, answer.message, answer.stack or None)
    return FailureDetails(
        details.error_type,
        details.error_message,
        details.stack_trace,
        is_non_retriable=details.is_non_retriable,
        properties=details.properties or {},
    )


def _details(text: str) -> _Details | None:
    """What an app has put in the place of a message; None when it is something else."""
    try:
        return _read_details(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _to_nobody(_works: list[ActivityWork]) -> None:
    """Until an engine is there."""
