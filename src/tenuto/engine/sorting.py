"""Sorting an inbox: what is news, what is a duplicate, what must wait, what ends the instance.

Pure; looks at the state and never changes it. Answers count once, for the execution and the
attempt that asked (ENGINE rules 16, 17). Keeps the promise ``exactly_once_turns``.
"""

from collections.abc import Sequence
from typing import Final, assert_never

from msgspec import Struct, field

from tenuto.engine.state import InstanceState
from tenuto.model.errors import (
    InstanceFinishedError,
    InstanceStateError,
    TenutoError,
    WebhookClosedError,
)
from tenuto.model.events import (
    EventRaised,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    Incoming,
)
from tenuto.model.messages import (
    ChildResult,
    Message,
    Purge,
    RaiseEvent,
    RedeemWebhook,
    Resume,
    Start,
    Suspend,
    TaskResult,
    Terminate,
    TimerDue,
)
from tenuto.model.status import RuntimeStatus
from tenuto.model.webhook import OpenWebhook

_RUNNING: Final = RuntimeStatus.RUNNING
_ANSWERS: Final = (TaskResult, ChildResult, TimerDue)


class Refusal(Struct, frozen=True):
    """A client's request that does not fit the state; the client gets the error."""

    message_id: str
    error: TenutoError


class SortedInbox(Struct):
    """What became of the messages of a turn.

    Attributes:
        incoming: The events that the turn takes in, in order.
        taken: Messages that are used up, duplicates and dropped ones included.
        held: Messages that must wait until the instance can take them.
        refused: Requests of clients that do not fit.
        passed_on: Words to end the children of an instance that has ended; used up once they are
            handed on.
        status: Where the instance stands once the messages have had their say.
        is_terminated: Whether it ends here.
        purge: Whether it is to be deleted.
    """

    incoming: list[Incoming] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)
    held: list[Message] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    passed_on: list[Terminate] = field(default_factory=list)
    status: RuntimeStatus = _RUNNING
    is_terminated: bool = False
    purge: bool = False


def sort_inbox(state: InstanceState, inbox: Sequence[Message]) -> SortedInbox:
    """Sort the messages of an instance that has not ended, oldest first."""
    result = SortedInbox(status=state.status)
    if state.status is RuntimeStatus.PENDING:
        inbox = sorted(inbox, key=lambda message: not isinstance(message, Start))
    answered: set[tuple[type, int]] = set()
    _sort(state, inbox, result, answered)
    if result.held:
        _drop_derived(result)
    return result


def hold_all(state: InstanceState, inbox: Sequence[Message]) -> SortedInbox:
    """Sort the messages of an instance that can take no turn here: what can wait does."""
    result = SortedInbox(status=state.status)
    for message in inbox:
        if isinstance(message, Start | TimerDue):  # derived again anyway
            result.taken.append(message)
        elif isinstance(message, RedeemWebhook):
            accepted = _accept(state, message, result)
            if accepted is not None:
                result.held.append(accepted)
        else:
            result.held.append(message)
    return result


def refuse_finished(
    state: InstanceState, message: Message, status: RuntimeStatus, result: SortedInbox
) -> None:
    """A message for an instance that has ended: requests are refused, answers are late."""
    if isinstance(message, Terminate) and message.recurse and _is_handed_on(state, message):
        result.passed_on.append(message)
        return
    result.taken.append(message)
    if isinstance(message, Purge):
        result.purge = True
    elif isinstance(message, RedeemWebhook):
        result.refused.append(Refusal(message.message_id, WebhookClosedError(state.instance_id)))
    elif isinstance(message, RaiseEvent | Terminate | Suspend | Resume):
        error = InstanceFinishedError(state.instance_id, f"has already ended ({status.label})")
        result.refused.append(Refusal(message.message_id, error))


def _drop_derived(result: SortedInbox) -> None:
    """Due timers need not be kept: they are derived again from history."""
    due = [message for message in result.held if isinstance(message, TimerDue)]
    if due:
        result.taken.extend(due)
        result.held = [message for message in result.held if not isinstance(message, TimerDue)]


def _sort(
    state: InstanceState,
    messages: Sequence[Message],
    result: SortedInbox,
    answered: set[tuple[type, int]],
) -> None:
    for message in messages:
        if result.is_terminated:
            refuse_finished(state, message, RuntimeStatus.TERMINATED, result)
        elif isinstance(message, _ANSWERS):
            key = _wanted(state, message)
            if key is None or key in answered:
                result.taken.append(message)
            elif result.status is _RUNNING:
                answered.add(key)
                result.taken.append(message)
                result.incoming.append(message.event)
            else:
                result.held.append(message)
        elif isinstance(message, RaiseEvent):
            _sort_event(message, result)
        elif isinstance(message, RedeemWebhook):
            _sort_event(_accept(state, message, result), result)
        elif isinstance(message, Start):
            result.taken.append(message)
            if state.next_turn == 0 and not result.incoming:
                result.incoming.append(message.event)
                result.status = _RUNNING
        else:
            _sort_control(state, message, result)
            if isinstance(message, Resume) and result.status is _RUNNING:
                # What has waited comes before what came after.
                held, result.held = result.held, []
                _sort(state, held, result, answered)


def _sort_event(message: RaiseEvent | None, result: SortedInbox) -> None:
    if message is None:  # a webhook's that is closed
        return
    if result.status is _RUNNING:
        result.taken.append(message)
        result.incoming.append(message.event)
    else:
        result.held.append(message)


def _accept(state: InstanceState, message: RedeemWebhook, result: SortedInbox) -> RaiseEvent | None:
    """The first request in time closes the webhook: from here on it is the event it raises.

    It is decided now even when the event has to wait: whoever got an answer keeps it, and a second
    request finds the first among what is held.
    """
    webhook = _open_webhooks(state, result).get(message.digest)
    if webhook is None or message.requested_at >= webhook.expires_at:
        result.taken.append(message)
        result.refused.append(Refusal(message.message_id, WebhookClosedError(state.instance_id)))
        return None
    event = EventRaised(webhook.name, message.input, webhook.digest)
    return RaiseEvent(message_id=message.message_id, event=event)


def _open_webhooks(state: InstanceState, result: SortedInbox) -> dict[str, OpenWebhook]:
    """Those that are open after what was sorted so far."""
    found = dict(state.work.webhooks)
    events: list[Incoming] = list(result.incoming)
    events += [message.event for message in result.held if isinstance(message, RaiseEvent)]
    for event in events:
        if isinstance(event, ExecutionStarted):
            found = {one.digest: one for one in event.webhooks}
        elif isinstance(event, EventRaised) and event.webhook is not None:
            found.pop(event.webhook, None)
    return found


def _wanted(
    state: InstanceState, message: TaskResult | ChildResult | TimerDue
) -> tuple[type, int] | None:
    """What an answer answers, None when nobody in this execution waits for it."""
    work = state.work
    if isinstance(message, TaskResult):
        task_id = message.event.task_scheduled_id
        open_activity = work.activities.get(task_id)
        if open_activity is None or open_activity.sequence != message.sequence:
            return None
    elif isinstance(message, TimerDue):
        task_id = message.event.timer_id
        if work.timers.get(task_id) != message.event.fire_at:
            return None
    else:
        task_id = message.event.task_scheduled_id
        if task_id not in work.children:
            return None
    if message.execution_id != state.execution_id:
        return None
    return (type(message), task_id)


def _sort_control(
    state: InstanceState, message: Terminate | Suspend | Resume | Purge, result: SortedInbox
) -> None:
    result.taken.append(message)
    match message:
        case Terminate(child_of=parent) if parent is not None and not _is_child(state, message):
            pass
        case Terminate(reason=reason, recurse=recurse):
            result.incoming.append(ExecutionTerminated(reason, recurse))
            result.is_terminated = True
        case Suspend(reason=reason):
            if result.status is RuntimeStatus.RUNNING:
                result.incoming.append(ExecutionSuspended(reason))
                result.status = RuntimeStatus.SUSPENDED
            else:
                _refuse_state(state, message, result, "suspend")
        case Resume(reason=reason):
            if result.status is RuntimeStatus.SUSPENDED:
                result.incoming.append(ExecutionResumed(reason))
                result.status = RuntimeStatus.RUNNING
            else:
                _refuse_state(state, message, result, "resume")
        case Purge(force=True):
            result.incoming.append(ExecutionTerminated('"purged"'))
            result.is_terminated = True
            result.purge = True
        case Purge():
            error = InstanceStateError(
                state.instance_id, "is still going; terminate it first, or purge it with force"
            )
            result.refused.append(Refusal(message.message_id, error))
        case _:
            assert_never(message)


def _is_handed_on(state: InstanceState, message: Terminate) -> bool:
    """Whether it comes from the parent, or from the instance's own end."""
    return message.child_of == state.execution_id or _is_child(state, message)


def _is_child(state: InstanceState, message: Terminate) -> bool:
    parent = state.parent
    return parent is not None and (parent.execution_id, parent.task_scheduled_id) == (
        message.child_of,
        message.task_id,
    )


def _refuse_state(
    state: InstanceState, message: Suspend | Resume, result: SortedInbox, verb: str
) -> None:
    error = InstanceStateError(state.instance_id, f"is {result.status.label}, so it cannot {verb}")
    result.refused.append(Refusal(message.message_id, error))
