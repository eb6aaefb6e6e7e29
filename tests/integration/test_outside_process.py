"""Clients in other processes on the same SQLite file, beside a host and while there is none."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import Raw

from tenuto import (
    App,
    Client,
    Context,
    Host,
    IdReuse,
    InputError,
    InstanceExistsError,
    InstanceFilter,
    InstanceFinishedError,
    InstanceNotFoundError,
    InstanceStateError,
    LimitError,
    Limits,
    OrchestrationTerminatedError,
    QuestionClosedError,
    RuntimeStatus,
    SettingsError,
    StorageOwnedError,
    StorageUnavailableError,
    UnknownFunctionError,
)
from tenuto.client import gateway
from tenuto.engine.rows import InboxRow
from tenuto.model.codec import decode_message, encode
from tenuto.model.events import EventRaised
from tenuto.model.ids import InstanceId, MessageId, partition_of
from tenuto.model.messages import RaiseEvent
from tenuto.storage import open_storage
from tenuto.testing import TestHost
from tests.support.histories import check_invariants, kinds
from tests.support.inboxes import waiting_in

D = InstanceId("d")
LATE = MessageId("late")

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("outside_process.py")

app = App()


@app.activity
def double(n: int) -> int:
    return 2 * n


@app.orchestrator
async def doubled(ctx: Context, n: int) -> int:
    return await ctx.call_activity(double, n)


@app.orchestrator
async def collect(ctx: Context, count: int) -> list[int]:
    return [await ctx.wait_for_external_event("item", int) for _ in range(count)]


@app.orchestrator
async def asks(ctx: Context) -> str:
    return await ctx.ask("Approve?", choices=["approve", "reject"])


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'hub.db'}"


@asynccontextmanager
async def host_and_client(url: str) -> AsyncIterator[tuple[Host, Client]]:
    async with Host(app, url) as host, Client.open(url, app) as client:
        yield host, client


class Outside:
    """Asks a client in another process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, expression: str) -> object:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{expression}\n".encode())
        async with asyncio.timeout(20):
            return json.loads(await stdout.readline())


@asynccontextmanager
async def outside(url: str) -> AsyncIterator[Outside]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        url,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Outside(process)
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(20):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until(client: Client, instance_id: str, status: RuntimeStatus) -> None:
    async with asyncio.timeout(20):
        while True:
            found = await client.get_status(instance_id)
            if found is not None and found.runtime_status is status:
                return
            await asyncio.sleep(0.01)


async def test_another_process_does_everything_that_a_client_can(url: str) -> None:
    async with Host(app, url) as host, outside(url) as other:
        assert await other.ask('client.start("doubled", 21, instance_id="d")') is not None
        assert await other.ask('client.handle("d").result()') == 42
        assert await host.client.handle("d").result() == 42

        await other.ask('client.start("collect", 3, instance_id="c")')
        await other.ask('client.raise_event("c", "item", 1)')
        await until(host.client, "c", RuntimeStatus.RUNNING)
        assert await other.ask('client.suspend("c", "wait")') is None
        await until(host.client, "c", RuntimeStatus.SUSPENDED)
        await other.ask('client.raise_event("c", "item", 2)')
        assert "cannot suspend" in str(await other.ask('client.suspend("c")'))
        await other.ask('client.resume("c")')
        await until(host.client, "c", RuntimeStatus.RUNNING)
        assert "cannot resume" in str(await other.ask('client.resume("c")'))
        await other.ask('client.raise_event("c", "item", 3)')
        assert await host.client.handle("c").result() == [1, 2, 3]

        await other.ask('client.start("collect", 1, instance_id="t")')
        await other.ask('client.terminate("t", "enough")')
        with pytest.raises(OrchestrationTerminatedError, match="enough"):
            await host.client.handle("t").result()
        assert await other.ask('client.purge("t")') is True
        assert await host.client.get_status("t") is None
        assert await other.ask('client.purge("t")') is False

        refused = await other.ask("client.terminate('d')")
        assert str(refused).startswith("InstanceFinishedError: instance 'd' has already ended")
        assert "InstanceNotFoundError" in str(await other.ask("client.terminate('nobody')"))


async def test_what_is_asked_for_while_there_is_no_host_is_done_when_one_starts(url: str) -> None:
    async with Host(app, url) as host:
        await host.client.start(collect, 2, instance_id="waiting")
        await host.client.start(collect, 1, instance_id="ended")
    async with outside(url) as other:
        await other.ask('client.start("doubled", 4, instance_id="fresh")')
        await other.ask('client.start("collect", 1, instance_id="both")')
        await other.ask('client.raise_event("both", "item", 9)')
        await other.ask('client.raise_event("waiting", "item", 1)')
        await other.ask('client.raise_event("waiting", "item", 2)')
        await other.ask('client.terminate("ended", "from outside")')
    async with Host(app, url) as host:
        assert await host.client.handle("fresh").result() == 8
        assert await host.client.handle("both").result() == [9]
        assert await host.client.handle("waiting").result() == [1, 2]
        with pytest.raises(OrchestrationTerminatedError, match="from outside"):
            await host.client.handle("ended").result()
        assert await host.engine.storage.dead_letters() == []


async def test_one_owner_a_client_is_no_host_and_a_second_host_is_refused(url: str) -> None:
    async with host_and_client(url) as (_, client):
        with pytest.raises(StorageOwnedError, match=f"pid {os.getpid()}"):
            await Host(app, url).start()
        assert await (await client.start(doubled, 3)).result() == 6


async def test_a_client_may_be_awaited_and_closed_by_hand(url: str) -> None:
    async with Host(app, url):
        client = await Client.open(url, app)
        handle = await client.start(doubled, 3)
        assert await handle.result() == 6
        await client.close()
        await client.close()


async def test_a_client_of_a_store_that_is_not_there_is_refused_and_makes_none(
    tmp_path: Path,
) -> None:
    for url in (f"sqlite:///{tmp_path / 'typo.db'}", "sqlite://"):
        with pytest.raises(SettingsError, match="there is no store at"):
            async with Client.open(url):
                pass
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 - a test may block


async def test_the_clients_own_checks_hold_outside_too(url: str) -> None:
    async with Host(app, url), Client.open(url, app, Limits(payload_bytes=100)) as client:
        with pytest.raises(UnknownFunctionError, match="did you mean 'doubled'"):
            await client.start("double", 1)
        with pytest.raises(InputError, match="takes 1 argument"):
            await client.start(doubled)  # type: ignore[call-arg, misc]
        with pytest.raises(LimitError, match=r"limits\.payload_bytes"):
            await client.raise_event("x", "item", "y" * 101)
        async with Client.open(url) as blind:  # knows no functions
            handle = await blind.start("doubled", 5)
            assert await handle.result() == 10
            with pytest.raises(InputError, match="give one value, got 2"):
                await blind.start("doubled", 1, 2)


async def test_many_clients_start_one_id_and_one_of_them_wins(url: str) -> None:
    async with Host(app, url) as host:
        clients = [await Client.open(url, app) for _ in range(4)]
        outcomes = await asyncio.gather(
            *(
                client.start(collect, number, instance_id="one")
                for number, client in enumerate([*clients, host.client], 1)
            ),
            return_exceptions=True,
        )
        refused = [one for one in outcomes if isinstance(one, InstanceExistsError)]
        assert len(refused) == 4
        winner = next(n for n, one in enumerate(outcomes, 1) if not isinstance(one, Exception))
        status = await host.client.handle("one").status()
        assert status.input == winner
        for client in clients:
            await client.close()


async def test_starts_from_outside_have_their_time_and_their_schedule(url: str) -> None:
    async with host_and_client(url) as (host, client):
        before = datetime.now(UTC)
        soon = before + timedelta(seconds=0.3)
        handle = await client.start(doubled, 1, start_at=soon, tags={"a": "b"}, version="9")
        later = await client.start(doubled, 1, start_at=before + timedelta(days=1))
        status = await handle.status()
        assert before - timedelta(seconds=1) <= status.created_time <= datetime.now(UTC)
        assert (status.tags, status.version) == ({"a": "b"}, "9")
        assert await handle.result() == 2
        done = await host.client.handle(handle.instance_id).status()
        assert done.completed_time is not None
        assert done.completed_time >= soon
        assert (await later.status()).runtime_status is RuntimeStatus.PENDING
        which = InstanceFilter(created_from=before - timedelta(seconds=1))
        assert len([one async for one in client.query(which)]) == 2


async def test_an_id_of_an_ended_instance_is_used_again_from_outside(url: str) -> None:
    """As inside: the policy decides, and the owner carries it out."""
    async with host_and_client(url) as (host, client):
        assert await (await client.start(doubled, 1, instance_id="x")).result() == 2
        again = await client.start(collect, 1, instance_id="x")
        with pytest.raises(InstanceExistsError, match="already exists \\(Running\\)"):
            await client.start(doubled, 1, instance_id="x")
        replaced = await client.start(collect, 2, instance_id="x", reuse=IdReuse.ALWAYS)
        await replaced.raise_event("item", 1)
        await replaced.raise_event("item", 2)
        assert await again.result() == [1, 2]
        with pytest.raises(InstanceExistsError):
            await client.start(doubled, 1, instance_id="x", reuse=IdReuse.NEVER)
        repeated = await client.restart("x", new_instance_id=False)
        await repeated.raise_event("item", 3)
        await repeated.raise_event("item", 4)
        assert await repeated.result() == [3, 4]
        history = await host.client.history("x")
        check_invariants(history)
        assert kinds(history).count("ExecutionStarted") == 1
        copy = await client.restart("x")
        assert copy.instance_id != "x"


async def test_what_only_an_owner_can_do_says_that_no_host_answers(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_NOBODY_SECONDS", 0.1)
    async with Host(app, url) as host:
        await (await host.client.start(doubled, 1, instance_id="x")).result()
        await (await host.client.start(doubled, 1, instance_id="y")).result()
    async with Client.open(url, app) as client:
        with pytest.raises(StorageUnavailableError, match="'x' was not purged: no host runs on"):
            await client.purge("x")
        with pytest.raises(StorageUnavailableError, match="not replaced: no host runs on this"):
            await client.start(doubled, 50, instance_id="y")
        await client.start(collect, 1, instance_id="z")
        with pytest.raises(InstanceStateError, match="is still going"):
            await client.purge("z")
    async with Host(app, url) as host:  # the requests have stayed
        assert await host.client.handle("y").result() in {2, 100}
        async with asyncio.timeout(20):
            while await host.client.get_status("x") is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while (await host.client.handle("y").status()).output != 100:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_waiting_from_outside_ends_when_the_instance_does(url: str) -> None:
    async with host_and_client(url) as (host, client):
        handle = await client.start(collect, 1, instance_id="c")
        waiting = asyncio.ensure_future(handle.result())
        await until(client, "c", RuntimeStatus.RUNNING)
        assert not waiting.done()
        await host.client.raise_event("c", "item", 4)
        assert await waiting == [4]
        with pytest.raises(InstanceNotFoundError):
            await client.wait("nobody")
        with pytest.raises(InstanceFinishedError):
            await client.raise_event("c", "item")


async def test_no_silent_drop_an_event_that_is_overtaken_by_the_end(url: str) -> None:
    """From outside the row looks alive; by the time the owner sees the event, it is over."""
    async with Host(app, url) as host:
        await (await host.client.start(doubled, 1, instance_id="d")).result()
    late = RaiseEvent(message_id=LATE, event=EventRaised("item", "7"))
    storage = open_storage(url)
    partition = partition_of(D, (await storage.open()).partitions)
    await storage.append([InboxRow(LATE, partition, D, Raw(encode(late)))])
    await storage.close()
    async with Host(app, url) as host:
        async with asyncio.timeout(20):
            while not (letters := await host.engine.storage.dead_letters()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await waiting_in(host.engine.storage) == []
    (letter,) = letters
    assert (letter.instance_id, letter.reason) == (
        "d",
        "instance 'd' has already ended (Completed)",
    )
    assert decode_message(letter.message) == late


async def asking(client: Client, instance_id: str) -> None:
    async with asyncio.timeout(20):
        while not await client.questions(instance_id):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_an_answer_for_a_suspended_instance_is_taken_at_once(url: str) -> None:
    async with host_and_client(url) as (host, client):
        await client.start(asks, instance_id="q")
        await asking(client, "q")
        await client.suspend("q")
        await until(client, "q", RuntimeStatus.SUSPENDED)
        async with asyncio.timeout(30):
            await client.answer("q", "approve")
            with pytest.raises(QuestionClosedError):
                await client.answer("q", "reject")
    async with host_and_client(url) as (host, client):
        async with asyncio.timeout(30):
            with pytest.raises(QuestionClosedError):
                await client.answer("q", "reject")
        await client.resume("q")
        assert await host.client.handle("q").result() == "approve"


async def test_no_silent_drop_answers_without_a_host_are_kept_and_the_first_counts(
    url: str,
) -> None:
    async with host_and_client(url) as (_, client):
        await client.start(asks, instance_id="q")
        await asking(client, "q")
    async with Client.open(url, app) as client, asyncio.timeout(30):
        await client.answer("q", "approve")
        await client.answer("q", "reject", question="Approve?")
    async with host_and_client(url) as (host, client):
        assert await host.client.handle("q").result() == "approve"
        async with asyncio.timeout(20):
            while not (letters := await client.dead_letters()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    (letter,) = letters
    assert (letter.instance_id, letter.name, letter.data) == ("q", "Approve?", "reject")


async def test_exactly_once_turns_events_from_outside_while_hosts_come_and_go(url: str) -> None:
    """Poll, recovery and memory see the same rows; each event is taken in once."""
    count = 40
    async with Host(app, url) as host:
        await host.client.start(collect, count, instance_id="c")
    async with Client.open(url) as client:

        async def send() -> None:
            for number in range(count):
                await client.raise_event("c", "item", number)
                await asyncio.sleep(0.005)

        sending = asyncio.ensure_future(send())
        while not sending.done():
            async with Host(app, url) as host:
                await asyncio.sleep(0.03)
        await sending
    async with Host(app, url) as host:
        assert await host.client.handle("c").result() == list(range(count))
        history = await host.client.history("c")
    check_invariants(history)
    assert kinds(history).count("EventRaised") == count


async def test_exactly_once_turns_events_that_come_while_their_instance_is_being_loaded(
    url: str,
) -> None:
    """Unloaded after each event, so that loading, polling and committing overlap."""
    rounds = 30
    async with TestHost(app, storage=url) as test, Client.open(url) as client:
        names = [f"c-{number}" for number in range(20)]
        for name in names:
            await test.start(collect, rounds, instance_id=name)
        for number in range(rounds):
            await asyncio.gather(*(client.raise_event(name, "item", number) for name in names))
            await test.advance(timedelta(seconds=2))
        for name in names:
            assert await client.handle(name).result() == list(range(rounds))
