"""History events: what happened in an orchestration, in the Durable Task Framework's words.

A history is a list of turns, a turn a list of events: OrchestratorStarted with the turn's exact
time, the messages taken in, then the events of the actions decided. Names and fields are those
of the framework; its numbers belong to the adapters. The closing OrchestratorCompleted is
implied by the end of the turn and not stored. ``TaskCanceled`` (ENGINE rule 9), ``WebhookOpened``,
``EventAwaited``, ``EventTaken``, ``EventRefused``, ``EventPublished``, ``MessageQueued``,
``TopicAwaited`` and those of questions are Tenuto's own and hidden from foreign SDKs.

Payloads are JSON text, kept to the letter. Times are integers of microseconds since 1970 UTC.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

from tenuto.model.failure import FailureDetails
from tenuto.model.form import Form
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.retry import RetryFacts
from tenuto.model.status import ParentInstance, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.trace import TraceContext
from tenuto.model.webhook import OpenWebhook


class _Event(
    Struct, frozen=True, tag=lambda name: name, rename="camel", omit_defaults=True, gc=False
):
    """Shared form: ``{"type": "TaskScheduled", "eventId": 3, ...}``."""


class OrchestratorStarted(_Event, frozen=True):
    """Opens a turn; ``timestamp`` is the orchestrator's clock for all of it."""

    timestamp: Microseconds


class TopicPlace(Struct, frozen=True, array_like=True, gc=False):
    """Up to which position an execution has taken the events of a topic with some key."""

    topic: str
    key: str
    position: int


class ExecutionStarted(_Event, frozen=True):
    """Opens an execution. ``runtime`` is what recorded it, such as ``"python 3.11"`` (ENGINE rule
    3); ``webhooks`` are those that the generation before has left open, ``places`` how far it had
    come in topics; ``trace`` is whose trace it belongs to.
    """

    name: str
    execution_id: ExecutionId
    input: str | None = None
    version: str | None = None
    parent: ParentInstance | None = None
    tags: dict[str, str] | None = None
    scheduled_start: Microseconds | None = None
    generation: int = 0
    runtime: str = ""
    trace: TraceContext | None = None
    webhooks: tuple[OpenWebhook, ...] = ()
    places: tuple[TopicPlace, ...] = ()


class TaskScheduled(_Event, frozen=True):
    """An attempt of an activity was scheduled.

    ``call_id`` is the event id of the first attempt (None in the first itself); ``timeout`` is
    start to close of this attempt, in microseconds. ``version`` and ``tags`` say which workers may
    take it, where a program has several; ``trace`` is what its spans belong to. ``retry`` is the
    policy at the first attempt of a call that has one. ``start_by`` is the time after which this
    attempt is not begun any more.
    """

    event_id: int
    name: str
    input: str | None = None
    attempt: int = 1
    call_id: int | None = None
    timeout: Microseconds | None = None
    version: str | None = None
    tags: dict[str, str] | None = None
    trace: TraceContext | None = None
    retry: RetryFacts | None = None
    start_by: Microseconds | None = None


class TaskCompleted(_Event, frozen=True):
    """An activity attempt returned."""

    task_scheduled_id: int
    result: str | None = None


class TaskFailed(_Event, frozen=True):
    """An activity attempt failed."""

    task_scheduled_id: int
    failure_details: FailureDetails


class SubOrchestrationInstanceCreated(_Event, frozen=True):
    """A child was started. ``detached`` children (fire and forget) report to nobody.

    ``attempt``, ``call_id``, ``trace`` and ``retry`` are as in ``TaskScheduled``.
    """

    event_id: int
    name: str
    instance_id: InstanceId
    execution_id: ExecutionId
    input: str | None = None
    version: str | None = None
    tags: dict[str, str] | None = None
    detached: bool = False
    attempt: int = 1
    call_id: int | None = None
    trace: TraceContext | None = None
    retry: RetryFacts | None = None


class SubOrchestrationInstanceCompleted(_Event, frozen=True):
    """A child returned."""

    task_scheduled_id: int
    result: str | None = None


class SubOrchestrationInstanceFailed(_Event, frozen=True):
    """A child failed, was terminated, or could not be started."""

    task_scheduled_id: int
    failure_details: FailureDetails


TimerPurpose: TypeAlias = Literal["timer", "retry", "poll", "timeout"]
"""Why a timer was set: the orchestrator asked for a pause, a failed call is tried again after it,
an HTTP call asks again after it, or it bounds how long something may take."""


class TimerCreated(_Event, frozen=True):
    """A durable timer was set.

    ``of`` is the event id of what it belongs to: the first attempt of the call that is tried again,
    or the wait that it bounds. None for a time limit around any code, ``asyncio.timeout``.
    """

    event_id: int
    fire_at: Microseconds
    purpose: TimerPurpose = "timer"
    of: int | None = None


class TimerFired(_Event, frozen=True):
    """A durable timer came due; ``fire_at`` is the time it was set for."""

    timer_id: int
    fire_at: Microseconds


class TaskCanceled(_Event, frozen=True):
    """Open work was given up: a timer is dropped, an activity gets its cancellation token, a wait
    for an event consumes none. The timer that bounds the wait goes with it. ``child`` is the
    instance id of the sub-orchestration that is asked to end too, unless it was to be left alone.
    """

    task_id: int
    child: InstanceId | None = None


class EventAwaited(_Event, frozen=True):
    """A wait for the external event ``name`` began, and stood open when its turn ended.

    It ends with ``EventTaken``, with ``TaskCanceled``, or with the timer that bounds it.
    """

    event_id: int
    name: str


class EventTaken(_Event, frozen=True):
    """The wait or the question of an earlier turn got what it waited for; its timer goes too."""

    task_id: int


class EventRefused(_Event, frozen=True):
    """An external event or an answer did not fit what was asked for; the wait stays open. ``name``
    is the event's, or the question's title.

    ``message`` is the id of the dead letter that the event has become. ``which`` event it was: the
    n-th that came to this generation, or, below zero, one that earlier generations have left, by
    its number.
    """

    event_id: int
    name: str
    message: MessageId
    reason: str
    which: int = 0


class QuestionAsked(_Event, frozen=True):
    """A person is asked something, and the orchestrator waits for the answer.

    It ends like a wait for an event: with ``EventTaken``, with ``TaskCanceled``, or with the timer
    that bounds it, at ``expires_at``.
    """

    event_id: int
    title: str
    form: Form
    text: str = ""
    expires_at: Microseconds | None = None


class QuestionLinked(_Event, frozen=True):
    """A link to answer the question by: ``digest`` is the SHA-256 of the token in ``url``."""

    task_id: int
    digest: str
    url: str


class EventSent(_Event, frozen=True):
    """An event was sent to another instance."""

    event_id: int
    instance_id: InstanceId
    name: str
    input: str | None = None


class EventPublished(_Event, frozen=True):
    """An event was published to a topic; ``input`` is its data."""

    event_id: int
    topic: str
    input: str | None = None
    key: str | None = None
    kind: str | None = None
    subject: str | None = None
    attributes: dict[str, str] | None = None


class MessageQueued(_Event, frozen=True):
    """A message was put into a queue, to be worked on from ``visible_at`` on."""

    event_id: int
    queue: str
    visible_at: Microseconds
    input: str | None = None


class TopicAwaited(_Event, frozen=True):
    """A wait for an event of a topic with this key began; events up to the position ``after`` do
    not count. It ends as ``EventAwaited`` does. The event comes as an ``EventRaised`` of the wait's
    own name (``model.topics.wait_name``), with a ``StoredEvent`` as its input.
    """

    event_id: int
    topic: str
    key: str
    after: int = 0


class WebhookOpened(_Event, frozen=True):
    """A webhook for the event ``name`` was made; ``digest`` is the SHA-256 of its token."""

    event_id: int
    name: str
    digest: str
    expires_at: Microseconds


class EventRaised(_Event, frozen=True):
    """An external event arrived; ``webhook`` is the digest of the one that it closed."""

    name: str
    input: str | None = None
    webhook: str | None = None


class QuestionAnswered(_Event, frozen=True):
    """A question was answered: when, and by whom if somebody said so. The turn may be later, when
    the answer had to wait for a paused instance.
    """

    task_id: int
    answered_at: Microseconds
    input: str | None = None
    by: str | None = None


class ExecutionSuspended(_Event, frozen=True):
    """The instance was paused."""

    reason: str | None = None


class ExecutionResumed(_Event, frozen=True):
    """The instance goes on."""

    reason: str | None = None


class ExecutionTerminated(_Event, frozen=True):
    """The instance was ended from outside, with ``recurse`` together with what it had called;
    ``input`` is the reason, as JSON text.
    """

    input: str | None = None
    recurse: bool = False


class ExecutionFailed(_Event, frozen=True):
    """An operator has ended the instance as failed."""

    reason: str | None = None


class ExecutionCompleted(_Event, frozen=True):
    """Closes an execution, whichever way it ended."""

    orchestration_status: RuntimeStatus
    result: str | None = None
    failure_details: FailureDetails | None = None


class ContinueAsNew(_Event, frozen=True):
    """Closes a generation; the next one starts with ``input``, the webhooks that are open, its
    ``places`` in topics and the unread events.

    ``unread`` are the numbers of the events of this generation that nobody has read, ``taken``
    those of older generations that are read now or dropped. The store keeps them by these numbers,
    so that none is written twice. ``version`` and ``tags`` are those of the next generation; None
    keeps what there was.
    """

    execution_id: ExecutionId
    input: str | None = None
    unread: tuple[int, ...] = ()
    taken: tuple[int, ...] = ()
    webhooks: tuple[OpenWebhook, ...] = ()
    version: str | None = None
    tags: dict[str, str] | None = None
    places: tuple[TopicPlace, ...] = ()


Decision: TypeAlias = (
    TaskScheduled
    | SubOrchestrationInstanceCreated
    | TimerCreated
    | EventSent
    | EventPublished
    | MessageQueued
    | TopicAwaited
    | TaskCanceled
    | WebhookOpened
    | EventAwaited
    | EventTaken
    | EventRefused
    | QuestionAsked
    | QuestionLinked
)
"""Events that record what an orchestrator decided while it goes on."""

Ending: TypeAlias = ExecutionCompleted | ContinueAsNew
"""Events that close an execution."""

Incoming: TypeAlias = (
    ExecutionStarted
    | TaskCompleted
    | TaskFailed
    | SubOrchestrationInstanceCompleted
    | SubOrchestrationInstanceFailed
    | TimerFired
    | EventRaised
    | QuestionAnswered
    | ExecutionSuspended
    | ExecutionResumed
    | ExecutionTerminated
    | ExecutionFailed
)
"""Events that come from outside the orchestrator."""

HistoryEvent: TypeAlias = OrchestratorStarted | Incoming | Decision | Ending
"""Anything that can stand in a history."""
