"""What people read when their code no longer does what history recorded.

Keeps ``replay_is_pure`` honest: an instance whose replay goes another way fails with an error that
shows recorded and produced action side by side, the position, and the line of code.
"""

import asyncio
import dataclasses
import inspect
import re
import time
import types
from collections.abc import Callable, Generator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from tenuto import Context, GuardError, Limits, NonDeterminismError, RetryPolicy
from tenuto.model.errors import PayloadMisfitError
from tenuto.model.events import (
    EventRaised,
    EventRefused,
    ExecutionCompleted,
    ExecutionStarted,
    HistoryEvent,
    OrchestratorStarted,
    TaskCompleted,
)
from tenuto.orchestration import session as session_module
from tenuto.orchestration.positions import waiting_position
from tenuto.orchestration.replay import describe, replay
from tenuto.orchestration.runtime import RUNTIME
from tests.support.sessions import (
    EXECUTION,
    START,
    Driven,
    answered,
    execution,
    failed,
    functions,
    raised,
    work,
)


@functions.activity
def pay(value: Any = None) -> Any:  # noqa: ANN401 - anything
    return value


async def recorded(ctx: Context) -> Any:  # noqa: ANN401 - whatever the activity gives
    """What ran when history was written."""
    await ctx.call_activity(work, "a")
    await asyncio.gather(ctx.call_activity(work, "b"), ctx.call_activity(pay, "c"))
    await ctx.create_timer(timedelta(seconds=5))
    ctx.send_event("other", "hello")
    return await ctx.call_sub_orchestrator("child", instance_id="one")


def history() -> list[list[HistoryEvent]]:
    driven = Driven(recorded)
    driven.start()
    driven.turn(answered(1))
    driven.turn(answered(2), answered(3))
    driven.fire(driven.turns[-1][-1])  # type: ignore[arg-type]
    driven.close()
    return driven.turns


def refusal(
    changed: Callable[..., Any], turns: Sequence[Sequence[HistoryEvent]] | None = None
) -> str:
    """What replaying with changed code says; the place of this file is left out."""
    live = len(session_module._LIVE)
    with pytest.raises(NonDeterminismError) as caught:
        replay(turns or history(), Driven(changed).open)
    assert len(session_module._LIVE) == live, "a session was left open"
    return str(caught.value)


def line_of(function: Callable[..., Any], text: str) -> int:
    """The number of the line of a function that holds a text."""
    lines, first = inspect.getsourcelines(function)
    return first + next(index for index, line in enumerate(lines) if text in line)


def test_code_that_did_not_change_replays_without_a_word() -> None:
    session = replay(history(), Driven(recorded).open)
    assert session.close() == 0


# --- what may differ ------------------------------------------------------------------------------


async def other_name(ctx: Context) -> None:
    await ctx.call_activity(work, "a")
    await asyncio.gather(ctx.call_activity(pay, "b"), ctx.call_activity(pay, "c"))


async def other_order(ctx: Context) -> None:
    await ctx.call_activity(work, "a")
    await asyncio.gather(ctx.call_activity(pay, "c"), ctx.call_activity(work, "b"))


async def extra_action(ctx: Context) -> None:
    await ctx.call_activity(work, "a")
    await asyncio.gather(
        ctx.call_activity(work, "b"),
        ctx.call_activity(pay, "c"),
        ctx.create_timer(timedelta(seconds=1)),
    )


async def missing_action(ctx: Context) -> None:
    await ctx.call_activity(work, "a")
    await ctx.call_activity(work, "b")  # the only one that is left


async def removed_activity(ctx: Context) -> None:
    await asyncio.gather(ctx.call_activity(work, "b"), ctx.call_activity(pay, "c"))


async def other_kind(ctx: Context) -> None:
    await ctx.call_activity(work, "a")
    await asyncio.gather(ctx.call_sub_orchestrator("work"), ctx.call_activity(pay, "c"))


async def ends_early(ctx: Context) -> int:
    await ctx.call_activity(work, "a")
    return 1


async def fails_early(ctx: Context) -> None:
    await ctx.call_activity(work, "a")
    raise ValueError("changed")


async def bad_input(ctx: Context) -> None:
    await ctx.call_activity(work, "a")
    await ctx.call_activity(work, object())


async def never_starts(ctx: Context, needed: int) -> None:
    await ctx.call_activity(work, needed)


def in_generator(ctx: Context) -> Generator[Any, Any, None]:
    yield ctx.call_activity(work, "a")
    yield ctx.call_activity(pay, "b")  # it was work


async def other_event(ctx: Context) -> None:
    await ctx.call_activity(work, "a")
    await asyncio.gather(ctx.call_activity(work, "b"), ctx.call_activity(pay, "c"))
    await ctx.create_timer(timedelta(seconds=5))
    ctx.send_event("other", "goodbye")


async def other_child(ctx: Context) -> None:
    await ctx.call_activity(work, "a")
    await asyncio.gather(ctx.call_activity(work, "b"), ctx.call_activity(pay, "c"))
    await ctx.create_timer(timedelta(seconds=5))
    ctx.send_event("other", "hello")
    await ctx.call_sub_orchestrator("child", instance_id="two")


CHANGES: list[tuple[Callable[..., Any], int, int, str, str, str]] = [
    # changed code, turn, action, recorded, produced, text on the line
    (other_name, 2, 1, "TaskScheduled #2 'work'", "TaskScheduled #2 'pay'", "asyncio.gather"),
    (other_order, 2, 1, "TaskScheduled #2 'work'", "TaskScheduled #2 'pay'", "asyncio.gather"),
    (extra_action, 2, 3, "nothing", "TimerCreated #4", "ctx.create_timer"),
    (missing_action, 2, 2, "TaskScheduled #3 'pay'", "nothing", "the only one that is left"),
    (removed_activity, 1, 2, "nothing", "TaskScheduled #2 'pay'", "asyncio.gather"),
    (other_kind, 2, 1, "TaskScheduled #2 'work'", "SubOrchestrationInstanceCreated #2 'work'", "("),
    (ends_early, 2, 1, "TaskScheduled #2 'work'", "ExecutionCompleted", "def ends_early"),
    (fails_early, 2, 1, "TaskScheduled #2 'work'", "ExecutionCompleted", "raise ValueError"),
    (bad_input, 2, 1, "TaskScheduled #2 'work'", "ExecutionCompleted", "object()"),
    (in_generator, 2, 1, "TaskScheduled #2 'work'", "TaskScheduled #2 'pay'", "it was work"),
    (other_event, 4, 1, "EventSent #5 'hello'", "EventSent #5 'goodbye'", "goodbye"),
    (
        other_child,
        4,
        2,
        "SubOrchestrationInstanceCreated #6 'child'",
        "SubOrchestrationInstanceCreated #6 'child'",
        "two",
    ),
]


def test_an_input_that_fits_no_more_is_no_other_decision_but_a_misfit() -> None:
    live = len(session_module._LIVE)
    with pytest.raises(PayloadMisfitError, match="the input lacks 'needed'"):
        replay(history(), Driven(never_starts).open)
    assert len(session_module._LIVE) == live, "a session was left open"


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change[0].__name__)
def test_replay_is_pure_a_change_is_named_with_both_sides_position_and_line(
    change: tuple[Callable[..., Any], int, int, str, str, str],
) -> None:
    changed, turn, action, old, new, text = change
    message = refusal(changed)
    assert (
        f"went another way in turn {turn}, action {action}: "
        f"history recorded {old}, the code produced {new} at {__file__}:"
    ) in message
    line = re.search(rf"{re.escape(__file__)}:(\d+)", message)
    assert line is not None
    if text != "(":
        assert int(line[1]) == line_of(changed, text)
    assert f"replay of instance 'instance' ('{changed.__name__}')" in message
    assert "the orchestrator was changed while this instance ran" in message


def test_an_orchestrator_without_lines_is_named_as_it_is() -> None:
    class Bare:
        def __call__(self, ctx: Context) -> int:
            return 1

    driven = Driven(recorded)
    driven.reference = dataclasses.replace(driven.reference, function=Bare())
    with pytest.raises(NonDeterminismError, match=r"at the end of <.*Bare object"):
        replay(history(), driven.open)


def test_payloads_and_times_may_change() -> None:
    """Else a change of a default would strand every running instance."""

    async def changed(ctx: Context) -> Any:  # noqa: ANN401 - whatever the child gives
        await ctx.call_activity(work, "other input")
        await asyncio.gather(ctx.call_activity(work), ctx.call_activity(pay.options(retry=None)))
        await ctx.create_timer(timedelta(seconds=7))
        ctx.send_event("other", "hello", "more")
        return await ctx.call_sub_orchestrator("child", 5, instance_id="one")

    assert replay(history(), Driven(changed).open).close() == 0


def test_the_first_difference_counts_not_what_follows_from_it() -> None:
    async def changed(ctx: Context) -> None:
        await ctx.call_activity(work, "a")
        await ctx.call_activity(pay, "first difference")
        await ctx.call_activity(pay, "second difference")

    assert "in turn 2, action 1" in refusal(changed)


# --- cancelled work -------------------------------------------------------------------------------


async def cancels(ctx: Context) -> None:
    tasks = [ctx.call_activity(work) for _ in range(2)]
    await ctx.wait_for_external_event("go on")
    tasks[0].cancel()
    await tasks[1]


def cancelled_history() -> list[list[HistoryEvent]]:
    driven = Driven(cancels)
    driven.start()
    driven.turn(raised("go on"))
    driven.close()
    return driven.turns


def test_another_cancellation_is_a_difference() -> None:
    async def cancels_other(ctx: Context) -> None:
        tasks = [ctx.call_activity(work) for _ in range(2)]
        await ctx.wait_for_external_event("go on")
        tasks[1].cancel()
        await tasks[0]

    message = refusal(cancels_other, cancelled_history())
    assert "history recorded TaskCanceled #1, the code produced TaskCanceled #2" in message


def test_lines_stay_with_their_actions_when_a_turn_takes_some_back() -> None:
    async def takes_back(ctx: Context) -> None:
        ctx.call_activity(work).cancel()
        _one = ctx.call_activity(pay)  # this line
        ctx.call_activity(work).cancel()
        await ctx.wait_for_external_event("go on")

    message = refusal(takes_back, cancelled_history())
    assert f"{__file__}:{line_of(takes_back, 'this line')} in" in message


# --- what else can be wrong -----------------------------------------------------------------------


def test_a_change_of_the_python_version_is_named() -> None:
    turns = history()
    turns[0][1] = ExecutionStarted("recorded", EXECUTION, runtime="python 3.99")
    message = refusal(other_name, turns)
    assert f"The history was recorded on python 3.99, this is {RUNTIME}" in message
    assert "was changed while this instance ran" not in message
    turns[0][1] = ExecutionStarted("recorded", EXECUTION, runtime=RUNTIME)
    assert "was changed while this instance ran" in refusal(other_name, turns)


def test_a_change_that_decides_too_much_is_a_difference_too() -> None:
    async def greedy(ctx: Context) -> None:
        for _ in range(9):
            _task = ctx.call_activity(work)

    info = execution("greedy", limits=Limits(actions_per_turn=5))
    with pytest.raises(NonDeterminismError, match=r"produced ExecutionCompleted at .*greedy"):
        replay(history(), Driven(greedy, info=info).open)


def test_a_retry_is_decided_by_no_line_of_user_code() -> None:
    def with_retries(attempts: int) -> Callable[..., Any]:
        async def tries(ctx: Context) -> None:
            await ctx.call_activity(work.options(retry=RetryPolicy(max_attempts=attempts)))

        return tries

    driven = Driven(with_retries(1))
    driven.start()
    driven.turn(failed(1))
    driven.close()
    message = refusal(with_retries(2), driven.turns)
    assert "the code produced TimerCreated #2 at the retry of an earlier call" in message


def test_code_that_does_something_else_each_time_is_told_so() -> None:
    calls: list[int] = []

    async def moody(ctx: Context) -> None:
        calls.append(1)
        for _ in calls:
            _task = ctx.call_activity(work)
        await ctx.wait_for_external_event("never")

    turns: list[list[HistoryEvent]] = [
        [OrchestratorStarted(START), ExecutionStarted("moody", EXECUTION)]
    ]
    message = refusal(moody, turns)
    assert "history recorded nothing, the code produced TaskScheduled #1 'work'" in message
    assert "it did something else when it was run once more" in message


def test_what_waits_nowhere_in_user_code_is_said_to_be_unknown() -> None:
    """It gives us a future to wait for, and nothing of that is on a line of theirs."""

    def silent(_ctx: Context) -> Any:  # noqa: ANN401 - a future
        return asyncio.get_running_loop().create_future()

    assert "the code produced nothing at an unknown place" in refusal(silent)


def test_another_event_or_a_type_that_an_old_event_does_not_fit_is_another_way() -> None:
    """History tells what was awaited and what was taken."""

    async def approval(ctx: Context) -> None:
        await ctx.wait_for_external_event("paid")
        await ctx.wait_for_external_event("sent")

    async def renamed(ctx: Context) -> None:
        await ctx.wait_for_external_event("payment")

    async def stricter(ctx: Context) -> None:
        await ctx.wait_for_external_event("paid", int)

    driven = Driven(approval)
    driven.start()
    driven.turn(raised("paid", "text"))
    driven.close()
    assert "recorded EventAwaited #1 'paid', the code produced EventAwaited #1 'payment'" in (
        refusal(renamed, driven.turns)
    )
    assert "recorded EventTaken #1, the code produced EventRefused #2 'paid'" in (
        refusal(stricter, driven.turns)
    )


def test_an_event_that_was_refused_stays_so_whatever_the_code_asks_for_by_now() -> None:
    async def strict(ctx: Context) -> list[int]:
        await ctx.call_activity(pay, "first")
        return [await ctx.wait_for_external_event("paid", int) for _ in range(3)]

    async def lenient(ctx: Context) -> list[object]:
        await ctx.call_activity(pay, "first")
        return [await ctx.wait_for_external_event("paid", object) for _ in range(3)]

    driven = Driven(strict)
    driven.start()
    # Unread ones, refused and taken where they were kept; then one of each on arrival.
    driven.turn(raised("paid", "early"))
    driven.turn(raised("paid", 1))
    driven.turn(TaskCompleted(1, '"paid"'))
    driven.turn(raised("paid", "late"))
    driven.turn(raised("paid", 2))
    refused = [one for turn in driven.turns for one in turn if isinstance(one, EventRefused)]
    assert len(refused) == 2
    driven.close()
    session = replay(driven.turns, Driven(lenient).open)
    ended = session.run_turn(10**9, [raised("paid", "now it may")]).actions
    session.close()
    assert isinstance(ended[-1], ExecutionCompleted)
    assert ended[-1].result == '[1,2,"now it may"]'


def test_something_that_cannot_be_replayed_is_the_better_explanation() -> None:
    async def looks_at_the_clock(ctx: Context) -> None:
        try:
            time.time()
        except GuardError:
            await ctx.call_activity(pay, "instead")

    live = len(session_module._LIVE)
    with pytest.raises(GuardError, match=r"time.time\(\) inside an orchestrator"):
        replay(history(), Driven(looks_at_the_clock).open)
    assert len(session_module._LIVE) == live


def test_a_damaged_history_is_named_and_leaves_no_session_behind() -> None:
    turns = history()
    turns[1] = turns[1][1:]
    message = refusal(recorded, turns)
    assert message == "history is damaged: a turn begins with TaskCompleted"


def test_positions_of_what_is_not_waiting_are_unknown() -> None:
    async def over() -> None:
        pass

    coroutine = over()
    coroutine.close()
    assert waiting_position(coroutine) is None
    assert waiting_position(object()) is None

    @types.coroutine
    def ours() -> Generator[Any, Any, None]:
        yield

    waiting = ours()
    waiting.send(None)
    assert (waiting_position(waiting) or "").startswith(__file__)


def test_events_are_described_for_people() -> None:
    descriptions = [
        describe(None),
        describe(EventRaised("go on")),
        describe(TaskCompleted(3)),
    ]
    assert descriptions == ["nothing", "EventRaised 'go on'", "TaskCompleted"]
