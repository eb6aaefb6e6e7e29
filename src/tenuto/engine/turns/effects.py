"""Effects: what a turn of an orchestration means for others. Pure.

Each is computed once, when the turn is finished, into the slot of ``Step`` that ``booking`` and
``release`` read: activities to run, work to cancel, timers to arm, messages to send, instances to
start, messages that become dead letters.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from tenuto.engine.ports import ActivityWork, Runtime
from tenuto.engine.state import FOLLOW, InstanceState, scheduled, start_event
from tenuto.model.actions import Action
from tenuto.model.causes import instance_cause
from tenuto.model.events import (
    EventPublished,
    EventRaised,
    EventRefused,
    EventSent,
    ExecutionCompleted,
    MessageQueued,
    QuestionAnswered,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskScheduled,
    TimerCreated,
)
from tenuto.model.facts import InstanceFacts
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import InstanceId, MessageId, child_instance_id
from tenuto.model.messages import (
    AnswerQuestion,
    AnyMessage,
    ChildResult,
    Message,
    Publish,
    RaiseEvent,
    Start,
    Terminate,
)
from tenuto.model.payload.opaque import reason_of
from tenuto.model.spans import SpanRules
from tenuto.model.status import ParentInstance, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.topics import (
    EventDetails,
    EventHead,
    PublishedEvent,
    QueuedMessage,
    content_in,
    content_of,
    event_for_wait,
    is_of_linked_hub,
    is_of_wait,
)
from tenuto.model.trace import TraceContext, with_trace

T = TypeVar("T")

_GIVEN_UP: Final = '"its parent gave it up"'


class Send(Struct, frozen=True):
    """A message to another instance, to itself, or to a topic of a linked hub. Booking gives it its
    id.

    ``opens`` is the start of an instance under an id that somebody chose: it may be taken.
    """

    instance_id: InstanceId
    message: AnyMessage
    opens: bool = False


class Letter(Struct, frozen=True):
    """A message that nobody can take, and why."""

    message: Message
    reason: str


class Effects(Struct):
    """What follows from a turn, a slot for each kind; one object for each turn.

    Attributes:
        works: Activities to run; one that was canceled again by the time of the commit does not.
        canceled: Work that nobody waits for any more, by task id.
        timers: Timers to arm: id and time.
        children: Instances to start, under ids that are theirs alone.
        sends: Messages, in the order in which they were decided.
        letters: Messages that become dead letters.
        published: Events for topics.
        queued: Messages for queues.
    """

    works: Sequence[ActivityWork] = ()
    canceled: Sequence[int] = ()
    timers: Sequence[tuple[int, Microseconds]] = ()
    children: Sequence[InstanceState] = ()
    sends: Sequence[Send] = ()
    letters: Sequence[Letter] = ()
    published: Sequence[PublishedEvent] = ()
    queued: Sequence[QueuedMessage] = ()


NOTHING: Final = Effects()
"""Of most turns that end something. Never changed."""


class _Deciding(Struct):
    """What the effects of a turn are made of."""

    state: InstanceState
    timestamp: Microseconds
    runtime: Runtime
    put_aside: Mapping[MessageId, EventRaised | QuestionAnswered]
    spans: SpanRules | None


def decided(
    state: InstanceState,
    actions: Sequence[Action],
    timestamp: Microseconds,
    runtime: Runtime,
    put_aside: Mapping[MessageId, EventRaised | QuestionAnswered] | None,
    spans: SpanRules | None = None,
) -> Effects:
    """Follow the decisions of a turn; what follows from them for others.

    Args:
        state: The instance; it has followed what the turn took in, and is not ended by it yet.
        actions: The decisions.
        timestamp: When.
        runtime: What its children run on.
        put_aside: The events and answers that ``EventRefused`` tells of, by message id.
        spans: Which traces have spans, if any.
    """
    works: list[ActivityWork] = []
    has_others = False
    work = state.work
    for action in actions:
        if type(action) is TaskScheduled:  # most are
            works.append(scheduled(work, action, state))
        elif type(action) is not ExecutionCompleted:
            has_others = True
            follow = FOLLOW.get(type(action))
            if follow is not None:
                follow(work, action, state)
    if not has_others:
        return Effects(works) if works else NOTHING
    # Work may have been given up in the same turn.
    effects = Effects([one for one in works if work.activities.get(one.task_id) is one])
    deciding = _Deciding(state, timestamp, runtime, put_aside or {}, spans)
    for action in actions:
        add = _ADD.get(type(action))
        if add is not None:
            add(effects, action, deciding)
    return effects


def _add(slot: Sequence[T], one: T) -> list[T]:
    """The slot with one more; most turns fill one or two of them."""
    if isinstance(slot, list):
        slot.append(one)
        return slot
    return [one]


def _timer_set(effects: Effects, action: TimerCreated, deciding: _Deciding) -> None:
    if action.event_id in deciding.state.work.timers:
        effects.timers = _add(effects.timers, (action.event_id, action.fire_at))


def _canceled(effects: Effects, action: TaskCanceled, deciding: _Deciding) -> None:
    effects.canceled = _add(effects.canceled, action.task_id)
    if action.child is not None:
        word = Terminate(
            reason=_GIVEN_UP,
            recurse=True,
            child_of=deciding.state.facts.execution_id,
            task_id=action.task_id,
        )
        effects.sends = _add(effects.sends, Send(action.child, word))


def _event_sent(effects: Effects, action: EventSent, _deciding: _Deciding) -> None:
    message = RaiseEvent(event=EventRaised(action.name, action.input))
    effects.sends = _add(effects.sends, Send(action.instance_id, message))


def _event_published(effects: Effects, action: EventPublished, deciding: _Deciding) -> None:
    state = deciding.state
    if is_of_linked_hub(action.topic):
        message = _event_to_carry(action, deciding)
        effects.sends = _add(effects.sends, Send(InstanceId(action.topic), message))
        return
    event = PublishedEvent(
        event_id=_id_of(state, action.event_id),
        topic=action.topic,
        key=action.key,
        published_at=deciding.timestamp,
        cause=instance_cause(state.instance_id),
        iid=state.iid,
        event=content_of(
            action.input,
            EventHead(
                type=action.kind,
                details=EventDetails(
                    source=f"instance/{state.instance_id}",
                    subject=action.subject,
                    attributes=with_trace(action.attributes, _trace_of(action, deciding)),
                ),
            ),
        ),
    )
    effects.published = _add(effects.published, event)


def _event_to_carry(action: EventPublished, deciding: _Deciding) -> Publish:
    """For a topic of a linked hub it goes as what is told to an instance there."""
    state = deciding.state
    return Publish(
        event_id=_id_of(state, action.event_id),
        key=action.key,
        published_at=deciding.timestamp,
        cause=instance_cause(state.instance_id),
        input=action.input,
        kind=action.kind,
        source=f"instance/{state.instance_id}",
        subject=action.subject,
        attributes=with_trace(action.attributes, _trace_of(action, deciding)),
    )


def _trace_of(action: EventPublished, deciding: _Deciding) -> TraceContext | None:
    """Whose trace an event belongs to."""
    facts = deciding.state.facts
    if deciding.spans is None:
        return facts.trace
    context = deciding.spans.context(facts.instance_id, facts.execution_id, facts.trace)
    return context.of_step(action.event_id)


def _message_queued(effects: Effects, action: MessageQueued, deciding: _Deciding) -> None:
    state = deciding.state
    message = QueuedMessage(
        message_id=_id_of(state, action.event_id),
        queue=action.queue,
        visible_at=action.visible_at if action.visible_at > deciding.timestamp else 0,
        queued_at=deciding.timestamp,
        cause=instance_cause(state.instance_id),
        iid=state.iid,
        data=action.input or "null",
    )
    effects.queued = _add(effects.queued, message)


def _id_of(state: InstanceState, event_id: int) -> str:
    """The same however often the turn is run: what is there already is left alone."""
    return f"{state.facts.execution_id}-{event_id}"


def _event_refused(effects: Effects, action: EventRefused, deciding: _Deciding) -> None:
    event = deciding.put_aside.get(action.message)
    if event is None:
        return
    key = action.message
    message: Message
    if isinstance(event, EventRaised):
        message = RaiseEvent(message_id=key, event=_as_people_know_it(event))
    else:
        message = AnswerQuestion(
            message_id=key,
            question=event.task_id,
            title=action.name,
            execution_id=deciding.state.facts.execution_id,
            requested_at=event.answered_at,
            input=event.input,
            by=event.by,
        )
    effects.letters = _add(effects.letters, Letter(message, action.reason))


def _as_people_know_it(event: EventRaised) -> EventRaised:
    """An event of a topic by that topic and its id: the name of the wait says nothing to people."""
    stored = event_for_wait(event.input) if is_of_wait(event.name) else None
    if stored is None:
        return event
    try:
        data = bytes(content_in(stored.event).data).decode()
    except msgspec.DecodeError:  # made up by hand
        return event
    return EventRaised(f"{stored.topic}/{stored.event_id}", data)


def _child_called(
    effects: Effects, action: SubOrchestrationInstanceCreated, deciding: _Deciding
) -> None:
    state = deciding.state
    child = _child(state, action, deciding)
    if action.instance_id == child_instance_id(state.facts.execution_id, action.event_id):
        effects.children = _add(effects.children, child)
        return
    # An id that somebody chose may be taken: decided after the commit, as a start request.
    message = start_of_child(child, deciding.runtime)
    effects.sends = _add(effects.sends, Send(action.instance_id, message, opens=True))


_ADD: Final[dict[type, Callable[[Effects, Any, _Deciding], None]]] = {
    TimerCreated: _timer_set,
    TaskCanceled: _canceled,
    EventSent: _event_sent,
    EventPublished: _event_published,
    MessageQueued: _message_queued,
    EventRefused: _event_refused,
    SubOrchestrationInstanceCreated: _child_called,
}


def _child(
    parent: InstanceState, event: SubOrchestrationInstanceCreated, deciding: _Deciding
) -> InstanceState:
    """A new child; iid and partition are the owner's to fill in."""
    above, now, trace = parent.facts, deciding.timestamp, event.trace
    if deciding.spans is not None:
        context = deciding.spans.context(above.instance_id, above.execution_id, above.trace)
        trace = context.of_step(event.event_id)
    link = None
    if not event.detached:
        link = ParentInstance(above.instance_id, above.execution_id, above.name, event.event_id)
    facts = InstanceFacts(
        event.instance_id,
        event.execution_id,
        event.name,
        above.root_id,
        event.version,
        link,
        above.depth + 1,
        event.tags,
        trace,
        input=event.input,
    )
    return InstanceState(0, 0, max(now, parent.created_at), facts, updated_at=now, last_time=now)


def start_of_child(
    child: InstanceState, runtime: Runtime, message_id: MessageId | None = None
) -> Start:
    """The message that asks for a child, where its id is decided, or by who owns its partition."""
    facts = child.facts
    event = start_event(child, runtime)
    return Start(message_id=message_id, event=event, root_id=facts.root_id, depth=facts.depth)


def reply_to_parent(state: InstanceState) -> Send | None:
    """What a finished child tells its parent; None when nobody waits."""
    parent = state.facts.parent
    if parent is None:
        return None
    event: SubOrchestrationInstanceCompleted | SubOrchestrationInstanceFailed
    if state.status is RuntimeStatus.COMPLETED:
        event = SubOrchestrationInstanceCompleted(parent.task_scheduled_id, state.output)
    else:
        reason = reason_of(state.output)
        why = " without a reason" if reason is None else f": {reason}"
        failure = state.failure or FailureDetails(
            "OrchestrationTerminated",
            f"sub-orchestration {state.instance_id!r} was terminated{why}",
        )
        event = SubOrchestrationInstanceFailed(parent.task_scheduled_id, failure)
    return Send(parent.instance_id, ChildResult(execution_id=parent.execution_id, event=event))
