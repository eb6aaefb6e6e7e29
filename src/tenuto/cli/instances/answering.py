"""``tenuto instances answer``: what an orchestration asks people, answered from a terminal.

The words of a person become JSON by the form of the question. Without words a terminal asks for
them; elsewhere what can be answered is said.
"""

import json
import sys
from collections.abc import Sequence

import click

from tenuto.cli import terminal
from tenuto.cli.arguments import json_text
from tenuto.cli.connection import Connection, Place, asking_options, within
from tenuto.cli.instances.documents import encoded
from tenuto.cli.instances.looking import json_option
from tenuto.client.client import Client
from tenuto.client.gateway import present
from tenuto.insight.wording import moment
from tenuto.model.codec import decode_turn
from tenuto.model.errors import InputError, QuestionClosedError
from tenuto.model.form import ONLY, Field, FieldKind, Form
from tenuto.model.ids import InstanceId, check_instance_id
from tenuto.model.messages import AnswerQuestion
from tenuto.model.questions import OpenQuestion, PastQuestion, past_questions
from tenuto.model.status import RuntimeStatus


@click.command()
@click.argument("instance_id")
@click.argument("answer", nargs=-1)
@click.option(
    "--data",
    callback=json_text,
    metavar="JSON|@FILE",
    help="The whole answer: JSON, or @file, or @- for standard input.",
)
@click.option("--question", metavar="NUMBER|TITLE", help="Which one, where several are asked.")
@click.option("--by", metavar="NAME", help="Who answers; kept in the history.")
@asking_options
@json_option
def answer(
    instance_id: str,
    answer: tuple[str, ...],
    data: str | None,
    question: str | None,
    by: str | None,
    *,
    place: Place,
    as_json: bool,
) -> None:
    """Answer what an instance asks: with one ANSWER, or NAME=VALUE for each field of a form.

    Without an answer a terminal asks for it.
    """
    checked = check_instance_id(instance_id)
    if answer and data is not None:
        raise click.UsageError("give the answer or --data, not both")

    async def act(connection: Connection) -> None:
        there = await Client(connection.gateway).questions(checked)
        if not any(_is_meant(one, question) for one in there):
            turns = await connection.gateway.history(checked)
            over = past_questions(map(decode_turn, turns))
            _refuse_late(checked, [one for one in over if _is_meant(one, question)])
        asked = _chosen(checked, there, question)
        text = data if data is not None else _text(asked, answer)
        text = asked.form.completed(text)
        message = AnswerQuestion(
            question=asked.number, title=asked.title, requested_at=present(), input=text, by=by
        )
        await connection.gateway.tell(checked, message)
        if as_json:
            answered = json.loads(text)
            document = {"instanceId": instance_id, "question": asked.title, "answer": answered}
            terminal.say(encoded(document))
            return
        words = "; ".join(f"{label}: {value}" for label, value in asked.form.in_words(text))
        terminal.say(f"{asked.title} {words}")
        await _say_when_it_counts(connection, checked)

    within(place, act)


async def _say_when_it_counts(connection: Connection, instance_id: InstanceId) -> None:
    """Say why the instance does not go on with the answer at once, if that is so."""
    if not connection.has_host():
        terminal.note(
            "the answer was handed to the store; it counts when a host runs on it, if the question "
            "is still open then, and else becomes a dead letter"
        )
        return
    record = await connection.gateway.get(instance_id)
    if record is not None and record.status is RuntimeStatus.SUSPENDED:
        terminal.note("the answer is kept; the instance goes on with it when it is resumed")


def _is_meant(one: OpenQuestion | PastQuestion, wanted: str | None) -> bool:
    return wanted is None or wanted in {str(one.number), one.title}


def _refuse_late(instance_id: InstanceId, over: Sequence[PastQuestion]) -> None:
    """Say what has become of the newest of the questions that are meant.

    Raises:
        QuestionClosedError: there is one.
    """
    if not over:
        return
    last = over[-1]
    if last.answer is not None:
        given = "; ".join(
            f"{label}: {value}" for label, value in last.form.in_words(last.answer.input)
        )
        by = f" by {last.answer.by}" if last.answer.by else ""
        text = f"{last.title!r} was answered on {moment(last.answer.answered_at)}{by}: {given}"
    elif last.is_late and last.until is not None:
        text = f"{last.title!r} could be answered until {moment(last.until)}; it is too late now"
    else:
        text = f"{last.title!r} is not asked any more: it was withdrawn without an answer"
    raise QuestionClosedError(instance_id, f"asks nothing now: {text}")


def _chosen(
    instance_id: InstanceId, asked: Sequence[OpenQuestion], wanted: str | None
) -> OpenQuestion:
    fitting = [one for one in asked if _is_meant(one, wanted)]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{one.number} ({one.title!r})" for one in asked)
    if not listed:
        raise QuestionClosedError(instance_id, "asks nothing now")
    if not fitting:
        raise QuestionClosedError(instance_id, f"does not ask {wanted!r} now; it asks {listed}")
    raise InputError(f"it asks several questions; say which one with --question: {listed}")


def _text(asked: OpenQuestion, words: Sequence[str]) -> str:
    """The answer as JSON text."""
    form = asked.form
    if not words and sys.stdin.isatty():
        click.echo("\n".join(filter(None, (asked.title, asked.text))), err=True)
        sent = {field.name: [_prompted(field)] for field in form.fields}
    elif not words:
        raise click.UsageError(f"{asked.title} {_usage(form)}")
    elif form.is_single:
        sent = {ONLY: [_key(form.fields[0], " ".join(words))]}
    else:
        sent = _by_name(form, words)
    entered = form.read(sent, is_page=False)
    if entered.text is None:
        listed = "; ".join(f"{name}: {error}" for name, error in entered.errors.items())
        raise InputError(f"{asked.title} {listed} {_usage(form)}")
    return entered.text


def _prompted(field: Field) -> str:
    choices = [one.label for one in field.choices]
    if choices and field.may_be_empty:
        choices.append("")
    kind = click.Choice(choices, case_sensitive=False) if choices else None
    if field.kind is FieldKind.CHECK:
        is_checked = field.prefilled == "true"
        return "true" if click.confirm(field.label, default=is_checked, err=True) else ""
    prefilled = next(
        (one.label for one in field.choices if one.key == field.prefilled), field.prefilled
    )
    default = prefilled or ("" if field.may_be_empty else None)
    shown = click.prompt(
        field.label, type=kind, default=default, err=True, show_default=bool(prefilled)
    )
    return _key(field, str(shown))


def _key(field: Field, text: str) -> str:
    """What a browser would send for it: people write labels, too, and in any case."""
    wanted = text.casefold()
    for one in field.choices:
        if wanted in {one.key.casefold(), one.label.casefold()}:
            return one.key
    return text


def _by_name(form: Form, words: Sequence[str]) -> dict[str, list[str]]:
    fields = {field.name: field for field in form.fields}
    sent: dict[str, list[str]] = {}
    for word in words:
        name, mark, value = word.partition("=")
        if not mark or name not in fields:
            raise InputError(f"{word!r} is no NAME=VALUE of this question. {_usage(form)}")
        sent[name] = [_key(fields[name], value)]
    return sent


def _usage(form: Form) -> str:
    """What can be answered."""
    if form.buttons:
        return f"Answer with one of: {', '.join(one.key for one in form.buttons)}"
    if form.is_single:
        return "Answer with a value"
    return f"Answer with {' '.join(f'{one.name}={_values(one)}' for one in form.fields)}"


def _values(field: Field) -> str:
    """What may be given for it, in a few words."""
    if field.choices:
        return "|".join(one.key for one in field.choices)
    return "true|false" if field.kind is FieldKind.CHECK else field.kind.value.upper()
