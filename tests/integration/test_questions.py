"""Questions to people: asked once, answered once, whatever crashes, races or does not fit."""

import asyncio
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum

import pytest

from tenuto import (
    App,
    Context,
    HttpSettings,
    InputError,
    InstanceFinishedError,
    InstanceNotFoundError,
    PayloadError,
    QuestionClosedError,
    Settings,
)
from tenuto.model.events import (
    EventRefused,
    EventTaken,
    QuestionAnswered,
    QuestionAsked,
    QuestionLinked,
    TaskCanceled,
    WebhookOpened,
)
from tenuto.model.ids import InstanceId
from tenuto.model.links import QuestionLink
from tenuto.model.messages import AnswerQuestion
from tenuto.model.webhook import digest_of
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost
from tests.support.histories import of_type

DAY = timedelta(days=1)
BOTH_OR_ONE: dict[str, tuple[int, ...]] = {"Both": (1, 2), "One": (1,)}


class Verdict(Enum):
    APPROVE = "approve"
    REJECT = "reject"


@dataclass
class Decision:
    verdict: Verdict
    amount: int = 100
    pay_on: date | None = None
    comment: str = ""


async def link_of(test: TestHost, url: str) -> QuestionLink:
    found = await test.host.engine.storage.link(digest_of(url.rpartition("/")[2]))
    assert found is not None
    assert isinstance(found.link, QuestionLink)
    return found.link


@pytest.fixture
def expense(app: App) -> str:
    @app.orchestrator
    async def expense(ctx: Context) -> list[object]:
        question = ctx.ask("Approve 100 €?", Decision, text="For a train.", timeout=3 * DAY)
        ctx.set_custom_status(await question.url)
        try:
            decision = await question
        except TimeoutError as error:
            return ["late", str(error)]
        assert isinstance(decision.verdict, Verdict)
        return [decision.verdict.value, decision.amount]

    return expense.name


async def url_of(test: TestHost, instance_id: str) -> str:
    await test.idle()
    status = await test.client.get_status(instance_id)
    assert status is not None
    assert isinstance(status.custom_status, str), status
    return status.custom_status


async def test_a_question_is_asked_linked_answered_and_recorded(
    test: TestHost, expense: str
) -> None:
    handle = await test.start(expense)
    url = await url_of(test, handle.instance_id)
    assert url.startswith(f"http://127.0.0.1:7071/callbacks/{handle.instance_id}/")
    (question,) = await test.client.questions(handle.instance_id)
    assert (question.title, question.text, question.url) == ("Approve 100 €?", "For a train.", url)
    link = await link_of(test, url)
    assert (link.title, link.is_open, link.answer) == ("Approve 100 €?", True, None)
    await test.advance(DAY)
    await test.answer(handle.instance_id, Decision(Verdict.APPROVE, 7), by="ada")
    assert await handle.result() == ["approve", 7]

    history = await test.client.history(handle.instance_id)
    (asked,) = of_type(history, QuestionAsked)
    assert asked.expires_at == question.until
    (linked,) = of_type(history, QuestionLinked)
    (answered,) = of_type(history, QuestionAnswered)
    (taken,) = of_type(history, EventTaken)
    assert (answered.by, answered.task_id) == ("ada", asked.event_id)
    assert taken.task_id == linked.task_id == asked.event_id
    assert answered.answered_at - question.since == DAY // timedelta(microseconds=1)
    assert digest_of(url.rpartition("/")[2]) == linked.digest
    link = await link_of(test, url)
    assert (link.is_open, link.by, link.answered_at) == (False, "ada", answered.answered_at)
    assert link.form.in_words(link.answer)[:2] == [("Verdict", "Approve"), ("Amount", "7")]
    await test.check_replay(handle.instance_id)


@pytest.mark.parametrize("way", ["restart", "crash"])
async def test_it_outlives_its_host_and_is_answered_once_exactly_once_turns(
    test: TestHost, expense: str, way: str
) -> None:
    handle = await test.start(expense)
    await url_of(test, handle.instance_id)
    await getattr(test, way)()
    answers = await asyncio.gather(
        *(handle.answer({"verdict": "reject", "amount": number}) for number in range(20)),
        return_exceptions=True,
    )
    taken = [number for number, one in enumerate(answers) if one is None]
    assert len(taken) == 1
    assert {type(one) for one in answers} == {type(None), InstanceFinishedError}
    await getattr(test, way)()
    assert await handle.result() == ["reject", taken[0]]
    await test.check_replay(handle.instance_id)


async def test_bad_input_is_refused_whole_an_answer_that_does_not_fit_leaves_the_question_open(
    test: TestHost, expense: str
) -> None:
    handle = await test.start(expense)
    await url_of(test, handle.instance_id)
    before = await test.client.history(handle.instance_id)
    for wrong, reason in (
        ("approve", r"Expected `object`, found `str`"),
        ({}, r"missing required field `verdict`"),
        ({"verdict": "perhaps"}, r"\$\.verdict does not fit: expected one of"),
        ({"verdict": "approve", "amount": "7"}, r"\$\.amount does not fit: Expected `int`"),
        ({"verdict": "approve", "pay_on": "soon"}, r"\$\.pay_on does not fit: Expected `date`"),
        ({"verdict": "approve", "by": "me"}, r"\$\.by is not asked for; there are verdict, amount"),
    ):
        with pytest.raises(PayloadError, match=reason):
            await test.answer(handle.instance_id, wrong)
    wrong_then_right = await asyncio.gather(
        handle.answer({}), handle.answer({"verdict": "approve"}), return_exceptions=True
    )
    assert [type(one) for one in wrong_then_right] == [PayloadError, type(None)]
    assert await handle.result() == ["approve", 100]
    history = await test.client.history(handle.instance_id)
    assert history[: len(before)] == before
    assert of_type(history, EventRefused) == []


async def test_an_answer_after_its_time_is_late_also_before_the_timer_has_fired(
    test: TestHost, expense: str
) -> None:
    handle = await test.start(expense)
    await url_of(test, handle.instance_id)
    late = AnswerQuestion(
        requested_at=test.clock.now() + 3 * DAY // timedelta(microseconds=1),
        input='{"verdict":"approve"}',
    )
    with pytest.raises(QuestionClosedError, match="until its time ran out"):
        await test.host.client.gateway.tell(InstanceId(handle.instance_id), late)
    await test.answer(handle.instance_id, {"verdict": "approve"})
    assert await handle.result() == ["approve", 100]


async def test_nobody_answers_in_time(test: TestHost, expense: str) -> None:
    handle = await test.start(expense)
    url = await url_of(test, handle.instance_id)
    await test.advance(3 * DAY - timedelta(seconds=1))
    assert (await link_of(test, url)).is_open
    await test.advance(timedelta(seconds=2))
    assert await handle.result() == ["late", "nobody has answered 'Approve 100 €?' in time"]
    link = await link_of(test, url)
    assert (link.is_open, link.answer) == (False, None)
    with pytest.raises(InstanceFinishedError):
        await test.answer(handle.instance_id, {"verdict": "approve"})
    await test.check_replay(handle.instance_id)


@pytest.mark.parametrize("is_suspended", [False, True])
async def test_what_was_left_out_is_recorded_shown_and_given_to_the_code(
    test: TestHost, expense: str, *, is_suspended: bool
) -> None:
    handle = await test.start(expense)
    url = await url_of(test, handle.instance_id)
    if is_suspended:
        await handle.suspend()
    await handle.answer({"verdict": "approve"})
    if is_suspended:
        await handle.resume()
    assert await handle.result() == ["approve", 100]
    (answered,) = of_type(await test.client.history(handle.instance_id), QuestionAnswered)
    link = await link_of(test, url)
    assert (
        link.answer
        == answered.input
        == ('{"verdict":"approve","amount":100,"pay_on":null,"comment":""}')
    )
    assert dict(link.form.in_words(link.answer))["Amount"] == "100"
    await test.check_replay(handle.instance_id)


async def test_yes_or_no_and_choices_give_the_very_values(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def asking(ctx: Context) -> list[object]:
        first = await ctx.ask("Ship it?")
        second = await ctx.ask("Which?", choices=BOTH_OR_ONE)
        third = await ctx.ask("And?", choices=[Verdict.REJECT, Verdict.APPROVE])
        fourth = await ctx.ask("How many?", int)
        assert second == (1, 2)
        assert third is Verdict.APPROVE
        return [first, fourth]

    handle = await test.start(asking)
    with pytest.raises(PayloadError, match="expected one of true, false"):
        await test.answer(handle.instance_id, "yes")
    await test.answer(handle.instance_id, False)
    with pytest.raises(PayloadError):
        await test.answer(handle.instance_id, [2, 1])
    await test.answer(handle.instance_id, [1, 2])
    await test.answer(handle.instance_id, Verdict.APPROVE)
    with pytest.raises(PayloadError, match="Expected `int`, found `bool`"):
        await test.answer(handle.instance_id, True)
    await test.answer(handle.instance_id, 12)
    assert await handle.result() == [False, 12]
    await test.check_replay(handle.instance_id)


async def test_of_several_questions_it_must_be_said_which(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def asking(ctx: Context) -> list[bool]:
        return list(await asyncio.gather(ctx.ask("A?"), ctx.ask("B?")))

    handle = await test.start(asking, instance_id="one")
    with pytest.raises(InputError, match=r"asks several questions; say which one: \d+ \('A\?'\), "):
        await test.answer("one", True)
    await test.answer("one", True, question="B?")
    with pytest.raises(QuestionClosedError, match=r"question 'B\?' now: it was answered"):
        await test.answer("one", True, question="B?")
    (left,) = await test.client.questions("one")
    await test.answer("one", False, question=left.number)
    assert await handle.result() == [False, True]


async def test_nothing_is_asked(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def silent(ctx: Context) -> None:
        await ctx.wait_for_external_event("go")

    await test.start(silent, instance_id="one")
    with pytest.raises(QuestionClosedError, match="asks nothing now"):
        await test.answer("one", True)
    with pytest.raises(InstanceNotFoundError):
        await test.answer("nobody", True)


async def test_a_question_is_withdrawn(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def asking(ctx: Context) -> None:
        at_once = ctx.ask("Never seen?", timeout=DAY)
        at_once.cancel()
        question = ctx.ask("Still?", timeout=DAY)
        ctx.set_custom_status(await question.url)
        await ctx.wait_for_external_event("go")
        assert question.cancel()
        assert not question.cancel()
        await ctx.wait_for_external_event("end")

    handle = await test.start(asking)
    url = await url_of(test, handle.instance_id)
    await handle.raise_event("go")
    await test.idle()
    link = await link_of(test, url)
    assert (link.is_open, link.answer) == (False, None)
    with pytest.raises(QuestionClosedError):
        await test.answer(handle.instance_id, True)
    await handle.raise_event("end")
    await handle.result()
    history = await test.client.history(handle.instance_id)
    assert len(of_type(history, QuestionAsked)) == len(of_type(history, TaskCanceled)) == 1
    await test.check_replay(handle.instance_id)


async def test_a_link_that_comes_after_the_answer_opens_nothing(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def asking(ctx: Context) -> bool:
        question = ctx.ask("Quick?")
        try:
            async with asyncio.timeout(0):
                await question
        except TimeoutError:
            return question.cancelled()
        return False

    assert await test.run(asking)


async def test_continue_as_new_withdraws_what_is_asked(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def eternal(ctx: Context, generation: int) -> bool:
        if generation == 0:
            question = ctx.ask("First?")
            ctx.set_custom_status(await question.url)
            await ctx.wait_for_external_event("on")
            ctx.continue_as_new(1)
            return False
        return await ctx.ask("Second?")

    handle = await test.start(eternal, 0)
    url = await url_of(test, handle.instance_id)
    await handle.raise_event("on")
    await test.idle()
    found = await test.host.engine.storage.link(digest_of(url.rpartition("/")[2]))
    assert found is not None
    assert not found.is_open(test.host.clock.now())
    with pytest.raises(QuestionClosedError):
        await test.answer(handle.instance_id, True, question="First?")
    await test.answer(handle.instance_id, True)
    assert await handle.result() is True
    await test.check_replay(handle.instance_id)


async def test_what_is_answered_while_suspended_is_kept_and_the_next_refused(
    test: TestHost, expense: str
) -> None:
    handle = await test.start(expense)
    url = await url_of(test, handle.instance_id)
    await handle.suspend()
    with pytest.raises(PayloadError):
        await handle.answer({"verdict": "perhaps"})
    await handle.answer({"verdict": "reject", "amount": 1}, by="ada")
    await test.idle()
    link = await link_of(test, url)
    assert (link.is_open, link.by, link.answered_at) == (False, "ada", test.clock.now())
    assert link.form.in_words(link.answer)[:2] == [("Verdict", "Reject"), ("Amount", "1")]
    with pytest.raises(QuestionClosedError):
        await handle.answer({"verdict": "approve"})
    await test.crash()
    with pytest.raises(QuestionClosedError):
        await handle.answer({"verdict": "approve"})
    await test.advance(10 * DAY)
    await handle.resume()
    assert await handle.result() == ["reject", 1]
    await test.check_replay(handle.instance_id)


async def test_no_silent_drop_an_accepted_answer_that_its_type_refuses_is_a_dead_letter(
    app: App, test: TestHost
) -> None:
    @dataclass
    class Even:
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                raise ValueError(f"{self.number} is odd")

    @app.orchestrator
    async def asking(ctx: Context) -> int:
        question = ctx.ask("Even?", Even)
        ctx.set_custom_status(await question.url)
        return (await question).number

    handle = await test.start(asking)
    with pytest.raises(PayloadError, match="3 is odd"):
        await test.answer(handle.instance_id, {"number": 3})
    url = await url_of(test, handle.instance_id)
    await handle.suspend()
    await handle.answer({"number": 5})
    await test.idle()
    assert (await link_of(test, url)).answer == '{"number":5}'
    await handle.resume()
    await test.idle()
    (letter,) = await test.client.dead_letters()
    assert "5 is odd" in letter.reason
    assert (letter.name, letter.data) == ("Even?", {"number": 5})
    link = await link_of(test, url)
    assert (link.is_open, link.answer) == (True, None)
    (refused,) = of_type(await test.client.history(handle.instance_id), EventRefused)
    assert refused.name == "Even?"
    await test.answer(handle.instance_id, {"number": 6})
    assert await handle.result() == 6
    await test.check_replay(handle.instance_id)
    test.problems.clear()


async def test_the_end_of_an_instance_withdraws_what_it_asks(test: TestHost, expense: str) -> None:
    handle = await test.start(expense)
    url = await url_of(test, handle.instance_id)
    await handle.terminate()
    await test.idle()
    found = await test.host.engine.storage.link(digest_of(url.rpartition("/")[2]))
    assert found is not None
    assert not found.is_open(0)
    assert await test.client.questions(handle.instance_id) == []
    await test.client.purge(handle.instance_id)
    assert await test.host.engine.storage.link(digest_of(url.rpartition("/")[2])) is None


async def test_what_a_page_cannot_ask_is_refused_at_the_call(app: App, test: TestHost) -> None:
    @dataclass
    class Outer:
        inner: Decision

    @app.orchestrator
    async def asking(ctx: Context) -> list[str]:
        found = []
        for attempt in (
            lambda: ctx.ask("x", Outer),
            lambda: ctx.ask("x", dict),
            lambda: ctx.ask(""),
            lambda: ctx.ask("two\nlines"),
            lambda: ctx.ask("x", text="y" * 16_001),
            lambda: ctx.ask("x", choices=[]),
            lambda: ctx.ask("x", choices="abc"),
            lambda: ctx.ask("x", choices=["a", "a"]),
            lambda: ctx.ask("x", int, choices=[1]),  # type: ignore[call-overload]
            lambda: ctx.ask("x", timeout=timedelta(days=-1)),
        ):
            try:
                attempt()
            except InputError as error:
                found.append(str(error))
        return found

    found = await test.run(asking)
    for text, part in zip(
        found,
        (
            "Outer.inner is Decision, a record inside the answer",
            "the answer is dict, a type that no field is made of",
            "the title is one line",
            "the title is one line",
            "the text is longer than 16,000 characters",
            "there are 0 choices",
            "choices must be a list",
            "there are two choices 'A'",
            "the type of the answer or choices, not both",
            "a delay must not be negative",
        ),
        strict=True,
    ):
        assert part in text


async def test_machines_keep_their_webhooks(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def waiting(ctx: Context) -> str:
        await ctx.create_webhook("go", expires_in=DAY)
        return await ctx.wait_for_external_event("go", str)

    handle = await test.start(waiting)
    await test.idle()
    assert len(of_type(await test.client.history(handle.instance_id), WebhookOpened)) == 1
    with pytest.raises(QuestionClosedError):
        await test.answer(handle.instance_id, "a")
    await handle.raise_event("go", "a")
    assert await handle.result() == "a"


async def test_links_name_the_host_of_the_settings(app: App, open_host: OpenHost) -> None:
    @app.orchestrator
    async def asking(ctx: Context) -> str:
        return await ctx.ask("x").url

    settings = Settings(http=HttpSettings(base_url="https://flows.example.org/t/"))
    test = await open_host(app, settings=settings)
    assert (await test.run(asking)).startswith("https://flows.example.org/t/callbacks/")
