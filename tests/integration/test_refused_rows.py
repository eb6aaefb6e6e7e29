"""``one_never_takes_all``: what a store refuses for its content is narrowed down to one instance.

That one is held; the host and all others go on. The refusals come from a trigger in the file, as
they might from a limit or a fault of the store.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from time import sleep

import apsw
import pytest

from tenuto import App, Context, HoldReason, Host, InputError, RuntimeStatus
from tenuto.model.hold import Hold
from tenuto.model.ids import InstanceId
from tests.support.waiting import until

BAD = 7_777_777
TABLES = {"history": "events", "instance": "input", "inbox": "message", "dead_letter": "message"}

app = App()
runs: Counter[int] = Counter()


@app.activity
def work(number: int) -> int:
    runs[number] += 1
    sleep(0.02)
    return number


@app.orchestrator
async def child(ctx: Context, number: int) -> int:
    return await ctx.call_activity(work, number)


@app.orchestrator
async def good(ctx: Context, number: int) -> list[int]:
    first = await ctx.call_activity(work, number)
    event = await ctx.wait_for_external_event("go", int)
    return [first, event, await ctx.call_sub_orchestrator(child, 1_000 + number)]


@app.orchestrator
async def evil(ctx: Context, how: str) -> None:
    await ctx.wait_for_external_event("go", int)
    if how == "activity":
        await ctx.call_activity(work, BAD)
    elif how == "child":
        await ctx.call_sub_orchestrator(child, BAD)
    else:
        ctx.send_event("nobody", "other", BAD)
        await ctx.wait_for_external_event("never")


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    runs.clear()
    async with Host(app, f"sqlite:///{tmp_path / 'hub.db'}") as host:
        yield host


def refuse(path: Path, table: str) -> None:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5_000)
    connection.execute(
        f"CREATE TRIGGER no_{table} BEFORE INSERT ON {table} "
        f"WHEN new.{TABLES[table]} LIKE '%{BAD}%' BEGIN SELECT RAISE(ABORT, 'never this'); END"
    )
    connection.close()


async def hold_of(host: Host, instance_id: str) -> Hold | None:
    record = await host.engine.storage.get(InstanceId(instance_id))
    assert record is not None
    return record.hold


@pytest.mark.parametrize(
    ("how", "table"), [("activity", "history"), ("child", "instance"), ("event", "inbox")]
)
async def test_the_guilty_one_is_held_and_nobody_loses_anything(
    host: Host, tmp_path: Path, how: str, table: str
) -> None:
    refuse(tmp_path / "hub.db", table)
    client = host.client
    goods = [await client.start(good, n, instance_id=f"good-{n}") for n in range(20)]
    guilty = await client.start(evil, how, instance_id="evil")
    answers = await asyncio.gather(
        guilty.raise_event("go", 1),
        *(one.raise_event("go", number) for number, one in enumerate(goods)),
        *(client.start(good, 100 + number) for number in range(10)),
    )
    assert len(answers) == 31
    async with asyncio.timeout(20):
        results = [await one.result() for one in goods]
    assert results == [[n, n, 1_000 + n] for n in range(20)]
    assert set(runs.values()) == {1}  # nothing that ran was begun a second time
    hold = await hold_of(host, "evil")
    assert hold is not None
    assert hold.reason is HoldReason.STORAGE
    assert "never this" in hold.message
    status = await guilty.status()
    assert not status.runtime_status.is_finished
    # It is harmful: only a person lets it try again, and then it is the same.
    await guilty.resume()
    async with asyncio.timeout(30):
        while await hold_of(host, "evil") is None:  # noqa: ASYNC110 - the store is asked
            await asyncio.sleep(0.01)
    await until(lambda: not host.engine.takeback.left)
    await guilty.terminate("enough")
    assert (await client.wait("evil")).runtime_status is RuntimeStatus.TERMINATED


async def test_a_start_that_cannot_be_stored_is_refused_and_others_are_not(
    host: Host, tmp_path: Path
) -> None:
    refuse(tmp_path / "hub.db", "instance")
    chosen, fresh, other = await asyncio.gather(
        host.client.start(child, BAD, instance_id="mine"),
        host.client.start(child, BAD),
        host.client.start(child, 3),
        return_exceptions=True,
    )
    for refused in (chosen, fresh):
        assert isinstance(refused, InputError)
        assert "never this" in str(refused)
    assert not isinstance(other, BaseException)
    assert await other.result() == 3
    assert await host.client.get_status("mine") is None
    assert not host.engine.callers.requests


async def test_a_dead_letter_that_cannot_be_stored_is_told_of(
    host: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(tmp_path / "hub.db", "dead_letter")

    @app.orchestrator(name="sender")
    async def sender(ctx: Context) -> str:
        ctx.send_event("nobody", "go", BAD)
        return "sent"

    handle = await host.client.start("sender")
    assert await handle.result() == "sent"
    async with asyncio.timeout(30):
        await until(lambda: "a dead letter cannot be stored and is lost" in caplog.text)
    assert await (await host.client.start(child, 4)).result() == 4


async def test_an_event_that_cannot_be_kept_is_refused_and_nobody_is_held(
    host: Host, tmp_path: Path
) -> None:
    refuse(tmp_path / "hub.db", "inbox")
    paused = await host.client.start(good, 5, instance_id="paused")
    await paused.suspend()
    refused, taken = await asyncio.gather(
        paused.raise_event("go", BAD), paused.raise_event("go", 6), return_exceptions=True
    )
    assert isinstance(refused, InputError)
    assert "never this" in str(refused)
    assert taken is None
    assert await hold_of(host, "paused") is None
    await paused.resume()
    assert await paused.result() == [5, 6, 1_005]
