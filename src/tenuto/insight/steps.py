"""A run as people see it: steps with a beginning, an end and a state, read off its history.

Pure: histories and rows go in, values come out.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct, field, structs

from tenuto.insight.built_in import call_text, request_text
from tenuto.model.events import (
    ContinueAsNew,
    EventAwaited,
    EventPublished,
    EventRaised,
    EventRefused,
    EventSent,
    EventTaken,
    ExecutionCompleted,
    ExecutionStarted,
    ExecutionSuspended,
    HistoryEvent,
    MessageQueued,
    OrchestratorStarted,
    QuestionAsked,
    QuestionLinked,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
    TimerPurpose,
    TopicAwaited,
)
from tenuto.model.execution import is_native
from tenuto.model.explanation import ActivityWait, Explanation
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import InstanceId
from tenuto.model.messages import AnswerQuestion
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.topics import is_of_wait, wait_number


class StepKind(StrEnum):
    """What a step is."""

    ACTIVITY = "activity"
    CHILD = "orchestration"
    TIMER = "timer"
    EVENT = "event"
    QUESTION = "question"
    MESSAGE = "message"


class StepState(StrEnum):
    """Where a step stands.

    ``UNREAD`` is an event that came when nobody waited for it. Whether a wait that began later took
    it at once, history does not tell.
    """

    RUNNING = "running"
    WAITING = "waiting"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    UNREAD = "unread"

    @property
    def is_open(self) -> bool:
        """Whether something is still to come."""
        return self in _OPEN


_OPEN: Final = frozenset({StepState.RUNNING, StepState.WAITING, StepState.RETRYING})


class Attempt(Struct, kw_only=True):
    """One attempt of a call. Times are microseconds since 1970 UTC.

    Attributes:
        attempt: Which one, from 1.
        begun_at: The time of the turn that decided it.
        ended_at: The time of the turn that learned of its end.
        failure: Why it failed.
    """

    attempt: int
    begun_at: Microseconds
    ended_at: Microseconds | None = None
    failure: FailureDetails | None = None


class Step(Struct, kw_only=True):
    """One thing that an orchestrator did or waits for. Times are microseconds since 1970 UTC.

    Attributes:
        number: The event id of the call or wait; below zero for events that nobody awaited when
            they arrived.
        name: Of the function or event, the title of a question; empty for timers.
        begun_at: The time of the turn that decided it.
        changed_at: The time of the turn that brought it to its state and attempt.
        ended_at: The time of the turn that learned of its end.
        attempt: Which attempt is or was the last, from 1.
        attempts: Of a call, each attempt in its order.
        turn: Which turn decided it, from 1; 0 for events that earlier generations have left.
        ended_turn: Which turn learned of its end.
        due_at: When a timer fires, the next attempt begins, or a wait for an event is given up.
        purpose: Of a timer.
        is_expired: A wait for an event that ended because its time was over.
        failure: Of the last attempt that failed.
        instance_id: The child, or the receiver of a message.
        is_detached: A child whose result nobody waits for.
        request: What an HTTP call of Tenuto's own asks for.
        url: Where a question is answered.
        place: ``topic`` or ``queue``, where a message went or an event is to come from; else empty.
        key: Of an event of a topic, where it has one.
        run: What the child did, when that was read.
    """

    number: int
    kind: StepKind
    name: str
    state: StepState
    begun_at: Microseconds
    changed_at: Microseconds
    ended_at: Microseconds | None = None
    attempt: int = 1
    attempts: list[Attempt] = field(default_factory=list)
    turn: int = 0
    ended_turn: int | None = None
    due_at: Microseconds | None = None
    purpose: TimerPurpose = "timer"
    is_expired: bool = False
    failure: FailureDetails | None = None
    instance_id: InstanceId | None = None
    is_detached: bool = False
    request: str = ""
    url: str = ""
    place: str = ""
    key: str = ""
    run: "Run | None" = None

    def end(self, at: Microseconds, turn: int) -> None:
        """It is over, whichever way, and so is an attempt that went on."""
        self.changed_at = self.ended_at = at
        self.ended_turn = turn
        if self.attempts and self.attempts[-1].ended_at is None:
            self.attempts[-1].ended_at = at

    @property
    def call(self) -> str:
        """What an activity does that Tenuto itself has, in words; empty for others."""
        return call_text(self.name, self.request) if self.kind is StepKind.ACTIVITY else ""


class Run(Struct, kw_only=True):
    """An instance and the steps of its current execution, in the order of their beginning.

    Attributes:
        record: Its row.
        steps: What it did and waits for.
        pause_reason: Why it was suspended, where somebody said so.
        untaken: Messages in its inbox that it would take in now, when that was read.
        answers: Those of people in its inbox, which wait until it goes on.
        raised: The names of events in its inbox, which wait as well; in any case, as waits have
            them.
        is_telling: Whether its history says all that it waits for, and does not end: that is so
            once it has begun, except for programs that keep to themselves what events they await.
    """

    record: InstanceRecord
    steps: list[Step]
    pause_reason: str = ""
    untaken: int = 0
    answers: Sequence[AnswerQuestion] = ()
    raised: Sequence[str] = ()
    is_telling: bool = False

    def open_steps(self) -> list[Step]:
        """What it waits for, without what its children wait for."""
        return [step for step in self.steps if step.state.is_open and not step.is_detached]


def run_of(
    record: InstanceRecord,
    turns: Iterable[Sequence[HistoryEvent]],
    unread: Iterable[EventRaised] = (),
) -> Run:
    """The steps of an instance.

    Args:
        record: Its row.
        turns: The history of its current execution.
        unread: Events that earlier generations have left.
    """
    story = Story(record.created_at, unread)
    for turn in turns:
        story.read(turn)
    return story.told(record)


class Story:
    """A run that is read turn by turn, and may be told after each of them.

    Args:
        created_at: When the instance was created.
        unread: Events that earlier generations have left.
    """

    def __init__(self, created_at: Microseconds, unread: Iterable[EventRaised] = ()) -> None:
        self._reader = _Reader()
        self._reader.now = created_at
        for event in unread:
            self._reader.on_raised(event)

    def read(self, turn: Sequence[HistoryEvent]) -> None:
        """Take in the next turn."""
        self._reader.read(turn)

    def told(self, record: InstanceRecord) -> Run:
        """The run so far; what is read afterwards does not change it.

        Args:
            record: The row as it was after the last turn that was read.
        """
        reader = self._reader
        unread = reader.unread
        steps = [_copied(step, is_unread=step.number in unread) for step in reader.steps]
        run = Run(
            record=record,
            steps=steps,
            pause_reason=reader.pause_reason,
            is_telling=reader.is_telling,
        )
        if record.status.is_finished:
            _give_up(run, reader.turn)
        return run


def _copied(step: Step, *, is_unread: bool) -> Step:
    state = StepState.UNREAD if is_unread else step.state
    attempts = [structs.replace(one) for one in step.attempts]
    return structs.replace(step, state=state, attempts=attempts)


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


def as_its_host_says(run: Run, why: Explanation) -> Run:
    """A run whose activities that are queued do not run."""
    queued = {
        fact.id for fact in why.facts if isinstance(fact, ActivityWait) and fact.stage == "queued"
    }
    steps = [
        structs.replace(step, state=StepState.WAITING) if step.number in queued else step
        for step in run.steps
    ]
    return structs.replace(run, steps=steps)


def _give_up(run: Run, last_turn: int) -> None:
    """When an orchestrator has ended, nobody waits for its open work any more (DESIGN 2)."""
    for step in run.open_steps():
        step.state = StepState.CANCELED
        if run.record.completed_at is not None:
            step.end(run.record.completed_at, last_turn)


class _Reader:
    """Follows a history event by event."""

    def __init__(self) -> None:
        self.now = 0
        self.turn = 0
        self.is_telling = False
        self._is_native = False
        self.pause_reason = ""
        self._steps: dict[int, Step] = {}
        self._events = 0
        self._of: dict[int, int] = {}
        self._unclaimed: dict[str, deque[int]] = {}
        self._brought: dict[str, int] = {}

    @property
    def steps(self) -> list[Step]:
        """All that was read, in the order of their beginning."""
        return list(self._steps.values())

    def read(self, turn: Sequence[HistoryEvent]) -> None:
        """Take in the next turn."""
        self.turn += 1
        for event in turn:
            handler = _HANDLERS.get(type(event))
            if handler is not None:
                handler(self, event)

    @property
    def unread(self) -> set[int]:
        """Events that no open wait has taken; other programs do not tell what they take."""
        if not self._is_native:
            return set()
        return {number for numbers in self._unclaimed.values() for number in numbers}

    # --- events: one method for each kind that says something of steps --------------------------

    def on_started(self, event: OrchestratorStarted) -> None:
        self.now = event.timestamp

    def on_begun(self, event: ExecutionStarted) -> None:
        self.is_telling = self._is_native = is_native(event.runtime)

    def on_over(self, _event: ExecutionCompleted | ContinueAsNew) -> None:
        self.is_telling = False

    def on_suspended(self, event: ExecutionSuspended) -> None:
        self.pause_reason = event.reason or ""

    def on_scheduled(self, event: TaskScheduled) -> None:
        step = self._attempt(event, StepKind.ACTIVITY)
        step.request = request_text(event.name, event.input)

    def on_created(self, event: SubOrchestrationInstanceCreated) -> None:
        step = self._attempt(event, StepKind.CHILD)
        step.instance_id = event.instance_id
        step.is_detached = event.detached

    def _attempt(
        self, event: TaskScheduled | SubOrchestrationInstanceCreated, kind: StepKind
    ) -> Step:
        """The first attempt makes the step of the call, the others go on with it."""
        step = None if event.call_id is None else self._steps.get(event.call_id)
        if step is None:
            step = self._add(event.event_id, kind, event.name)
        else:
            self._of[event.event_id] = step.number
            step.state = StepState.RUNNING
            step.attempt = event.attempt
            step.changed_at = self.now
            step.ended_at = step.ended_turn = step.due_at = None
        step.attempts.append(Attempt(attempt=event.attempt, begun_at=self.now))
        return step

    def on_timer(self, event: TimerCreated) -> None:
        whose = None if event.of is None else self._steps.get(event.of)
        if whose is not None and event.purpose in {"retry", "timeout"}:
            self._of[event.event_id] = whose.number
            whose.due_at = event.fire_at
            if event.purpose == "retry":
                whose.state = StepState.RETRYING
                whose.ended_at = whose.ended_turn = None
            return
        step = self._add(event.event_id, StepKind.TIMER, "", StepState.WAITING)
        step.due_at = event.fire_at
        step.purpose = event.purpose

    def on_fired(self, event: TimerFired) -> None:
        step = self._steps.get(self._of.get(event.timer_id, event.timer_id))
        if step is None or step.state is not StepState.WAITING:
            return  # a pause is over, and the next attempt begins
        step.is_expired = step.kind in {StepKind.EVENT, StepKind.QUESTION}
        self._end(step.number, StepState.CANCELED if step.is_expired else StepState.COMPLETED)

    def on_completed(self, event: TaskCompleted | SubOrchestrationInstanceCompleted) -> None:
        self._end(event.task_scheduled_id, StepState.COMPLETED)

    def on_failed(self, event: TaskFailed | SubOrchestrationInstanceFailed) -> None:
        step = self._end(event.task_scheduled_id, StepState.FAILED)
        if step is not None:
            step.failure = event.failure_details
            if step.attempts:
                step.attempts[-1].failure = event.failure_details

    def on_canceled(self, event: TaskCanceled) -> None:
        self._end(event.task_id, StepState.CANCELED)

    def on_awaited(self, event: EventAwaited) -> None:
        self._add(event.event_id, StepKind.EVENT, event.name, StepState.WAITING)

    def on_taken(self, event: EventTaken) -> None:
        step = self._end(event.task_id, StepState.COMPLETED)
        is_event = step is not None and step.kind is StepKind.EVENT and not step.place
        arrived = self._claim(step.name) if step is not None and is_event else None
        if arrived is not None:
            del self._steps[arrived.number]

    def on_asked(self, event: QuestionAsked) -> None:
        step = self._add(event.event_id, StepKind.QUESTION, event.title, StepState.WAITING)
        step.due_at = event.expires_at

    def on_linked(self, event: QuestionLinked) -> None:
        self._steps[event.task_id].url = event.url

    def on_raised(self, event: EventRaised) -> None:
        self._events += 1
        if is_of_wait(event.name):
            self._brought[event.name] = -self._events
            return  # its wait shows it, or it does not fit
        step = self._add(-self._events, StepKind.EVENT, event.name, StepState.COMPLETED)
        step.end(self.now, self.turn)
        self._unclaimed.setdefault(event.name.casefold(), deque()).append(step.number)

    def on_refused(self, event: EventRefused) -> None:
        step = self._misfit(event) if is_of_wait(event.name) else self._claim(event.name)
        if step is not None:
            step.state = StepState.FAILED
            step.failure = FailureDetails("refused", event.reason)

    def _misfit(self, event: EventRefused) -> Step | None:
        """An event of a topic that its wait has put aside is a step of its own."""
        number = self._brought.pop(event.name, None)
        wait = self._steps.get(wait_number(event.name))
        if number is None or wait is None:
            return None
        step = self._add(number, StepKind.EVENT, wait.name)
        step.place, step.key = wait.place, wait.key
        step.end(self.now, self.turn)
        return step

    def _claim(self, name: str) -> Step | None:
        """The oldest event of that name that nobody had: it is what a wait is given."""
        numbers = self._unclaimed.get(name.casefold())
        return self._steps[numbers.popleft()] if numbers else None

    def on_sent(self, event: EventSent) -> None:
        step = self._add(event.event_id, StepKind.MESSAGE, event.name, StepState.COMPLETED)
        step.instance_id = event.instance_id
        step.end(self.now, self.turn)

    def on_published(self, event: EventPublished) -> None:
        step = self._add(event.event_id, StepKind.MESSAGE, event.topic, StepState.COMPLETED)
        step.place, step.key = "topic", event.key or ""
        step.end(self.now, self.turn)

    def on_queued(self, event: MessageQueued) -> None:
        step = self._add(event.event_id, StepKind.MESSAGE, event.queue, StepState.COMPLETED)
        step.place = "queue"
        step.end(self.now, self.turn)

    def on_topic_awaited(self, event: TopicAwaited) -> None:
        if event.event_id in self._steps:
            return  # it goes on: another wait has taken its event
        step = self._add(event.event_id, StepKind.EVENT, event.topic, StepState.WAITING)
        step.place, step.key = "topic", event.key

    def _add(
        self, number: int, kind: StepKind, name: str, state: StepState = StepState.RUNNING
    ) -> Step:
        now = self.now
        step = Step(
            number=number,
            kind=kind,
            name=name,
            state=state,
            begun_at=now,
            changed_at=now,
            turn=self.turn,
        )
        self._steps[number] = step
        return step

    def _end(self, task_id: int, state: StepState) -> Step | None:
        step = self._steps.get(self._of.get(task_id, task_id))
        if step is not None:
            step.state = state
            step.end(self.now, self.turn)
        return step


_HANDLERS: Final[dict[type, Callable[[_Reader, Any], None]]] = {
    OrchestratorStarted: _Reader.on_started,
    ExecutionStarted: _Reader.on_begun,
    ExecutionCompleted: _Reader.on_over,
    ContinueAsNew: _Reader.on_over,
    ExecutionSuspended: _Reader.on_suspended,
    TaskScheduled: _Reader.on_scheduled,
    TaskCompleted: _Reader.on_completed,
    TaskFailed: _Reader.on_failed,
    SubOrchestrationInstanceCreated: _Reader.on_created,
    SubOrchestrationInstanceCompleted: _Reader.on_completed,
    SubOrchestrationInstanceFailed: _Reader.on_failed,
    TimerCreated: _Reader.on_timer,
    TimerFired: _Reader.on_fired,
    TaskCanceled: _Reader.on_canceled,
    EventAwaited: _Reader.on_awaited,
    EventTaken: _Reader.on_taken,
    QuestionAsked: _Reader.on_asked,
    QuestionLinked: _Reader.on_linked,
    EventRaised: _Reader.on_raised,
    EventRefused: _Reader.on_refused,
    EventSent: _Reader.on_sent,
    EventPublished: _Reader.on_published,
    MessageQueued: _Reader.on_queued,
    TopicAwaited: _Reader.on_topic_awaited,
}
