"""Questions of a session: one answer, one end, whatever came before."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from tenuto.model.errors import InputError, SessionDiscarded
from tenuto.model.events import (
    EventRefused,
    EventTaken,
    QuestionAnswered,
    QuestionAsked,
    QuestionLinked,
    TaskCompleted,
    TimerCreated,
    TimerFired,
)
from tenuto.model.questions import open_questions, past_questions
from tenuto.orchestration.context import Context
from tests.support.sessions import Driven, raised

LINK = '{"digest":"a1","url":"https://x.org/callbacks/i/t"}'


def answered(text: str) -> QuestionAnswered:
    return QuestionAnswered(1, 5, text)


async def asks(ctx: Context) -> list[object]:
    question = ctx.ask("Ship it?", timeout=timedelta(days=1))
    return [await question, await question.url]


def test_a_link_that_comes_after_the_answer_is_not_recorded() -> None:
    driven = Driven(asks)
    driven.start()
    driven.turn(answered("true"))
    driven.turn(TaskCompleted(3, LINK))
    assert driven.result == [True, "https://x.org/callbacks/i/t"]
    assert len(driven.of_type(EventTaken)) == 1
    assert driven.of_type(QuestionLinked) == []


def test_an_answer_for_a_question_that_is_over_changes_nothing() -> None:
    driven = Driven(asks)
    driven.start()
    driven.turn(answered("true"))
    driven.turn(answered("false"))
    driven.turn(TaskCompleted(3, LINK))
    assert driven.result == [True, "https://x.org/callbacks/i/t"]


def test_what_user_code_has_set_stays() -> None:
    async def sets(ctx: Context) -> list[bool]:
        first, second = ctx.ask("A?"), ctx.ask("B?", timeout=timedelta(hours=1))
        first.set_result(True)
        second.set_result(False)
        await ctx.wait_for_external_event("go")
        return [await first, await second]

    driven = Driven(sets)
    driven.start()
    driven.turn(answered("false"))
    driven.fire(*driven.of_type(TimerCreated))
    driven.turn(raised("go"))
    assert driven.result == [True, False]
    assert len(driven.of_type(QuestionAsked)) == 2


def test_an_answer_that_was_refused_stays_refused_whatever_is_asked_by_now() -> None:
    driven = Driven(asks)
    driven.start()
    driven.session.refusals = {1: "it did not fit"}
    driven.turn(answered("true"))
    (refused,) = driven.of_type(EventRefused)
    assert refused.reason == "it did not fit"
    driven.session.refusals = {}
    driven.turn(answered("false"))
    driven.turn(TaskCompleted(3, LINK))
    assert driven.result == [False, "https://x.org/callbacks/i/t"]


def test_the_text_is_a_text() -> None:
    async def wrong(ctx: Context) -> str:
        with pytest.raises(InputError, match="the text must be a str, got 7"):
            ctx.ask("A?", text=7)  # type: ignore[call-overload]
        return "refused"

    driven = Driven(wrong)
    driven.start()
    assert driven.result == "refused"


@dataclass
class Discards:
    number: int

    def __post_init__(self) -> None:
        raise SessionDiscarded


def test_the_end_of_a_session_is_no_answer_that_does_not_fit() -> None:
    async def discards(ctx: Context) -> int:
        return (await ctx.ask("A?", Discards)).number

    driven = Driven(discards)
    driven.start()
    driven.turn(answered('{"number":1}'))
    assert driven.failure.error_type.endswith("SessionDiscarded")
    assert driven.of_type(EventRefused) == []


def test_history_tells_what_is_asked_until_when() -> None:
    async def waits(ctx: Context) -> str:
        question = ctx.ask("Ship it?", timeout=timedelta(days=1))
        _ = ctx.create_timer(timedelta(hours=1))
        _ = await ctx.task_any([question])
        await ctx.wait_for_external_event("go")
        return "done"

    driven = Driven(waits)
    driven.start()
    (question,) = open_questions(driven.turns)
    assert (question.title, question.url) == ("Ship it?", None)
    driven.turn(TaskCompleted(3, LINK))
    (question,) = open_questions(driven.turns)
    assert question.url == "https://x.org/callbacks/i/t"
    own, other = driven.of_type(TimerCreated)
    driven.fire(other)
    assert open_questions(driven.turns) == [question]
    driven.fire(own)
    assert open_questions(driven.turns) == []
    driven.turn(raised("go"))
    assert driven.result == "done"


async def asks_much(ctx: Context) -> bool:
    left = ctx.ask("Left?")
    withdrawn = ctx.ask("Withdrawn?")
    late = ctx.ask("Late?", timeout=timedelta(seconds=1))
    taken = ctx.ask("Taken?")
    await taken
    withdrawn.cancel()
    assert not left.done()
    try:
        return await late
    except TimeoutError:
        return False


def test_what_has_become_of_questions_is_read_off_history() -> None:
    driven = Driven(asks_much)
    driven.start()
    number = {one.title: one.event_id for one in driven.of_type(QuestionAsked)}
    (timer,) = driven.of_type(TimerCreated)
    driven.turn(QuestionAnswered(number["Taken?"], 5, "true", "ada"))
    driven.turn(TimerFired(timer.event_id, timer.fire_at))
    assert driven.result is False
    over = past_questions(driven.turns)
    assert [(one.title, one.is_late, one.answer is not None) for one in over] == [
        ("Taken?", False, True),
        ("Withdrawn?", False, False),
        ("Late?", True, False),
        ("Left?", False, False),
    ]
    assert over[0].answer is not None
    assert (over[0].answer.by, over[2].until) == ("ada", timer.fire_at)
