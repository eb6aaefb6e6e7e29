"""Sessions that are led along a history and looked into: tasks, frames, variables, waits."""

import asyncio
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

from tenuto import Context, NonDeterminismError
from tenuto.functions import looking_back
from tenuto.functions.looking_back import NativePast
from tenuto.model.code_frames import CodeFrame
from tenuto.model.events import (
    EventAwaited,
    ExecutionStarted,
    HistoryEvent,
    OrchestratorStarted,
    TaskScheduled,
)
from tenuto.orchestration.session import Session
from tests.support.sessions import (
    EXECUTION,
    START,
    answered,
    execution,
    functions,
    orchestrator,
    work,
)


def past(function: Any) -> NativePast:  # noqa: ANN401 - an orchestrator
    reference = orchestrator(function, "orchestrator")
    return NativePast(Session(execution(), reference, functions, trace=True))


def begun(*decided: HistoryEvent) -> list[HistoryEvent]:
    return [OrchestratorStarted(START), ExecutionStarted("orchestrator", EXECUTION), *decided]


def values(frame: CodeFrame) -> dict[str, str]:
    return {one.name: one.value for one in frame.variables}


async def inner(ctx: Context, number: int) -> Any:  # noqa: ANN401 - of an activity
    word = [one for one in "ab"]  # noqa: C416 - a comprehension has a frame of its own
    return await ctx.call_activity(work, number * len(word))


async def outer(ctx: Context) -> None:
    total = 7
    await inner(ctx, total)


def test_frames_lead_from_the_orchestrator_to_the_innermost_function() -> None:
    looked = past(outer)
    looked.take(begun(TaskScheduled(1, "work")), 0)
    places = looked.places()
    assert [one.function for one in places.frames] == ["outer", "inner"]
    assert values(places.frames[0]) == {"ctx": "<Context>", "total": "7"}
    assert values(places.frames[1]) == {"ctx": "<Context>", "number": "7", "word": '["a", "b"]'}
    frame = places.frames[1]
    assert frame.file.endswith("test_looking_back.py")
    lines = {one.line: one.text.strip() for one in frame.source}
    assert lines[frame.line] == "return await ctx.call_activity(work, number * len(word))"
    looked.close()


def test_tasks_that_it_has_started_are_shown_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gathering(ctx: Context) -> None:
        timer = ctx.create_timer(timedelta(1))
        call = ctx.call_activity(work)
        future = asyncio.gather(*(inner(ctx, number) for number in range(3)))
        question, event = ctx.ask("Ship?"), ctx.wait_for_external_event("go")
        await future
        del timer, call, question, event

    monkeypatch.setattr(looking_back, "_MOST_TASKS", 2)
    looked = past(gathering)
    with pytest.raises(NonDeterminismError):
        looked.take(begun(), 0)
    places = looked.places()
    assert [one.frames[0].function for one in places.tasks] == ["inner", "inner"]
    assert [values(one.frames[0])["number"] for one in places.tasks] == ["0", "1"]
    assert places.more_tasks == 1
    held = values(places.frames[0])
    assert held["call"] == '<ActivityTask "work", pending>'
    assert held["timer"] == "<TimerTask, pending>"
    assert held["question"] == '<Question "Ship?", pending>'
    assert held["event"] == '<EventTask "go", pending>'
    assert held["future"].endswith(", pending>")
    looked.close()


def test_an_orchestrator_in_the_generator_style_is_shown_as_well() -> None:
    def yielding(ctx: Context) -> Generator[Any, Any, None]:
        count = 3
        yield ctx.call_activity(work, count)

    looked = past(yielding)
    looked.take(begun(TaskScheduled(1, "work")), 0)
    (frame,) = looked.places().frames
    assert values(frame)["count"] == "3"
    looked.close()


def test_what_is_shown_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def descend(ctx: Context, level: int) -> None:
        if level:
            await descend(ctx, level - 1)
        else:
            await ctx.call_activity(work)

    async def deep(ctx: Context) -> None:
        await descend(ctx, 40)

    monkeypatch.setattr(looking_back, "_MOST_VARIABLES", 1)
    monkeypatch.setattr(looking_back, "_ALL_SOURCE", 200)
    looked = past(deep)
    looked.take(begun(TaskScheduled(1, "work")), 0)
    frames = looked.places().frames
    assert len(frames) == 30
    assert (len(frames[-1].variables), frames[-1].more_variables) == (1, 2)
    assert frames[0].source
    assert frames[-1].no_source == "there are too many functions to show the lines of all"
    monkeypatch.setattr(looking_back, "_ALL_VALUES", 3)
    assert sum(len(one.variables) for one in looked.places().frames) == 1
    looked.close()


def test_the_schemas_of_awaited_events_are_told_by_the_number_of_the_wait() -> None:
    async def waiting(ctx: Context) -> None:
        typed = ctx.wait_for_external_event("go", int)
        await asyncio.gather(typed, ctx.wait_for_external_event("other"))

    looked = past(waiting)
    looked.take(begun(EventAwaited(1, "go"), EventAwaited(2, "other")), 0)
    assert looked.awaited() == {1: {"type": "integer"}, 2: None}
    looked.close()


def test_the_custom_status_of_a_turn_is_given_and_the_end_is_known() -> None:
    async def short(ctx: Context) -> None:
        ctx.set_custom_status("busy")
        await ctx.call_activity(work)
        await ctx.call_activity(work)

    looked = past(short)
    assert looked.take(begun(TaskScheduled(1, "work")), 0) == '"busy"'
    assert not looked.is_over
    with pytest.raises(NonDeterminismError, match="in turn 2, action 1: history recorded nothing"):
        looked.take([OrchestratorStarted(START + 1), answered(1)], 1)
    looked.close()
    assert looked.is_over
