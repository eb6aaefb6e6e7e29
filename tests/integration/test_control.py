"""Suspend, resume, terminate, restart, purge, queries: an instance in the hands of a client.

S19 to S24 and S27 to S31 of the scenarios, ``no_silent_drop``, ``durable_before_visible``.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tenuto import (
    ActivityContext,
    App,
    Context,
    InstanceExistsError,
    InstanceFilter,
    InstanceFinishedError,
    InstanceNotFoundError,
    InstanceStateError,
    OrchestrationHandle,
    OrchestrationTerminatedError,
    RuntimeStatus,
    SubOrchestrationError,
)
from tenuto.model.codec import decode_message
from tenuto.model.ids import InstanceId
from tenuto.model.messages import RaiseEvent
from tenuto.testing import TestHost
from tests.support.held import holding
from tests.support.histories import kinds
from tests.support.inboxes import waiting_in
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def functions(app: App) -> None:
    """What most tests here need."""

    @app.activity
    def add(left: int, right: int) -> int:
        return left + right

    @app.orchestrator
    async def collect(ctx: Context, count: int) -> list[int]:
        return [await ctx.wait_for_external_event("item", int) for _ in range(count)]

    @app.orchestrator
    async def nap(ctx: Context, seconds: int) -> str:
        await asyncio.sleep(seconds)
        return f"slept {seconds} s"

    @app.orchestrator
    async def double(ctx: Context, n: int) -> int:
        return n * 2

    @app.orchestrator
    async def fail(ctx: Context) -> None:
        raise ValueError("on purpose")


async def status_of(handle: OrchestrationHandle[object]) -> RuntimeStatus:
    return (await handle.status()).runtime_status


async def dead_letters(test: TestHost) -> list[tuple[str, str, object]]:
    """Target, reason and message of each dead letter, oldest first; the problems they made go."""
    await test.idle()
    letters = await test.host.engine.storage.dead_letters()
    test.problems[:] = [one for one in test.problems if not one[1].startswith("dead letter")]
    return [(one.instance_id, one.reason, decode_message(one.message)) for one in letters[::-1]]


# --- terminate ------------------------------------------------------------------------------------


async def test_a_running_instance_is_terminated_with_its_reason_as_output(test: TestHost) -> None:
    """S19, with a reason that is not ASCII."""
    handle = await test.start("collect", 1)
    await handle.terminate("genug für heute ✋ 够了")
    status = await handle.status()
    assert status.runtime_status is RuntimeStatus.TERMINATED
    assert status.output == "genug für heute ✋ 够了"
    assert (
        status.completed_time
        == status.last_updated_time
        == test.clock.current_time + timedelta(microseconds=1)
    )
    with pytest.raises(OrchestrationTerminatedError, match="genug für heute"):
        await handle.result()
    assert kinds(await test.client.history(handle.instance_id)) == [
        "ExecutionStarted",
        "EventAwaited",
        "ExecutionTerminated",
        "ExecutionCompleted",
    ]


@pytest.mark.parametrize("reason", [None, "", " \n"])
async def test_terminating_without_a_reason_says_so(test: TestHost, reason: str | None) -> None:
    handle = await test.start("collect", 1)
    await handle.terminate(reason)
    assert (await handle.status()).output == reason
    with pytest.raises(OrchestrationTerminatedError, match="no reason was given"):
        await handle.result()


async def test_terminating_a_finished_instance_is_refused_and_changes_nothing(
    test: TestHost,
) -> None:
    """S19."""
    handle = await test.start("double", 4)
    assert await handle.result() == 8
    before = await handle.status()
    with pytest.raises(InstanceFinishedError, match="has already ended \\(Completed\\)"):
        await handle.terminate("too late")
    with pytest.raises(InstanceFinishedError):
        await handle.suspend()
    with pytest.raises(InstanceFinishedError):
        await handle.resume()
    assert await handle.status() == before


async def test_requests_to_an_unknown_instance_are_refused(test: TestHost) -> None:
    """S19, S24, S28."""
    client = test.client
    with pytest.raises(InstanceNotFoundError, match="'nobody' does not exist"):
        await client.terminate("nobody")
    with pytest.raises(InstanceNotFoundError):
        await client.suspend("nobody")
    with pytest.raises(InstanceNotFoundError):
        await client.resume("nobody")
    with pytest.raises(InstanceNotFoundError):
        await client.raise_event("nobody", "hello")
    with pytest.raises(InstanceNotFoundError):
        await client.restart("nobody")
    with pytest.raises(InstanceNotFoundError):
        await client.wait("nobody")
    with pytest.raises(InstanceNotFoundError):
        await client.handle("nobody").status()
    assert await client.get_status("nobody") is None
    assert await client.purge("nobody") is False
    assert await client.history("nobody") == []
    # Clients were told; there is nothing to bury.
    assert await dead_letters(test) == []


async def test_a_pending_and_a_suspended_instance_can_be_terminated(test: TestHost) -> None:
    """S20."""
    tomorrow = test.clock.current_time + timedelta(days=1)
    pending = await test.client.start("double", 1, start_at=tomorrow)
    assert await status_of(pending) is RuntimeStatus.PENDING
    await pending.terminate("not any more")
    assert (await pending.status()).output == "not any more"

    suspended = await test.start("collect", 1)
    await suspended.suspend()
    await suspended.raise_event("item", 1)
    await suspended.terminate("neither")
    assert (await suspended.status()).output == "neither"
    assert [letter[0] for letter in await dead_letters(test)] == [suspended.instance_id]

    await test.advance(timedelta(days=2))
    assert await status_of(pending) is await status_of(suspended) is RuntimeStatus.TERMINATED


async def test_terminating_does_not_reach_the_children_and_tells_the_parent(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> str:
        child = ctx.call_sub_orchestrator("collect", 1, instance_id="child")
        try:
            await child
        except SubOrchestrationError as error:
            return str(error)
        return "it went on"

    handle = await test.start(parent)
    await test.idle()
    await test.client.terminate("child", "no more")
    assert "no more" in await handle.result()

    orphan = await test.start(parent)
    await test.idle()
    await orphan.terminate()
    await test.client.raise_event("child", "item", 5)
    assert (await test.client.wait("child")).output == [5]


async def test_a_terminated_instance_tells_its_activities(app: App, test: TestHost) -> None:
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @app.activity
    async def endless(context: ActivityContext) -> None:
        await context.cancellation.wait()
        told.set_result(context.instance_id)

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await ctx.call_activity(endless)

    handle = await test.start(parent, instance_id="p")
    await test.idle(with_activities=False)
    await handle.terminate()
    assert await asyncio.wait_for(told, 10) == "p"


# --- suspend and resume ---------------------------------------------------------------------------


async def test_a_suspended_instance_keeps_what_arrives_and_takes_it_in_at_the_resume(
    test: TestHost,
) -> None:
    """S21: events in their order."""
    handle = await test.start("collect", 3)
    await handle.raise_event("item", 1)
    await handle.suspend("lunch")
    assert await status_of(handle) is RuntimeStatus.SUSPENDED
    await handle.raise_event("item", 2)
    await handle.raise_event("item", 3)
    assert await status_of(handle) is RuntimeStatus.SUSPENDED
    await handle.resume("back")
    assert await handle.result() == [1, 2, 3]


async def test_a_result_that_comes_during_a_pause_is_used_once_afterwards(
    app: App, test: TestHost
) -> None:
    """``at_least_once_activities``: it does not run again, and its result counts once."""
    release = asyncio.Event()
    runs: list[int] = []

    @app.activity
    async def slow() -> str:
        runs.append(1)
        await release.wait()
        return "done"

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        return await ctx.call_activity(slow)

    handle = await test.start(parent)
    await test.idle(with_activities=False)
    await handle.suspend()
    release.set()
    await test.idle()
    assert await status_of(handle) is RuntimeStatus.SUSPENDED
    await handle.resume()
    assert await handle.result() == "done"
    assert len(runs) == 1


async def test_timers_that_come_due_during_a_pause_fire_at_the_resume(test: TestHost) -> None:
    handle = await test.start("nap", 60)
    await handle.suspend()
    await test.advance(timedelta(hours=1))
    assert await status_of(handle) is RuntimeStatus.SUSPENDED
    await handle.resume()
    assert await handle.result() == "slept 60 s"
    assert (await handle.status()).completed_time == test.clock.current_time


async def test_a_timer_that_is_still_ahead_at_the_resume_keeps_its_time(test: TestHost) -> None:
    began = test.clock.current_time
    handle = await test.start("nap", 3_600)
    await handle.suspend()
    await test.advance(timedelta(minutes=10))
    await handle.resume()
    assert await handle.result() == "slept 3600 s"
    assert test.clock.current_time == began + timedelta(hours=1)


async def test_suspend_and_resume_are_refused_when_they_change_nothing(test: TestHost) -> None:
    handle = await test.start("collect", 1)
    with pytest.raises(InstanceStateError, match="is Running, so it cannot resume"):
        await handle.resume()
    await handle.suspend()
    with pytest.raises(InstanceStateError, match="is Suspended, so it cannot suspend"):
        await handle.suspend()
    await handle.resume()
    await handle.raise_event("item", 1)
    assert await handle.result() == [1]


async def test_requests_that_come_at_once_are_taken_in_their_order(test: TestHost) -> None:
    """One turn takes them all in; each answer fits the state at its place."""
    handle = await test.start("collect", 4)
    results = await asyncio.gather(
        handle.raise_event("item", 1),
        handle.suspend(),
        handle.suspend(),
        handle.raise_event("item", 2),
        handle.raise_event("item", 3),
        handle.resume(),
        handle.raise_event("item", 4),
        handle.resume(),
        return_exceptions=True,
    )
    refused = [number for number, one in enumerate(results) if isinstance(one, InstanceStateError)]
    assert refused == [2, 7]
    assert [one for number, one in enumerate(results) if number not in refused] == [None] * 6
    assert await handle.result() == [1, 2, 3, 4]


async def test_what_comes_right_after_a_termination_is_refused(test: TestHost) -> None:
    handle = await test.start("collect", 2)
    results = await asyncio.gather(
        handle.raise_event("item", 1),
        handle.terminate("one"),
        handle.terminate("two"),
        handle.raise_event("item", 2),
        handle.suspend(),
        test.client.purge(handle.instance_id),
        return_exceptions=True,
    )
    assert (results[0], results[1]) == (None, None)
    assert {type(one) for one in results[2:5]} == {InstanceFinishedError}
    assert results[5] is True
    assert await test.client.get_status(handle.instance_id) is None


async def test_pauses_follow_each_other(test: TestHost) -> None:
    handle = await test.start("collect", 5)
    for number in range(5):
        await handle.suspend()
        await handle.raise_event("item", number)
        await handle.resume()
    assert await handle.result() == [0, 1, 2, 3, 4]


# --- restart --------------------------------------------------------------------------------------


async def test_restart_under_a_new_id_repeats_name_input_tags_and_version(test: TestHost) -> None:
    """S23."""
    first = await test.client.start("double", 21, tags={"team": "red"}, version="7")
    assert await first.result() == 42
    again = await test.client.restart(first.instance_id)
    assert again.instance_id != first.instance_id
    assert await again.result() == 42
    status, before = await again.status(), await first.status()
    assert (status.input, status.tags, status.version) == (21, {"team": "red"}, "7")
    assert status.execution_id != before.execution_id


async def test_restart_under_the_same_id_replaces_the_finished_execution(test: TestHost) -> None:
    """S23."""
    first = await test.start("collect", 1, instance_id="again")
    await first.raise_event("item", 1)
    assert await first.result() == [1]
    before = await first.status()
    again = await test.client.restart("again", new_instance_id=False)
    assert again.instance_id == "again"
    status = await again.status()
    assert (status.runtime_status, status.output) == (RuntimeStatus.RUNNING, None)
    assert status.execution_id != before.execution_id
    await again.raise_event("item", 2)
    assert await again.result() == [2]
    assert kinds(await test.client.history("again")).count("ExecutionStarted") == 1
    assert [one.instance_id async for one in test.client.query()] == ["again"]


async def test_a_running_instance_is_not_restarted_under_its_own_id(test: TestHost) -> None:
    handle = await test.start("collect", 1, instance_id="busy")
    with pytest.raises(InstanceExistsError, match="'busy' already exists \\(Running\\)"):
        await test.client.restart("busy", new_instance_id=False)
    copy = await test.client.restart("busy")
    assert copy.instance_id != "busy"
    for one in (handle, copy):
        await one.raise_event("item", 9)
        assert await one.result() == [9]


@pytest.mark.parametrize("same_id", [True, False])
async def test_failed_and_terminated_instances_can_be_restarted(
    app: App, test: TestHost, same_id: bool
) -> None:
    is_broken = [True]

    @app.orchestrator
    async def flaky(ctx: Context) -> str:
        if is_broken[0]:
            raise ValueError("not yet")
        return "fixed"

    failed = await test.start(flaky)
    assert (await test.client.wait(failed.instance_id)).runtime_status is RuntimeStatus.FAILED
    is_broken[0] = False
    again = await test.client.restart(failed.instance_id, new_instance_id=not same_id)
    assert await again.result() == "fixed"
    if same_id:
        assert (await again.status()).failure is None
    else:
        await test.client.purge(failed.instance_id)


# --- purge ----------------------------------------------------------------------------------------


async def test_purge_deletes_a_finished_instance_and_its_history(test: TestHost) -> None:
    """S27; twice is once."""
    handle = await test.start("double", 1, instance_id="gone")
    await handle.result()
    assert await test.client.purge("gone") is True
    assert await test.client.get_status("gone") is None
    assert await test.client.history("gone") == []
    assert [one async for one in test.client.query()] == []
    assert await test.client.purge("gone") is False
    with pytest.raises(InstanceNotFoundError):
        await test.client.raise_event("gone", "item")


async def test_purge_refuses_a_running_instance_unless_forced(test: TestHost) -> None:
    handle = await test.start("collect", 1, instance_id="busy")
    with pytest.raises(InstanceStateError, match="is still going; terminate it first, or purge"):
        await test.client.purge("busy")
    waiting = asyncio.ensure_future(test.client.wait("busy"))
    await asyncio.sleep(0)
    assert await test.client.purge("busy", force=True) is True
    assert (await waiting).runtime_status is RuntimeStatus.TERMINATED
    assert await test.client.get_status("busy") is None
    with pytest.raises(InstanceNotFoundError):
        await handle.status()


@pytest.mark.parametrize("state", ["pending", "suspended", "sleeping", "held"])
async def test_a_forced_purge_leaves_nothing_of_instances_that_wait(
    test: TestHost, state: str
) -> None:
    start_at = test.clock.current_time + timedelta(days=1) if state == "pending" else None
    name = "nap" if state == "sleeping" else "collect"
    handle = await test.client.start(name, 5_000, start_at=start_at, instance_id="w")
    await test.idle()
    if state in {"suspended", "held"}:
        await handle.suspend()
    if state == "held":
        await handle.raise_event("item", 1)
    assert await test.client.purge("w", force=True) is True
    await test.advance(timedelta(days=2))
    assert await test.client.get_status("w") is None
    assert len(await dead_letters(test)) == (1 if state == "held" else 0)
    assert await waiting_in(test.host.engine.storage) == []


async def test_a_purged_id_is_free_for_another_instance(test: TestHost) -> None:
    for number in range(3):
        handle = await test.start("collect", 1, instance_id="reused")
        await handle.raise_event("item", number)
        assert await handle.result() == [number]
        assert await test.client.purge("reused") is True
    assert await test.client.get_status("reused") is None


async def test_a_start_and_a_purge_at_once_leave_a_whole_instance(test: TestHost) -> None:
    """Whichever comes first, the new instance must not lose its row or its history."""
    for number in range(20):
        name = f"both-{number}"
        await (await test.start("double", 1, instance_id=name)).result()
        purged, handle = await asyncio.gather(
            test.client.purge(name),
            test.start("collect", 1, instance_id=name),
            return_exceptions=True,
        )
        assert purged is True or isinstance(purged, InstanceStateError)
        assert isinstance(handle, OrchestrationHandle)
        await handle.raise_event("item", number)
        assert await handle.result() == [number]
        assert (await handle.status()).output == [number]


async def test_a_start_does_not_go_by_a_row_that_was_purged_while_it_was_read(
    test: TestHost,
) -> None:
    """The reader is slow with what it read before the commit that deleted it."""
    await (await test.start("double", 1, instance_id="x")).result()
    storage = test.host.engine.storage
    async with holding(storage, "commit", "before") as commit:
        purging = asyncio.ensure_future(test.client.purge("x"))
        await commit.arrived.wait()
        async with holding(storage, "find", "after", only_first=True) as find:
            starting = asyncio.ensure_future(test.start("collect", 1, instance_id="x"))
            await find.arrived.wait()
            commit.let_go()
            assert await purging
            find.let_go()
            handle = await starting
    await handle.raise_event("item", 5)
    assert await handle.result() == [5]
    assert (await handle.status()).output == [5]


@pytest.mark.parametrize(
    ("method", "standing"), [("find", False), ("load_instances", True)], ids=["missing", "finished"]
)
async def test_a_message_does_not_go_by_a_read_older_than_what_memory_knew(
    test: TestHost, method: str, *, standing: bool
) -> None:
    """While the store is read an instance is started under the id, and unloaded again."""
    if standing:
        await (await test.start("double", 1, instance_id="x")).result()
    residents = test.host.engine.residents
    async with holding(test.host.engine.storage, method, "after", only_first=True) as read:
        early = asyncio.ensure_future(test.client.raise_event("x", "early"))
        await read.arrived.wait()
        handle = await test.start("nap", 3600, instance_id="x")
        await early
        await until(lambda: residents.named(InstanceId("x")) is None)
        late = asyncio.ensure_future(test.client.raise_event("x", "late"))
        await asyncio.sleep(0)
        read.let_go()
        await late
    assert await handle.result() == "slept 3600 s"
    assert kinds(await test.client.history("x")).count("EventRaised") == 2


async def test_the_parent_of_a_purged_child_gets_an_error(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            await ctx.call_sub_orchestrator("collect", 1, instance_id="child")
        except SubOrchestrationError as error:
            return str(error)
        return "it went on"

    handle = await test.start(parent)
    await test.idle()
    await test.client.purge("child", force=True)
    assert "purged" in await handle.result()


# --- queries --------------------------------------------------------------------------------------


async def test_queries_filter_by_status_name_prefix_and_time(test: TestHost) -> None:
    """S29."""
    client = test.client
    await test.start("double", 1, instance_id="a-1")
    await test.advance(timedelta(minutes=1))
    noon = test.clock.current_time
    await test.start("double", 2, instance_id="a-2")
    await test.start("collect", 1, instance_id="b-1")
    await test.advance(timedelta(minutes=1))
    await test.start("fail", instance_id="b-2")
    await test.start("collect", 1, instance_id="a%_")
    await test.idle()

    async def ids(**filters: object) -> list[str]:
        which = InstanceFilter(**filters)  # type: ignore[arg-type]
        return [one.instance_id async for one in client.query(which)]

    assert await ids() == ["a%_", "b-2", "b-1", "a-2", "a-1"]
    assert await ids(statuses=[RuntimeStatus.COMPLETED]) == ["a-2", "a-1"]
    assert await ids(statuses=[RuntimeStatus.FAILED, RuntimeStatus.RUNNING]) == [
        "a%_",
        "b-2",
        "b-1",
    ]
    assert await ids(statuses=[]) == []
    assert await ids(name="collect") == ["a%_", "b-1"]
    assert await ids(id_prefix="a-") == ["a-2", "a-1"]
    assert await ids(id_prefix="a%") == ["a%_"]  # no wildcards
    assert await ids(created_from=noon) == ["a%_", "b-2", "b-1", "a-2"]
    assert await ids(created_to=noon) == ["a-1"]
    assert await ids(created_from=noon, created_to=noon + timedelta(seconds=1)) == ["b-1", "a-2"]
    assert await ids(name="double", id_prefix="a", created_to=noon) == ["a-1"]
    assert await ids(name="nobody") == []
    local = noon.astimezone(UTC).replace(tzinfo=UTC)
    assert await ids(created_from=local) == await ids(created_from=noon)


async def test_a_listing_of_many_pages_shows_everything_exactly_once(test: TestHost) -> None:
    """S29: the client reads page by page, while instances come and go."""
    handles = await asyncio.gather(*(test.start("double", n) for n in range(250)))
    await asyncio.gather(*(one.result() for one in handles))
    seen = []
    async for status in test.client.query():
        seen.append(status.instance_id)
        if len(seen) == 120:
            await test.start("double", 0)
            await test.client.purge(seen[0])
    assert sorted(seen) == sorted(one.instance_id for one in handles)


async def test_payloads_are_left_out_of_listings_on_request(test: TestHost) -> None:
    """S30."""
    await (await test.start("double", 21)).result()
    (with_payloads,) = [one async for one in test.client.query()]
    (without,) = [one async for one in test.client.query(InstanceFilter(payloads=False))]
    assert (with_payloads.input, with_payloads.output) == (21, 42)
    assert (without.input, without.output) == (None, None)
    assert without.runtime_status is RuntimeStatus.COMPLETED


@pytest.mark.parametrize(
    "instance_id", ["O'Brien", 'say "hi"', "100%_sure", "a;DROP TABLE instance--", "ünï→✓", "x y"]
)
async def test_ids_with_quotes_and_wildcards_are_just_ids(test: TestHost, instance_id: str) -> None:
    """S31."""
    handle = await test.start("collect", 1, instance_id=instance_id)
    await handle.raise_event("item", 3)
    assert await handle.result() == [3]
    found = [
        one.instance_id async for one in test.client.query(InstanceFilter(id_prefix=instance_id))
    ]
    assert found == [instance_id]
    assert await test.client.purge(instance_id)
    assert await test.client.get_status(instance_id) is None


# --- status ---------------------------------------------------------------------------------------


async def test_a_status_tells_all_times(test: TestHost) -> None:
    began = test.clock.current_time
    handle = await test.start("nap", 10)
    await test.idle()
    running = await handle.status()
    assert (running.created_time, running.completed_time) == (began, None)
    await handle.result()
    done = await handle.status()
    assert done.created_time == began
    assert done.completed_time == began + timedelta(seconds=10)
    assert done.created_time.tzinfo is not None
    assert isinstance(done.created_time, datetime)


async def test_tags_come_back_long_ones_too(test: TestHost) -> None:
    """S34."""
    tags = {"team": "red", "note": "x" * 4_000, "ключ": "значение"}
    handle = await test.client.start("double", 1, tags=tags)
    await handle.result()
    assert (await handle.status()).tags == tags


# --- no_silent_drop -------------------------------------------------------------------------------


async def test_no_silent_drop_events_between_instances_that_nobody_can_take(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def sender(ctx: Context, targets: list[str]) -> None:
        for target in targets:
            ctx.send_event(target, "item", 7)

    await (await test.start("double", 1, instance_id="finished")).result()
    await test.start("collect", 1, instance_id="alive")
    await (await test.start(sender, ["nobody", "finished", "alive"])).result()
    assert (await test.client.wait("alive")).output == [7]
    letters = await dead_letters(test)
    assert sorted((target, reason) for target, reason, _ in letters) == [
        ("finished", "instance 'finished' has already ended (Completed)"),
        ("nobody", "instance 'nobody' does not exist"),
    ]
    for _, _, message in letters:
        assert isinstance(message, RaiseEvent)
        assert (message.event.name, message.event.input) == ("item", "7")
    await test.restart()
    assert len(await dead_letters(test)) == 2  # they stay to be read


async def test_clients_are_told_at_once_that_an_event_finds_nobody(test: TestHost) -> None:
    handle = await test.start("double", 1)
    await handle.result()
    with pytest.raises(InstanceFinishedError, match="has already ended"):
        await handle.raise_event("item", 1)
    assert await dead_letters(test) == []


async def test_durable_before_visible_a_refusal_is_told_only_when_its_reason_is_durable(
    test: TestHost,
) -> None:
    """An event after the end is refused, but not before the end itself has been committed."""
    handle = await test.start("collect", 1)
    await test.idle()
    async with holding(test.host.engine.storage, "commit", "before") as commit:
        ending = asyncio.ensure_future(handle.terminate("end"))
        refused = asyncio.ensure_future(handle.raise_event("item", 1))
        await commit.arrived.wait()
        late = asyncio.ensure_future(handle.raise_event("item", 2))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not ending.done()
        assert not refused.done()
        assert not late.done()
        commit.let_go()
        await ending
        for one in (refused, late):
            with pytest.raises(InstanceFinishedError):
                await one
