"""Each limit crossed once: the error names the limit and its setting; a warning comes at half.

Crossing one stops that instance and nobody else.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tenuto import (
    ActivityError,
    App,
    Context,
    LimitError,
    Limits,
    OrchestrationFailedError,
    RuntimeStatus,
    Settings,
    SubOrchestrationError,
)
from tenuto.testing import TestHost

app = App()


@app.activity
def echo(text: str) -> str:
    return text


@app.activity
def long_text(length: int) -> str:
    return "x" * length


@app.orchestrator
async def steps(ctx: Context, count: int) -> int:
    for number in range(count):
        await ctx.call_activity(echo, str(number))
    return count


@app.orchestrator
async def fan_out(ctx: Context, count: int) -> int:
    return len(await asyncio.gather(*(ctx.call_activity(echo, "") for _ in range(count))))


@app.orchestrator
async def dig(ctx: Context, levels: int) -> int:
    if not levels:
        return 0
    return 1 + await ctx.call_sub_orchestrator(dig, levels - 1)


@app.orchestrator
async def listen(ctx: Context) -> str:
    return str(await ctx.wait_for_external_event("item"))


@app.orchestrator
async def spread(ctx: Context, count: int) -> int:
    for number in range(count):
        ctx.start_orchestrator(listen.options(instance_id=f"{ctx.instance_id}-{number}"))
    await asyncio.sleep(60)
    return count


@app.orchestrator
async def spread_at_once(ctx: Context, count: int) -> int:
    for _ in range(count):
        ctx.start_orchestrator(listen)
    return count


@app.orchestrator
async def spin(ctx: Context, left: int) -> str:
    if not left:
        return "came to rest"
    ctx.continue_as_new(left - 1)
    return ""


@app.orchestrator
async def wait_and_spin(ctx: Context, left: int) -> str:
    if not left:
        return "came to rest"
    await asyncio.sleep(0.001)
    ctx.continue_as_new(left - 1)
    return ""


@asynccontextmanager
async def limited(**limits: int) -> AsyncIterator[TestHost]:
    async with TestHost(app, settings=Settings(limits=Limits(**limits))) as test:
        yield test
        # Whoever crossed a limit, the others go on.
        assert await test.run(steps, 1) == 1


def complaint(setting: str, limit: str) -> str:
    return (
        rf"the limit is {limit} \(setting limits\.{setting}, "
        rf"environment TENUTO_LIMITS_{setting.upper()}\)"
    )


def warnings_about(test: TestHost, setting: str) -> list[str]:
    return [text for _, text in test.problems if f"(setting limits.{setting})" in text]


# --- history, actions, generations --------------------------------------------------------------


async def test_a_history_that_grows_too_long_fails_its_instance() -> None:
    async with limited(history_events=100) as test:
        handle = await test.start(steps, 50, instance_id="endless")
        with pytest.raises(OrchestrationFailedError, match=complaint("history_events", "100")):
            await handle.result()
        failure = (await handle.status()).failure
        assert failure is not None
        assert "history of instance 'endless' ('steps') would hold 102" in failure.error_message
        assert "use continue_as_new in long loops" in failure.error_message
        # The turn that ends it comes on top.
        assert len(await test.client.history("endless")) == 102
        (warning,) = warnings_about(test, "history_events")
        assert "more than half of the limit 100" in warning


async def test_a_history_just_below_half_of_its_limit_is_not_mentioned() -> None:
    async with limited(history_events=100) as test:
        assert await test.run(steps, 15) == 15
        assert warnings_about(test, "history_events") == []


async def test_too_many_actions_in_one_turn_fail_the_instance() -> None:
    """S43: nothing of the turn is done."""
    async with limited(actions_per_turn=20) as test:
        handle = await test.start(fan_out, 21)
        with pytest.raises(OrchestrationFailedError, match=complaint("actions_per_turn", "20")):
            await handle.result()
        assert (await test.client.history(handle.instance_id))[-1] is not None
        assert await test.run(fan_out, 20) == 20


async def test_half_of_the_actions_are_mentioned_once() -> None:
    async with limited(actions_per_turn=20) as test:
        assert await test.run(fan_out, 10) == 10
        assert warnings_about(test, "actions_per_turn") == []
        assert await test.run(fan_out, 11) == 11
        (warning,) = warnings_about(test, "actions_per_turn")
        assert warning.startswith("11 actions were decided in one turn")


async def test_generations_that_never_wait_fail_the_instance() -> None:
    async with limited(generations_per_minute=30) as test:
        handle = await test.start(spin, 1_000)
        with pytest.raises(
            OrchestrationFailedError, match=complaint("generations_per_minute", "30")
        ):
            await handle.result()
        assert len(warnings_about(test, "generations_per_minute")) == 1
        assert await test.run(spin, 29) == "came to rest"


async def test_generations_that_wait_for_something_may_be_many() -> None:
    async with limited(generations_per_minute=30) as test:
        assert await test.run(wait_and_spin, 200) == "came to rest"
        assert warnings_about(test, "generations_per_minute") == []


# --- trees --------------------------------------------------------------------------------------


async def test_nesting_too_deep_fails_the_call() -> None:
    async with limited(nesting_depth=6) as test:
        assert await test.run(dig, 6) == 6
        with pytest.raises(OrchestrationFailedError, match=complaint("nesting_depth", "6")):
            await test.run(dig, 7)
        assert len(warnings_about(test, "nesting_depth")) == 2  # one for each tree


async def test_nesting_is_counted_through_ids_of_ones_own_choice_and_after_a_crash() -> None:
    @app.orchestrator(name=f"dig_{id(object())}")
    async def dig_by_name(ctx: Context, levels: int) -> int:
        if levels:
            await asyncio.sleep(60)
            child = f"level-{levels - 1}"
            await ctx.call_sub_orchestrator(dig_by_name.options(instance_id=child), levels - 1)
        return levels

    async with limited(nesting_depth=4) as test:
        handle = await test.start(dig_by_name, 9)
        for _ in range(4):
            await test.crash()
        with pytest.raises(OrchestrationFailedError, match=complaint("nesting_depth", "4")):
            await handle.result()


@pytest.mark.parametrize("orchestrator", [spread, spread_at_once])
async def test_too_many_open_descendants_fail_the_one_who_starts_more(
    orchestrator: object,
) -> None:
    """Recursive fan-out is what ruins people, fire and forget included."""
    async with limited(open_descendants=10) as test:
        handle = await test.start(orchestrator, 11, instance_id="root")  # type: ignore[call-overload]
        with pytest.raises(OrchestrationFailedError, match=complaint("open_descendants", "10")):
            await handle.result()
        assert len([one async for one in test.client.query()]) == 1  # nothing was half done


async def test_descendants_that_have_ended_do_not_count() -> None:
    @app.orchestrator(name=f"many_{id(object())}")
    async def many(ctx: Context, rounds: int) -> int:
        for _ in range(rounds):
            calls = [ctx.call_sub_orchestrator(steps, 0) for _ in range(10)]
            await asyncio.gather(*calls)
        return rounds

    async with limited(open_descendants=10) as test:
        assert await test.run(many, 5) == 5
        assert len(warnings_about(test, "open_descendants")) == 1


async def test_descendants_are_counted_again_after_a_restart() -> None:
    @app.orchestrator(name=f"more_{id(object())}")
    async def more(ctx: Context) -> str:
        for _ in range(8):
            ctx.start_orchestrator(listen)
        await ctx.wait_for_external_event("more")
        for _ in range(3):
            ctx.start_orchestrator(listen)
        return "too many"

    async with limited(open_descendants=10) as test:
        handle = await test.start(more)
        await test.idle()
        await test.restart()
        await handle.raise_event("more")
        with pytest.raises(OrchestrationFailedError, match=complaint("open_descendants", "10")):
            await handle.result()


async def test_a_tree_that_is_half_full_is_mentioned_once() -> None:
    async with limited(open_descendants=10) as test:
        await test.start(spread, 8, instance_id="root")
        await test.idle()
        (warning,) = warnings_about(test, "open_descendants")
        assert warning.startswith("6 instances below it are open")
        assert ("root", warning) in test.problems


# --- payloads -----------------------------------------------------------------------------------

TOO_LONG = "x" * 1_000
PayloadCase = Callable[[TestHost], Awaitable[object]]


@app.orchestrator
async def produce(ctx: Context, what: str) -> object:
    match what:
        case "result":
            return TOO_LONG
        case "activity input":
            await ctx.call_activity(echo, TOO_LONG)
        case "child input":
            await ctx.call_sub_orchestrator("produce", TOO_LONG)
        case "event":
            ctx.send_event("somebody", "item", TOO_LONG)
        case "custom status":
            ctx.set_custom_status(TOO_LONG)
        case "continue as new":
            ctx.continue_as_new(TOO_LONG)
        case "activity result":
            await ctx.call_activity(long_text, 1_000)
        case _:
            raise AssertionError(what)
    return None


@pytest.mark.parametrize(
    "what",
    ["result", "activity input", "child input", "event", "custom status", "continue as new"],
)
async def test_a_payload_that_is_too_long_fails_where_it_is_made(what: str) -> None:
    async with limited(payload_bytes=1_000) as test:
        handle = await test.start(produce, what)
        with pytest.raises(OrchestrationFailedError, match=complaint("payload_bytes", "1,000")):
            await handle.result()


async def test_a_result_of_an_activity_that_is_too_long_fails_the_activity() -> None:
    async with limited(payload_bytes=1_000) as test:
        with pytest.raises(OrchestrationFailedError, match="the result of activity 'long_text'"):
            await test.run(produce, "activity result")


@app.orchestrator
async def careful(ctx: Context) -> list[str]:
    """Limits that are crossed at a call are errors there; who catches them goes on."""
    caught: list[str] = []
    for call in (
        lambda: ctx.call_activity(echo, TOO_LONG),
        lambda: ctx.call_activity(long_text, 1_000),
        lambda: ctx.call_sub_orchestrator(dig, 1),
    ):
        try:
            await call()
        except (LimitError, ActivityError, SubOrchestrationError) as error:
            caught.append(type(error).__name__)
    return caught


async def test_a_limit_that_is_crossed_at_a_call_can_be_caught_there() -> None:
    async with limited(payload_bytes=1_000, nesting_depth=1) as test:
        assert await test.run(careful) == ["LimitError", "ActivityError", "SubOrchestrationError"]
        handle = await test.start(careful)
        assert (await test.client.wait(handle.instance_id)).runtime_status is (
            RuntimeStatus.COMPLETED
        )


async def test_bad_input_is_refused_whole_payloads_of_clients_are_measured_before_anything() -> (
    None
):
    async with limited(payload_bytes=1_000) as test:
        with pytest.raises(LimitError, match=complaint("payload_bytes", "1,000")):
            await test.start("produce", TOO_LONG, instance_id="long")
        assert await test.client.get_status("long") is None
        handle = await test.start(listen)
        with pytest.raises(LimitError, match="event 'item' takes 1,002 bytes"):
            await handle.raise_event("item", TOO_LONG)
        with pytest.raises(LimitError, match="the reason takes 1,001 bytes"):
            await handle.terminate(TOO_LONG + "x")
        await handle.raise_event("item", "short")
        assert await handle.result() == "short"


async def test_payloads_are_measured_in_bytes_of_their_encoding() -> None:
    async with limited(payload_bytes=100) as test:
        handle = await test.start(listen)
        await handle.raise_event("item", "é" * 49)  # 98 bytes and two quotes
        assert await handle.result() == "é" * 49
        again = await test.start(listen)
        with pytest.raises(LimitError):
            await again.raise_event("item", "é" * 50)


async def test_half_a_payload_is_mentioned_once() -> None:
    async with limited(payload_bytes=1_000) as test:
        handle = await test.start(listen)
        await handle.raise_event("item", "x" * 600)
        assert await handle.result() == "x" * 600
        (warning,) = warnings_about(test, "payload_bytes")
        assert warning.startswith("the input of EventRaised takes 602 bytes")
        another = await test.start(listen)
        await another.raise_event("item", "x" * 400)
        await another.result()
        assert len(warnings_about(test, "payload_bytes")) == 1
