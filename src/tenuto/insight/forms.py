"""What people can send an instance now: the events and answers that it waits for. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from tenuto.insight.steps import Run, Step, StepKind
from tenuto.model.events import QuestionAsked
from tenuto.model.form import Choice, Form
from tenuto.model.form_schema import form_schema


class Sendable(Struct, frozen=True, kw_only=True):
    """Something that an instance waits for and that a person can send.

    Attributes:
        kind: Whether it is an event, or the answer to a question.
        name: Of the event; of a question its title.
        number: Of the step that waits.
        title: What people call it.
        text: What a question says besides.
        schema: The JSON schema of what is to be sent; None where nobody knows, or it may be
            anything.
        choices: The answers to choose from, where one of them is the whole answer.
        form: What a question wants to be filled in.
        url: Where it is answered.
    """

    kind: Literal["event", "question"]
    name: str
    number: int
    title: str
    text: str = ""
    schema: Mapping[str, Any] | None = None
    choices: Sequence[Choice] = ()
    form: Form | None = None
    url: str | None = None


def sendable(
    run: Run,
    awaited: Mapping[int, Mapping[str, Any] | None],
    asked: Mapping[int, QuestionAsked],
) -> list[Sendable]:
    """What can be sent, in the order in which it came to be waited for.

    Args:
        run: The instance.
        awaited: What its code asks for in events, by the number of the step.
        asked: Its questions, by the number of the step.
    """
    found = []
    for step in run.open_steps():
        if step.kind is StepKind.QUESTION and step.number in asked:
            found.append(_question(step, asked[step.number]))
        elif step.kind is StepKind.EVENT and not step.place:  # those of topics are published
            found.append(
                Sendable(
                    kind="event",
                    name=step.name,
                    number=step.number,
                    title=step.name,
                    schema=awaited.get(step.number),
                )
            )
    return found


def _question(step: Step, question: QuestionAsked) -> Sendable:
    form = question.form
    return Sendable(
        kind="question",
        name=step.name,
        number=step.number,
        title=step.name,
        text=question.text,
        schema=form_schema(form),
        choices=form.buttons,
        form=form,
        url=step.url or None,
    )
