"""The state of one instance in memory, derived from its row and its history. Pure.

Counters and open work are never stored: they are recomputed from history (ENGINE rules 16, 25).
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct, field

from tenuto.model.events import (
    EventRaised,
    ExecutionStarted,
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
    WebhookOpened,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.status import InstanceRecord, ParentInstance, RuntimeStatus
from tenuto.model.webhook import OpenWebhook

_TASK_ANSWERS: Final = (TaskCompleted, TaskFailed)
_CHILD_ANSWERS: Final = (SubOrchestrationInstanceCompleted, SubOrchestrationInstanceFailed)
_ABOUT_WEBHOOKS: Final = (ExecutionStarted, WebhookOpened, EventRaised)

# Plain integers: an enum member is hashed in Python, and this is asked several times a turn.
_FINISHED = tuple(status.value for status in RuntimeStatus if status.is_finished)


class OpenActivity(Struct, frozen=True):
    """An attempt without an answer; ``sequence`` counts the attempts of the execution."""

    sequence: int
    event: TaskScheduled


class OpenWork(Struct):
    """What an execution has asked for and not got an answer to, by event id; webhooks by digest."""

    activities: dict[int, OpenActivity] = field(default_factory=dict)
    timers: dict[int, int] = field(default_factory=dict)
    children: dict[int, SubOrchestrationInstanceCreated] = field(default_factory=dict)
    webhooks: dict[str, OpenWebhook] = field(default_factory=dict)
    scheduled: int = 0

    def apply(self, events: Iterable[HistoryEvent]) -> None:
        """Follow history forward."""
        for event in events:
            if isinstance(event, TaskScheduled):
                self.scheduled += 1
                self.activities[event.event_id] = OpenActivity(self.scheduled, event)
            elif isinstance(event, _TASK_ANSWERS):
                self.activities.pop(event.task_scheduled_id, None)
            elif isinstance(event, TimerCreated):
                self.timers[event.event_id] = event.fire_at
            elif isinstance(event, TimerFired):
                self.timers.pop(event.timer_id, None)
            elif isinstance(event, SubOrchestrationInstanceCreated):
                if not event.detached:
                    self.children[event.event_id] = event
            elif isinstance(event, _CHILD_ANSWERS):
                self.children.pop(event.task_scheduled_id, None)
            elif isinstance(event, TaskCanceled):
                self._cancel(event.task_id)
            elif isinstance(event, _ABOUT_WEBHOOKS):
                self._follow_webhooks(event)

    def _follow_webhooks(self, event: ExecutionStarted | WebhookOpened | EventRaised) -> None:
        if isinstance(event, ExecutionStarted):
            self.webhooks = {one.digest: one for one in event.webhooks}
        elif isinstance(event, WebhookOpened):
            self.webhooks[event.digest] = OpenWebhook(event.name, event.digest, event.expires_at)
        elif event.webhook is not None:
            self.webhooks.pop(event.webhook, None)

    def _cancel(self, task_id: int) -> None:
        self.activities.pop(task_id, None)
        self.timers.pop(task_id, None)
        self.children.pop(task_id, None)

    def wake_at(self) -> int | None:
        """When the instance must be in memory: 0 now, a time, or None until a message comes."""
        if self.activities:
            return 0
        if self.timers:
            return min(self.timers.values())
        return None


class InstanceState(Struct):
    """One instance as its owner sees it. ``record`` is what the store's row should say."""

    iid: int
    instance_id: str
    partition: int
    name: str
    execution_id: str
    created_at: int
    root_id: str
    version: str | None
    parent: ParentInstance | None
    depth: int
    tags: dict[str, str] | None
    scheduled_at: int | None
    input: str | None
    generation: int = 0
    status: RuntimeStatus = RuntimeStatus.PENDING
    wake_at: int | None = 0
    updated_at: int = 0
    completed_at: int | None = None
    output: str | None = None
    failure: FailureDetails | None = None
    custom_status: str | None = None
    next_turn: int = 0
    event_count: int = 0
    last_time: int = 0
    work: OpenWork = field(default_factory=OpenWork)
    quick_generations: int = 0
    quick_since: int = 0

    @property
    def is_suspended(self) -> bool:
        """Whether the instance is paused."""
        return self.status is RuntimeStatus.SUSPENDED

    @property
    def is_finished(self) -> bool:
        """Whether the instance has ended."""
        return self.status in _FINISHED

    def record(self) -> InstanceRecord:
        """The store's row for this state."""
        return InstanceRecord(
            iid=self.iid,
            instance_id=self.instance_id,
            partition=self.partition,
            name=self.name,
            execution_id=self.execution_id,
            created_at=self.created_at,
            root_id=self.root_id,
            version=self.version,
            generation=self.generation,
            status=self.status,
            wake_at=self.wake_at,
            updated_at=self.updated_at,
            completed_at=self.completed_at,
            scheduled_at=self.scheduled_at,
            parent=self.parent,
            depth=self.depth,
            input=self.input,
            output=self.output,
            failure=self.failure,
            custom_status=self.custom_status,
            tags=self.tags,
        )

    def begin_generation(self, execution_id: str, text: str | None) -> None:
        """Continue as new: a fresh history under a new execution id."""
        self.execution_id = execution_id
        self.generation += 1
        self.input = text
        self.next_turn = 0
        self.event_count = 0
        self.work = OpenWork()

    def follow(self, turns: Sequence[Sequence[HistoryEvent]]) -> None:
        """Take over what recorded turns say."""
        for turn in turns:
            first = turn[0]
            if isinstance(first, OrchestratorStarted):
                self.last_time = first.timestamp
            self.work.apply(turn)
            self.event_count += len(turn)
        self.next_turn = len(turns)


def state_of(record: InstanceRecord) -> InstanceState:
    """The state that a stored row describes, before its history is followed."""
    return InstanceState(
        iid=record.iid,
        instance_id=record.instance_id,
        partition=record.partition,
        name=record.name,
        execution_id=record.execution_id,
        created_at=record.created_at,
        root_id=record.root_id,
        version=record.version,
        parent=record.parent,
        depth=record.depth,
        tags=record.tags,
        scheduled_at=record.scheduled_at,
        input=record.input,
        generation=record.generation,
        status=record.status,
        wake_at=record.wake_at,
        updated_at=record.updated_at,
        completed_at=record.completed_at,
        output=record.output,
        failure=record.failure,
        custom_status=record.custom_status,
        last_time=record.updated_at,
    )


def start_event(state: InstanceState, python: str) -> ExecutionStarted:
    """The event that opens the state's current execution."""
    return ExecutionStarted(
        state.name,
        state.execution_id,
        state.input,
        state.version,
        state.parent,
        state.tags,
        state.scheduled_at,
        state.generation,
        python,
    )
