"""Starts that lose the race for their id, and everything that was sent to the id meanwhile.

``exactly_once_turns`` and ``no_silent_drop``: nobody waits for himself, nothing of the loser is
left in the store, and every request is answered (ENGINE rule 14).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest
from msgspec import Raw

from tenuto import (
    App,
    Client,
    Context,
    Host,
    IdReuse,
    InstanceExistsError,
    OrchestrationTerminatedError,
    RuntimeStatus,
    SubOrchestrationError,
    TenutoError,
)
from tenuto.engine.ports import LoadedInstance
from tenuto.engine.rows import InboxRow
from tenuto.model.codec import encode
from tenuto.model.events import ExecutionStarted
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.messages import Start
from tenuto.storage import open_storage
from tests.support.few_ids import check_memory
from tests.support.held import Held, holding
from tests.support.held_commits import before_the_row_of
from tests.support.store_numbers import HISTORY_OF_NOBODY, number_in
from tests.support.waiting import until

PARENT = InstanceId("p")
BELOW = InstanceId("below")
LEFT = MessageId("left")

app = App()
SECONDS = 5
"""Until a request counts as never answered."""


@app.orchestrator
async def waits(ctx: Context, who: str) -> str:
    return who + await ctx.wait_for_external_event("go", str)


@app.orchestrator
async def calls(ctx: Context, child_id: str) -> str:
    try:
        return await ctx.call_sub_orchestrator(waits.options(instance_id=child_id), "child")
    except SubOrchestrationError as error:
        return str(error)


@app.orchestrator
async def opens(ctx: Context, other: str) -> None:
    ctx.start_orchestrator(waits.options(instance_id=other), "opened")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
async def host(url: str) -> AsyncIterator[Host]:
    async with Host(app, url) as host:
        yield host


@pytest.fixture
async def outside(url: str, host: Host) -> AsyncIterator[Client]:
    async with Client.open(url) as client:
        yield client


async def outcome(request: Awaitable[object]) -> str:
    """``done``, or the kind of error; no answer at all fails the test."""
    try:
        async with asyncio.timeout(SECONDS):
            await request
    except TenutoError as error:
        return type(error).__name__
    return "done"


async def all_at_rest(host: Host) -> None:
    """Everything is ended, and nothing is left of it in memory or in the store."""
    async for one in host.client.query():
        if not one.runtime_status.is_finished:
            await outcome(host.client.terminate(one.instance_id))
    await until(lambda: host.engine.is_idle and not len(host.engine.residents))
    check_memory(host)


# --- a row that another process forestalls -------------------------------------------------------

Request = Callable[[Client], Awaitable[object]]
BETWEEN: dict[str, Request] = {
    "start": lambda client: client.start(waits, "second", instance_id="p"),
    "start never": lambda client: client.start(
        waits, "second", instance_id="p", reuse=IdReuse.NEVER
    ),
    "start always": lambda client: client.start(
        waits, "second", instance_id="p", reuse=IdReuse.ALWAYS
    ),
    "event": lambda client: client.raise_event("p", "other", 1),
    "terminate": lambda client: client.terminate("p"),
    "terminate all": lambda client: client.terminate("p", recurse=True),
    "suspend": lambda client: client.suspend("p"),
    "purge": lambda client: client.purge("p", force=True),
    "parent": lambda client: client.start(calls, "p"),
    "detached": lambda client: client.start(opens, "p"),
}


@pytest.mark.parametrize("first_reuse", list(IdReuse))
@pytest.mark.parametrize("between", list(BETWEEN))
async def test_whatever_comes_for_an_id_whose_start_loses_the_race_is_answered(
    host: Host, outside: Client, url: str, between: str, first_reuse: IdReuse
) -> None:
    """While the row is on its way: once before the other process has taken the id, once after."""
    later: list[asyncio.Task[str]] = []

    async def ask() -> None:
        later.append(asyncio.create_task(outcome(BETWEEN[between](host.client))))
        for _ in range(20):
            await asyncio.sleep(0)

    async def forestall() -> None:
        await ask()
        await outside.start("waits", "outside", instance_id="p")
        await ask()

    with before_the_row_of(host.engine.storage, "p", forestall):
        first = await outcome(host.client.start(waits, "first", instance_id="p", reuse=first_reuse))
        answers = [await one for one in later]
    assert first == ("done" if first_reuse is IdReuse.ALWAYS else "InstanceExistsError")
    for refused in ("InstanceNotFoundError", "StorageError"):
        assert refused not in answers or between in {"event", "terminate", "terminate all"}
    assert (
        await outcome(host.client.start(waits, "x", instance_id="p", reuse=IdReuse.ALWAYS))
        == "done"
    )
    await host.client.raise_event("p", "go", "!")
    assert await host.client.handle("p").result() == "x!"
    await all_at_rest(host)
    await host.stop()
    assert number_in(url, HISTORY_OF_NOBODY) == 0


async def test_a_start_that_replaces_finds_the_winner_when_its_look_up_was_slow(
    host: Host, outside: Client
) -> None:
    """Its look-up is answered in the same round of the loop as the refusing commit."""
    later: list[asyncio.Task[str]] = []
    held: list[Held] = []
    storage = host.engine.storage

    async def forestall() -> None:
        await outside.start("waits", "outside", instance_id="p")
        held.append(await stack.enter_async_context(holding(storage, "find", "after")))
        second = host.client.start(waits, "second", instance_id="p", reuse=IdReuse.ALWAYS)
        later.append(asyncio.create_task(outcome(second)))
        await held[0].arrived.wait()

    def go_on() -> None:
        held[0].let_go()

    async with AsyncExitStack() as stack:
        with before_the_row_of(storage, "p", forestall, then=go_on):
            first = await outcome(host.client.start(waits, "first", instance_id="p"))
            assert first == "InstanceExistsError"
            assert [await one for one in later] == ["done"]
    await host.client.raise_event("p", "go", "!")
    assert await host.client.handle("p").result() == "second!"
    await all_at_rest(host)


@pytest.mark.parametrize("first", ["start", "always", "parent", "detached"])
async def test_no_number_is_given_out_twice_after_a_lost_race(
    host: Host, outside: Client, url: str, first: str
) -> None:
    """The loser is terminated while its row is undecided; the next host knows nothing of it."""
    starts: dict[str, Request] = {
        "start": lambda client: client.start(waits, "loser", instance_id="p"),
        "always": lambda client: client.start(
            waits, "loser", instance_id="p", reuse=IdReuse.ALWAYS
        ),
        "parent": lambda client: client.start(calls, "p"),
        "detached": lambda client: client.start(opens, "p"),
    }
    later: list[asyncio.Task[str]] = []

    async def forestall() -> None:
        await outside.start("waits", "outside", instance_id="p")
        later.append(asyncio.create_task(outcome(host.client.terminate("p"))))
        await asyncio.sleep(0.02)

    with before_the_row_of(host.engine.storage, "p", forestall):
        await outcome(starts[first](host.client))
        await until(lambda: later)
        assert [await one for one in later] == ["done"]
    await host.stop()
    assert number_in(url, HISTORY_OF_NOBODY) == 0
    async with Host(app, url) as second:
        for number in range(3):
            handle = await second.client.start(waits, str(number), instance_id=f"new-{number}")
            await handle.raise_event("go", "!")
            assert await handle.result() == f"{number}!"
        await all_at_rest(second)
    assert number_in(url, HISTORY_OF_NOBODY) == 0


async def test_a_number_stays_used_when_only_history_is_left_of_it(url: str) -> None:
    """A store that an older fault has touched: no new instance gets somebody else's history."""
    async with Host(app, url) as host:
        await host.client.start(waits, "a", instance_id="a")
    with apsw.Connection(url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE history SET iid = 40")
        connection.execute("DELETE FROM instance")
    connection.close()
    async with Host(app, url) as host:
        handle = await host.client.start(waits, "b", instance_id="b")
        await handle.raise_event("go", "!")
        assert await handle.result() == "b!"
        record = await host.engine.storage.get(InstanceId("b"))
        assert record is not None
        assert record.iid > 40


# --- an instance that goes while it is being replaced --------------------------------------------


@pytest.mark.parametrize("purge_first", [True, False])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["find", "load_instances", "commit"])
@pytest.mark.parametrize("is_resident", [True, False])
async def test_an_instance_that_is_purged_while_a_start_ends_it_leaves_the_id_free(
    url: str, is_resident: bool, method: str, when: str, purge_first: bool
) -> None:
    async with Host(app, url) as host:
        await host.client.start(waits, "old", instance_id="p")
        if not is_resident:
            await host.stop()
            host = Host(app, url)  # noqa: PLW2901
            await host.start()
        try:
            await _purge_and_replace(host, method, when, purge_first)
        finally:
            await host.stop()


async def _purge_and_replace(host: Host, method: str, when: str, purge_first: bool) -> None:
    assert when in {"before", "after"}
    client = host.client
    asked: list[Callable[[], Awaitable[object]]] = [
        lambda: client.purge("p", force=True),
        lambda: client.start(waits, "new", instance_id="p", reuse=IdReuse.ALWAYS),
    ]
    if not purge_first:
        asked.reverse()
    async with holding(host.engine.storage, method, when, only_first=True) as held:  # type: ignore[arg-type]
        requests = []
        for ask in asked:
            requests.append(asyncio.create_task(outcome(ask())))
            for _ in range(30):
                await asyncio.sleep(0)
        held.let_go()
        assert [await one for one in requests] == ["done", "done"]
    assert await outcome(client.start(waits, "x", instance_id="p", reuse=IdReuse.ALWAYS)) == "done"
    await client.raise_event("p", "go", "!")
    assert await client.handle("p").result() == "x!"
    await all_at_rest(host)


async def test_a_start_that_ends_an_instance_which_is_gone_looks_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is looked for, and the store does not know it any more."""
    await host.client.start(waits, "old", instance_id="p")
    await until(lambda: host.engine.is_idle)
    for resident in host.engine.residents:  # as after a second of waiting
        host.engine.retention.close(resident)
        resident.home.residents.remove(resident)
    storage = host.engine.storage
    inner, times = storage.load_instances, 0

    async def load_instances(iids: Sequence[int]) -> list[LoadedInstance]:
        nonlocal times
        times += 1
        return [] if times == 1 else await inner(iids)

    monkeypatch.setattr(storage, "load_instances", load_instances)
    second = host.client.start(waits, "new", instance_id="p", reuse=IdReuse.ALWAYS)
    assert await outcome(second) == "done"
    assert times == 2
    await host.client.raise_event("p", "go", "!")
    assert await host.client.handle("p").result() == "new!"
    await all_at_rest(host)


# --- children ------------------------------------------------------------------------------------


async def test_two_parents_that_call_one_id_are_both_told(host: Host, outside: Client) -> None:
    async def forestall() -> None:
        await outside.start("waits", "outside", instance_id="p")

    with before_the_row_of(host.engine.storage, "p", forestall):
        parents = [
            await host.client.start(calls, "p", instance_id=f"parent-{number}")
            for number in range(3)
        ]
        async with asyncio.timeout(SECONDS):
            results = [await parent.result() for parent in parents]
    assert all("already exists" in result for result in results), results
    await host.client.raise_event("p", "go", "!")
    assert await host.client.handle("p").result() == "outside!"
    await all_at_rest(host)


async def test_no_silent_drop_a_detached_start_that_is_refused_is_a_dead_letter(
    host: Host,
) -> None:
    await host.client.start(waits, "first", instance_id="p")
    await (await host.client.start(opens, "p")).result()
    await until(lambda: host.engine.is_idle)
    letters = await host.client.dead_letters()
    assert [(one.instance_id, "already exists" in one.reason) for one in letters] == [("p", True)]
    await all_at_rest(host)


async def test_who_waits_for_a_replaced_instance_hears_of_its_end(host: Host) -> None:
    first = await host.client.start(waits, "first", instance_id="p")
    waiting = asyncio.create_task(first.result())
    await asyncio.sleep(0)
    await host.client.start(waits, "second", instance_id="p", reuse=IdReuse.ALWAYS)
    with pytest.raises(OrchestrationTerminatedError, match="replaced"):
        await waiting
    with pytest.raises(InstanceExistsError):
        await host.client.start(waits, "third", instance_id="p")


# --- a start in the inbox is nobody's opening ----------------------------------------------------


def waiting_starts(url: str) -> int:
    return number_in(url, "SELECT count(*) FROM inbox WHERE message ->> '$.type' = 'Start'")


async def asked_while_no_host_looks(url: str, client: Client) -> "asyncio.Task[str]":
    """Somebody wants the id ``p``, whoever has it."""
    request = client.start("calls", "below", instance_id="p", reuse=IdReuse.ALWAYS)
    asking = asyncio.create_task(outcome(request))
    await until(lambda: waiting_starts(url) == 1)
    return asking


@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_start_that_waits_when_a_host_starts_is_not_that_of_who_has_the_id(
    url: str, *, has_begun: bool
) -> None:
    async with Host(app, url) as host:
        if has_begun:
            await host.client.start(waits, "first ", instance_id="p")
    async with Client.open(url) as client:
        if not has_begun:
            await client.start("waits", "first ", instance_id="p")
        asking = await asked_while_no_host_looks(url, client)
        async with Host(app, url) as host:
            assert await asking == "done"
            await until(lambda: host.engine.residents.named(BELOW) is not None)
            status = await host.client.get_status("p")
            assert status is not None
            assert (status.name, status.input) == ("calls", "below")
            assert status.runtime_status is RuntimeStatus.RUNNING
            assert status.hold is None
            await all_at_rest(host)
    assert number_in(url, HISTORY_OF_NOBODY) == 0


async def test_a_detached_start_that_its_host_left_undecided_does_not_open_somebody_else(
    url: str,
) -> None:
    """Its row is committed, the host dies, and then another process takes the id."""
    async with Host(app, url):
        pass
    left = Start(
        message_id=LEFT,
        event=ExecutionStarted(
            name="calls", execution_id=ExecutionId("e" * 32), input='["theirs"]'
        ),
        root_id=InstanceId("gone"),
    )
    async with Client.open(url) as client:
        await client.start("waits", "ours ", instance_id="p")
        store = open_storage(url, create=False)
        await store.open()
        await store.append([InboxRow(LEFT, 0, PARENT, Raw(encode(left)))])
        await store.close()
        async with Host(app, url) as host:
            await until(lambda: host.engine.is_idle)
            await host.client.raise_event("p", "go", "done")
            assert await host.client.handle("p").result() == "ours done"
            letters = await host.engine.storage.dead_letters(10)
            assert [one.reason.partition(" (")[0] for one in letters] == [
                "instance 'p' already exists"
            ]
            await all_at_rest(host)


@pytest.mark.parametrize("standing", ["finished", "running", "scheduled"])
async def test_a_start_is_not_used_up_by_the_instance_that_it_replaces(
    url: str, standing: str
) -> None:
    """It lies in the inbox when that is read into memory, and nobody has looked at it yet."""
    async with Host(app, url) as host:
        later = datetime.now(UTC) + timedelta(days=1) if standing == "scheduled" else None
        await host.client.start(waits, "first ", instance_id="p", start_at=later)
        if standing == "finished":
            await host.client.terminate("p")
    async with Host(app, url) as host, Client.open(url) as client:
        await until(lambda: host.engine.is_idle)
        assert host.engine.residents.named(InstanceId("p")) is None
        async with holding(host.engine.storage, "fetch_inbox", "before") as held:
            asking = await asked_while_no_host_looks(url, client)
            await held.arrived.wait()
            home = host.engine.find(InstanceId("p"))
            assert home is not None
            home.loader.want_named(InstanceId("p"))
            await until(lambda: home.loader.is_idle and host.engine.is_settled)
            held.let_go()
            assert await asking == "done"
        status = await host.client.get_status("p")
        assert status is not None
        assert (status.name, status.input, status.hold) == ("calls", "below", None)
        # What is at rest is asked of all: its child must be one of them.
        await until(lambda: host.engine.residents.named(InstanceId("below")) is not None)
        await all_at_rest(host)
    assert number_in(url, HISTORY_OF_NOBODY) == 0
