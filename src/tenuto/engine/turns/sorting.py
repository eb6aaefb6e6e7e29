"""Sorting an inbox: what is news, what is a duplicate, what must wait, what ends the instance.

Pure; looks at the state and never changes it. Answers count once, for the execution and the
attempt that asked (ENGINE rules 16, 17). Keeps the promise ``exactly_once_turns``.
"""

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from msgspec import Struct, field, structs

from tenuto.engine.delivery import row_id
from tenuto.engine.state import InstanceState
from tenuto.engine.turns.questions import answer_to
from tenuto.model.control import ENDING, PAUSING
from tenuto.model.errors import (
    InstanceFinishedError,
    InstanceStateError,
    TenutoError,
    WebhookClosedError,
)
from tenuto.model.events import (
    EventRaised,
    ExecutionFailed,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    Incoming,
    QuestionAnswered,
    SubOrchestrationInstanceCompleted,
    TaskCompleted,
)
from tenuto.model.hold import Hold
from tenuto.model.ids import AnyMessageId, InstanceId
from tenuto.model.messages import (
    CLIENT_MESSAGES,
    AnswerQuestion,
    ChangeHold,
    ChildResult,
    Fail,
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
from tenuto.model.topics import is_of_wait
from tenuto.model.webhook import OpenWebhook

_RUNNING: Final = RuntimeStatus.RUNNING
_PENDING: Final = RuntimeStatus.PENDING
_SUSPENDED: Final = RuntimeStatus.SUSPENDED
_FIRST: Final = (Start, ChangeHold)
_KEYS: Final = (*PAUSING, ChangeHold)
_MOST_CHARACTERS: Final = 4 * 1024 * 1024
_FAILURE_CHARACTERS: Final = 1_000
_COMPLETED: Final = (TaskCompleted, SubOrchestrationInstanceCompleted)
_FEW: Final = 4
"""Of so many messages the order of their arrival is kept, also by who was paused."""

_ONCE: Final = (RedeemWebhook, AnswerQuestion)
_ANSWERS: Final = (TaskResult, ChildResult, TimerDue)


class Refusal(Struct, frozen=True):
    """A client's request that does not fit the state; the client gets the error."""

    message_id: AnyMessageId
    error: TenutoError


class SortedInbox(Struct):
    """What became of the messages of a turn.

    Attributes:
        incoming: The events that the turn takes in, in order.
        taken: Messages that are used up, duplicates and dropped ones included.
        is_plain: Whether it is one answer that never had a row: then that is all there is to say.
        held: Messages that must wait until the instance can take them.
        refused: Requests of clients that do not fit.
        passed_on: Words to end the children of an instance that has ended; used up once they are
            handed on.
        status: Where the instance stands once the messages have had their say.
        hold: Why it is held then; None when it is not.
        offered: Those of the events whose senders can still be told that their data do not fit, by
            place among ``incoming``, with the messages that they came with.
        is_open: Whether it takes messages in: it runs, and is not held.
        is_terminated: Whether it ends here.
        purge: Whether it is to be deleted.
    """

    incoming: list[Incoming] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)
    is_plain: bool = False
    held: list[Message] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    passed_on: Sequence[Terminate] = ()
    status: RuntimeStatus = _RUNNING
    hold: Hold | None = None
    is_open: bool = True
    is_terminated: bool = False
    purge: bool = False
    offered: dict[int, Message] = field(default_factory=dict)

    def refuse_offered(self, refused: Mapping[int, TenutoError]) -> None:
        """These of the offered events have not been taken after all: they never came."""
        for place, error in refused.items():
            self.refused.append(Refusal(self.offered[place].message_id, error))
        self.incoming = [event for place, event in enumerate(self.incoming) if place not in refused]
        self.offered = {}


def sort_inbox(
    state: InstanceState, inbox: Sequence[Message], misfit: Hold | None = None
) -> SortedInbox:
    """Sort the messages of an instance that has not ended, oldest first.

    Args:
        state: The instance.
        inbox: Its messages.
        misfit: Why it cannot take a turn now, as was found out with these very messages: it is
            held, and what asks to try it again is used up.
    """
    status = state.status
    hold = misfit or state.hold
    is_open = status is _RUNNING and hold is None
    result = SortedInbox(status=status, hold=hold, is_open=is_open)
    if misfit is not None:
        inbox = [message for message in inbox if not _led_to_the_try(state, message, result)]
    if status is _PENDING and len(inbox) > 1:
        inbox = sorted(inbox, key=lambda message: not isinstance(message, _FIRST))
    answered: set[tuple[type, int]] = set()
    _sort(state, inbox, result, answered)
    if result.held:
        _drop_derived(result)
    return result


def cut_inbox(state: InstanceState, inbox: list[Message]) -> tuple[list[Message], list[Message]]:
    """What one turn may take in of an inbox, by its bytes, and what is for the turns after it.

    What an instance that is not open only keeps need not be cut. Of those who use links or answer,
    one is served in a turn: until its data are seen to fit, nobody knows whether the next is late.
    """
    place = _place_to_cut(inbox)
    if place is None and len(inbox) <= _FEW:
        return inbox, []
    if state.is_stopped or state.status is RuntimeStatus.PENDING:
        if not any(map(_opens, inbox)):
            return inbox, []
        keys = [message for message in inbox if _stands_first(message)]
        inbox = keys + [message for message in inbox if not _stands_first(message)]
        place = _place_to_cut(inbox)
    return (inbox, []) if place is None else (inbox[:place], inbox[place:])


def _place_to_cut(inbox: Sequence[Message]) -> int | None:
    size = 0
    has_one = False
    for index, message in enumerate(inbox):
        size += payload_length(message)
        is_once = isinstance(message, _ONCE) and can_be_told(message)
        if (size > _MOST_CHARACTERS and index) or (is_once and has_one):
            return index
        has_one = has_one or is_once
    return None


def can_be_told(message: Message) -> bool:
    """Whether its sender waits still for what becomes of it."""
    return message.awaits_answer or row_id(message) is None


def tries_again(message: Message) -> bool:
    """Whether a held instance may go on after it."""
    return isinstance(message, Resume) or is_retry(message)


def is_retry(message: Message) -> bool:
    """Whether it is the host's word to try a held instance again."""
    return isinstance(message, ChangeHold) and message.hold is None


def _opens(message: Message) -> bool:
    """Whether the instance may take messages in after it; with what belongs to it."""
    return tries_again(message) or _is_derived(message)


def _stands_first(message: Message) -> bool:
    """What opens the instance, and what closes it again: these keep their order.

    Not its timers, which must not overtake an answer that came before they were due.
    """
    return tries_again(message) or isinstance(message, (Start, *_KEYS))


def still_going(instance_id: InstanceId) -> InstanceStateError:
    """Why an instance is not purged without force."""
    return InstanceStateError(
        instance_id, "is still going; terminate it first, or purge it with force"
    )


def ends_or_holds(message: Message) -> bool:
    """Whether a turn that is out is not waited for: the instance ends, or is held, without it."""
    if isinstance(message, Purge):
        return message.force
    return isinstance(message, ENDING) or (
        isinstance(message, ChangeHold) and message.hold is not None
    )


def open_request(
    state: InstanceState,
    taken: SortedInbox,
    waiting: Sequence[Message],
    message: RedeemWebhook | AnswerQuestion,
) -> RaiseEvent | AnswerQuestion | Refusal:
    """What comes by a link, or answers, while a turn is out: what is kept of it, or refused.

    Args:
        state: The instance, before that turn.
        taken: What the turn takes in.
        waiting: What has come since.
        message: The request.
    """
    result = SortedInbox(incoming=list(taken.incoming), held=[*taken.held, *waiting])
    result.is_open = False
    _sort(state, [message], result, set())
    if result.refused:
        return result.refused[-1]
    kept = result.held[-1]
    assert isinstance(kept, RaiseEvent | AnswerQuestion)
    return kept


def payload_length(message: Message) -> int:
    """Roughly, in characters; failures and names are small beside what matters here."""
    if isinstance(message, TaskResult | ChildResult):
        event = message.event
        text = event.result if isinstance(event, _COMPLETED) else None
        return len(text) if text else _FAILURE_CHARACTERS
    if isinstance(message, RaiseEvent):
        return len(message.event.input or "")
    if isinstance(message, AnswerQuestion):
        return len(message.input or "")
    return 0


def refuse_finished(
    state: InstanceState, message: Message, status: RuntimeStatus, result: SortedInbox
) -> None:
    """A message for an instance that has ended: requests are refused, answers are late."""
    if isinstance(message, Terminate) and message.recurse and _is_handed_on(state, message):
        result.passed_on = [*result.passed_on, message]
        return
    result.taken.append(message)
    if isinstance(message, Purge):
        result.purge = True
    elif isinstance(message, RedeemWebhook):
        result.refused.append(Refusal(message.message_id, WebhookClosedError(state.instance_id)))
    elif isinstance(message, CLIENT_MESSAGES):
        error = InstanceFinishedError(state.instance_id, f"has already ended ({status.label})")
        result.refused.append(Refusal(message.message_id, error))


def _drop_derived(result: SortedInbox) -> None:
    """What opens a generation, and due timers, are derived again from the row and from history."""
    derived = [message for message in result.held if _is_derived(message)]
    if derived:
        result.taken.extend(derived)
        result.held = [message for message in result.held if not _is_derived(message)]


def _is_derived(message: Message) -> bool:
    return isinstance(message, Start | TimerDue)


def _led_to_the_try(state: InstanceState, message: Message, result: SortedInbox) -> bool:
    """Whether the message has brought about the try that has just failed; a pause it ends."""
    if not tries_again(message):
        return False
    if isinstance(message, Resume):
        _end_pause(state, message, result)
    result.taken.append(message)
    return True


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
            elif result.is_open:
                answered.add(key)
                result.taken.append(message)
                result.incoming.append(message.event)
            else:
                result.held.append(message)
        elif isinstance(message, RaiseEvent):
            _sort_event(message, result)
        elif isinstance(message, RedeemWebhook):
            _sort_event(_accept(state, message, result), result)
        elif isinstance(message, AnswerQuestion):
            _sort_answer(state, message, result)
        elif isinstance(message, Start):
            _sort_start(state, message, result)
        else:
            _sort_control(state, message, result)
            if result.held and (result.is_open or result.status is RuntimeStatus.PENDING):
                # What has waited comes before what came after.
                held, result.held = result.held, []
                _sort(state, held, result, answered)


def _sort_start(state: InstanceState, message: Start, result: SortedInbox) -> None:
    if state.next_turn or result.incoming:
        result.taken.append(message)
    elif result.hold is None and result.status is not _SUSPENDED:
        result.taken.append(message)
        result.incoming.append(message.event)
        result.status = _RUNNING
        result.is_open = True
    else:
        result.held.append(message)


def _sort_event(message: RaiseEvent | None, result: SortedInbox) -> None:
    if message is None:  # a webhook's that is closed
        return
    _take_in(message, message.event, result)


def _sort_answer(state: InstanceState, message: AnswerQuestion, result: SortedInbox) -> None:
    try:
        event = answer_to(state, message, result.incoming, result.held)
    except TenutoError as error:
        result.taken.append(message)
        result.refused.append(Refusal(message.message_id, error))
        return
    _take_in(structs.replace(message, question=event.task_id, input=event.input), event, result)


def _is_brought(event: EventRaised | QuestionAnswered) -> bool:
    """Whether the host has brought it to a wait: history must say that it was passed."""
    return isinstance(event, EventRaised) and is_of_wait(event.name)


def _take_in(
    message: RaiseEvent | AnswerQuestion, event: EventRaised | QuestionAnswered, result: SortedInbox
) -> None:
    if not result.is_open:
        result.held.append(message)
        return
    if can_be_told(message) and not _is_brought(event):
        result.offered[len(result.incoming)] = message
    result.taken.append(message)
    result.incoming.append(event)


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
    key, awaits_answer = message.message_id, message.awaits_answer
    return RaiseEvent(message_id=key, awaits_answer=awaits_answer, event=event)


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


def is_wanted(state: InstanceState, answer: TaskResult) -> bool:
    """Whether this execution waits for just this attempt of an activity."""
    call = state.work.activities.get(answer.event.task_scheduled_id)
    return (
        call is not None
        and call.sequence == answer.sequence
        and answer.execution_id == state.facts.execution_id
    )


def _wanted(
    state: InstanceState, message: TaskResult | ChildResult | TimerDue
) -> tuple[type, int] | None:
    """What an answer answers, None when nobody in this execution waits for it."""
    work = state.work
    if isinstance(message, TaskResult):
        task_id = message.event.task_scheduled_id
        return (TaskResult, task_id) if is_wanted(state, message) else None
    if isinstance(message, TimerDue):
        task_id = message.event.timer_id
        if work.timers.get(task_id) != message.event.fire_at:
            return None
    else:
        task_id = message.event.task_scheduled_id
        call = work.children.get(task_id)
        if call is None or not _is_from(message.hub, call.instance_id):
            return None
    if message.execution_id != state.facts.execution_id:
        return None
    return (type(message), task_id)


def _sort_control(
    state: InstanceState,
    message: Terminate | Suspend | Resume | Fail | ChangeHold | Purge,
    result: SortedInbox,
) -> None:
    result.taken.append(message)
    match message:
        case Terminate(child_of=parent) if parent is not None and not is_child(state, message):
            pass
        case Terminate(reason=reason, recurse=recurse):
            result.incoming.append(ExecutionTerminated(reason, recurse))
            result.is_terminated = True
        case Suspend():
            _suspend(state, message, result)
        case Resume():
            _resume(state, message, result)
        case Fail(reason=reason):
            result.incoming.append(ExecutionFailed(reason))
            result.is_terminated = True
        case ChangeHold(hold=None):
            if result.hold is not None and not result.hold.reason.is_harmful:
                result.hold = None
        case ChangeHold(hold=hold):
            result.hold = hold
        case Purge(force=True):
            result.incoming.append(ExecutionTerminated('"purged"'))
            result.is_terminated = True
            result.purge = True
        case Purge():
            result.refused.append(Refusal(message.message_id, still_going(state.instance_id)))
        case _:
            assert_never(message)
    result.is_open = result.status is _RUNNING and result.hold is None


def _suspend(state: InstanceState, message: Suspend, result: SortedInbox) -> None:
    """Pause it. One that has not begun has no history yet that could record it."""
    if result.status is RuntimeStatus.SUSPENDED:
        _refuse_state(state, message, result, "suspend")
        return
    if result.status is _RUNNING:
        result.incoming.append(ExecutionSuspended(message.reason))
    result.status = RuntimeStatus.SUSPENDED


def _resume(state: InstanceState, message: Resume, result: SortedInbox) -> None:
    """End the pause, and try again what is held."""
    if result.status is not RuntimeStatus.SUSPENDED and result.hold is None:
        _refuse_state(state, message, result, "resume")
        return
    result.hold = None
    _end_pause(state, message, result)


def _end_pause(state: InstanceState, message: Resume, result: SortedInbox) -> None:
    if result.status is RuntimeStatus.SUSPENDED:
        has_begun = state.next_turn or result.incoming
        result.status = _RUNNING if has_begun else RuntimeStatus.PENDING
        if has_begun:
            result.incoming.append(ExecutionResumed(message.reason))


def _is_handed_on(state: InstanceState, message: Terminate) -> bool:
    """Whether it comes from the parent, from the instance's own end, or from a client: what the
    instance called may run after its end.
    """
    is_told_here = message.hub is None and message.child_of in {None, state.facts.execution_id}
    return is_told_here or is_child(state, message)


def is_child(state: InstanceState, message: Terminate) -> bool:
    """Whether the word is that of who has called the instance."""
    parent = state.facts.parent
    if parent is None or not _is_from(message.hub, parent.instance_id):
        return False
    return (parent.execution_id, parent.task_scheduled_id) == (message.child_of, message.task_id)


def _is_from(hub: str | None, instance_id: InstanceId) -> bool:
    """Whether what a linked hub says of an instance is its own to say: one of its instances.

    A link knows the numbers of each execution that has called it once, but those of other calls of
    it are none of its business. What is said here is believed.
    """
    return hub is None or instance_id.startswith(f"{hub}/")


def _refuse_state(
    state: InstanceState, message: Suspend | Resume, result: SortedInbox, verb: str
) -> None:
    error = InstanceStateError(state.instance_id, f"is {result.status.label}, so it cannot {verb}")
    result.refused.append(Refusal(message.message_id, error))
