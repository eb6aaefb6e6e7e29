"""What an instance asks people now, read off its history. Pure."""

from collections.abc import Iterable, Sequence

from msgspec import Struct, structs

from tenuto.model.events import (
    EventTaken,
    ExecutionCompleted,
    HistoryEvent,
    OrchestratorStarted,
    QuestionAnswered,
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


class PastQuestion(Struct, frozen=True, kw_only=True):
    """A question that is not asked any more.

    Attributes:
        number: Names it within the instance.
        title: What was asked.
        form: What was to be filled in.
        until: When it was given up, or would have been; None: never.
        answer: The answer that counted; None when it got none.
        is_late: Whether its time ran out.
    """

    number: int
    title: str
    form: Form
    until: Microseconds | None = None
    answer: QuestionAnswered | None = None
    is_late: bool = False


def past_questions(turns: Iterable[Sequence[HistoryEvent]]) -> list[PastQuestion]:
    """The questions that are over, in the order in which they ended.

    Args:
        turns: The history of an execution.
    """
    asked: dict[int, QuestionAsked] = {}
    answers: dict[int, QuestionAnswered] = {}
    deadlines: dict[int, int] = {}
    found: list[PastQuestion] = []

    def end(number: int, *, is_late: bool = False, is_answered: bool = False) -> None:
        question = asked.pop(number, None)
        if question is not None:
            past = PastQuestion(
                number=number,
                title=question.title,
                form=question.form,
                until=question.expires_at,
                answer=answers.get(number) if is_answered else None,
                is_late=is_late,
            )
            found.append(past)

    for event in (event for turn in turns for event in turn):
        match event:
            case QuestionAsked():
                asked[event.event_id] = event
            case QuestionAnswered() if event.task_id in asked:
                answers[event.task_id] = event
            case EventTaken():
                end(event.task_id, is_answered=True)
            case TaskCanceled():
                end(event.task_id)
            case TimerCreated(of=int() as number):
                deadlines[event.event_id] = number
            case TimerFired():
                end(deadlines.get(event.timer_id, 0), is_late=True)
            case ExecutionCompleted():
                for number in list(asked):
                    end(number)
            case _:
                pass
    return found


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
