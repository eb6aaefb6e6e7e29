"""Listeners inside the host hear of every committed turn, or that they must read anew."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from tenuto import App, Client, Context, Host, InstanceExistsError, Settings
from tenuto.engine.updates import QUEUED, Subscription, Update
from tenuto.model.ids import InstanceId
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import to_datetime
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost
from tests.support.held import holding
from tests.support.waiting import until

ONE = InstanceId("one")

app = App()


@app.activity
def echo(text: str) -> str:
    return text


@app.orchestrator
async def three_turns(ctx: Context) -> str:
    ctx.set_custom_status("first")
    await ctx.call_activity(echo, "a")
    ctx.set_custom_status("second")
    return await ctx.call_activity(echo, "b")


@app.orchestrator
async def counts_events(ctx: Context, events: int) -> int:
    for number in range(events):
        await ctx.wait_for_external_event("go")
        ctx.set_custom_status(number)
    return events


@app.orchestrator
async def begins_anew(ctx: Context, left: int) -> str:
    await ctx.wait_for_external_event("go")
    if left:
        ctx.continue_as_new(left - 1)
    return "done"


@app.orchestrator
async def calls_child(ctx: Context) -> int:
    return await ctx.call_sub_orchestrator(counts_events.options(instance_id="child"), 0)


async def until_end(listening: Subscription) -> list[Update]:
    """What comes, up to the end of an instance."""
    updates: list[Update] = []
    async for update in listening:
        updates.append(update)
        if update.has_ended:
            break
    return updates


def waiting(listening: Subscription) -> list[Update]:
    """What has come so far."""
    return [*listening._backlog, *listening._queue]


async def test_each_turn_of_an_instance_is_told_in_order(open_host: OpenHost) -> None:
    test = await open_host(app)
    listening = test.host.engine.updates.subscribe(ONE)
    await test.run(three_turns, instance_id="one")
    updates = await until_end(listening)
    turns = [one for one in updates if one.turn >= 0]
    assert [one.position for one in turns] == ["0.0", "0.1", "0.2"]
    assert [one.has_ended for one in turns] == [False, False, True]
    rows = [one.record for one in turns if one.record is not None]
    assert [(row.status, row.custom_status) for row in rows] == [
        (RuntimeStatus.RUNNING, '"first"'),
        (RuntimeStatus.RUNNING, '"second"'),
        (RuntimeStatus.COMPLETED, '"second"'),
    ]
    assert [row.output for row in rows] == [None] * 3


async def test_only_what_is_listened_to_is_told(open_host: OpenHost) -> None:
    test = await open_host(app)
    listening = test.host.engine.updates.subscribe(ONE)
    handles = [await test.start(three_turns, instance_id=name) for name in ("other", "one")]
    for handle in handles:
        await handle.result()
    assert {update.instance_id for update in await until_end(listening)} == {"one"}


async def test_the_list_tells_of_all_instances_children_included(open_host: OpenHost) -> None:
    test = await open_host(app)
    listening = test.host.engine.updates.subscribe()
    await test.run(calls_child, instance_id="parent")
    updates: list[Update] = []
    async for update in listening:
        updates.append(update)
        if update.has_ended and update.instance_id == "parent":
            break
    ended = [one.instance_id for one in updates if one.has_ended]
    assert ended == ["child", "parent"]
    assert all(one.record is not None for one in updates)
    numbers = [int(one.position.partition("-")[2]) for one in updates]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_durable_before_visible_nothing_is_told_before_its_commit(
    open_host: OpenHost,
) -> None:
    test = await open_host(app)
    handle = await test.start(counts_events, 2, instance_id="one")
    await test.idle()
    listening = test.host.engine.updates.subscribe(ONE)
    async with holding(test.host.engine.storage, "commit", "before") as held:
        raised = asyncio.ensure_future(handle.raise_event("go"))
        await held.arrived.wait()
        assert waiting(listening) == []
    await raised
    first = await anext(listening)
    assert first.record is not None
    assert first.record.custom_status == "0"


async def test_a_row_is_shown_as_committed_though_later_turns_were_taken_already(
    open_host: OpenHost,
) -> None:
    test = await open_host(app)
    handle = await test.start(counts_events, 5, instance_id="one")
    await test.idle()
    listening = test.host.engine.updates.subscribe(ONE)
    resident = test.host.engine.residents.named(ONE)
    assert resident is not None
    async with holding(test.host.engine.storage, "commit", "after", only_first=True) as held:
        asked = [asyncio.ensure_future(handle.raise_event("go"))]
        await held.arrived.wait()
        for turns in (3, 4):
            asked.append(asyncio.ensure_future(handle.raise_event("go")))
            await until(lambda: resident.state.next_turn == turns)  # noqa: B023 - awaited here
        asked.append(asyncio.ensure_future(handle.terminate()))
        await until(lambda: resident.state.is_finished)  # ahead, and not durable
        held.let_go()
        await asyncio.gather(*asked)
    first, *others = await until_end(listening)
    assert first.record is not None
    assert (first.record.status, first.record.custom_status) == (RuntimeStatus.RUNNING, "0")
    assert [one.record is None for one in others] == [True, True, False]  # one row a batch
    assert others[-1].record is not None
    assert others[-1].record.status is RuntimeStatus.TERMINATED
    assert others[-1].record.custom_status == "2"


async def test_a_row_is_not_shown_when_its_next_generation_has_begun_but_is_not_durable(
    open_host: OpenHost,
) -> None:
    test = await open_host(app)
    handle = await test.start(begins_anew, 1, instance_id="one")
    await test.idle()
    listening = test.host.engine.updates.subscribe(ONE)
    resident = test.host.engine.residents.named(ONE)
    assert resident is not None
    async with holding(test.host.engine.storage, "commit", "after", only_first=True) as held:
        asked = [asyncio.ensure_future(handle.suspend())]
        await held.arrived.wait()
        asked.append(asyncio.ensure_future(handle.resume()))
        asked.append(asyncio.ensure_future(handle.raise_event("go")))
        await until(lambda: resident.state.facts.generation == 1)
        held.let_go()
        await asyncio.gather(*asked)
    await test.idle()
    suspended, *others = waiting(listening)
    assert (suspended.position, suspended.record) == ("0.1", None)
    rows = [one.record for one in others if one.record is not None]
    assert rows[-1].generation == 1


async def test_a_listener_of_one_instance_goes_on_where_it_was_on_the_next_host(
    open_host: OpenHost,
) -> None:
    test = await open_host(app)
    handle = await test.start(counts_events, 3, instance_id="one")
    await test.idle()
    listening = test.host.engine.updates.subscribe(ONE)
    await handle.raise_event("go")
    position = (await anext(listening)).position
    await handle.raise_event("go")
    await test.restart()
    assert [one.turn async for one in listening] == [2]  # what was told before the end
    back = test.host.engine.updates.subscribe(ONE, after=position)
    await test.idle()
    await handle.raise_event("go")
    updates = await until_end(back)
    assert [one.position for one in updates] == ["0.2", "0.3"]
    assert not any(one.is_reset for one in updates)
    assert updates[-1].record is not None
    seen_all = test.host.engine.updates.subscribe(ONE, after="0.3")
    await test.idle()
    reading = asyncio.ensure_future(anext(seen_all))
    await test.idle()
    assert not reading.done()
    seen_all.close()
    with pytest.raises(StopAsyncIteration):
        await reading


@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_is_committed_while_the_missed_turns_are_read_comes_once(
    open_host: OpenHost, when: Literal["before", "after"]
) -> None:
    """Committed and told before the store is read, or once it has been."""
    test = await open_host(app)
    handle = await test.start(counts_events, 3, instance_id="one")
    await test.idle()
    await handle.raise_event("go")
    storage = test.host.engine.storage
    listening = test.host.engine.updates.subscribe(ONE, after="0.0")
    async with holding(storage, "standings", when) as held:
        reading = asyncio.ensure_future(until_end(listening))
        await held.arrived.wait()
        await handle.raise_event("go")
    await handle.raise_event("go")
    positions = [one.position for one in await reading]
    assert positions == ["0.1", "0.2", "0.3"]


@pytest.mark.parametrize("position", ["0.0", "1.9", "1.x", "", "1", "-1.0", "1.-2", "9.9.9"])
async def test_a_position_of_another_generation_or_none_at_all_leads_to_a_reset(
    open_host: OpenHost, position: str
) -> None:
    test = await open_host(app)
    handle = await test.start(begins_anew, 1, instance_id="one")
    await handle.raise_event("go")
    await test.idle()
    listening = test.host.engine.updates.subscribe(ONE, after=position)
    update = await anext(listening)
    assert (update.is_reset, update.position) == (True, "1.0")
    await handle.raise_event("go")
    assert [one.position for one in await until_end(listening)] == ["1.1"]


async def test_continuing_as_new_is_told_turn_by_turn(open_host: OpenHost) -> None:
    test = await open_host(app)
    listening = test.host.engine.updates.subscribe(ONE)
    handle = await test.start(begins_anew, 1, instance_id="one")
    for _ in range(2):
        await test.idle()
        await handle.raise_event("go")
    updates = [one for one in await until_end(listening) if one.turn >= 0]
    assert [one.position for one in updates] == ["0.0", "0.1", "1.0", "1.1"]
    assert [one.has_ended for one in updates] == [False, False, False, True]
    generations = [one.record.generation for one in updates if one.record is not None]
    assert generations == sorted(generations)


async def test_who_missed_more_turns_than_a_listener_may_queue_reads_anew(
    open_host: OpenHost,
) -> None:
    test = await open_host(app)
    handle = await test.start(counts_events, 2 * QUEUED, instance_id="one")
    for _ in range(QUEUED + 5):
        await handle.raise_event("go")
    await test.idle()
    update = await anext(test.host.engine.updates.subscribe(ONE, after="0.0"))
    assert update.is_reset


@pytest.mark.parametrize("force", [False, True])
async def test_a_purge_is_told_to_who_listens_and_to_who_comes_back(
    open_host: OpenHost, force: bool
) -> None:
    test = await open_host(app)
    handle = await test.start(counts_events, 1, instance_id="one")
    if not force:
        await handle.raise_event("go")
    await test.idle()
    updates = test.host.engine.updates
    one, everything = updates.subscribe(ONE), updates.subscribe()
    await test.client.purge("one", force=force)
    for listening in (one, everything):
        update = await anext(listening)
        assert (update.instance_id, update.is_purged) == ("one", True)
    assert (await anext(updates.subscribe(ONE, after="0.1"))).is_purged


async def test_a_crowd_of_instances_overflows_a_listener_that_does_not_read(
    open_host: OpenHost,
) -> None:
    test = await open_host(app)
    listening = test.host.engine.updates.subscribe()
    for number in range(QUEUED):
        await test.start(counts_events, 0, instance_id=f"many-{number}")
    await test.idle()
    assert len(waiting(listening)) < QUEUED
    assert waiting(listening)[0].is_reset


async def test_what_outsiders_insert_and_purge_is_told_when_the_owner_takes_it_in(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/hub.db"
    async with Host(app, url) as host, Client.open(url, app) as client:
        listening = host.engine.updates.subscribe()
        await client.start(three_turns, instance_id="now")
        updates = await until_end(listening)
        assert {one.instance_id for one in updates} == {"now"}
        later = to_datetime(host.clock.now()) + timedelta(hours=1)
        await client.start(three_turns, instance_id="later", start_at=later)
        update = await anext(listening)
        assert update.instance_id == "later"
        assert update.record is not None
        assert update.record.status is RuntimeStatus.PENDING
        await client.purge("now")
        update = await anext(listening)
        assert (update.instance_id, update.is_purged) == ("now", True)


async def test_an_instance_that_begins_later_is_in_the_list_at_once(open_host: OpenHost) -> None:
    test = await open_host(app)
    listening = test.host.engine.updates.subscribe()
    later = test.clock.current_time + timedelta(hours=1)
    await test.client.start(three_turns, instance_id="later", start_at=later)
    update = await anext(listening)
    assert (update.instance_id, update.turn) == ("later", -1)
    assert update.record is not None
    assert update.record.status is RuntimeStatus.PENDING


async def test_a_refused_start_is_not_told(open_host: OpenHost) -> None:
    test = await open_host(app)
    await test.start(counts_events, 1, instance_id="taken")
    await test.idle()
    listening = test.host.engine.updates.subscribe()
    with pytest.raises(InstanceExistsError):
        await test.start(counts_events, 1, instance_id="taken")
    assert waiting(listening) == []


async def test_all_listeners_hear_the_end_of_the_host() -> None:
    async with TestHost(app) as test:
        listening = test.host.engine.updates.subscribe()
        await test.run(three_turns)
    assert [one.has_ended async for one in listening][-1]


async def test_a_hold_is_told_and_so_is_its_end(tmp_path: Path) -> None:
    good, bad = App(), App()
    for one in (good, bad):

        @one.orchestrator
        async def asks(ctx: Context) -> Any:  # noqa: ANN401 - what the other deployment answers
            return await ctx.call_activity("answer")

    @good.activity
    def answer() -> str:
        return "yes"

    settings = Settings(storage=f"sqlite:///{tmp_path / 'hub.db'}")
    async with Host(bad, settings=settings) as host:
        listening = host.engine.updates.subscribe()
        await host.client.start("asks", instance_id="h")
        async for update in listening:
            if update.record is not None and update.record.hold is not None:
                assert update.record.hold.reason == "not_served"
                assert update.record.status is RuntimeStatus.RUNNING
                listening.close()
    async with Host(good, settings=settings) as host:
        assert await host.client.handle_of("h", "asks").result() == "yes"
        status = await host.client.get_status("h")
        assert status is not None
        assert status.hold is None
