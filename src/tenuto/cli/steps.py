"""A run as people see it: steps with a beginning, an end and a state, read off its history.

Pure: histories and rows go in, values come out. History knows neither the names of events that are
waited for nor which timers are pauses between attempts; who has the live session adds that as
``Waits``.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct, field, structs

from tenuto.model.events import (
    EventRaised,
    EventSent,
    HistoryEvent,
    OrchestratorStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.status import InstanceRecord, RuntimeStatus


class StepKind(StrEnum):
    """What a step is."""

    ACTIVITY = "activity"
    CHILD = "orchestration"
    TIMER = "timer"
    EVENT = "event"
    MESSAGE = "message"


class StepState(StrEnum):
    """Where a step stands."""

    RUNNING = "running"
    WAITING = "waiting"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_open(self) -> bool:
        """Whether something is still to come."""
        return self in _OPEN


_OPEN: Final = frozenset({StepState.RUNNING, StepState.WAITING, StepState.RETRYING})


class Step(Struct, kw_only=True):
    """One thing that an orchestrator did or waits for. Times are microseconds since 1970 UTC.

    Attributes:
        number: The event id of the call; below zero for events that arrived.
        name: Of the function or event; empty for timers, and for events of unknown name.
        begun_at: The time of the turn that decided it.
        changed_at: The time of the turn that brought it to its state and attempt.
        ended_at: The time of the turn that learned of its end.
        attempt: Which attempt is or was the last, from 1.
        due_at: When a timer fires, or the next attempt begins.
        failure: Of the last attempt that failed.
        instance_id: The child, or the receiver of a message.
        is_detached: A child whose result nobody waits for.
        run: What the child did, when that was read.
    """

    number: int
    kind: StepKind
    name: str
    state: StepState
    begun_at: int
    changed_at: int
    ended_at: int | None = None
    attempt: int = 1
    due_at: int | None = None
    failure: FailureDetails | None = None
    instance_id: str | None = None
    is_detached: bool = False
    run: "Run | None" = None


class Run(Struct, kw_only=True):
    """An instance and the steps of its current execution, in the order of their beginning.

    Attributes:
        record: Its row.
        steps: What it did and waits for.
        is_told: Whether its session was asked too: there is no wait beside these.
    """

    record: InstanceRecord
    steps: list[Step]
    is_told: bool = False

    def open_steps(self) -> list[Step]:
        """What it waits for, without what its children wait for."""
        return [step for step in self.steps if step.state.is_open and not step.is_detached]


class Waits(Struct, frozen=True):
    """What a live session knows beyond history.

    Attributes:
        events: Name of each event that is waited for, and since when.
        retry_pauses: Timers that are pauses before another attempt: the first attempt's id by
            timer id.
    """

    events: tuple[tuple[str, int], ...] = ()
    retry_pauses: dict[int, int] = field(default_factory=dict)


def run_of(
    record: InstanceRecord, turns: Sequence[Sequence[HistoryEvent]], waits: Waits | None = None
) -> Run:
    """The steps of an instance.

    Args:
        record: Its row.
        turns: The history of its current execution.
        waits: What its live session tells; None when there is none to ask.
    """
    reader = _Reader()
    for turn in turns:
        reader.read(turn)
    steps = reader.finish(waits or Waits())
    run = Run(record=record, steps=steps, is_told=waits is not None)
    if record.status.is_finished:
        _give_up(run)
    elif waits is None and record.status is RuntimeStatus.RUNNING and not run.open_steps():
        # Without open work it can only wait for an event.
        run.steps.append(reader.add_event("", StepState.WAITING))
    return run


def nested(step: Step, child: Run) -> Step:
    """The step with its child's run. Where nobody waits for that, its row tells the state."""
    if not (step.is_detached or step.state is StepState.CANCELED):
        return structs.replace(step, run=child)
    record = child.record
    state = StepState.RUNNING
    if record.status.is_finished:
        done = record.status is RuntimeStatus.COMPLETED
        state = StepState.COMPLETED if done else StepState.FAILED
    return structs.replace(
        step,
        run=child,
        state=state,
        changed_at=record.completed_at or step.begun_at,
        ended_at=record.completed_at,
        failure=record.failure,
    )


def _give_up(run: Run) -> None:
    """When an orchestrator has ended, nobody waits for its open work any more (DESIGN 2)."""
    for step in run.open_steps():
        step.state = StepState.CANCELED
        if run.record.completed_at is not None:
            step.changed_at = step.ended_at = run.record.completed_at


class _Reader:
    """Follows a history event by event."""

    def __init__(self) -> None:
        self.now = 0
        self._steps: dict[int, Step] = {}
        self._turn = 0
        self._events = 0
        self._calls: dict[int, int] = {}
        self._failed_in: dict[int, int] = {}
        self._set_in: dict[int, int] = {}
        self._fired: list[int] = []

    def read(self, turn: Sequence[HistoryEvent]) -> None:
        """Take in the next turn."""
        self._turn += 1
        self._fired = []
        for event in turn:
            handler = _HANDLERS.get(type(event))
            if handler is not None:
                handler(self, event)

    def finish(self, waits: Waits) -> list[Step]:
        """All steps, together with what the session told."""
        for timer_id, first_id in waits.retry_pauses.items():
            pause = self._steps.get(timer_id)
            if pause is not None and first_id in self._steps:
                call = self._steps[first_id]
                call.state = StepState.RETRYING
                call.due_at, call.ended_at = pause.due_at, None
                del self._steps[timer_id]
        for name, since in waits.events:
            step = self.add_event(name, StepState.WAITING)
            step.begun_at = step.changed_at = since
        return list(self._steps.values())

    # --- events: one method for each kind that says something of steps --------------------------

    def on_started(self, event: OrchestratorStarted) -> None:
        self.now = event.timestamp

    def on_scheduled(self, event: TaskScheduled) -> None:
        first = event.event_id if event.call_id is None else event.call_id
        self._calls[event.event_id] = first
        step = self._steps.get(first)
        if step is None:
            self._add(event.event_id, StepKind.ACTIVITY, event.name)
            return
        self._drop_pause(first)
        step.state = StepState.RUNNING
        step.attempt = event.attempt
        step.changed_at = self.now
        step.ended_at = step.due_at = None

    def _drop_pause(self, first: int) -> None:
        """The timer between two attempts was set when the first failed and has fired just now."""
        for timer_id in self._fired:
            if self._set_in.get(timer_id) == self._failed_in.get(first):
                self._fired.remove(timer_id)
                del self._steps[timer_id]
                return

    def on_created(self, event: SubOrchestrationInstanceCreated) -> None:
        step = self._add(event.event_id, StepKind.CHILD, event.name)
        step.instance_id = event.instance_id
        step.is_detached = event.detached

    def on_timer(self, event: TimerCreated) -> None:
        step = self._add(event.event_id, StepKind.TIMER, "", StepState.WAITING)
        step.due_at = event.fire_at
        self._set_in[event.event_id] = self._turn

    def on_fired(self, event: TimerFired) -> None:
        self._end(event.timer_id, StepState.COMPLETED)
        self._fired.append(event.timer_id)

    def on_completed(self, event: TaskCompleted | SubOrchestrationInstanceCompleted) -> None:
        self._end(event.task_scheduled_id, StepState.COMPLETED)

    def on_failed(self, event: TaskFailed | SubOrchestrationInstanceFailed) -> None:
        step = self._end(event.task_scheduled_id, StepState.FAILED)
        if step is not None:
            step.failure = event.failure_details
            self._failed_in[step.number] = self._turn

    def on_canceled(self, event: TaskCanceled) -> None:
        self._end(event.task_id, StepState.CANCELED)

    def on_raised(self, event: EventRaised) -> None:
        self.add_event(event.name, StepState.COMPLETED).ended_at = self.now

    def on_sent(self, event: EventSent) -> None:
        step = self._add(event.event_id, StepKind.MESSAGE, event.name, StepState.COMPLETED)
        step.instance_id = event.instance_id
        step.ended_at = self.now

    def add_event(self, name: str, state: StepState) -> Step:
        """An event that arrived or is waited for; it has no id of its own."""
        self._events += 1
        return self._add(-self._events, StepKind.EVENT, name, state)

    def _add(
        self, number: int, kind: StepKind, name: str, state: StepState = StepState.RUNNING
    ) -> Step:
        now = self.now
        step = Step(number=number, kind=kind, name=name, state=state, begun_at=now, changed_at=now)
        self._steps[number] = step
        return step

    def _end(self, task_id: int, state: StepState) -> Step | None:
        step = self._steps.get(self._calls.get(task_id, task_id))
        if step is not None:
            step.state = state
            step.changed_at = step.ended_at = self.now
        return step


_HANDLERS: Final[dict[type, Callable[[_Reader, Any], None]]] = {
    OrchestratorStarted: _Reader.on_started,
    TaskScheduled: _Reader.on_scheduled,
    TaskCompleted: _Reader.on_completed,
    TaskFailed: _Reader.on_failed,
    SubOrchestrationInstanceCreated: _Reader.on_created,
    SubOrchestrationInstanceCompleted: _Reader.on_completed,
    SubOrchestrationInstanceFailed: _Reader.on_failed,
    TimerCreated: _Reader.on_timer,
    TimerFired: _Reader.on_fired,
    TaskCanceled: _Reader.on_canceled,
    EventRaised: _Reader.on_raised,
    EventSent: _Reader.on_sent,
}
