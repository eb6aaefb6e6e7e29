"""Messages: what can be put into the inbox of an instance.

A message that answers work (activity result, timer, child's reply) names the execution that
asked, and is dropped when that execution is over (ENGINE rule 17). Messages from clients go to
whatever execution is current. The producer names every message (ENGINE rule 12).
"""

import json
from typing import Final, TypeAlias, get_args

from msgspec import Struct

from tenuto.model.events import (
    EventRaised,
    ExecutionStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from tenuto.model.hold import Hold
from tenuto.model.ids import AnyMessageId, ExecutionId, InstanceId
from tenuto.model.status import FINISHED, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.usage import AttemptUsage


class _Message(
    Struct, frozen=True, tag=lambda name: name, rename="camel", omit_defaults=True, gc=False
):
    """Shared form.

    Attributes:
        message_id: Its name; None for what never leaves memory.
        awaits_answer: Whether its sender, in another process, waits for an answer in the store.
    """

    message_id: AnyMessageId = None
    awaits_answer: bool = False


class Start(_Message, frozen=True, kw_only=True):
    """Run the execution that the event describes; a child brings its place in the tree along.

    ``reuse`` are the statuses of an instance that may be replaced when it has the id; one that is
    still going is ended first.
    """

    event: ExecutionStarted
    root_id: InstanceId | None = None
    depth: int = 0
    reuse: frozenset[RuntimeStatus] = FINISHED


class TaskResult(_Message, frozen=True, kw_only=True):
    """An activity attempt ended. ``sequence`` counts the attempts scheduled by the execution.

    ``used`` is what it took; None of one that ended under a Tenuto which did not measure.
    """

    execution_id: ExecutionId
    sequence: int
    event: TaskCompleted | TaskFailed
    used: AttemptUsage | None = None


class ChildResult(_Message, frozen=True, kw_only=True):
    """A sub-orchestration ended.

    ``hub`` is the linked hub that says so, written by the end of the link that has taken it in; it
    counts for a call that went there. None for what is said here.
    """

    execution_id: ExecutionId
    event: SubOrchestrationInstanceCompleted | SubOrchestrationInstanceFailed
    hub: str | None = None


class TimerDue(_Message, frozen=True, kw_only=True):
    """A timer came due."""

    execution_id: ExecutionId
    event: TimerFired


class RaiseEvent(_Message, frozen=True, kw_only=True):
    """An external event, from a client or another instance."""

    event: EventRaised


class RedeemWebhook(_Message, frozen=True, kw_only=True):
    """Somebody has used a webhook's address. Never waits as it is: an accepted one does as the
    event that it raises.

    ``requested_at`` is when, by the host's clock in microseconds; ``input`` the event's data.
    """

    digest: str
    requested_at: Microseconds
    input: str | None = None


class AnswerQuestion(_Message, frozen=True, kw_only=True):
    """Somebody answers what an orchestration asks.

    Attributes:
        question: Its number, or its title; None for the only one that is asked.
        execution_id: The execution that asks; None for whichever runs.
        requested_at: When, by the clock of whoever took the answer, in microseconds.
        input: The answer as JSON text.
        by: Who answers, as far as that is known.
        title: What was asked, as far as its sender knew: an answer that comes too late tells it.
    """

    question: int | str | None = None
    title: str | None = None
    execution_id: ExecutionId | None = None
    requested_at: Microseconds
    input: str | None = None
    by: str | None = None


class Publish(_Message, frozen=True, kw_only=True):
    """An event for a topic of a linked hub, which goes there; or of this one, on its way through
    the inbox of a partition, since it was published with a program's own transaction.

    Attributes:
        event_id: Unique in the topic.
        key: Events of one key are delivered one after another; None for no order.
        published_at: When, by the clock of its sender, in microseconds.
        cause: What it was caused by; None when nobody knows.
        input: Its data as JSON text.
        kind: What kind of event it is, which is the ``type`` of who publishes.
        source: Who has published it.
        subject: What it is about.
        attributes: Further ones, text to text.
    """

    event_id: str
    key: str | None = None
    published_at: Microseconds
    cause: str | None = None
    input: str | None = None
    kind: str | None = None
    source: str | None = None
    subject: str | None = None
    attributes: dict[str, str] | None = None


class Terminate(_Message, frozen=True, kw_only=True):
    """End the instance now; ``reason`` becomes its output. With ``recurse`` what it has called ends
    too, and what that has called.

    ``child_of`` and ``task_id`` are the execution and the call of a parent that has given the
    instance up: whoever stands under the id by then and is not that child is left alone. ``hub`` is
    the linked hub where the parent is, written by the end of the link that has taken it in.
    """

    reason: str | None = None
    recurse: bool = False
    child_of: ExecutionId | None = None
    task_id: int = 0
    hub: str | None = None


class Suspend(_Message, frozen=True, kw_only=True):
    """Pause the instance."""

    reason: str | None = None


class Resume(_Message, frozen=True, kw_only=True):
    """Go on after a pause."""

    reason: str | None = None


class Fail(_Message, frozen=True, kw_only=True):
    """End the instance as failed; ``reason`` is what an operator says about it."""

    reason: str | None = None


class ChangeHold(_Message, frozen=True, kw_only=True):
    """The host holds the instance, or with None tries it again if it was a misfit.

    Never leaves memory.
    """

    hold: Hold | None = None


class Purge(_Message, frozen=True, kw_only=True):
    """Delete the instance and its history; a running one only when ``force`` is set."""

    force: bool = False


Steering: TypeAlias = Terminate | Suspend | Resume | Fail | Purge
"""What an instance takes in however it stands."""

ClientMessage: TypeAlias = RaiseEvent | RedeemWebhook | AnswerQuestion | Steering
"""What a client may tell an instance."""

CLIENT_MESSAGES: Final[tuple[type, ...]] = get_args(ClientMessage)
"""The same, for ``isinstance``."""

LETTERS: Final = (RaiseEvent, AnswerQuestion, Publish)
"""What becomes a dead letter when nobody can take it (``no_silent_drop``)."""


def letter_facts(message: _Message) -> tuple[str | None, str | None]:
    """What a dead letter is about, and the data that it keeps as JSON text.

    Args:
        message: That nobody could take.
    """
    if isinstance(message, RaiseEvent):
        return message.event.name, message.event.input
    if isinstance(message, Publish):
        return message.kind or message.event_id, message.input
    if isinstance(message, AnswerQuestion):
        asked = message.question if message.title is None else message.title
        return None if asked is None else str(asked), message.input
    if isinstance(message, Start):
        return message.event.name, message.event.input
    if isinstance(message, Unreadable):
        return None, json.dumps(message.content.decode(errors="backslashreplace"))
    return None, None


Message: TypeAlias = Start | TaskResult | ChildResult | TimerDue | ChangeHold | ClientMessage

AnyMessage: TypeAlias = Message | Publish
"""What is for an instance, or for a topic."""


class Unreadable(_Message, frozen=True, kw_only=True):
    """What stood in a row of the inbox that nobody can read, to the byte: a dead letter."""

    content: bytes


AnyLetter: TypeAlias = AnyMessage | Unreadable
"""What a dead letter may be."""
