"""What an instance asks people now, read off its history. Pure."""

from collections.abc import Iterable, Sequence

from msgspec import Struct, structs

from tenuto.model.events import (
    EventTaken,
    ExecutionCompleted,
    HistoryEvent,
    OrchestratorStarted,
    QuestionAsked,
    QuestionLinked,
    TaskCanceled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.form import Form
from tenuto.model.timing import Microseconds


class OpenQuestion(Struct, frozen=True, kw_only=True, rename="camel"):
    """A question that waits for its answer.

    Attributes:
        number: Names it within the instance.
        title: What is asked.
        text: What is said besides.
        form: What is to be filled in.
        since: When it was asked, in microseconds since 1970 UTC.
        until: When it is given up; None: never.
        url: Where it is answered; None until the address is there.
    """

    number: int
    title: str
    text: str
    form: Form
    since: Microseconds
    until: Microseconds | None = None
    url: str | None = None


def open_questions(turns: Iterable[Sequence[HistoryEvent]]) -> list[OpenQuestion]:
    """The questions that wait, oldest first.

    Args:
        turns: The history of an execution.
    """
    found: dict[int, OpenQuestion] = {}
    deadlines: dict[int, int] = {}
    now: Microseconds = 0
    for event in (event for turn in turns for event in turn):
        match event:
            case OrchestratorStarted():
                now = event.timestamp
            case QuestionAsked():
                found[event.event_id] = OpenQuestion(
                    number=event.event_id,
                    title=event.title,
                    text=event.text,
                    form=event.form,
                    since=now,
                    until=event.expires_at,
                )
            case QuestionLinked():
                found[event.task_id] = structs.replace(found[event.task_id], url=event.url)
            case EventTaken() | TaskCanceled():
                found.pop(event.task_id, None)
            case TimerCreated(of=int() as number):
                deadlines[event.event_id] = number
            case TimerFired():
                found.pop(deadlines.get(event.timer_id, 0), None)
            case ExecutionCompleted():
                found.clear()
            case _:
                pass
    return list(found.values())
