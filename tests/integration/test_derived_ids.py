"""Ids of sub-orchestrations: those that Tenuto gives out, and those that somebody chose.

An id is never believed to be free because of how it begins (``no_silent_drop``,
``exactly_once_turns``).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
from msgspec import structs

from tenuto import (
    App,
    Client,
    Context,
    Host,
    IdReuse,
    InvalidInstanceIdError,
    RetryPolicy,
    SubOrchestrationError,
)
from tenuto.model.ids import ExecutionId, InstanceId, child_instance_id, new_execution_id
from tenuto.model.status import InstanceRecord, ParentInstance, RuntimeStatus
from tests.support.facts import asks
from tests.support.few_ids import check_memory
from tests.support.held_commits import before_the_row_of
from tests.support.store_numbers import HISTORY_OF_NOBODY, number_in
from tests.support.waiting import until

app = App()
SECONDS = 5


@app.orchestrator
async def tells(ctx: Context, number: int) -> list[str]:
    return [ctx.instance_id, str(number)]


@app.orchestrator
async def waits(ctx: Context) -> str:
    return await ctx.wait_for_external_event("go", str)


@app.orchestrator
async def breaks(ctx: Context, times: int) -> str:
    raise ValueError(ctx.instance_id)


@app.orchestrator
async def calls_named(ctx: Context, ends: list[str]) -> list[list[str]]:
    """Children whose ids begin with the execution's, one of them without any id."""
    named = [
        ctx.call_sub_orchestrator(tells.options(instance_id=f"{ctx.execution_id}{end}"), number)
        for number, end in enumerate(ends)
    ]
    return list(await asyncio.gather(*named, ctx.call_sub_orchestrator(tells, len(ends))))


@app.orchestrator
async def calls_plain(ctx: Context) -> str:
    try:
        return await ctx.call_sub_orchestrator(waits)
    except SubOrchestrationError as error:
        return str(error)


@app.orchestrator
async def calls_reserved(ctx: Context, child_id: str) -> str:
    try:
        return "|".join(await ctx.call_sub_orchestrator(tells.options(instance_id=child_id), 1))
    except SubOrchestrationError as error:
        return str(error)


@app.orchestrator
async def opens_reserved(ctx: Context, other: str) -> None:
    ctx.start_orchestrator(tells.options(instance_id=other), 1)


@app.orchestrator
async def retries(ctx: Context) -> str:
    policy = RetryPolicy(max_attempts=3)
    # As some SDKs do: the id that the first call of this execution would be given.
    own = child_instance_id(ExecutionId(ctx.execution_id), 1)
    child = breaks.options(instance_id=own, retry=policy)
    try:
        return await ctx.call_sub_orchestrator(child, 1)
    except SubOrchestrationError as error:
        return str(error)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
async def host(url: str) -> AsyncIterator[Host]:
    async with Host(app, url) as host:
        yield host


async def stored(host: Host, instance_id: str) -> InstanceRecord:
    record = await host.engine.storage.get(InstanceId(instance_id))
    assert record is not None
    return record


async def in_time(request: Awaitable[str]) -> str:
    async with asyncio.timeout(SECONDS):
        return await request


async def at_rest(host: Host) -> None:
    await until(lambda: host.engine.is_idle and not len(host.engine.residents))
    check_memory(host)


async def test_children_whose_chosen_ids_begin_with_the_execution_id_are_decided_as_others(
    host: Host,
) -> None:
    """K1: what the parent hears is what the store says of the child."""
    ends = ["", ":a", ":0", "-x", ":00000000f", "0:0001"]
    handles = [await host.client.start(calls_named, ends) for _ in range(300)]
    async with asyncio.timeout(40):
        for handle in handles:
            execution = (await handle.status()).execution_id
            results = await handle.result()
            assert [number for _, number in results] == [str(n) for n in range(len(ends) + 1)]
            assert [child for child, _ in results[:-1]] == [execution + end for end in ends]
            for child, number in results:
                record = await stored(host, child)
                assert record.status is RuntimeStatus.COMPLETED
                assert record.output == f'["{child}","{number}"]'
    await at_rest(host)


async def test_a_chosen_id_that_begins_with_the_execution_id_and_is_taken_is_refused(
    host: Host,
) -> None:
    execution = new_execution_id(0)
    await host.client.start(waits, instance_id=f"{execution}:a")
    request = asks(
        instance_id="parent",
        execution_id=execution,
        name="calls_reserved",
        input=f'"{execution}:a"',
    )
    await host.client.gateway.start(request)
    assert "already exists" in await in_time(host.client.handle("parent").result())
    assert (await stored(host, f"{execution}:a")).parent is None
    await host.client.terminate(f"{execution}:a")
    await at_rest(host)


@pytest.mark.parametrize("number", ["0000", "0001", "00010", "ffffffff"])
async def test_free_ids_of_the_form_of_children_are_refused(
    host: Host, url: str, number: str
) -> None:
    """Else the child that is given this id one day would find it taken."""
    reserved = f"{new_execution_id(0)}:{number}"
    with pytest.raises(InvalidInstanceIdError, match="given out by Tenuto"):
        await host.client.start(tells, 1, instance_id=reserved)
    assert "given out by Tenuto" in await in_time(
        (await host.client.start(calls_reserved, reserved)).result()
    )
    async with Client.open(url) as outside:
        with pytest.raises(InvalidInstanceIdError, match="given out by Tenuto"):
            await outside.start("tells", 1, instance_id=reserved)
    await (await host.client.start(opens_reserved, reserved)).result()
    await until(lambda: host.engine.is_idle)
    letters = await host.client.dead_letters()
    assert [one.instance_id for one in letters] == [reserved]
    assert await host.client.get_status(reserved) is None
    await at_rest(host)


@pytest.mark.parametrize("number", ["1", "001", "000g", "000F", "123456789"])
async def test_ids_that_only_look_alike_are_free(host: Host, number: str) -> None:
    chosen = f"{new_execution_id(0)}:{number}"
    handle = await host.client.start(tells, 1, instance_id=chosen)
    assert await handle.result() == [chosen, "1"]


async def test_a_child_may_be_started_again_under_its_id(host: Host, url: str) -> None:
    """It exists: by whoever has its id in hand, in process and from outside."""
    parent = await host.client.start(calls_plain)
    execution = ExecutionId((await parent.status()).execution_id)
    child = child_instance_id(execution, 1)
    await until(lambda: host.engine.residents.named(child))
    await host.client.raise_event(child, "go", "first")
    assert await parent.result() == "first"
    again = await host.client.restart(child)
    await again.raise_event("go", "again")
    assert await again.result() == "again"
    async with Client.open(url) as outside:
        third = await outside.start("tells", 3, instance_id=child)
        assert await in_time(_joined(third.result())) == f"{child}|3"
    await at_rest(host)


async def _joined(result: Awaitable[list[str]]) -> str:
    return "|".join(await result)


async def test_a_retried_child_keeps_an_id_of_its_own_execution(host: Host) -> None:
    """K1: a call that was made is past; its number is not given out again."""
    parent = await host.client.start(retries)
    execution = ExecutionId((await parent.status()).execution_id)
    child = child_instance_id(execution, 1)
    assert child in await in_time(parent.result())
    record = await stored(host, child)
    assert record.generation == 2, "three attempts"
    await at_rest(host)


async def test_the_place_of_a_child_is_free_although_another_process_has_taken_its_id(
    host: Host, url: str
) -> None:
    """Not through a client, which would be refused: by a program of its own on the store."""
    execution = new_execution_id(0)
    child = child_instance_id(execution, 1)
    await _call_a_child_whose_id_is_taken(host, execution, child)
    await at_rest(host)
    await host.stop()
    assert number_in(url, HISTORY_OF_NOBODY) == 0


async def _call_a_child_whose_id_is_taken(
    host: Host, execution: ExecutionId, child: InstanceId
) -> None:
    storage = host.engine.storage
    taking = InstanceRecord(
        iid=0,
        instance_id=child,
        partition=host.engine.number_of(child),
        name="waits",
        execution_id=ExecutionId("rival"),
        created_at=1,
        root_id=child,
    )
    requests: list[asyncio.Task[object]] = []

    async def forestall() -> None:
        again = host.client.start(waits, instance_id=child, reuse=IdReuse.ALWAYS)
        requests.append(asyncio.create_task(again))
        await asyncio.sleep(0.02)
        await storage.start_instance(taking)

    with before_the_row_of(storage, child, forestall):
        parent = asks(instance_id="parent", execution_id=execution, name="calls_plain")
        await host.client.gateway.start(parent)
        assert "is taken" in await in_time(host.client.handle("parent").result())
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*requests)
    await host.client.raise_event(child, "go", "!")
    assert await in_time(host.client.handle(child).result()) == "!"


async def test_a_child_whose_first_turn_is_in_a_later_commit_than_its_row_may_be_refused(
    host: Host, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more to do than fits into one batch."""
    monkeypatch.setattr("tenuto.engine.engine._TURNS_PER_PUMP", 1)
    execution = new_execution_id(0)
    await _call_a_child_whose_id_is_taken(host, execution, child_instance_id(execution, 1))
    await at_rest(host)
    await host.stop()
    assert number_in(url, HISTORY_OF_NOBODY) == 0


# --- M8: execution ids that are used again -------------------------------------------------------


async def test_a_child_with_the_execution_id_of_the_finished_one_is_started(host: Host) -> None:
    """Some SDKs derive it from the number of the call, which they repeat with each attempt."""
    execution = new_execution_id(0)
    parent = await host.client.start(waits, instance_id="parent")
    status = await parent.status()
    request = asks(
        instance_id="child",
        execution_id=execution,
        name="tells",
        input="1",
        parent=ParentInstance(InstanceId("parent"), ExecutionId(status.execution_id), "waits", 7),
        root_id="parent",
        depth=1,
    )
    for number in range(3):
        await host.client.gateway.start(
            structs.replace(request, facts=structs.replace(request.facts, input=str(number)))
        )
        assert await in_time(_joined(host.client.handle("child").result())) == f"child|{number}"
    record = await stored(host, "child")
    assert record.generation == 2
    assert record.execution_id != execution, "answers to the old one do not count (rule 17)"
    await parent.terminate()
    await at_rest(host)


# --- K2: fresh ids of orchestrators that this app has not ----------------------------------------


async def test_durable_before_visible_a_fresh_start_that_nobody_here_can_run_is_stored(
    url: str,
) -> None:
    other = App()

    @other.orchestrator
    async def elsewhere(ctx: Context, number: int) -> int:
        return number + await ctx.wait_for_external_event("more", int)

    names = [new_execution_id(0) for _ in range(5)]
    async with Host(app, url) as host:
        for number, name in enumerate(names):
            request = asks(
                instance_id=name,
                execution_id=new_execution_id(0),
                name="elsewhere",
                input=str(number),
                is_fresh=True,
            )
            await host.client.gateway.start(request)
            assert (await stored(host, name)).status is RuntimeStatus.PENDING, "at once"
        await host.client.raise_event(names[0], "more", 10)
        assert await host.client.purge(names[4], force=True)
        await until(lambda: host.engine.is_idle)
        await host.abandon()
    async with Host(other, url) as host:
        for number, name in enumerate(names[:4]):
            if number:
                await host.client.raise_event(name, "more", 10)
            assert await host.client.handle(name).result() == number + 10
        assert await host.client.get_status(names[4]) is None
