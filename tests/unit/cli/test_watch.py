"""Following a run inside the process that runs it, and from the store alone: a real engine."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tenuto import App, Context, RetryPolicy
from tenuto.cli.instances.watch import CommitBell, Watcher
from tenuto.cli.instances.watching import _looked as looked
from tenuto.insight.follow import Follower
from tenuto.insight.reading import StoreReader
from tenuto.insight.steps import Run, StepState
from tenuto.model.errors import ActivityError, ConnectionFailedError, InstanceNotFoundError
from tenuto.model.ids import InstanceId
from tenuto.model.status import RuntimeStatus
from tenuto.testing import TestHost

app = App()


@app.activity
def book(city: str) -> str:
    return f"booked {city}"


@app.activity(retry=RetryPolicy(max_attempts=2, first_interval=timedelta(minutes=5)))
def fail(city: str) -> str:
    raise ValueError(city)


@app.orchestrator
async def approval(ctx: Context, city: str) -> str:
    await ctx.call_activity(book, city)
    return await ctx.wait_for_external_event("Approved", str, timeout=timedelta(days=3))


@app.orchestrator
async def persistent(ctx: Context, city: str) -> str:
    try:
        return await ctx.call_activity(fail, city)
    except ActivityError:
        return "given up"


@app.orchestrator
async def trips(ctx: Context, cities: list[str]) -> None:
    approvals = [ctx.call_sub_orchestrator(approval, city) for city in cities]
    ctx.start_orchestrator(persistent.options(instance_id="aside"), "Oslo")
    await asyncio.gather(*approvals)


@app.orchestrator
async def twice(ctx: Context) -> None:
    for city in ("Oslo", "Rome"):
        await ctx.call_sub_orchestrator(approval.options(instance_id="same"), city)


@app.orchestrator
async def jealous(ctx: Context) -> str:
    try:
        return await ctx.call_sub_orchestrator(approval.options(instance_id="taken"), "Oslo")
    except Exception:
        await ctx.wait_for_external_event("never")
        raise


@app.orchestrator
async def forever(ctx: Context, count: int) -> None:
    await ctx.wait_for_external_event("next")
    ctx.continue_as_new(count + 1)


@pytest.fixture
def bell() -> CommitBell:
    return CommitBell()


@pytest.fixture
async def test(bell: CommitBell) -> AsyncIterator[TestHost]:
    async with TestHost(app, observer=bell) as test:
        yield test


async def watch(test: TestHost, bell: CommitBell, instance_id: str, *, most: int = 10) -> Watcher:
    watcher = Watcher(test.host, bell, InstanceId(instance_id), most=most)
    await watcher.read()
    return watcher


def described(run: Run) -> list[tuple[str, StepState]]:
    return [(step.name, step.state) for step in run.steps]


# --- while it runs -----------------------------------------------------------------------------


async def test_a_watched_run_is_read_anew_when_it_has_moved_on(
    test: TestHost, bell: CommitBell
) -> None:
    handle = await test.start(approval, "Oslo", instance_id="a-1")
    watcher = await watch(test, bell, "a-1")
    await test.idle()
    run = await watcher.next()
    assert described(run) == [
        ("book", StepState.COMPLETED),
        ("Approved", StepState.WAITING),
    ]
    await handle.raise_event("approved", "yes")
    await test.idle()
    run = await watcher.next()
    assert run.record.status is RuntimeStatus.COMPLETED
    assert described(run)[1:] == [("Approved", StepState.COMPLETED)]


async def test_waiting_costs_nothing_nobody_looks_while_nothing_happens(
    test: TestHost, bell: CommitBell
) -> None:
    await test.start(forever, 0, instance_id="f-1")
    await test.idle()
    watcher = await watch(test, bell, "f-1")
    assert test.host.engine.residents.named(InstanceId("f-1")) is not None, "still in memory"
    await test.start(approval, "Rome", instance_id="not-ours")
    await test.idle()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watcher.next(), 0.05)


async def test_of_an_instance_that_was_waiting_before_it_is_known_what_for(
    test: TestHost, bell: CommitBell
) -> None:
    await test.start(approval, "Oslo", instance_id="a-1")
    await test.idle()
    await test.restart()
    run = await Watcher(test.host, bell, InstanceId("a-1"), most=10).read()
    waiting = run.steps[-1]
    assert (waiting.name, waiting.state) == ("Approved", StepState.WAITING)
    assert waiting.begun_at == run.steps[0].ended_at, "since the turn that began to wait"
    assert waiting.due_at == waiting.begun_at + 3 * 86_400_000_000


async def test_a_pause_between_attempts_belongs_to_the_activity(
    test: TestHost, bell: CommitBell
) -> None:
    await test.start(persistent, "Oslo", instance_id="p-1")
    watcher = await watch(test, bell, "p-1")
    await test.idle()
    (step,) = (await watcher.next()).steps
    assert (step.state, step.attempt) == (StepState.RETRYING, 1)
    assert step.due_at is not None
    assert step.due_at > test.host.clock.now()
    await test.advance(timedelta(minutes=6))
    (step,) = (await watcher.next()).steps
    assert (step.state, step.attempt) == (StepState.FAILED, 2)


async def test_children_are_followed_with_their_own_steps(test: TestHost, bell: CommitBell) -> None:
    await test.start(trips, ["Oslo", "Rome"], instance_id="t-1")
    watcher = await watch(test, bell, "t-1")
    await test.idle()
    run = await watcher.next()
    aside, *approvals = sorted(run.steps, key=lambda step: step.name != "persistent")
    for step in approvals:
        assert step.run is not None
        assert described(step.run)[-1] == ("Approved", StepState.WAITING)
    assert aside.is_detached
    assert aside.run is not None
    assert described(aside.run) == [("fail", StepState.RETRYING)]
    await test.advance(timedelta(minutes=6))
    run = await watcher.next()
    aside = next(step for step in run.steps if step.is_detached)
    assert aside.state is StepState.COMPLETED, "its own row says so, the caller's history does not"


async def test_only_so_many_instances_are_read(test: TestHost, bell: CommitBell) -> None:
    await test.start(trips, ["Oslo", "Rome", "Bonn"], instance_id="t-1")
    await test.idle()
    run = await (await watch(test, bell, "t-1", most=3)).read()
    assert len([step for step in run.steps if step.run is not None]) == 2


async def test_what_a_former_execution_waited_for_is_forgotten(
    test: TestHost, bell: CommitBell
) -> None:
    handle = await test.start(forever, 0, instance_id="f-1")
    watcher = await watch(test, bell, "f-1")
    await test.idle()
    first = await watcher.next()
    await test.advance(timedelta(seconds=7))
    await handle.raise_event("next")
    await test.idle()
    second = await watcher.next()
    assert (first.record.generation, second.record.generation) == (0, 1)
    assert described(first) == described(second) == [("next", StepState.WAITING)]
    assert second.steps[0].begun_at - first.steps[0].begun_at >= 7_000_000


# --- from the store alone ----------------------------------------------------------------------


async def test_the_store_alone_tells_what_is_awaited(test: TestHost) -> None:
    await test.start(approval, "Oslo", instance_id="a-1")
    await test.idle()
    run = await Follower(StoreReader(test.host.engine.storage), InstanceId("a-1"), most=10).read()
    assert described(run) == [("book", StepState.COMPLETED), ("Approved", StepState.WAITING)]


async def test_an_unknown_instance_is_not_found(test: TestHost) -> None:
    with pytest.raises(InstanceNotFoundError, match="'nobody'"):
        await Follower(StoreReader(test.host.engine.storage), InstanceId("nobody"), most=10).read()


async def test_of_two_children_with_one_id_the_later_has_the_steps(test: TestHost) -> None:
    await test.start(twice, instance_id="w-1")
    await test.idle()
    await test.client.raise_event("same", "approved", "yes")
    await test.idle()
    first, second = (
        await Follower(StoreReader(test.host.engine.storage), InstanceId("w-1"), most=10).read()
    ).steps
    assert first.run is None
    assert second.run is not None
    assert second.run.record.input == '"Rome"'


async def test_an_instance_that_belongs_to_somebody_else_is_not_shown_as_a_child(
    test: TestHost,
) -> None:
    await test.start(approval, "Rome", instance_id="taken")
    await test.start(jealous, instance_id="j-1")
    await test.idle()
    run = await Follower(StoreReader(test.host.engine.storage), InstanceId("j-1"), most=10).read()
    assert run.steps[0].state is StepState.FAILED
    assert run.steps[0].run is None


async def test_what_could_not_be_read_is_looked_at_again_soon(
    test: TestHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """The host may be back before anything is told: only a look finds that."""
    follower = Follower(StoreReader(test.host.engine.storage), InstanceId("a"), most=10)
    await test.start(approval, "Oslo", instance_id="a")
    run = await follower.read()
    asked: list[bool] = []

    class Heard:
        async def next(self, *, nested: bool) -> None:
            asked.append(nested)

    async def read() -> Run:
        if len(asked) < 3:
            raise ConnectionFailedError("cannot reach http://127.0.0.1:9")
        return await follower.read()

    assert (await looked(run, Heard(), read)).record.instance_id == "a"
    assert asked == [False, True, True]
    assert capsys.readouterr().err.count("waiting for it to come back") == 1
