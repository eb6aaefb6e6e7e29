"""The state of one instance in memory, derived from its row and its history. Pure.

Counters and open work are never stored: they are recomputed from history (ENGINE rules 16, 25).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct, field, structs

from tenuto.engine.ports import ActivityWork, Runtime
from tenuto.model.events import (
    ContinueAsNew,
    EventAwaited,
    EventRaised,
    EventRefused,
    EventTaken,
    ExecutionStarted,
    HistoryEvent,
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
    TopicAwaited,
    WebhookOpened,
)
from tenuto.model.facts import InstanceFacts, facts_of_row, started
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold
from tenuto.model.ids import InstanceId
from tenuto.model.messages import TaskResult
from tenuto.model.spans import SpanRules
from tenuto.model.status import AT_ONCE, InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.topics import is_of_wait, wait_name
from tenuto.model.unread import UnreadEvent, UnreadEvents
from tenuto.model.webhook import OpenWebhook

# By number: an enum member is hashed in Python, and this is asked several times a turn.
_SUSPENDED: Final = RuntimeStatus.SUSPENDED
_IS_FINISHED: Final = tuple(RuntimeStatus(number).is_finished for number in range(8))


class OpenWait(Struct):
    """A wait for an external event or for the answer to a question, and the timer that bounds it.

    ``link`` is the link by which the question may be answered, ``topic`` what is waited for of a
    topic.
    """

    name: str
    timer_id: int | None = None
    question: QuestionAsked | None = None
    link: QuestionLinked | None = None
    topic: TopicAwaited | None = None


class EarlyEvents(Struct):
    """How many events of a name came while nobody waited for one; ``name`` as the first had it."""

    name: str
    count: int = 0


class OpenWork(Struct):
    """What an execution has asked for and not got an answer to, by event id; webhooks by digest.

    ``activities`` are attempts without an answer, the same objects that the runner gets.
    ``deadlines`` are the timers that bound waits: the wait's id by the timer's. ``scheduled`` is
    the number of attempts so far. ``links`` are those that the turn which is followed has opened or
    closed. ``early`` counts the events that no open wait has taken, by name without its case: they
    are unread, or a wait that came later took them at once, which history does not tell. ``topics``
    are the waits for topics that the turn which is followed has begun, and the ids of those that it
    has ended.
    """

    activities: dict[int, ActivityWork] = field(default_factory=dict)
    timers: dict[int, Microseconds] = field(default_factory=dict)
    children: dict[int, SubOrchestrationInstanceCreated] = field(default_factory=dict)
    webhooks: dict[str, OpenWebhook] = field(default_factory=dict)
    awaits: dict[int, OpenWait] = field(default_factory=dict)
    deadlines: dict[int, int] = field(default_factory=dict)
    links: list[OpenWait | OpenWebhook] = field(default_factory=list)
    scheduled: int = 0
    early: dict[str, EarlyEvents] | None = None
    topics: list[TopicAwaited | int] | None = None

    def count_early(self, name: str, change: int) -> None:
        """So many more of that name, or fewer."""
        if self.early is None:
            self.early = {}
        key = name.casefold()
        found = self.early.get(key) or self.early.setdefault(key, EarlyEvents(name))
        found.count += change
        if not found.count:
            del self.early[key]

    def count_topic(self, change: TopicAwaited | int) -> None:
        """A wait for a topic began, or the one with this id is over."""
        if self.topics is None:
            self.topics = []
        self.topics.append(change)

    def wake_at(self) -> int | None:
        """When it must be in memory, a time or ``AT_ONCE``; None until a message comes."""
        if self.activities:
            return AT_ONCE
        if self.timers:
            return min(self.timers.values())
        return None


def scheduled(work: OpenWork, event: TaskScheduled, state: "InstanceState") -> ActivityWork:
    """An attempt of an activity is open from now on: the object that goes to its runner."""
    work.scheduled += 1
    task_id, call_id, facts = event.event_id, event.call_id, state.facts
    found = work.activities[task_id] = ActivityWork(
        state.partition,
        state.iid,
        facts.instance_id,
        facts.execution_id,
        work.scheduled,
        task_id,
        event.name,
        event.input,
        event.attempt,
        task_id if call_id is None else call_id,
        event.timeout,
        event.version,
        event.tags,
        event.trace,
        start_by=event.start_by,
    )
    return found


def _answered(work: OpenWork, event: TaskCompleted | TaskFailed, _state: object = None) -> None:
    work.activities.pop(event.task_scheduled_id, None)


def _timer_set(work: OpenWork, event: TimerCreated, _state: object = None) -> None:
    work.timers[event.event_id] = event.fire_at
    if event.of is not None and event.of in work.awaits:
        work.awaits[event.of].timer_id = event.event_id
        work.deadlines[event.event_id] = event.of


def _timer_fired(work: OpenWork, event: TimerFired, _state: object = None) -> None:
    work.timers.pop(event.timer_id, None)
    wait_id = work.deadlines.pop(event.timer_id, None)
    if wait_id is not None:
        wait = work.awaits.pop(wait_id)
        if wait.link is not None:
            work.links.append(wait)
        if wait.topic is not None:
            work.count_topic(wait_id)


def _child_called(
    work: OpenWork, event: SubOrchestrationInstanceCreated, _state: object = None
) -> None:
    if not event.detached:
        work.children[event.event_id] = event


def _child_ended(
    work: OpenWork,
    event: SubOrchestrationInstanceCompleted | SubOrchestrationInstanceFailed,
    _state: object = None,
) -> None:
    work.children.pop(event.task_scheduled_id, None)


def _canceled(work: OpenWork, event: TaskCanceled, _state: object = None) -> None:
    work.activities.pop(event.task_id, None)
    work.timers.pop(event.task_id, None)
    work.children.pop(event.task_id, None)
    _wait_ended(work, event)


def _awaited(work: OpenWork, event: EventAwaited, _state: object = None) -> None:
    work.awaits[event.event_id] = OpenWait(event.name)


def _topic_awaited(work: OpenWork, event: TopicAwaited, state: "InstanceState") -> None:
    wait = work.awaits.get(event.event_id)
    if wait is None:
        name = wait_name(state.facts.execution_id, event.event_id)
        work.awaits[event.event_id] = OpenWait(name, topic=event)
    else:  # it goes on: another wait has taken its event
        wait.topic = event
    work.count_topic(event)


def _asked(work: OpenWork, event: QuestionAsked, _state: object = None) -> None:
    work.awaits[event.event_id] = OpenWait(event.title, question=event)


def _linked(work: OpenWork, event: QuestionLinked, _state: object = None) -> None:
    wait = work.awaits[event.task_id]
    wait.link = event
    work.links.append(wait)


def _taken(work: OpenWork, event: EventTaken, _state: object = None) -> None:
    wait = work.awaits.get(event.task_id)
    if wait is not None and wait.question is None and wait.topic is None:
        work.count_early(wait.name, -1)
    _wait_ended(work, event)


def _refused(work: OpenWork, event: EventRefused, _state: object = None) -> None:
    if event.name.casefold() in (work.early or ()):  # else an answer, by the title of its question
        work.count_early(event.name, -1)


def _wait_ended(work: OpenWork, event: EventTaken | TaskCanceled, _state: object = None) -> None:
    wait = work.awaits.pop(event.task_id, None)
    if wait is None:
        return
    if wait.timer_id is not None:
        del work.timers[wait.timer_id]
        del work.deadlines[wait.timer_id]
    if wait.link is not None:
        work.links.append(wait)
    if wait.topic is not None:
        work.count_topic(event.task_id)


def _begun(work: OpenWork, event: ExecutionStarted, _state: object = None) -> None:
    if event.webhooks:
        work.webhooks = {one.digest: one for one in event.webhooks}


def _webhook_opened(work: OpenWork, event: WebhookOpened, _state: object = None) -> None:
    webhook = OpenWebhook(event.name, event.digest, event.expires_at)
    work.webhooks[event.digest] = webhook
    work.links.append(webhook)


def _raised(work: OpenWork, event: EventRaised, _state: object = None) -> None:
    if is_of_wait(event.name):
        return
    work.count_early(event.name, 1)
    if event.webhook is not None:
        used = work.webhooks.pop(event.webhook, None)
        if used is not None:
            work.links.append(used)


# One look-up for each event: this runs for every event of every turn.
FOLLOW: Final[dict[type, Callable[[OpenWork, Any, "InstanceState"], object]]] = {
    TaskScheduled: scheduled,
    TaskCompleted: _answered,
    TaskFailed: _answered,
    TimerCreated: _timer_set,
    TimerFired: _timer_fired,
    SubOrchestrationInstanceCreated: _child_called,
    SubOrchestrationInstanceCompleted: _child_ended,
    SubOrchestrationInstanceFailed: _child_ended,
    TaskCanceled: _canceled,
    EventAwaited: _awaited,
    TopicAwaited: _topic_awaited,
    EventTaken: _taken,
    EventRefused: _refused,
    QuestionAsked: _asked,
    QuestionLinked: _linked,
    ExecutionStarted: _begun,
    WebhookOpened: _webhook_opened,
    EventRaised: _raised,
}


class InstanceState(Struct):
    """One instance as its owner sees it. ``record`` is what the store's row should say."""

    iid: int
    partition: int
    created_at: Microseconds
    facts: InstanceFacts
    status: RuntimeStatus = RuntimeStatus.PENDING
    wake_at: Microseconds | None = AT_ONCE
    updated_at: Microseconds = 0
    completed_at: Microseconds | None = None
    output: str | None = None
    failure: FailureDetails | None = None
    custom_status: str | None = None
    hold: Hold | None = None
    deliveries: int = 0
    next_turn: int = 0
    event_count: int = 0
    history_bytes: int = 0
    last_time: Microseconds = 0
    work: OpenWork = field(default_factory=OpenWork)
    quick_generations: int = 0
    quick_since: Microseconds = 0
    unread: UnreadEvents | None = None

    @property
    def instance_id(self) -> InstanceId:
        """Whose state it is."""
        return self.facts.instance_id

    @property
    def is_finished(self) -> bool:
        """Whether the instance has ended."""
        return _IS_FINISHED[self.status]

    @property
    def is_stopped(self) -> bool:
        """Whether it takes nothing in now: it is paused or held."""
        return self.status is _SUSPENDED or self.hold is not None

    def begins_later(self, now: Microseconds) -> bool:
        """Whether its start was put off, and its time has not come yet."""
        scheduled_at = self.facts.scheduled_at
        return scheduled_at is not None and scheduled_at > now

    def due_at(self) -> Microseconds | None:
        """When it must be in memory, as its row says (``wake_at``)."""
        if self.is_stopped or self.is_finished:
            return None
        if self.next_turn == 0:
            return self.facts.scheduled_at or AT_ONCE
        return self.work.wake_at()

    def record(self) -> InstanceRecord:
        """The store's row for this state."""
        facts = self.facts
        # By place, in the order of its fields: so many names would cost a dict each time.
        return InstanceRecord(
            self.iid,
            facts.instance_id,
            self.partition,
            facts.name,
            facts.execution_id,
            self.created_at,
            facts.root_id,
            facts.version,
            facts.generation,
            self.status,
            self.wake_at,
            self.updated_at,
            self.completed_at,
            facts.scheduled_at,
            facts.parent,
            facts.depth,
            facts.input,
            self.output,
            self.failure,
            self.custom_status,
            facts.tags,
            facts.trace,
            self.hold,
            self.deliveries,
        )

    def keep_last_calls(self, last: Sequence[HistoryEvent]) -> None:
        """It has ended, and of its activities those of its last turn still run, for nobody."""
        ids = {event.event_id for event in last if isinstance(event, TaskScheduled)}
        activities = self.work.activities
        self.work.activities = {key: one for key, one in activities.items() if key in ids}
        self.wake_at = AT_ONCE if self.work.activities else None

    def ends_call(self, result: TaskResult) -> bool:
        """An attempt of those has ended; whether it was one of them."""
        task_id = result.event.task_scheduled_id
        call = self.work.activities.get(task_id)
        if call is None or call.sequence != result.sequence:
            return False
        del self.work.activities[task_id]
        if not self.work.activities:
            self.wake_at = None
        return True

    def begin_generation(self, ending: ContinueAsNew, spans: SpanRules | None) -> None:
        """Continue as new: a fresh history under a new execution id."""
        facts = self.facts
        trace = facts.trace
        if spans is not None:
            context = spans.context(facts.instance_id, facts.execution_id, trace)
            trace = context.of_next_generation()
        self.facts = structs.replace(
            facts,
            execution_id=ending.execution_id,
            generation=facts.generation + 1,
            input=ending.input,
            version=facts.version if ending.version is None else ending.version,
            tags=facts.tags if ending.tags is None else ending.tags or None,
            trace=trace,
        )
        self.next_turn = 0
        self.event_count = 0
        self.history_bytes = 0
        self.work = OpenWork()

    def keep_unread(self, events: Iterable[UnreadEvent], taken: Iterable[int]) -> None:
        """What a generation leaves unread, and what it has taken of that of earlier ones."""
        unread = self.unread or UnreadEvents()
        unread.remove(taken)
        unread.add(events)
        self.unread = unread if len(unread) else None

    def apply(self, events: Iterable[HistoryEvent]) -> None:
        """Follow the events of a turn: what is open after them."""
        for event in events:
            follow = FOLLOW.get(type(event))
            if follow is not None:
                follow(self.work, event, self)

    def follow(self, turns: Iterable[Sequence[HistoryEvent]]) -> None:
        """Take over what recorded turns say; one after the other, so that they may be long."""
        self.next_turn = 0
        for turn in turns:
            self.next_turn += 1
            first = turn[0]
            if isinstance(first, OrchestratorStarted):
                self.last_time = first.timestamp
            self.apply(turn)
            self.event_count += len(turn)
        self.work.links = []
        self.work.topics = None


def state_of(record: InstanceRecord) -> InstanceState:
    """The state that a stored row describes, before its history is followed."""
    return InstanceState(
        record.iid,
        record.partition,
        record.created_at,
        facts_of_row(record),
        record.status,
        record.wake_at,
        record.updated_at,
        record.completed_at,
        record.output,
        record.failure,
        record.custom_status,
        record.hold,
        record.deliveries,
        last_time=record.updated_at,
    )


def start_event(state: InstanceState, runtime: Runtime) -> ExecutionStarted:
    """The event that opens the state's current execution."""
    facts = state.facts
    return started(facts, runtime if isinstance(runtime, str) else runtime(facts.name))
