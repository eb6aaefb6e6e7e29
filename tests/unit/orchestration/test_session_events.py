"""External events: first in, first out per name; a wait that gave up consumes nothing."""

import asyncio
from datetime import timedelta
from enum import Enum
from typing import Any

import pytest

from tenuto import Context, InputError
from tenuto.model.events import (
    ContinueAsNew,
    EventAwaited,
    EventRaised,
    EventRefused,
    EventSent,
    EventTaken,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    TaskCanceled,
    TimerCreated,
)
from tenuto.model.ids import InstanceId
from tenuto.model.unread import UnreadEvent, UnreadEvents
from tests.support.sessions import (
    EXECUTION,
    SECOND,
    Driven,
    answered,
    execution,
    names,
    raised,
    run,
    work,
)


def test_waits_and_events_of_one_name_meet_first_in_first_out() -> None:
    async def wait(ctx: Context) -> list[Any]:
        waits = [ctx.wait_for_external_event(name) for name in ("a", "A", "b", "Straße")]
        await ctx.call_activity(work)
        late = ctx.wait_for_external_event("a")
        return [*(await asyncio.gather(*waits)), await late]

    driven = Driven(wait)
    driven.start()
    assert [one.name for one in driven.of_type(EventAwaited)] == ["a", "A", "b", "Straße"]
    driven.turn(raised("B", 1), raised("a", 2), raised("A", 3), raised("a", 4))
    driven.turn(raised("STRASSE", 5))
    assert [one.task_id for one in driven.of_type(EventTaken)] == [3, 1, 2, 4]
    driven.turn(answered(5))
    assert driven.result == [2, 3, 1, 5, 4]
    driven.close()


def test_an_event_that_came_early_is_taken_at_once() -> None:
    async def late(ctx: Context) -> list[Any]:
        await ctx.call_activity(work)
        task = ctx.wait_for_external_event("early", timeout=timedelta(seconds=9))
        return [task.done(), await task]

    driven = Driven(late)
    driven.start()
    driven.turn(raised("other", 0), raised("early", 1))
    driven.turn(answered(1))
    assert driven.result == [True, 1]
    assert driven.of_type(TimerCreated) == []
    driven.close()


def test_a_wait_that_timed_out_or_was_cancelled_consumes_nothing() -> None:
    async def wait(ctx: Context) -> list[Any]:
        seen: list[Any] = []
        timed = ctx.wait_for_external_event("a", timeout=timedelta(seconds=5))
        cancelled = ctx.wait_for_external_event("a")
        await ctx.call_activity(work)
        cancelled.cancel()
        assert not cancelled.cancel()
        try:
            await timed
        except TimeoutError as error:
            seen.append(str(error))
        return [*seen, await ctx.wait_for_external_event("a")]

    driven = Driven(wait)
    driven.start()
    assert driven.of_type(EventAwaited) == [EventAwaited(1, "a"), EventAwaited(3, "a")]
    (timer,) = driven.of_type(TimerCreated)
    assert (timer.purpose, timer.of) == ("timeout", 1)
    assert driven.turn(answered(4)).actions == [TaskCanceled(3)]
    driven.fire(timer)
    driven.turn(raised("a", 1))
    assert driven.result == ["no event 'a' within 0:00:05", 1]
    driven.close()


def test_an_event_in_time_drops_the_timer_of_its_wait() -> None:
    async def wait(ctx: Context) -> int:
        task = ctx.wait_for_external_event("a", int, timedelta(seconds=5))
        return await task

    driven = Driven(wait)
    driven.start()
    assert driven.of_type(TimerCreated)[0].fire_at == driven.now + 5 * SECOND
    assert names(driven.turn(raised("a", 3)).actions) == ["EventTaken", "ExecutionCompleted"]
    assert driven.result == 3
    driven.close()


def test_a_timeout_that_comes_when_user_code_has_set_the_wait_changes_nothing() -> None:
    async def wait(ctx: Context) -> list[Any]:
        task: Any = ctx.wait_for_external_event("a", timeout=timedelta(seconds=5))
        other = ctx.wait_for_external_event("a")
        task.set_result("mine")
        await ctx.call_activity(work)
        return [await task, await other]

    driven = Driven(wait)
    driven.start()
    driven.fire(*driven.of_type(TimerCreated))
    driven.turn(raised("a", "theirs"))
    driven.turn(answered(4))
    assert driven.result == ["mine", "theirs"]
    driven.close()


def test_data_that_does_not_fit_the_type_is_put_aside_and_the_wait_goes_on() -> None:
    """ENGINE rule 29: wrong data from outside never ends an instance."""

    async def wait(ctx: Context) -> list[Any]:
        first = await ctx.wait_for_external_event("a", int)
        return [first, await ctx.wait_for_external_event("a", type(None))]

    driven = Driven(wait)
    driven.start()
    wrong = raised("A", "text")
    answer = driven.turn(wrong)
    (refused,) = answer.actions
    assert isinstance(refused, EventRefused)
    assert (refused.event_id, refused.name) == (2, "A")
    assert refused.message == f"{EXECUTION}:refused:2"
    assert refused.reason.startswith("event 'a': value at $ does not fit")
    assert answer.put_aside == {refused.message: wrong}
    answer = driven.turn(raised("a", 2), EventRaised("a"))
    assert names(answer.actions) == ["EventTaken", "ExecutionCompleted"]
    assert answer.put_aside is None
    assert driven.result == [2, None]
    assert driven.replayed().close() == 0
    driven.close()


def test_the_oldest_wait_keeps_its_place_when_it_refuses() -> None:
    async def wait(ctx: Context) -> list[Any]:
        first = ctx.wait_for_external_event("a", int)
        second = ctx.wait_for_external_event("a")
        return [await first, await second]

    driven = Driven(wait)
    driven.start()
    driven.turn(raised("a", "text"), raised("a", 1), raised("a", "two"))
    assert driven.result == [1, "two"]
    assert driven.replayed().close() == 0
    driven.close()


def test_unread_events_that_do_not_fit_a_later_wait_are_put_aside_too() -> None:
    async def late(ctx: Context) -> list[Any]:
        await ctx.call_activity(work)
        seen = [await ctx.wait_for_external_event("a", int)]
        return [*seen, await ctx.wait_for_external_event("a", int, timedelta(days=1))]

    driven = Driven(late)
    driven.start()
    driven.turn(raised("a", "one"), raised("a", [2]), raised("a", 3), raised("a", "four"))
    answer = driven.turn(answered(1))
    assert names(answer.actions) == [*["EventRefused"] * 3, "EventAwaited", "TimerCreated"]
    assert [event.input for event in (answer.put_aside or {}).values()] == [
        '"one"',
        "[2]",
        '"four"',
    ]
    driven.turn(raised("a", 4))
    assert driven.result == [3, 4]
    assert driven.replayed().close() == 0
    driven.close()


class Fussy(Enum):
    """Refuses in words of its own."""

    ONLY = "only"

    @classmethod
    def _missing_(cls, value: object) -> "Fussy":
        raise KeyError("x" * 3000)


def test_the_reason_names_a_foreign_error_and_is_bounded() -> None:
    async def wait(ctx: Context) -> str:
        return (await ctx.wait_for_external_event("a", Fussy)).value

    driven = Driven(wait)
    driven.start()
    (refused,) = driven.turn(raised("a", "other")).actions
    assert isinstance(refused, EventRefused)
    assert len(refused.reason) < 1100
    driven.turn(raised("a", "only"))
    assert driven.result == "only"
    driven.close()


def test_a_wait_begun_and_over_in_one_turn_leaves_no_trace() -> None:
    async def wait(ctx: Context) -> object:
        timed = ctx.wait_for_external_event("a", timeout=timedelta(seconds=5))
        ctx.wait_for_external_event("b", timeout=timedelta(seconds=5)).cancel()
        return await timed

    driven = Driven(wait)
    driven.turn(ExecutionStarted("wait", EXECUTION), raised("a", 1))
    assert [type(event).__name__ for event in driven.turns[-1]] == [
        "OrchestratorStarted",
        "ExecutionStarted",
        "EventRaised",
        "ExecutionCompleted",
    ]
    driven.close()


def test_what_pauses_and_ends_from_outside_is_no_matter_of_the_session() -> None:
    async def wait(ctx: Context) -> object:
        return await ctx.wait_for_external_event("a")

    driven = Driven(wait)
    driven.start()
    assert driven.turn(ExecutionSuspended("pause"), ExecutionResumed()).actions == []
    driven.turn(EventRaised("a"))
    assert driven.result is None
    driven.close()


def test_events_are_sent_with_their_data_or_without() -> None:
    async def send(ctx: Context) -> list[str]:
        ctx.send_event("other", "hello", {"a": 1})
        ctx.send_event("other", "hello")
        refused = []
        bad: Any
        for bad in (("a/b/c", "name"), ("other", ""), ("other", 5), ("other", "name", object())):
            try:
                ctx.send_event(*bad)
            except InputError as error:
                refused.append(type(error).__name__)
        return refused

    driven = Driven(send)
    driven.start()
    assert driven.of_type(EventSent) == [
        EventSent(1, InstanceId("other"), "hello", '{"a":1}'),
        EventSent(2, InstanceId("other"), "hello"),
    ]
    assert driven.result == ["InvalidInstanceIdError", "InputError", "InputError", "PayloadError"]
    driven.close()


@pytest.mark.parametrize(("name", "timeout"), [("", None), ("a", timedelta(seconds=-1)), (7, None)])
def test_a_wait_for_nothing_or_of_no_time_is_refused(
    name: Any,  # noqa: ANN401 - that is the point
    timeout: timedelta | None,
) -> None:
    async def wait(ctx: Context) -> str:
        try:
            _task = ctx.wait_for_external_event(name, timeout=timeout)
        except InputError as error:
            return str(error)
        return "allowed"

    assert run(wait).startswith("wait_for_external_event")


def test_events_nobody_has_read_go_along_to_the_next_generation() -> None:
    async def again(ctx: Context, keep: bool) -> None:
        await ctx.wait_for_external_event("go on")
        ctx.continue_as_new(keep, keep_events=keep)

    for keep in (True, False):
        driven = Driven(again)
        driven.start(keep)
        answer = driven.turn(raised("early", 1), raised("go on"), answered(7), raised("late", 2))
        assert isinstance(driven.ending, ContinueAsNew)
        left = [(1, raised("early", 1)), (2, raised("late", 2))] if keep else []
        assert [(one.number, one.event) for one in answer.unread or ()] == left
        assert driven.ending.unread == tuple(number for number, _ in left)
        assert driven.ending.taken == ()
        assert driven.of_type(TaskCanceled) == []
        driven.close()


@pytest.mark.parametrize("keep", [True, False])
def test_carried_events_are_read_first_and_only_what_changes_is_told(keep: bool) -> None:
    async def reader(ctx: Context) -> None:
        seen = [await ctx.wait_for_external_event("A", int) for _ in range(2)]
        ctx.set_custom_status(seen)
        await ctx.wait_for_external_event("go")
        ctx.continue_as_new(keep_events=keep)

    carried = UnreadEvents(
        UnreadEvent(number, raised(name, number))
        for number, name in ((3, "a"), (5, "b"), (6, "a"), (9, "A"))
    )
    driven = Driven(reader, info=execution("reader", unread=carried))
    assert driven.start().custom_status == "[3,6]"
    answer = driven.turn(raised("b", 0), raised("go"), raised("late"))
    assert isinstance(driven.ending, ContinueAsNew)
    assert driven.ending.taken == ((3, 6) if keep else (3, 5, 6, 9))
    assert driven.ending.unread == ((10, 11) if keep else ())
    left = [raised("b", 0), raised("late")] if keep else []
    assert [one.event for one in answer.unread or ()] == left
    assert len(carried) == 4
    driven.close()
    driven.replayed().close()


def test_unread_events_are_found_by_name_not_one_after_the_other() -> None:
    """Twenty thousand events of different names, read newest first (ENGINE rule 41)."""
    looked: list[str] = []

    class Counted(str):
        __slots__ = ()

        def casefold(self) -> str:
            looked.append(self)
            return super().casefold()

    count = 2_000

    async def newest_first(ctx: Context) -> int:
        await ctx.wait_for_external_event("go")
        for number in reversed(range(0, count, 2)):
            await ctx.wait_for_external_event(Counted(f"N{number}"))
        ctx.continue_as_new()
        return 1

    driven = Driven(newest_first)
    driven.start()
    driven.turn(*(raised(Counted(f"n{number}")) for number in range(count)))
    answer = driven.turn(raised("go"))
    assert len(looked) <= 2 * count
    ending = driven.ending
    assert isinstance(ending, ContinueAsNew)
    names_left = [one.event.name for one in answer.unread or ()]
    assert names_left == [f"n{number}" for number in range(1, count, 2)]
    driven.close()
