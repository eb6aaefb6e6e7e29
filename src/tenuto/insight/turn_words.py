"""What came in and what was decided in each turn of a history, in a few words each. Pure.

Times are not told: the turn has one. Nor are payloads, which stand in the history.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, get_args

from msgspec import Struct

from tenuto.insight.built_in import call_text, request_text
from tenuto.insight.wording import failure_text, one_line, utc_moment
from tenuto.model.built_in import plain_name
from tenuto.model.events import (
    ContinueAsNew,
    Decision,
    Ending,
    EventAwaited,
    EventPublished,
    EventRaised,
    EventRefused,
    EventSent,
    EventTaken,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
    MessageQueued,
    OrchestratorStarted,
    QuestionAnswered,
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
from tenuto.model.timing import Microseconds
from tenuto.model.topics import is_of_wait, wait_number

_DECISIONS: Final = frozenset(get_args(Decision) + get_args(Ending))


class TurnWords(Struct, frozen=True, kw_only=True):
    """A turn in words.

    Attributes:
        turn: Which one, from 1.
        at: Its time, in microseconds since 1970 UTC.
        events: How many events it has, without the mark of its beginning.
        arrived: What came in.
        decided: What the orchestrator decided then.
    """

    turn: int
    at: Microseconds
    events: int
    arrived: tuple[str, ...]
    decided: tuple[str, ...]


class WordsOfTurns:
    """Puts turns into words, one after the other: later ones name what earlier ones have begun.

    Args:
        created_at: When the instance was created.
    """

    def __init__(self, created_at: Microseconds) -> None:
        self._names: dict[int, str] = {}
        self._turn = 0
        self._at = created_at

    def read(self, turn: Sequence[HistoryEvent]) -> TurnWords:
        """The next turn in words."""
        self._turn += 1
        events = []
        for event in turn:
            if isinstance(event, OrchestratorStarted):
                self._at = event.timestamp
            else:
                events.append(event)
        return TurnWords(
            turn=self._turn,
            at=self._at,
            events=len(events),
            arrived=self._told(one for one in events if type(one) not in _DECISIONS),
            decided=self._told(one for one in events if type(one) in _DECISIONS),
        )

    def _told(self, events: Iterable[HistoryEvent]) -> tuple[str, ...]:
        # Each has its handler, which a test holds this table to.
        return tuple(filter(None, (_HANDLERS[type(event)](self, event) for event in events)))

    def _name(self, number: int) -> str:
        return self._names.get(number, f"#{number}")

    def _named(self, number: int, name: str) -> str:
        self._names[number] = name
        return name

    # --- what comes in --------------------------------------------------------------------------

    def on_started(self, event: ExecutionStarted) -> str:
        if event.generation:
            return f"began generation {event.generation} of {one_line(event.name)}"
        return f"began {one_line(event.name)}"

    def on_completed(self, event: TaskCompleted | SubOrchestrationInstanceCompleted) -> str:
        return f"completed {self._name(event.task_scheduled_id)}"

    def on_failed(self, event: TaskFailed | SubOrchestrationInstanceFailed) -> str:
        return (
            f"failed {self._name(event.task_scheduled_id)}: {failure_text(event.failure_details)}"
        )

    def on_fired(self, event: TimerFired) -> str:
        return f"{self._name(event.timer_id)} is over"

    def on_raised(self, event: EventRaised) -> str:
        if is_of_wait(event.name):
            return f"{self._name(wait_number(event.name))} came"
        return f"event {one_line(event.name)!r} came"

    def on_answered(self, event: QuestionAnswered) -> str:
        by = "" if event.by is None else f" by {one_line(event.by)}"
        return f"{self._name(event.task_id)} was answered{by}"

    def on_suspended(self, event: ExecutionSuspended) -> str:
        return _with_reason("was suspended", event.reason)

    def on_resumed(self, event: ExecutionResumed) -> str:
        return _with_reason("was resumed", event.reason)

    def on_terminated(self, _event: ExecutionTerminated) -> str:
        return "was terminated"

    def on_ended_as_failed(self, event: ExecutionFailed) -> str:
        return _with_reason("was ended as failed", event.reason)

    # --- what is decided ------------------------------------------------------------------------

    def on_scheduled(self, event: TaskScheduled) -> str:
        name = one_line(event.name)
        name = call_text(name, request_text(event.name, event.input)) or plain_name(name)
        again = f", attempt {event.attempt}" if event.attempt > 1 else ""
        return f"called {self._named(event.event_id, name)}{again}"

    def on_created(self, event: SubOrchestrationInstanceCreated) -> str:
        name = self._named(event.event_id, one_line(event.name))
        again = f", attempt {event.attempt}" if event.attempt > 1 else ""
        return f"{'started' if event.detached else 'called'} orchestration {name}{again}"

    def on_timer(self, event: TimerCreated) -> str:
        until = utc_moment(event.fire_at)
        of = "" if event.of is None else self._name(event.of)
        match event.purpose:
            case "retry":
                self._named(event.event_id, f"the pause before the next attempt of {of}")
                return f"waits until {until} before the next attempt of {of}"
            case "poll":
                self._named(event.event_id, "the pause before an HTTP call asks again")
                return f"waits until {until} before an HTTP call asks again"
            case "timeout":
                limit = self._named(event.event_id, f"the time limit{of and ' of '}{of}")
                return f"set {limit}: {until}"
            case "timer":
                self._named(event.event_id, f"the timer for {until}")
                return f"set a timer for {until}"

    def on_awaited(self, event: EventAwaited) -> str:
        return f"waits for {self._named(event.event_id, f'event {one_line(event.name)!r}')}"

    def on_topic_awaited(self, event: TopicAwaited) -> str:
        what = f"event of topic {one_line(event.topic)!r} with key {one_line(event.key)!r}"
        return f"waits for {self._named(event.event_id, what)}"

    def on_asked(self, event: QuestionAsked) -> str:
        title = one_line(event.title)
        self._named(event.event_id, f"question {title!r}")
        return f"asked {title!r}"

    def on_taken(self, event: EventTaken) -> str:
        return f"took {self._name(event.task_id)}"

    def on_canceled(self, event: TaskCanceled) -> str:
        return f"gave up {self._name(event.task_id)}"

    def on_refused(self, event: EventRefused) -> str:
        name = one_line(event.name)
        what = self._name(wait_number(name)) if is_of_wait(name) else repr(name)
        return f"put {what} aside: {one_line(event.reason)}"

    def on_sent(self, event: EventSent) -> str:
        return f"sent event {one_line(event.name)!r} to {one_line(event.instance_id)}"

    def on_published(self, event: EventPublished) -> str:
        return f"published to topic {one_line(event.topic)!r}"

    def on_queued(self, event: MessageQueued) -> str:
        return f"put a message into queue {one_line(event.queue)!r}"

    def on_opened(self, event: WebhookOpened) -> str:
        return f"opened a webhook for event {one_line(event.name)!r}"

    def on_linked(self, _event: QuestionLinked) -> str:
        return ""  # the question is there already

    def on_over(self, event: ExecutionCompleted) -> str:
        failure = event.failure_details
        status = event.orchestration_status.label.lower()
        return status if failure is None else f"{status}: {failure_text(failure)}"

    def on_continued(self, _event: ContinueAsNew) -> str:
        return "continued as new"


def _with_reason(what: str, reason: str | None) -> str:
    return f"{what}: {one_line(reason)}" if reason else what


_HANDLERS: Final[dict[type, Callable[[WordsOfTurns, Any], str]]] = {
    ExecutionStarted: WordsOfTurns.on_started,
    TaskCompleted: WordsOfTurns.on_completed,
    TaskFailed: WordsOfTurns.on_failed,
    SubOrchestrationInstanceCompleted: WordsOfTurns.on_completed,
    SubOrchestrationInstanceFailed: WordsOfTurns.on_failed,
    TimerFired: WordsOfTurns.on_fired,
    EventRaised: WordsOfTurns.on_raised,
    QuestionAnswered: WordsOfTurns.on_answered,
    ExecutionSuspended: WordsOfTurns.on_suspended,
    ExecutionResumed: WordsOfTurns.on_resumed,
    ExecutionTerminated: WordsOfTurns.on_terminated,
    ExecutionFailed: WordsOfTurns.on_ended_as_failed,
    TaskScheduled: WordsOfTurns.on_scheduled,
    SubOrchestrationInstanceCreated: WordsOfTurns.on_created,
    TimerCreated: WordsOfTurns.on_timer,
    EventAwaited: WordsOfTurns.on_awaited,
    TopicAwaited: WordsOfTurns.on_topic_awaited,
    QuestionAsked: WordsOfTurns.on_asked,
    EventTaken: WordsOfTurns.on_taken,
    TaskCanceled: WordsOfTurns.on_canceled,
    EventRefused: WordsOfTurns.on_refused,
    EventSent: WordsOfTurns.on_sent,
    EventPublished: WordsOfTurns.on_published,
    MessageQueued: WordsOfTurns.on_queued,
    WebhookOpened: WordsOfTurns.on_opened,
    QuestionLinked: WordsOfTurns.on_linked,
    ExecutionCompleted: WordsOfTurns.on_over,
    ContinueAsNew: WordsOfTurns.on_continued,
}
"""For each kind of event but the mark that begins a turn."""
