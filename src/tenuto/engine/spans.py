"""Spans of executions and their steps: what a turn ends becomes rows of its commit.

A span is a fact of the commit that has ended it, as usage is: there exactly once, whatever dies or
is sent again. Its ids are derived (``model.spans``), and when its step began is what history says:
an instance that is read again has the same steps open. Nothing is measured here. Off unless the
host says otherwise; then nothing of it is in memory.
"""

from collections.abc import Callable, Iterable, Sequence
from sys import intern
from typing import Any, Final

from msgspec import Struct

from tenuto.model.built_in import HTTP_ACTIVITY
from tenuto.model.events import (
    ContinueAsNew,
    EventAwaited,
    EventPublished,
    EventSent,
    EventTaken,
    ExecutionCompleted,
    ExecutionStarted,
    HistoryEvent,
    MessageQueued,
    OrchestratorStarted,
    QuestionAsked,
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
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import InstanceId
from tenuto.model.spans import TOPIC, Span, SpanContext, SpanKind, SpanRow, SpanRules
from tenuto.model.status import RuntimeStatus
from tenuto.model.texts import storable_text
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent

_LONGEST_TEXT: Final = 1_000
_TIMED_OUT: Final = "timed out"
_MOST_IN_ROW: Final = 500


class _OpenStep(Struct, gc=False):
    """A step that has not ended; ``of`` is the wait that a timer bounds."""

    name: str
    kind: SpanKind
    began: Microseconds
    what: str
    attempt: int = 0
    child: str = ""
    of: int | None = None


class SpanBook:
    """Follows one instance: which of its steps are open, and since when.

    Args:
        rules: Which traces have spans.
        instance_id: Whose book it is.
    """

    __slots__ = (
        "_began", "_context", "_execution_id", "_id", "_instance_id", "_name", "_now", "_open",
        "_own",
        "_rules", "_spans",
    )  # fmt: skip

    def __init__(self, rules: SpanRules, instance_id: InstanceId) -> None:
        self._rules = rules
        self._id = instance_id
        self._instance_id = _text(instance_id)
        self._execution_id = ""
        self._context: SpanContext | None = None
        self._own = ""
        self._name = ""
        self._began: Microseconds = 0
        self._now: Microseconds = 0
        self._open: dict[int, _OpenStep] = {}
        self._spans: list[Span] = []

    def rows_of(
        self, events: Sequence[HistoryEvent], number: int, iid: int
    ) -> list[PublishedEvent]:
        """What the so many-th turn has ended, as rows of its commit."""
        spans = self.follow(events)
        return [
            PublishedEvent(
                event_id=f"{self._own}/{number}/{begin}",
                topic=TOPIC,
                key=None,
                published_at=self._now,
                cause=None,
                iid=iid,
                event=SpanRow(spans[begin : begin + _MOST_IN_ROW], self._instance_id).text(),
            )
            for begin in range(0, len(spans), _MOST_IN_ROW)
        ]

    def follow(self, events: Sequence[HistoryEvent]) -> list[Span]:
        """Take a turn over, that is decided now or was recorded; the spans that it has ended."""
        self._spans = []
        for event in events:
            if isinstance(event, OrchestratorStarted):
                self._now = event.timestamp
            elif isinstance(event, ExecutionStarted):
                self._begin(event)
            elif self._context is not None and self._context.is_sampled:
                follow = _FOLLOW.get(type(event))
                if follow is not None:
                    follow(self, event)
        return self._spans

    # --- the execution ----------------------------------------------------------------------------

    def _begin(self, event: ExecutionStarted) -> None:
        context = self._context = self._rules.context(self._id, event.execution_id, event.trace)
        self._own = context.span_id()
        self._execution_id = _text(event.execution_id)
        self._name = event.name
        self._began = self._now
        self._open = {}

    def _end(self, event: ExecutionCompleted | ContinueAsNew) -> None:
        """All that is open ends with it: what it has called has a parent, whatever becomes of it.

        A call that is decided in the last turn runs, for nobody.
        """
        for number in list(self._open):
            self._close(number, outcome="abandoned")
        context = self._context
        assert context is not None
        error, outcome = None, "continued_as_new"
        if isinstance(event, ExecutionCompleted):
            status = event.orchestration_status
            outcome = status.label.lower()
            if status is not RuntimeStatus.COMPLETED:
                error = _failure_text(event.failure_details) or outcome
        trace = context.trace
        self._spans.append(
            Span(
                context.trace_id,
                self._own,
                context.parent_id,
                _text(f"orchestration:{self._name}"),
                SpanKind.SERVER,
                self._began,
                self._now,
                {
                    "tenuto.type": "orchestration",
                    "tenuto.instance_id": self._instance_id,
                    "tenuto.execution_id": self._execution_id,
                    "tenuto.outcome": outcome,
                },
                error,
                None if trace is None else trace.state,
                "" if trace is None else trace.after or "",
            )
        )

    # --- steps ------------------------------------------------------------------------------------

    def _opened(
        self,
        number: int,
        what: str,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        attempt: int = 0,
        child: str = "",
    ) -> None:
        # Many may be open, and most have the same few names.
        title = intern(_text(f"{what}:{name}" if name else what))
        self._open[number] = _OpenStep(title, kind, self._now, what, attempt, child)

    def _close(self, number: int, error: str | None = None, outcome: str = "") -> None:
        step = self._open.pop(number, None)
        if step is None or step.of is not None:
            return
        context = self._context
        assert context is not None
        attributes: dict[str, str | int] = {
            "tenuto.type": step.what,
            "tenuto.instance_id": self._instance_id,
            "tenuto.event_id": number,
        }
        if step.attempt:
            attributes["tenuto.attempt"] = step.attempt
        if step.child:
            attributes["tenuto.child"] = _text(step.child)
        if outcome:
            attributes["tenuto.outcome"] = outcome
        self._spans.append(
            Span(
                context.trace_id,
                context.span_id(number),
                self._own,
                step.name,
                step.kind,
                step.began,
                self._now,
                attributes,
                error,
                None if context.trace is None else context.trace.state,
            )
        )

    def _at_once(self, number: int, what: str, name: str, child: str = "") -> None:
        self._opened(number, what, name, SpanKind.PRODUCER, child=child)
        self._close(number)

    def _scheduled(self, event: TaskScheduled) -> None:
        is_request = event.name == HTTP_ACTIVITY
        what = "http" if is_request else "activity"
        kind = SpanKind.CLIENT if is_request else SpanKind.INTERNAL
        name = "" if is_request else event.name
        self._opened(event.event_id, what, name, kind, event.attempt)

    def _task_ended(self, event: TaskCompleted | TaskFailed) -> None:
        error = _failure_text(event.failure_details) if isinstance(event, TaskFailed) else None
        self._close(event.task_scheduled_id, error)

    def _child_called(self, event: SubOrchestrationInstanceCreated) -> None:
        if event.detached:
            self._at_once(event.event_id, "start_orchestration", event.name, event.instance_id)
            return
        self._opened(
            event.event_id,
            "call_orchestration",
            event.name,
            SpanKind.CLIENT,
            event.attempt,
            event.instance_id,
        )

    def _child_ended(
        self, event: SubOrchestrationInstanceCompleted | SubOrchestrationInstanceFailed
    ) -> None:
        error = None
        if isinstance(event, SubOrchestrationInstanceFailed):
            error = _failure_text(event.failure_details)
        self._close(event.task_scheduled_id, error)

    def _timer_set(self, event: TimerCreated) -> None:
        self._opened(event.event_id, "timer", event.purpose if event.purpose != "timer" else "")
        if event.purpose == "timeout":  # its end is that of what it bounds
            self._open[event.event_id].of = -1 if event.of is None else event.of

    def _timer_fired(self, event: TimerFired) -> None:
        timer = self._open.get(event.timer_id)
        if timer is not None and timer.of is not None:
            self._close(timer.of, _TIMED_OUT)
        self._close(event.timer_id)

    def _awaited(self, event: EventAwaited | TopicAwaited | QuestionAsked) -> None:
        if event.event_id in self._open:  # a wait for a topic that goes on
            return
        if isinstance(event, EventAwaited):
            what, name = "event", event.name
        elif isinstance(event, TopicAwaited):
            what, name = "topic_event", event.topic
        else:
            what, name = "question", event.title
        self._opened(event.event_id, what, name, SpanKind.CONSUMER)

    def _ended(self, event: EventTaken) -> None:
        self._close(event.task_id)

    def _canceled(self, event: TaskCanceled) -> None:
        self._close(event.task_id, outcome="canceled")

    def _sent(self, event: EventSent) -> None:
        self._at_once(event.event_id, "send_event", event.name)

    def _published(self, event: EventPublished) -> None:
        self._at_once(event.event_id, "publish", event.topic)

    def _queued(self, event: MessageQueued) -> None:
        self._at_once(event.event_id, "queue", event.queue)


_FOLLOW: Final[dict[type, Callable[[SpanBook, Any], None]]] = {
    TaskScheduled: SpanBook._scheduled,  # noqa: SLF001 - its own table, below it
    TaskCompleted: SpanBook._task_ended,  # noqa: SLF001 - the same
    TaskFailed: SpanBook._task_ended,  # noqa: SLF001 - the same
    SubOrchestrationInstanceCreated: SpanBook._child_called,  # noqa: SLF001 - the same
    SubOrchestrationInstanceCompleted: SpanBook._child_ended,  # noqa: SLF001 - the same
    SubOrchestrationInstanceFailed: SpanBook._child_ended,  # noqa: SLF001 - the same
    TimerCreated: SpanBook._timer_set,  # noqa: SLF001 - the same
    TimerFired: SpanBook._timer_fired,  # noqa: SLF001 - the same
    EventAwaited: SpanBook._awaited,  # noqa: SLF001 - the same
    TopicAwaited: SpanBook._awaited,  # noqa: SLF001 - the same
    QuestionAsked: SpanBook._awaited,  # noqa: SLF001 - the same
    EventTaken: SpanBook._ended,  # noqa: SLF001 - the same
    TaskCanceled: SpanBook._canceled,  # noqa: SLF001 - the same
    EventSent: SpanBook._sent,  # noqa: SLF001 - the same
    EventPublished: SpanBook._published,  # noqa: SLF001 - the same
    MessageQueued: SpanBook._queued,  # noqa: SLF001 - the same
    ExecutionCompleted: SpanBook._end,  # noqa: SLF001 - the same
    ContinueAsNew: SpanBook._end,  # noqa: SLF001 - the same
}


def book_of(
    rules: SpanRules, instance_id: InstanceId, turns: Iterable[Sequence[HistoryEvent]]
) -> SpanBook:
    """The book of an instance that was read: as if it had been in memory all the time."""
    book = SpanBook(rules, instance_id)
    for turn in turns:
        book.follow(turn)
    return book


def _failure_text(failure: FailureDetails | None) -> str | None:
    return None if failure is None else _text(f"{failure.error_type}: {failure.error_message}")


def _text(text: str) -> str:
    return storable_text(text[:_LONGEST_TEXT].replace("\0", "\N{REPLACEMENT CHARACTER}"))
