"""What travels between a client and a server's ``/admin`` routes. Pure data.

Owned by both ends: the server reads and writes these shapes, ``HttpGateway`` writes and reads
them. Payloads are JSON inside JSON, kept to the letter.
"""

from typing import Final, Literal

from msgspec import UNSET, Raw, Struct, UnsetType, structs

from tenuto.model.events import TimerPurpose
from tenuto.model.explanation import (
    ActivityWait,
    ChildWait,
    EventWait,
    Explanation,
    QuestionWait,
    TimerWait,
    TopicWait,
    Wait,
)
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.payload.opaque import as_json
from tenuto.model.requests import DeadLetter, IdReuse
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, QueuedMessage, content_in
from tenuto.model.trace import TraceContext

ADMIN: Final = "/admin"
LONGEST_WAIT_SECONDS: Final = 60
"""The longest time for which one request may ask the server to wait."""
CONTINUATION: Final = "x-ms-continuation-token"
"""The header of a page that asks for the next one; empty or left out on the last page."""
MOST_ROWS: Final = 1_000
"""The most rows that one answer holds."""


class _Body(
    Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Fields in camelCase, as everywhere over HTTP; one that is not known is refused."""


class EventToPublish(_Body, frozen=True, kw_only=True):
    """An event as it is to be published.

    Attributes:
        topic: The topic.
        id: Unique in the topic; what is sent again under it is there once.
        data: The payload, any JSON.
        key: Events of one key are delivered in their order.
        type: What kind of event it is.
        source: Who says so.
        subject: What it is about.
        attributes: Further ones.
        cause: What it was caused by.
    """

    topic: str
    id: str | None = None
    data: Raw | UnsetType = UNSET
    key: str | None = None
    type: str | None = None
    source: str | None = None
    subject: str | None = None
    attributes: dict[str, str] | None = None
    cause: str | None = None


class MessageToQueue(_Body, frozen=True, kw_only=True):
    """A message as it is to be queued.

    Attributes:
        queue: The queue.
        id: Unique in the queue; what is sent again under it is there once.
        data: The message, any JSON.
        delay_seconds: It is worked on no earlier than after this long.
        cause: What it was caused by.
    """

    queue: str
    id: str | None = None
    data: Raw | UnsetType = UNSET
    delay_seconds: float = 0
    cause: str | None = None


class PublishBody(_Body, frozen=True, kw_only=True):
    """Events and messages, all or none of which are taken.

    Attributes:
        events: For topics.
        messages: For queues.
    """

    events: tuple[EventToPublish, ...] = ()
    messages: tuple[MessageToQueue, ...] = ()


class PublishedBody(_Body, frozen=True, kw_only=True):
    """What was published and queued.

    Attributes:
        events: Ids of the events, in their order.
        messages: Ids of the messages, in their order.
    """

    events: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()


def event_to_publish(event: PublishedEvent) -> EventToPublish:
    """An event of a client as it is sent."""
    content = content_in(event.event)
    return EventToPublish(
        topic=event.topic,
        id=event.event_id,
        data=content.data,
        key=event.key,
        type=content.type,
        source=content.source,
        subject=content.subject,
        attributes=content.attributes,
        cause=event.cause,
    )


def message_to_queue(message: QueuedMessage) -> MessageToQueue:
    """A message of a client as it is sent."""
    return MessageToQueue(
        queue=message.queue,
        id=message.message_id,
        data=Raw(message.data.encode()),
        delay_seconds=max(0, message.visible_at - message.queued_at) / 1_000_000,
        cause=message.cause,
    )


class StartBody(_Body, frozen=True, kw_only=True):
    """A start as asked for over HTTP.

    Attributes:
        name: The orchestrator.
        input: Its input, any JSON.
        instance_id: An id of the caller's choice; the server makes one up by default.
        execution_id: 32 hexadecimal digits of the caller's choice; the same start sent again with
            the same one is the same start.
        version: Marks the instance; by default the function's version.
        tags: Labels.
        trace: The trace that it belongs to.
        scheduled_at: Do not begin before this moment, in microseconds since 1970 UTC.
        reuse: What to do when the id exists; or the statuses, by their numbers, of an instance
            that may be replaced. One that is still going is ended first.
    """

    name: str
    input: Raw | UnsetType = UNSET
    instance_id: str | None = None
    execution_id: ExecutionId | None = None
    version: str | None = None
    tags: dict[str, str] | None = None
    trace: TraceContext | None = None
    scheduled_at: Microseconds | None = None
    reuse: IdReuse | tuple[RuntimeStatus, ...] = IdReuse.WHEN_FINISHED

    @property
    def replaced(self) -> frozenset[RuntimeStatus]:
        """The statuses of an instance that may be replaced."""
        reuse = self.reuse
        return reuse.statuses if isinstance(reuse, IdReuse) else frozenset(reuse)


class StartedBody(_Body, frozen=True, kw_only=True):
    """The answer to a start.

    Attributes:
        instance_id: What was started.
    """

    instance_id: str


class EventBody(_Body, frozen=True, kw_only=True):
    """An external event.

    Attributes:
        name: Its name; names ignore case.
        input: Its data, any JSON.
    """

    name: str
    input: Raw | UnsetType = UNSET


class AnswerBody(_Body, frozen=True, kw_only=True):
    """The answer to a question.

    Attributes:
        answer: Any JSON that has the form of the question.
        question: Its number or its title; may be left out where only one is asked.
        by: Who answers.
    """

    answer: Raw | UnsetType = UNSET
    question: int | str | None = None
    by: str | None = None


class ReasonBody(_Body, frozen=True, kw_only=True):
    """Why an instance is steered.

    Attributes:
        reason: For people; kept in history.
    """

    reason: str | None = None


class TerminateBody(_Body, frozen=True, kw_only=True):
    """Why an instance is ended, and how far.

    Attributes:
        reason: For people; kept in history.
        recurse: Whether what it has called ends too, and what that has called.
    """

    reason: str | None = None
    recurse: bool = False


class WaitBody(_Body, frozen=True, kw_only=True):
    """Something that an instance waits for. Times are microseconds since 1970 UTC.

    Attributes:
        kind: What it is.
        name: Of the event, topic, activity or orchestrator, the title of a question; none of a
            timer.
        key: What the key of the event must be that is waited for in a topic.
        since: When the instance came to wait for it: the time of that turn.
        until: When a timer fires, a wait for an event is given up, or the next attempt begins.
        attempt: Which attempt runs, or the one that begins then; left out when it is the first.
        instance_id: The child.
        purpose: Of a timer: what it bounds or puts off; left out when the orchestrator just asked
            for it.
        url: Where a question is answered.
    """

    kind: Literal["event", "topic", "question", "timer", "activity", "orchestration"]
    name: str | None = None
    key: str | None = None
    since: Microseconds
    until: Microseconds | None = None
    attempt: int = 1
    instance_id: str | None = None
    purpose: TimerPurpose = "timer"
    url: str | None = None

    @classmethod
    def of(cls, wait: Wait) -> "WaitBody":
        """What stands in an answer of a wait."""
        since, until = wait.since, wait.until
        match wait:
            case TimerWait(purpose=purpose):
                return cls(kind="timer", since=since, until=until, purpose=purpose)
            case EventWait(name=name):
                return cls(kind="event", name=name, since=since, until=until)
            case TopicWait(topic=topic, key=key):
                return cls(kind="topic", name=topic, key=key, since=since, until=until)
            case QuestionWait(title=title, url=url):
                return cls(kind="question", name=title, since=since, until=until, url=url or None)
            case ActivityWait(name=name, attempt=attempt):
                return cls(kind="activity", name=name, since=since, until=until, attempt=attempt)
            case ChildWait(name=name, attempt=attempt, instance_id=instance_id):
                return cls(
                    kind="orchestration",
                    name=name,
                    since=since,
                    until=until,
                    attempt=attempt,
                    instance_id=instance_id,
                )


class InstanceBody(InstanceRecord, frozen=True, kw_only=True):
    """An instance as it is stored, and why it does not go on.

    Attributes:
        waiting_for: What must happen before it goes on.
        explanation: Why it does not go on, in words, with all facts; times in words are UTC. None
            when it has ended, or nobody asked.
    """

    waiting_for: tuple[WaitBody, ...] = ()
    explanation: Explanation | None = None

    @classmethod
    def of(cls, record: InstanceRecord, explanation: Explanation | None) -> "InstanceBody":
        """The body for a row."""
        facts = () if explanation is None else explanation.facts
        waits = tuple(WaitBody.of(fact) for fact in facts if isinstance(fact, Wait))
        return cls(**structs.asdict(record), waiting_for=waits, explanation=explanation)


class DeadLetterBody(_Body, frozen=True, kw_only=True):
    """A message that nobody could take.

    Attributes:
        message_id: Its id.
        instance_id: Whom it was for.
        reason: Why it could not be delivered.
        created_at: When it was given up, in microseconds since 1970 UTC.
        message: The message as it is stored.
        acknowledged_at: When somebody said that they have seen to it.
    """

    message_id: MessageId
    instance_id: InstanceId
    reason: str
    created_at: Microseconds
    message: Raw
    acknowledged_at: Microseconds | None = None

    @classmethod
    def of(cls, letter: DeadLetter) -> "DeadLetterBody":
        """The body for a stored dead letter."""
        return cls(
            message_id=letter.message_id,
            instance_id=letter.instance_id,
            reason=letter.reason,
            created_at=letter.created_at,
            message=letter.message,
            acknowledged_at=letter.acknowledged_at,
        )

    @property
    def letter(self) -> DeadLetter:
        """The dead letter as it is stored."""
        return DeadLetter(
            self.message_id,
            self.instance_id,
            self.reason,
            self.created_at,
            self.message,
            self.acknowledged_at,
        )


class DeadLetterIdsBody(_Body, frozen=True, kw_only=True):
    """Which dead letters are meant.

    Attributes:
        ids: Their message ids.
    """

    ids: tuple[MessageId, ...]


class ErrorBody(Struct, frozen=True):
    """An error in an answer; there are further fields, for other readers.

    Attributes:
        code: ``TN-`` and four digits.
        message: What happened, where, and what to do next.
    """

    code: str
    message: str


def reuse_of(statuses: frozenset[RuntimeStatus]) -> IdReuse | tuple[RuntimeStatus, ...]:
    """What may be replaced as part of a body: by its name when it has one."""
    for policy in IdReuse:
        if policy.statuses == statuses:
            return policy
    return tuple(sorted(statuses))


def raw_of(text: str | None) -> Raw | UnsetType:
    """A stored payload as part of a body; what is no JSON, as a text."""
    return UNSET if text is None else as_json(text)


def text_of(raw: Raw | UnsetType) -> str | None:
    """JSON text as it stood in a body."""
    return None if isinstance(raw, UnsetType) else bytes(raw).decode()
