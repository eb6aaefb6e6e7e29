"""Questions to people: which one an answer is for, and whether it comes in time. Pure.

The first answer in time counts; others are told that it was answered. That the answer has the form
that was asked for is seen here, so that one which has to wait (for a paused instance) is refused
while somebody can still be told.
"""

from collections.abc import Iterable, Mapping

from tenuto.engine.state import InstanceState, OpenWait
from tenuto.model.errors import InputError, QuestionClosedError
from tenuto.model.events import Incoming, QuestionAnswered, QuestionAsked, TimerFired
from tenuto.model.messages import AnswerQuestion, Message


def answer_to(
    state: InstanceState,
    message: AnswerQuestion,
    incoming: Iterable[Incoming],
    held: Iterable[Message],
) -> QuestionAnswered:
    """The event that an answer is.

    Args:
        state: The instance, before the turn.
        message: The answer.
        incoming: What the turn takes in before it.
        held: What waits before it.

    Raises:
        QuestionClosedError: this is not asked, now or any more.
        InputError: several questions are, and it does not say which it is for.
        PayloadError: it does not have the form that is asked for.
    """
    asked = _asked(state, incoming, held)
    number, question = _one_of(state, message, asked)
    expires_at = question.expires_at
    if expires_at is not None and message.requested_at >= expires_at:
        raise QuestionClosedError(
            state.instance_id, f"asked {question.title!r} until its time ran out"
        )
    completed = question.form.completed(message.input)
    return QuestionAnswered(number, message.requested_at, completed, message.by)


def _asked(
    state: InstanceState, incoming: Iterable[Incoming], held: Iterable[Message]
) -> dict[int, QuestionAsked]:
    """What is asked after that, by number."""
    work = state.work
    over: set[object] = {
        work.deadlines.get(event.timer_id) if isinstance(event, TimerFired) else event.task_id
        for event in incoming
        if isinstance(event, TimerFired | QuestionAnswered)
    }
    over.update(one.question for one in held if isinstance(one, AnswerQuestion))
    return {number: question for number, question in questions(work.awaits) if number not in over}


def questions(awaits: Mapping[int, OpenWait]) -> Iterable[tuple[int, QuestionAsked]]:
    """Those of the open waits that are for people."""
    for number, wait in awaits.items():
        if wait.question is not None:
            yield number, wait.question


def _one_of(
    state: InstanceState, message: AnswerQuestion, asked: Mapping[int, QuestionAsked]
) -> tuple[int, QuestionAsked]:
    wanted = message.question
    is_other = message.execution_id not in {None, state.facts.execution_id}
    fitting = [
        (number, question)
        for number, question in asked.items()
        if not is_other and (wanted is None or wanted in {number, question.title})
    ]
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        listed = ", ".join(f"{number} ({question.title!r})" for number, question in fitting)
        raise InputError(
            f"instance {state.instance_id!r} asks several questions; say which one: {listed}"
        )
    if wanted is None or is_other:
        text = "asks nothing now: it has not come to a question, or has its answer"
    else:
        asks = wanted if message.title is None else message.title
        text = f"does not ask question {asks!r} now: it was answered, is over, or was never asked"
    raise QuestionClosedError(state.instance_id, text)
