"""Starting instances: ids, what happens to taken ones, starts for later, the first turn.

S25, S26, S32, S34 and S40 of the scenarios; ``exactly_once_turns`` for starts that race.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tenuto import (
    App,
    Context,
    Host,
    IdReuse,
    InstanceExistsError,
    InstanceStateError,
    OrchestrationHandle,
    OrchestrationTerminatedError,
    RuntimeStatus,
    SubOrchestrationError,
    UnknownFunctionError,
)
from tenuto.engine.ports import Storage
from tenuto.model.ids import ExecutionId, InstanceId, new_execution_id, partition_of
from tenuto.model.status import InstanceRecord
from tenuto.testing import RecordingObserver, TestHost
from tests.support.facts import asks
from tests.support.histories import kinds

PRIZE = InstanceId("prize")
STRANGER = InstanceId("stranger")


@pytest.fixture(autouse=True)
def functions(app: App) -> None:
    """What most tests here need."""

    @app.orchestrator
    async def collect(ctx: Context, count: int) -> list[int]:
        return [await ctx.wait_for_external_event("item", int) for _ in range(count)]

    @app.orchestrator
    async def double(ctx: Context, n: int) -> int:
        return n * 2

    @app.orchestrator
    async def fail(ctx: Context) -> None:
        raise ValueError("on purpose")


async def ended(test: TestHost, how: str, instance_id: str) -> OrchestrationHandle[object]:
    """An instance that has ended in some way."""
    name = {"completed": "double", "failed": "fail", "terminated": "collect"}[how]
    arguments = () if how == "failed" else (1,)
    handle = await test.start(name, *arguments, instance_id=instance_id)
    if how == "terminated":
        await handle.terminate("over")
    await test.client.wait(instance_id)
    return handle


# --- reuse of ids ------------------------------------------------------------------------------


@pytest.mark.parametrize("is_resident", [True, False])
async def test_the_id_of_a_running_instance_is_refused_by_default(
    test: TestHost, is_resident: bool
) -> None:
    """S25, in memory and unloaded."""
    first = await test.start("collect", 1, instance_id="taken")
    await test.idle()
    before = await first.status()
    if not is_resident:
        await test.restart()
    for reuse in (IdReuse.WHEN_FINISHED, IdReuse.NEVER):
        with pytest.raises(InstanceExistsError, match="'taken' already exists \\(Running\\)"):
            await test.client.start("double", 1, instance_id="taken", reuse=reuse)
    assert await first.status() == before
    await first.raise_event("item", 1)
    assert await first.result() == [1]


@pytest.mark.parametrize("how", ["completed", "failed", "terminated"])
@pytest.mark.parametrize("reuse", [IdReuse.WHEN_FINISHED, IdReuse.ALWAYS])
async def test_the_id_of_an_ended_instance_is_used_again(
    test: TestHost, how: str, reuse: IdReuse
) -> None:
    """S26: nothing of the former instance is left."""
    first = await ended(test, how, "again")
    before = await first.status()
    second = await test.client.start("collect", 2, instance_id="again", reuse=reuse)
    await second.raise_event("item", 1)
    await test.restart()
    await second.raise_event("item", 2)
    assert await second.result() == [1, 2]
    status = await second.status()
    assert status.execution_id != before.execution_id
    assert status.failure is None
    assert kinds(await test.client.history("again")) == [
        "ExecutionStarted",
        *(["EventAwaited", "EventRaised", "EventTaken"] * 2),
        "ExecutionCompleted",
    ]


@pytest.mark.parametrize("how", ["completed", "failed", "terminated"])
async def test_never_refuses_the_id_of_an_ended_instance(test: TestHost, how: str) -> None:
    """S26."""
    first = await ended(test, how, "once")
    before = await first.status()
    with pytest.raises(InstanceExistsError, match="'once' already exists"):
        await test.client.start("double", 1, instance_id="once", reuse=IdReuse.NEVER)
    assert await first.status() == before


@pytest.mark.parametrize("state", ["running", "unloaded", "suspended", "pending"])
async def test_always_ends_what_is_there_and_replaces_it(test: TestHost, state: str) -> None:
    """S25, S26."""
    start_at = test.clock.current_time + timedelta(days=1) if state == "pending" else None
    first = await test.client.start("collect", 1, instance_id="mine", start_at=start_at)
    waiting = asyncio.ensure_future(first.result())
    await asyncio.sleep(0)
    if state == "unloaded":
        await test.advance(timedelta(seconds=5))
    if state == "suspended":
        await first.suspend()
    second = await test.client.start("collect", 1, instance_id="mine", reuse=IdReuse.ALWAYS)
    with pytest.raises(OrchestrationTerminatedError, match="replaced"):
        await waiting
    await second.raise_event("item", 5)
    assert await second.result() == [5]
    await test.advance(timedelta(days=2))
    assert (await second.status()).output == [5]


@pytest.mark.parametrize("state", ["running", "suspended", "pending", "completed", "failed"])
@pytest.mark.parametrize("is_in", [True, False])
async def test_any_set_of_statuses_may_be_replaced(test: TestHost, state: str, is_in: bool) -> None:
    """As foreign programs ask for it; one that is still going is ended first."""
    start_at = test.clock.current_time + timedelta(days=1) if state == "pending" else None
    if state in {"completed", "failed"}:
        await ended(test, state, "mine")
    else:
        first = await test.client.start("collect", 1, instance_id="mine", start_at=start_at)
        await test.idle()
        if state == "suspended":
            await first.suspend()
    status = RuntimeStatus[state.upper()]
    before = await test.client.handle("mine").status()
    assert before.runtime_status is status
    request = asks(
        instance_id="mine",
        execution_id=new_execution_id(0),
        name="collect",
        input="1",
        reuse=frozenset({status}) if is_in else frozenset(RuntimeStatus) - {status},
    )
    if not is_in:
        with pytest.raises(InstanceExistsError, match=f"already exists .{status.label}"):
            await test.client.gateway.start(request)
        assert await test.client.handle("mine").status() == before
        return
    await test.client.gateway.start(request)
    await test.client.raise_event("mine", "item", 5)
    found = await test.client.wait("mine")
    assert (found.execution_id, found.output) == (request.facts.execution_id, [5])


async def test_a_policy_by_its_name_is_understood_and_an_unknown_one_refused(
    test: TestHost,
) -> None:
    await test.client.start("double", 1, instance_id="x", reuse=IdReuse("always"))
    with pytest.raises(ValueError, match="sometimes"):
        await test.client.start("double", 1, instance_id="y", reuse="sometimes")  # type: ignore[call-overload]
    assert await test.client.get_status("y") is None


# --- races ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reuse", [IdReuse.WHEN_FINISHED, IdReuse.NEVER])
async def test_exactly_once_turns_of_many_starts_of_one_id_at_once_one_wins(
    test: TestHost, reuse: IdReuse
) -> None:
    """S26."""
    outcomes = await asyncio.gather(
        *(
            test.client.start("collect", number, instance_id="one", reuse=reuse)
            for number in range(1, 9)
        ),
        return_exceptions=True,
    )
    refused = [one for one in outcomes if isinstance(one, InstanceExistsError)]
    assert len(refused) == len(outcomes) - 1
    status = await test.client.handle("one").status()
    winner = next(n for n, one in enumerate(outcomes, 1) if not isinstance(one, Exception))
    assert status.input == winner
    assert kinds(await test.client.history("one")) == ["ExecutionStarted", "EventAwaited"]


async def test_many_replacing_starts_of_one_id_at_once_leave_one_instance(test: TestHost) -> None:
    handles = await asyncio.gather(
        *(
            test.client.start("collect", 1, instance_id="one", reuse=IdReuse.ALWAYS)
            for _ in range(6)
        )
    )
    assert len(handles) == 6
    await test.client.raise_event("one", "item", 1)
    assert await test.client.handle("one").result() == [1]
    assert [one.instance_id async for one in test.client.query()] == ["one"]


async def test_an_event_right_behind_a_start_finds_the_instance(test: TestHost) -> None:
    handle, _ = await asyncio.gather(
        test.start("collect", 1, instance_id="fresh"),
        test.client.raise_event("fresh", "item", 3),
    )
    assert await handle.result() == [3]


async def test_no_silent_drop_an_event_to_an_instance_started_in_the_same_turn(
    app: App, test: TestHost
) -> None:
    """The id is of the orchestrator's choice, so its start is still being decided."""

    @app.orchestrator
    async def opener(ctx: Context) -> None:
        ctx.start_orchestrator("collect", 2, instance_id="opened")
        ctx.send_event("opened", "item", 1)
        ctx.send_event("opened", "item", 2)

    await (await test.start(opener)).result()
    assert await test.client.handle("opened").result() == [1, 2]


async def test_durable_before_visible_a_start_is_acknowledged_when_it_survives_a_crash(
    test: TestHost,
) -> None:
    handles = [await test.start("collect", 1, instance_id=f"c-{n}") for n in range(5)]
    handles += [await test.start("collect", 1) for _ in range(5)]
    await test.crash()
    for number, handle in enumerate(handles):
        await handle.raise_event("item", number)
        assert await handle.result() == [number]


async def test_exactly_once_turns_an_id_taken_by_another_process_between_look_and_commit(
    app: App, test: TestHost
) -> None:
    """The unique index decides, and no turn of the loser runs (ENGINE rule 14)."""
    runs: list[str] = []

    @app.orchestrator
    async def greedy(ctx: Context, who: str) -> str:
        runs.append(who)
        await ctx.wait_for_external_event("end")
        return who

    engine = test.host.engine
    engine.storage = RivalStorage(engine.storage, engine.hub_partitions)  # type: ignore[assignment]
    with pytest.raises(InstanceExistsError, match="'prize' already exists"):
        await test.start(greedy, "ours", instance_id="prize")
    test.problems.clear()  # it says that another process was first
    await test.restart()
    handle = test.client.handle("prize")
    await handle.raise_event("end")
    assert await handle.result() == "theirs"
    assert set(runs) == {"theirs"}


async def test_a_child_whose_id_is_taken_by_another_process_fails_its_call(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def greedy(ctx: Context, who: str) -> str:
        await ctx.wait_for_external_event("end")
        return who

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            return str(await ctx.call_sub_orchestrator(greedy.options(instance_id="prize"), "ours"))
        except SubOrchestrationError as error:
            return str(error)

    engine = test.host.engine
    engine.storage = RivalStorage(engine.storage, engine.hub_partitions)  # type: ignore[assignment]
    handle = await test.start(parent)
    assert "'prize' is taken" in await handle.result() or "already exists" in await handle.result()
    test.problems.clear()
    await test.restart()
    await test.client.raise_event("prize", "end")
    assert await test.client.handle("prize").result() == "theirs"


class RivalStorage:
    """Another process starts the id "prize" each time after it was looked up."""

    def __init__(self, inner: Storage, partitions: int) -> None:
        self._inner = inner
        self._partitions = partitions

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def find(self, instance_ids: Sequence[InstanceId]) -> list[InstanceRecord]:
        found = await self._inner.find(instance_ids)
        if PRIZE in instance_ids and not found:
            record = InstanceRecord(
                iid=0,
                instance_id=PRIZE,
                partition=partition_of(PRIZE, self._partitions),
                name="greedy",
                execution_id=ExecutionId("rival"),
                created_at=1,
                root_id=PRIZE,
                input='"theirs"',
            )
            await self._inner.start_instance(record)
        return found


# --- for later -----------------------------------------------------------------------------------


async def test_a_scheduled_start_begins_at_its_time_and_not_before(
    app: App, test: TestHost
) -> None:
    """S32."""
    began: list[datetime] = []

    @app.orchestrator
    async def later(ctx: Context) -> datetime:
        began.append(ctx.current_time)
        return ctx.current_time

    at = test.clock.current_time + timedelta(days=3, hours=1)
    handle = await test.client.start(later, start_at=at)
    status = await handle.status()
    assert (status.runtime_status, status.scheduled_time) == (RuntimeStatus.PENDING, at)
    await test.advance(at - timedelta(microseconds=1))
    assert began == []
    assert await handle.result() == at
    assert test.clock.current_time == at
    assert set(began) == {at}


@pytest.mark.parametrize("minutes", [0.01, 5, 60, 60 * 24 * 400])
async def test_a_scheduled_start_outlives_its_host(test: TestHost, minutes: float) -> None:
    at = test.clock.current_time + timedelta(minutes=minutes)
    handle = await test.client.start("double", 4, start_at=at, instance_id="later")
    await test.crash()
    await test.restart()
    assert await handle.result() == 8
    assert test.clock.current_time == at


async def test_a_scheduled_start_takes_any_time_zone_and_refuses_none(test: TestHost) -> None:
    """S32."""
    at = test.clock.current_time + timedelta(hours=2)
    elsewhere = at.astimezone(timezone(timedelta(hours=9)))
    handle = await test.client.start("double", 1, start_at=elsewhere)
    assert (await handle.status()).scheduled_time == at
    with pytest.raises(ValueError, match="start_at must be an aware datetime"):
        await test.client.start("double", 1, start_at=datetime(2026, 5, 1))  # noqa: DTZ001
    assert await handle.result() == 2


async def test_a_start_in_the_past_begins_at_once(test: TestHost) -> None:
    handle = await test.client.start("double", 1, start_at=datetime(1999, 12, 31, tzinfo=UTC))
    assert await handle.result() == 2
    assert test.clock.current_time == (await handle.status()).created_time


async def test_events_wait_for_a_scheduled_start(test: TestHost) -> None:
    at = test.clock.current_time + timedelta(hours=1)
    handle = await test.client.start("collect", 2, start_at=at, instance_id="later")
    await handle.raise_event("item", 1)
    await test.crash()
    await handle.raise_event("item", 2)
    assert (await handle.status()).runtime_status is RuntimeStatus.PENDING
    assert await handle.result() == [1, 2]
    assert test.clock.current_time == at


async def test_a_pending_instance_is_paused_and_goes_on_when_it_is_time(test: TestHost) -> None:
    at = test.clock.current_time + timedelta(hours=1)
    handle = await test.client.start("double", 1, start_at=at)
    with pytest.raises(InstanceStateError, match="is Pending, so it cannot resume"):
        await handle.resume()
    await handle.suspend("not yet")
    with pytest.raises(InstanceStateError, match="is Suspended, so it cannot suspend"):
        await handle.suspend()
    await test.advance(timedelta(minutes=30))
    await handle.resume()
    assert (await handle.status()).runtime_status is RuntimeStatus.PENDING
    assert await handle.result() == 2
    assert test.clock.current_time == at


async def test_one_that_was_paused_when_its_time_came_begins_when_it_is_resumed(
    test: TestHost,
) -> None:
    at = test.clock.current_time + timedelta(hours=1)
    handle = await test.client.start("collect", 1, start_at=at)
    await handle.suspend()
    await handle.raise_event("item", 7)
    await test.advance(timedelta(hours=2))
    await test.restart()
    assert (await handle.status()).runtime_status is RuntimeStatus.SUSPENDED
    await handle.resume()
    assert await handle.result() == [7]
    assert kinds(await test.client.history(handle.instance_id))[0] == "ExecutionStarted"


async def test_an_ended_instance_is_replaced_by_a_scheduled_one(test: TestHost) -> None:
    await ended(test, "completed", "again")
    at = test.clock.current_time + timedelta(hours=1)
    handle = await test.client.start("collect", 1, instance_id="again", start_at=at)
    status = await handle.status()
    assert (status.runtime_status, status.output) == (RuntimeStatus.PENDING, None)
    await handle.raise_event("item", 6)
    assert await handle.result() == [6]
    assert test.clock.current_time == at


async def test_waiting_costs_nothing_a_scheduled_start_is_not_kept_in_memory(
    test: TestHost,
) -> None:
    at = test.clock.current_time + timedelta(minutes=5)
    for number in range(5):
        await test.client.start("double", number, start_at=at, instance_id=f"later-{number}")
        await test.client.start("double", number, start_at=at)
    await test.idle()
    assert len(test.host.engine.residents) == 0
    await test.advance(timedelta(minutes=5))
    statuses = [one.runtime_status async for one in test.client.query()]
    assert statuses == [RuntimeStatus.COMPLETED] * 10


# --- names ---------------------------------------------------------------------------------------


async def test_no_silent_drop_an_instance_of_another_app_waits_for_a_host_that_knows_it(
    tmp_path: Path,
) -> None:
    """S40: another program on the same store must not end what it does not know."""
    shop, other = App(), App()

    @shop.activity
    def pay(amount: int) -> int:
        return amount

    @shop.orchestrator
    async def order(ctx: Context) -> int:
        await ctx.call_activity(pay, 1)
        return await ctx.call_activity(pay, await ctx.wait_for_external_event("go", int))

    @other.orchestrator
    async def hello(ctx: Context) -> str:
        return "hello"

    url = f"sqlite:///{tmp_path / 'shared.db'}"
    async with Host(shop, url) as host:
        await host.client.start(order, instance_id="order-1")
    observer = RecordingObserver()
    async with Host(other, url, observer=observer) as host:
        assert await (await host.client.start(hello)).result() == "hello"
        await host.client.raise_event("order-1", "go", 5)
        standing = await host.client.get_status("order-1")
        assert standing is not None
        assert not standing.runtime_status.is_finished
        with pytest.raises(UnknownFunctionError, match="order"):
            await host.client.start(order)
    assert [text for _, text in observer.problems if "no orchestrator named 'order'" in text]
    async with Host(shop, url) as host:
        assert await host.client.handle("order-1").result() == 5


async def test_an_instance_that_no_app_knows_can_be_terminated(
    test: TestHost, unreplayable: set[str]
) -> None:
    storage = test.host.engine.storage
    record = InstanceRecord(
        iid=0,
        instance_id=STRANGER,
        partition=test.host.engine.number_of(STRANGER),
        name="doubel",
        execution_id=ExecutionId("e"),
        created_at=1,
        root_id=STRANGER,
    )
    unreplayable.add("stranger")
    await storage.start_instance(record)
    await test.restart()
    await test.idle()
    standing = await test.client.get_status("stranger")
    assert standing is not None
    assert standing.runtime_status is RuntimeStatus.PENDING
    await test.client.terminate("stranger", "nobody knows it")
    assert (await test.client.wait("stranger")).output == "nobody knows it"
    assert "no orchestrator named 'doubel'" in test.problems.pop()[1]
    assert not test.problems


async def test_a_start_by_function_by_options_and_by_name_is_the_same(
    app: App, test: TestHost
) -> None:
    @app.orchestrator(name="greeting", version="2")
    async def greet(ctx: Context, first: str, last: str) -> list[object]:
        return [first, last, ctx.version, dict(ctx.tags)]

    plain = await test.client.start(greet, "Ada", "Lovelace")
    named = await test.client.start("greeting", "Ada", "Lovelace")
    labelled = await test.client.start(
        greet.options(instance_id="ada", version="3", tags={"a": "b"}), "Ada", "Lovelace"
    )
    assert await plain.result() == await named.result() == ["Ada", "Lovelace", "2", {}]
    assert labelled.instance_id == "ada"
    assert await labelled.result() == ["Ada", "Lovelace", "3", {"a": "b"}]
    assert (await labelled.status()).name == "greeting"
