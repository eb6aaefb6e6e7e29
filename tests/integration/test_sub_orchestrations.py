"""Sub-orchestrations: ids, results, failures, nesting, and children nobody waits for."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tenuto import (
    App,
    Context,
    Host,
    InputError,
    LimitError,
    Limits,
    OrchestrationFailedError,
    RetryPolicy,
    RuntimeStatus,
    Settings,
    SubOrchestrationError,
)
from tenuto.model.events import (
    ExecutionTerminated,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
)
from tenuto.model.requests import InstanceQuery
from tenuto.orchestration.references import OnCancel
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost
from tests.support.histories import kinds, of_type


async def test_a_child_returns_its_result_and_knows_its_parent(app: App, test: TestHost) -> None:
    """S9: the parent's id is None at the top and the caller's id in a child."""

    @app.orchestrator
    async def child(ctx: Context, number: int) -> list[str | None]:
        return [ctx.parent_instance_id, str(number)]

    @app.orchestrator
    async def parent(ctx: Context) -> list[str | None]:
        return [ctx.parent_instance_id, *await ctx.call_sub_orchestrator(child, 7)]

    handle = await test.start(parent, instance_id="the-parent")
    assert await handle.result() == [None, "the-parent", "7"]
    history = await test.client.history("the-parent")
    assert kinds(history) == [
        "ExecutionStarted",
        "SubOrchestrationInstanceCreated",
        "SubOrchestrationInstanceCompleted",
        "ExecutionCompleted",
    ]
    created = of_type(history, SubOrchestrationInstanceCreated)[0]
    status = await test.client.get_status(created.instance_id)
    assert status is not None
    assert status.parent_instance_id == "the-parent"
    assert status.runtime_status is RuntimeStatus.COMPLETED


async def test_default_ids_of_children_differ_and_are_the_same_in_replay(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def child(ctx: Context) -> str:
        await ctx.create_timer(timedelta(minutes=1))
        return ctx.instance_id

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        return await asyncio.gather(*(ctx.call_sub_orchestrator(child) for _ in range(5)))

    ids = [*await test.run(parent), *await test.run(parent)]
    assert len(set(ids)) == 10


async def test_a_child_may_have_an_id_of_the_callers_choice(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def child(ctx: Context) -> str:
        return ctx.instance_id

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        return [
            await ctx.call_sub_orchestrator(child.options(instance_id="chosen-1")),
            str(await ctx.call_sub_orchestrator("child", instance_id="chosen-2")),
        ]

    assert await test.run(parent) == ["chosen-1", "chosen-2"]


async def test_a_child_with_its_parents_own_id_fails_the_parent(app: App, test: TestHost) -> None:
    """S10."""

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await ctx.call_sub_orchestrator("parent", instance_id=ctx.instance_id)

    with pytest.raises(OrchestrationFailedError, match="parent's own id"):
        await test.run(parent)


async def test_a_child_with_a_wrong_id_is_refused_at_the_call(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            _ = ctx.call_sub_orchestrator("parent", instance_id="a/b")
        except InputError as error:
            return str(error)
        return "not refused"

    assert "'a/b'" in await test.run(parent)


async def test_the_id_of_a_running_instance_fails_the_call(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def sleeper(ctx: Context) -> str:
        await ctx.wait_for_external_event("end")
        return "slept"

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            return await ctx.call_sub_orchestrator(sleeper.options(instance_id="taken"))
        except SubOrchestrationError as error:
            return error.failure.error_message

    running = await test.start(sleeper, instance_id="taken")
    assert "'taken' already exists (Running)" in await test.run(parent)
    await running.raise_event("end")
    assert await running.result() == "slept"


async def test_the_id_of_a_finished_instance_is_replaced(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def child(ctx: Context, text: str) -> str:
        return text

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        again = child.options(instance_id="again")
        return [await ctx.call_sub_orchestrator(again, text) for text in ("a", "b", "c")]

    await test.run(child, "before", instance_id="again")
    assert await test.run(parent) == ["a", "b", "c"]
    status = await test.client.get_status("again")
    assert status is not None
    assert (status.input, status.output) == ("c", "c")


async def test_a_childs_failure_arrives_with_its_chain_of_causes(app: App, test: TestHost) -> None:
    """S36: activity of a child fails; invariant: details unchanged on their way."""

    @app.activity
    def pay(amount: int) -> None:
        raise ValueError(f"cannot pay {amount}") from ConnectionError("bank is closed")

    @app.orchestrator
    async def child(ctx: Context) -> None:
        await ctx.call_activity(pay, 7)

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await ctx.call_sub_orchestrator(child)

    with pytest.raises(OrchestrationFailedError) as caught:
        await test.run(parent)
    failure = caught.value.failure
    assert failure.error_type.endswith("SubOrchestrationError")
    assert "'child'" in failure.error_message
    assert failure.is_caused_by(ValueError)
    assert failure.is_caused_by(ConnectionError)
    links = []
    link = failure
    while link.inner_failure is not None:
        link = link.inner_failure
        links.append(str(link))
    assert links[-2:] == ["ValueError: cannot pay 7", "ConnectionError: bank is closed"]


async def test_a_childs_failure_can_be_caught_and_compensated(app: App, test: TestHost) -> None:
    """S35."""

    @app.orchestrator
    async def child(ctx: Context) -> None:
        raise ValueError("no rooms")

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        try:
            await ctx.call_sub_orchestrator(child)
        except SubOrchestrationError as error:
            return [error.function, error.failure.error_type, error.failure.error_message]
        return []

    assert await test.run(parent) == ["child", "ValueError", "no rooms"]


@pytest.mark.parametrize(
    ("reason", "said"),
    [("enough", ': "enough"'), (None, " without a reason"), ("", " without a reason")],
)
async def test_a_terminated_child_fails_its_call(
    app: App, test: TestHost, reason: str | None, said: str
) -> None:
    @app.orchestrator
    async def child(ctx: Context) -> None:
        await ctx.wait_for_external_event("never")

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            await ctx.call_sub_orchestrator(child.options(instance_id="the-child"))
        except SubOrchestrationError as error:
            return f"{error.failure.error_type}: {error.failure.error_message}"
        return "not reached"

    handle = await test.start(parent)
    await test.idle()
    await test.client.terminate("the-child", reason)
    words = f"sub-orchestration 'the-child' was terminated{said}"
    assert await handle.result() == f"OrchestrationTerminated: {words}"


async def test_children_nest_and_run_side_by_side(app: App, test: TestHost) -> None:
    @app.activity
    def leaf(number: int) -> int:
        return number

    @app.orchestrator
    async def tree(ctx: Context, depth: int) -> int:
        if depth == 0:
            return await ctx.call_activity(leaf, 1)
        below = await asyncio.gather(
            *(ctx.call_sub_orchestrator(tree, depth - 1) for _ in range(3))
        )
        return sum(below)

    assert await test.run(tree, 4) == 81


async def test_nesting_stops_at_the_limit_with_an_error_that_names_it(
    app: App, open_host: OpenHost
) -> None:
    @app.orchestrator
    async def deeper(ctx: Context, level: int) -> int:
        return await ctx.call_sub_orchestrator(deeper, level + 1)

    test = await open_host(app, settings=Settings(limits=Limits(nesting_depth=3)))
    with pytest.raises(OrchestrationFailedError) as caught:
        await test.run(deeper, 0)
    assert caught.value.failure.is_caused_by(LimitError)
    assert "nesting_depth" in str(caught.value.failure)
    assert all("nesting_depth" in text for _, text in test.problems)  # the warning at half
    test.problems.clear()


async def test_a_child_is_retried_as_an_activity_is(app: App, test: TestHost) -> None:
    """S37: a child orchestration likewise; each attempt is an instance of its own."""
    attempts: list[str] = []

    @app.activity
    def note(instance_id: str) -> int:
        attempts.append(instance_id)
        return len(attempts)

    @app.orchestrator
    async def child(ctx: Context) -> int:
        number = await ctx.call_activity(note, ctx.instance_id)
        if number < 3:
            raise ValueError(f"attempt {number}")
        return number

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        retry = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=10))
        return await ctx.call_sub_orchestrator(child.options(retry=retry))

    handle = await test.start(parent)
    assert await handle.result() == 3
    assert len(set(attempts)) == 3
    history = await test.client.history(handle.instance_id)
    assert kinds(history)[1:-1] == [
        "SubOrchestrationInstanceCreated",
        "SubOrchestrationInstanceFailed",
        "TimerCreated",
        "TimerFired",
        "SubOrchestrationInstanceCreated",
        "SubOrchestrationInstanceFailed",
        "TimerCreated",
        "TimerFired",
        "SubOrchestrationInstanceCreated",
        "SubOrchestrationInstanceCompleted",
    ]


async def test_fire_and_forget_the_parent_completes_first(app: App, test: TestHost) -> None:
    """S11: the child completes later with the greeting; nothing comes back."""

    @app.orchestrator
    async def child(ctx: Context, name: str) -> str:
        await ctx.create_timer(timedelta(hours=1))
        return f"Hello {name}, from {ctx.parent_instance_id}"

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        return ctx.start_orchestrator(child, "Ada")

    handle = await test.start(parent)
    child_id = await handle.result()
    running = await test.client.get_status(child_id)
    assert running is not None
    assert not running.runtime_status.is_finished
    assert await test.client.handle(child_id).result() == "Hello Ada, from None"
    assert kinds(await test.client.history(handle.instance_id)) == [
        "ExecutionStarted",
        "SubOrchestrationInstanceCreated",
        "ExecutionCompleted",
    ]


async def test_fire_and_forget_with_an_id_of_ones_choice(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def child(ctx: Context, name: str) -> str:
        return name

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        return [
            ctx.start_orchestrator(child.options(instance_id="one"), "a"),
            ctx.start_orchestrator("child", "b", instance_id="two"),
        ]

    assert await test.run(parent) == ["one", "two"]
    assert await test.client.handle("one").result() == "a"
    assert await test.client.handle("two").result() == "b"


async def test_a_failing_child_that_nobody_waits_for_fails_alone(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def child(ctx: Context) -> None:
        raise ValueError("alone")

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        started = ctx.start_orchestrator(child)
        await ctx.create_timer(timedelta(minutes=1))
        return started

    child_id = await test.run(parent)
    with pytest.raises(OrchestrationFailedError, match="alone"):
        await test.client.handle(child_id).result()


async def test_children_keep_running_when_their_parent_has_ended(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def child(ctx: Context) -> str:
        await ctx.create_timer(timedelta(days=1))
        return "child is done"

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        _ = ctx.call_sub_orchestrator(child.options(instance_id="the-child"))
        return "parent is done"

    assert await test.run(parent) == "parent is done"
    assert await test.client.handle("the-child").result() == "child is done"


@pytest.mark.parametrize("given_id", ["the-child", None])
@pytest.mark.parametrize("on_cancel", ["terminate", "abandon"])
async def test_cancelling_the_call_of_a_child_ends_the_child_unless_it_is_left_alone(
    app: App, test: TestHost, given_id: str | None, on_cancel: OnCancel
) -> None:
    """By a time limit, and by a sibling that fails."""

    @app.orchestrator
    async def child(ctx: Context) -> str:
        await ctx.create_timer(timedelta(hours=1))
        return "late"

    async def failing() -> None:
        await asyncio.sleep(1)
        raise ValueError

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        ended: list[str] = []
        own = child.options(instance_id=given_id, on_cancel=on_cancel)
        try:
            async with asyncio.timeout(60):
                await ctx.call_sub_orchestrator(own)
        except TimeoutError:
            ended.append("did not wait")
        await ctx.create_timer(timedelta(hours=2))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.call_sub_orchestrator(own))
                group.create_task(failing())
        except* ValueError:
            ended.append("gave up")
        return ended

    handle = await test.start(parent)
    assert await handle.result() == ["did not wait", "gave up"]
    history = await test.client.history(handle.instance_id)
    assert of_type(history, SubOrchestrationInstanceCompleted) == []
    children = [one.instance_id for one in of_type(history, SubOrchestrationInstanceCreated)]
    asked = [one.child for one in of_type(history, TaskCanceled) if one.child]
    assert asked == (children if on_cancel == "terminate" else [])
    await test.advance(timedelta(hours=2))
    for instance_id in children:
        status = await test.client.get_status(instance_id)
        assert status is not None
        if on_cancel == "terminate":
            assert status.runtime_status is RuntimeStatus.TERMINATED
            assert status.output == "its parent gave it up"
        else:
            assert status.output == "late"


async def test_a_child_of_an_unknown_name_fails_the_call_and_can_be_caught(
    app: App, test: TestHost
) -> None:
    """S41: a helpful text; the parent decides what it means."""

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            await ctx.call_sub_orchestrator("no_such_child", 7)
        except SubOrchestrationError as error:
            return error.failure.error_message
        return "not reached"

    text = await test.run(parent)
    assert "'no_such_child'" in text
    assert "parent" in text


async def test_a_child_reports_once_across_crashes_exactly_once_turns(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def child(ctx: Context, number: int) -> int:
        await ctx.create_timer(timedelta(hours=number))
        if number == 2:
            raise ValueError("two")
        return number

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        outcomes = await asyncio.gather(
            *(ctx.call_sub_orchestrator(child, number) for number in (1, 2, 3)),
            return_exceptions=True,
        )
        return [
            type(one).__name__ if isinstance(one, BaseException) else str(one) for one in outcomes
        ]

    handle = await test.start(parent)
    for _ in range(6):
        await test.advance(timedelta(minutes=31))
        await test.crash()
    assert await handle.result() == ["1", "SubOrchestrationError", "3"]
    history = await test.client.history(handle.instance_id)
    assert len(of_type(history, SubOrchestrationInstanceCompleted)) == 2
    assert len(of_type(history, SubOrchestrationInstanceFailed)) == 1


async def test_tags_and_version_given_at_the_call_stand_on_the_child(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def child(ctx: Context) -> list[str | None]:
        return [ctx.version, *(f"{key}={value}" for key, value in ctx.tags.items())]

    @app.orchestrator
    async def parent(ctx: Context) -> list[str | None]:
        options = child.options(version="2.1", tags={"team": "sea"}, instance_id="the-child")
        return await ctx.call_sub_orchestrator(options)

    assert await test.run(parent) == ["2.1", "team=sea"]
    status = await test.client.get_status("the-child")
    assert status is not None
    assert (status.version, dict(status.tags)) == ("2.1", {"team": "sea"})


# --- ending a whole tree --------------------------------------------------------------------------


def tree(app: App) -> None:
    """Instances that have called each other; all but ``leaves`` wait for ever."""

    @app.orchestrator
    async def waits(ctx: Context) -> None:
        await ctx.wait_for_external_event("never")

    @app.orchestrator
    async def leaves(ctx: Context) -> str:
        """Ends and leaves its own child running."""
        _left = ctx.call_sub_orchestrator(waits.options(instance_id="below-finished"))
        return "done"

    @app.orchestrator
    async def middle(ctx: Context) -> None:
        await ctx.call_sub_orchestrator(waits)

    @app.orchestrator
    async def root(ctx: Context, generation: int = 0) -> None:
        if generation == 0:
            _left = ctx.call_sub_orchestrator(middle.options(instance_id="generation-0"))
            ctx.continue_as_new(1)
            return
        ctx.start_orchestrator(waits.options(instance_id="forgotten"))
        await ctx.call_sub_orchestrator(leaves.options(instance_id="finished"))
        calls = [ctx.call_sub_orchestrator(one) for one in (waits, middle)]
        calls.append(ctx.call_sub_orchestrator(waits.options(instance_id="chosen")))
        await asyncio.gather(*calls)


async def running(test: TestHost) -> list[str]:
    page = await test.host.engine.storage.query(InstanceQuery(statuses=(RuntimeStatus.RUNNING,)))
    return sorted(one.instance_id for one in page.records)


async def test_termination_reaches_a_whole_tree_through_those_that_have_ended(
    app: App, test: TestHost
) -> None:
    tree(app)
    handle = await test.start("root", instance_id="the-root")
    await test.idle()
    assert len(await running(test)) == 9
    await handle.terminate("enough", recurse=True)
    await test.idle()
    assert await running(test) == ["forgotten"], "nobody's child"
    assert (await handle.status()).output == "enough"
    below = await test.client.get_status("below-finished")
    assert below is not None
    assert (below.runtime_status, below.output) == (
        RuntimeStatus.TERMINATED,
        "its parent was terminated",
    )
    history = await test.client.history("the-root")
    assert [one.recurse for one in of_type(history, ExecutionTerminated)] == [True]


async def test_who_ends_a_tree_of_nothing_is_answered_though_nothing_else_happens(
    app: App, tmp_path: Path
) -> None:
    @app.orchestrator
    async def alone(_ctx: Context) -> None: ...

    async with Host(app, f"sqlite:///{tmp_path / 'hub.db'}") as host:
        handle = await host.client.start(alone)
        await handle.result()
        async with asyncio.timeout(10):
            await handle.terminate(recurse=True)
        assert (await handle.status()).runtime_status is RuntimeStatus.COMPLETED


async def test_termination_without_recurse_leaves_the_children_alone(
    app: App, test: TestHost
) -> None:
    tree(app)
    handle = await test.start("root", instance_id="the-root")
    await test.idle()
    before = await running(test)
    await handle.terminate("enough")
    await test.idle()
    assert await running(test) == [one for one in before if one != "the-root"]


async def test_the_end_of_a_tree_survives_a_crash_at_any_commit(app: App, test: TestHost) -> None:
    tree(app)
    handle = await test.start("root", instance_id="the-root")
    await test.idle()
    await handle.terminate("enough", recurse=True)
    await test.crash()
    await test.idle()
    assert await running(test) == ["forgotten"]
