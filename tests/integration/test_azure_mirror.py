"""``tenuto azure mirror``: what the table SDK reads back from a real Azurite is what the store has.

One way and after commits: the store is never written to, a host never waits for the mirror.
"""

import asyncio
import gzip
import itertools
import json
import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient

from tenuto import App, Client, Context, Host
from tenuto.cli.command import run_command_line
from tenuto.interop.azure_storage.account import Account, opened
from tenuto.interop.azure_storage.task_hub.layout import TaskHub
from tenuto.interop.azure_storage.task_hub.mirror import Mirror, MirrorNews
from tenuto.interop.azure_storage.task_hub.mirrored_hub import MirroredHub, Note
from tenuto.interop.azure_storage.task_hub.rows import InstanceImage
from tenuto.model.errors import AzurePackagesError, TaskHubError
from tenuto.storage import open_storage, upkeep_of
from tests.support.azurite import KEY, Azurite
from tests.support.terminal import TENUTO, environment
from tests.support.waiting import until

LONG: Final = "x" * 70_000
_hubs: Final = itertools.count(1)
app = App()


@app.activity
def hello(name: str) -> str:
    return f"Hello {name}!"


@app.activity
def long(characters: int) -> str:
    return "x" * characters


@app.activity
def declined(card: str) -> str:
    raise ValueError(f"{card} was declined")


@app.orchestrator
async def child(ctx: Context, name: str) -> str:
    return await ctx.call_activity(hello, name)


@app.orchestrator
async def everything(ctx: Context, name: str) -> list[str]:
    ctx.set_custom_status({"step": 1})
    first = await ctx.call_activity(hello, name)
    second = await ctx.call_sub_orchestrator(child, "child")
    await ctx.create_timer(timedelta(milliseconds=1))
    third = await ctx.wait_for_external_event("go", str)
    try:
        await ctx.call_activity(declined, "4711")
    except Exception as error:  # noqa: BLE001 - of an activity
        return [first, second, third, "declined" if "was declined" in str(error) else ""]
    return []


@app.orchestrator
async def failing(ctx: Context) -> None:
    await ctx.call_activity(declined, "4711")


@app.orchestrator
async def lengthy(ctx: Context, characters: int) -> str:
    return await ctx.call_activity(long, characters)


@app.orchestrator
async def waiting(ctx: Context) -> str:
    return await ctx.wait_for_external_event("go", str)


@app.orchestrator
async def rounds(ctx: Context, left: int) -> str:
    """Many events, with long texts, in the first round, few in the last."""
    for _ in range(left * 2):
        await ctx.call_activity(long, 70_000)
    if left:
        ctx.continue_as_new(left - 1)
        return ""
    return await ctx.wait_for_external_event("go", str)


class Hub:
    """A hub of a test's own, as Azure's tools see it."""

    def __init__(self, azurite: Azurite) -> None:
        self.name = f"Test{os.getpid()}x{next(_hubs)}"
        self.account = azurite.connection_string
        self._tables = TableServiceClient.from_connection_string(self.account)
        blobs = BlobServiceClient.from_connection_string(self.account)
        self.large = blobs.get_container_client(f"{self.name.lower()}-largemessages")

    def close(self) -> None:
        self._tables.close()
        self.large.close()

    def instances(self) -> dict[str, dict[str, Any]]:
        rows = self._tables.get_table_client(f"{self.name}Instances").list_entities()
        return {row["PartitionKey"]: dict(row) for row in rows}

    def instance(self, instance_id: str) -> dict[str, Any]:
        return self.instances()[instance_id]

    def rows(self, instance_id: str) -> list[Any]:
        """All rows of a history, the sentinel's too."""
        table = self._tables.get_table_client(f"{self.name}History")
        query = "PartitionKey eq @id"
        return list(table.query_entities(query, parameters={"id": instance_id}))

    def history(self, instance_id: str) -> list[dict[str, Any]]:
        """As tools ask for it: the events of the execution that the instance's row names."""
        execution_id = self.instance(instance_id)["ExecutionId"]
        *events, sentinel = self.rows(instance_id)
        assert sentinel["RowKey"] == "sentinel"
        assert sentinel["IsCheckpointComplete"] is True
        assert {row["ExecutionId"] for row in (*events, sentinel)} == {execution_id}
        assert [row["RowKey"] for row in events] == [f"{n:016X}" for n in range(len(events))]
        return [dict(row) for row in events]

    def blob(self, name: str) -> str:
        return gzip.decompress(self.large.download_blob(name).readall()).decode()

    def blobs(self) -> list[str]:
        return list(self.large.list_blob_names())


@pytest.fixture
def hub(azurite: Azurite) -> Iterator[Hub]:
    one = Hub(azurite)
    yield one
    one.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'shop.db'}"


class Running:
    """A mirror in this process, which looks when it is told to."""

    def __init__(self, mirror: Mirror, told: list[MirrorNews], secret: str) -> None:
        self.look = mirror.look
        self.secret = secret
        self.told = told
        self.mirror = mirror


@asynccontextmanager
async def mirroring(url: str, hub: Hub) -> AsyncIterator[Running]:
    told: list[MirrorNews] = []
    storage = open_storage(url, create=False)
    facts = await storage.open()
    try:
        async with opened(hub.account) as account:
            mirrored = MirroredHub(account, TaskHub(hub.name))
            await mirrored.prepare(facts.secret)
            yield Running(Mirror(storage, mirrored, hub.name, told.append), told, facts.secret)
    finally:
        await storage.close()


async def ended(client: Client, instance_id: str) -> None:
    with suppress(Exception):
        await client.handle(instance_id).result()


def kinds(events: list[dict[str, Any]]) -> list[str]:
    frames = {"OrchestratorStarted", "OrchestratorCompleted"}
    return [one["EventType"] for one in events if one["EventType"] not in frames]


async def test_the_tables_hold_what_the_store_holds(url: str, hub: Hub) -> None:
    async with Host(app, url) as host:
        handle = await host.client.start(everything, "Tokyo", instance_id="all", tags={"shop": "1"})
        await handle.raise_event("go", "went")
        assert await handle.result() == ["Hello Tokyo!", "Hello child!", "went", "declined"]
        await ended(host.client, (await host.client.start(failing, instance_id="bad")).instance_id)
        for word in ("terminated", "suspended", "running"):
            await host.client.start(waiting, instance_id=word)
        await host.client.handle("terminated").terminate("no more of it")
        await host.client.handle("suspended").suspend("a break")
        async with mirroring(url, hub) as mirror:
            news = await mirror.look()
            assert (news.written, news.purged) == (6, 0)

    row = hub.instance("all")
    assert row["RowKey"] == ""
    assert row["Name"] == "everything"
    assert row["RuntimeStatus"] == "Completed"
    assert row["Input"] == '"Tokyo"'
    assert json.loads(row["Output"])[2] == "went"
    assert row["CustomStatus"] == '{"step":1}'
    assert row["TaskHubName"] == hub.name
    assert row["Tags"] == '{"shop":"1"}'
    assert row["CreatedTime"] <= row["LastUpdatedTime"] == row["CompletedTime"]
    assert len(row["ExecutionId"]) == 32
    events = hub.history("all")
    assert set(kinds(events)) - {"GenericEvent"} == {
        "ExecutionStarted", "TaskScheduled", "TaskCompleted", "TaskFailed", "TimerCreated",
        "TimerFired", "SubOrchestrationInstanceCreated", "SubOrchestrationInstanceCompleted",
        "EventRaised", "ExecutionCompleted",
    }  # fmt: skip
    assert kinds(events)[0] == "ExecutionStarted"
    assert kinds(events)[-1] == "ExecutionCompleted"
    scheduled = {one["EventId"]: one for one in events if one["EventId"] >= 0}
    for one in events:
        if "TaskScheduledId" in one:
            # What tools look for: a number, and the row that it belongs to.
            assert scheduled[one["TaskScheduledId"]]["Name"] in {"hello", "child", "declined"}
    (failed,) = (one for one in events if one["EventType"] == "TaskFailed")
    assert failed["Reason"] == "4711 was declined"
    assert json.loads(failed["FailureDetails"])["ErrorType"] == "ValueError"
    assert events[0]["EventType"] == "OrchestratorStarted"
    assert events[-1]["EventType"] == "OrchestratorCompleted"

    found = hub.instances()
    statuses = {name: found[name]["RuntimeStatus"] for name in found if len(name) < 20}
    assert statuses == {
        "all": "Completed",
        "bad": "Failed",
        "terminated": "Terminated",
        "suspended": "Suspended",
        "running": "Running",
    }
    assert "4711 was declined" in found["bad"]["Output"]
    assert found["terminated"]["Output"] == "no more of it"
    (child_row,) = (one for name, one in found.items() if len(name) > 20)
    (start,) = (
        one for one in hub.history(child_row["PartitionKey"])
        if one["EventType"] == "ExecutionStarted"
    )  # fmt: skip
    parent = json.loads(start["ParentInstance"])
    assert parent["OrchestrationInstance"]["InstanceId"] == "all"
    assert parent["TaskScheduleId"] in scheduled


async def test_long_texts_go_into_blobs(url: str, hub: Hub) -> None:
    async with Host(app, url) as host:
        await (await host.client.start(lengthy, 70_000, instance_id="long")).result()
        async with mirroring(url, hub) as mirror:
            await mirror.look()
        expected = f'"{LONG}"'
        address = hub.instance("long")["Output"]
        assert address.startswith("http://")
        assert "?" not in address
        _, _, name = unquote(address).partition(f"/{hub.name.lower()}-largemessages/")
        assert hub.blob(name) == expected
        (done,) = (one for one in hub.history("long") if one["EventType"] == "TaskCompleted")
        assert done["Result"] == ""
        assert hub.blob(done["ResultBlobName"]) == expected
        assert done["ResultBlobName"].startswith("long/history-")


async def test_what_goes_on_is_added_and_what_was_there_is_left_alone(url: str, hub: Hub) -> None:
    async with Host(app, url) as host, mirroring(url, hub) as mirror:
        handle = await host.client.start(waiting, instance_id="one")
        await host.client.start(waiting, instance_id="other")
        await until_running(host.client, "one", "other")
        await mirror.look()
        assert (await mirror.look()).written == 0
        before = [row.metadata["timestamp"] for row in hub.rows("one")]
        await handle.raise_event("go", "now")
        await handle.result()
        assert (await mirror.look()).written == 1
        after = [row.metadata["timestamp"] for row in hub.rows("one")]
        assert after[: len(before) - 1] == before[:-1]
        assert len(after) > len(before)
        assert hub.instance("one")["Output"] == '"now"'


async def until_running(client: Client, *instance_ids: str) -> None:
    for one in instance_ids:
        await client.handle(one).started()


async def test_a_turn_that_leaves_the_row_as_it_is_is_seen(url: str, hub: Hub) -> None:
    gates = {name: (asyncio.Event(), asyncio.Event()) for name in ("first", "second")}
    gated = App()

    @gated.activity
    async def passing(name: str) -> str:
        begun, opened = gates[name]
        begun.set()
        await opened.wait()
        return name

    @gated.orchestrator
    async def chain(ctx: Context) -> None:
        await ctx.call_activity(passing, "first")
        await ctx.call_activity(passing, "second")

    async with Host(gated, url) as host, mirroring(url, hub) as mirror:
        handle = await host.client.start(chain, instance_id="one")
        await gates["first"][0].wait()
        await mirror.look()
        before = hub.instance("one")
        gates["first"][1].set()
        await gates["second"][0].wait()
        await mirror.look()
        assert hub.instance("one")["LastUpdatedTime"] == before["LastUpdatedTime"]
        assert kinds(hub.history("one"))[-2:] == ["TaskCompleted", "TaskScheduled"]
        gates["second"][1].set()
        await handle.result()


async def test_a_new_generation_replaces_the_history_of_the_one_before(url: str, hub: Hub) -> None:
    async with Host(app, url) as host, mirroring(url, hub) as mirror:
        await host.client.start(waiting, instance_id="stays")
        handle = await host.client.start(rounds, 0, instance_id="again")
        await until_running(host.client, "again", "stays")
        await mirror.look()
        await handle.terminate("enough")
        await ended(host.client, "again")
        # The same id anew: a long first round, seen before it continues as new, and a short last.
        executions = {hub.instance("again")["ExecutionId"]}
        handle = await host.client.start(rounds, 2, instance_id="again")
        executions |= await seen_while_it_goes(mirror, hub, host.client)
        last = hub.instance("again")
        assert last["Input"] == "0"
        assert last["RuntimeStatus"] == "Running"
        assert len(executions) >= 2
        events = hub.history("again")
        assert [one["Input"] for one in events if one["EventType"] == "ExecutionStarted"] == ["0"]
        assert not hub.blobs(), "those of the generations before have gone"


async def seen_while_it_goes(mirror: Running, hub: Hub, client: Client) -> set[str]:
    """Look until the last round is there; the executions that were seen on the way."""
    seen = set()
    while True:
        await mirror.look()
        row = hub.instance("again")
        seen.add(row["ExecutionId"])
        if row["Input"] == "0" and row["RuntimeStatus"] == "Running" and hub.history("again"):
            return seen


async def test_a_purge_is_followed(url: str, hub: Hub) -> None:
    async with Host(app, url) as host:
        for name in ("a", "b"):
            await (await host.client.start(lengthy, 70_000, instance_id=name)).result()
        async with mirroring(url, hub) as mirror:
            await mirror.look()
            assert len(hub.blobs()) == 6
        await host.client.purge("a")
        # By another mirror, which has never seen it in the store.
        async with mirroring(url, hub) as mirror:
            news = await mirror.look()
            assert (news.written, news.purged) == (0, 1)
    assert list(hub.instances()) == ["b"]
    assert not hub.rows("a")
    assert all(name.startswith("b/") for name in hub.blobs())


async def test_a_history_that_is_another_than_the_noted_is_written_whole(
    url: str, hub: Hub, tmp_path: Path
) -> None:
    async with Host(app, url) as host:
        handle = await host.client.start(waiting, instance_id="one")
        await until_running(host.client, "one")
        await host.stop()
    earlier = f"sqlite:///{tmp_path / 'earlier.db'}"
    upkeep_of(url).back_up(
        str(tmp_path / "earlier.db"), lambda: 0, force=False, told=lambda *_: None
    )
    ends = {}
    for store, word in ((url, "original"), (earlier, "restored")):
        async with Host(app, store) as host, mirroring(store, hub) as mirror:
            handle = host.client.handle("one")
            await handle.raise_event("go", word)
            await handle.result()
            await mirror.look()
            ends[word] = hub.history("one")
            assert hub.instance("one")["Output"] == f'"{word}"'
    raised = {
        word: [one["Input"] for one in events if one["EventType"] == "EventRaised"]
        for word, events in ends.items()
    }
    assert raised == {"original": ['"original"'], "restored": ['"restored"']}


async def test_a_hub_of_others_is_left_alone(url: str, hub: Hub, tmp_path: Path) -> None:
    async with Host(app, url) as host, mirroring(url, hub) as mirror:
        await (await host.client.start(child, "a", instance_id="mine")).result()
        await mirror.look()
    before = hub.instances()
    other = f"sqlite:///{tmp_path / 'other.db'}"
    async with Host(app, other):
        with pytest.raises(TaskHubError, match="mirrors another store"):
            async with mirroring(other, hub):
                pass
    assert hub.instances() == before
    with TableServiceClient.from_connection_string(hub.account) as tables:
        tables.create_table(f"{hub.name}OtherInstances")
    hub.name += "Other"
    with pytest.raises(TaskHubError, match="no mirror of Tenuto's"):
        async with mirroring(url, hub):
            pass


class Refusing(MirroredHub):
    """Azure refuses the rows of some: nothing that a store can hold now is too much for it."""

    def __init__(self, account: Account, hub: TaskHub, refused: set[str]) -> None:
        super().__init__(account, hub)
        self._refused = refused

    async def write(self, image: InstanceImage, mark: str, before: Note | None) -> Note:
        if image.instance["PartitionKey"] in self._refused:
            # A text that is too long for a column.
            image.instance["Name"] = LONG
        return await super().write(image, mark, before)


async def test_what_azure_cannot_hold_is_left_out_and_told(
    url: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {"bad"}
    monkeypatch.setattr(
        f"{__name__}.MirroredHub", lambda account, hub: Refusing(account, hub, refused)
    )
    async with Host(app, url) as host, mirroring(url, hub) as mirror:
        for name in ("bad", "good"):
            await (await host.client.start(child, name, instance_id=name)).result()
        assert (await mirror.look()).written == 1
        (told,) = (one for one in mirror.told if one.state == "left out")
        assert "'bad'" in told.text
        assert mirror.mirror.left_out == 1
        await mirror.look()
        assert len([one for one in mirror.told if one.state == "left out"]) == 1, "told once"
        assert "bad" not in hub.instances()
    refused.clear()
    async with mirroring(url, hub) as mirror:
        assert (await mirror.look()).written == 1
        assert mirror.mirror.left_out == 0
    assert {"bad", "good"} <= set(hub.instances())


class Door:
    """Between a mirror and the tables. It may be shut; with a budget it lets so many bytes in, and
    nothing after them.
    """

    def __init__(self, azurite: Azurite, budget: int | None = None) -> None:
        self._azurite = azurite
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._port = 0
        self._budget = budget
        self.is_used_up = asyncio.Event()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        assert self._server is not None
        self._server.close()
        for one in self._writers:
            one.transport.abort()
        self._writers.clear()
        await self._server.wait_closed()

    @property
    def connection_string(self) -> str:
        text = self._azurite.connection_string
        return text.replace(f":{self._azurite.table_port}/", f":{self._port}/")

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", self._azurite.table_port)
        self._writers += [writer, outer]
        with suppress(ConnectionError):
            await asyncio.gather(self._pour(reader, outer), _pour(inner, writer))

    async def _pour(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        if self._budget is None:
            await _pour(source, target)
            return
        while data := await source.read(4096):
            if self._budget < len(data):
                self.is_used_up.set()
            else:
                self._budget -= len(data)
                target.write(data)


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    finally:
        target.close()


async def test_it_waits_for_azure_and_catches_up(url: str, hub: Hub, azurite: Azurite) -> None:
    door = Door(azurite)
    await door.open()
    hub.account = door.connection_string
    async with Host(app, url) as host, mirroring(url, hub) as mirror:
        following = asyncio.ensure_future(mirror.mirror.follow(mirror.secret))
        await (await host.client.start(child, "a", instance_id="a")).result()
        await until(lambda: sum(one.written for one in mirror.told) >= 1)
        await door.shut()
        # The host is not disturbed.
        await (await host.client.start(child, "b", instance_id="b")).result()
        await until(lambda: mirror.told[-1].state == "behind")
        assert "it cannot be reached" in mirror.told[-1].text
        await door.open()
        await until(lambda: mirror.told[-1].state == "up to date")
        assert set(hub.instances()) == {"a", "b"}
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    await door.shut()


async def filled(url: str, count: int) -> None:
    async with Host(app, url) as host:
        for number in range(count):
            await (await host.client.start(child, "x", instance_id=f"n{number:02}")).result()


def asking(hub: Hub, url: str, *more: str) -> list[str]:
    return ["azure", "mirror", "--storage", url, "--task-hub", hub.name, *more]


async def test_a_mirror_that_was_killed_is_continued(
    url: str, hub: Hub, azurite: Azurite, tmp_path: Path
) -> None:
    await filled(url, 24)
    path = tmp_path / "shop.db"
    before = path.read_bytes()
    # In the middle of writing what it began with, wherever that is.
    door = Door(azurite, budget=random.randrange(60_000, 150_000))
    await door.open()
    env = {"TENUTO_AZURE_CONNECTION_STRING": door.connection_string}
    with subprocess.Popen(  # noqa: ASYNC220 - at once
        [*TENUTO, *asking(hub, url)], env=environment(**env), stdout=subprocess.DEVNULL
    ) as mirror:
        await door.is_used_up.wait()
        mirror.send_signal(signal.SIGKILL)
    await door.shut()
    there = len(hub.instances())
    assert there < 24
    async with mirroring(url, hub) as continued:
        assert (await continued.look()).written == 24 - there
    assert len(hub.instances()) == 24
    for number in range(24):
        assert kinds(hub.history(f"n{number:02}"))[-1] == "ExecutionCompleted"
    assert path.read_bytes() == before, "a store is only read"


async def test_it_follows_until_it_is_told_to_stop(url: str, hub: Hub) -> None:
    env = environment(TENUTO_AZURE_CONNECTION_STRING=hub.account)
    async with Host(app, url) as host:
        mirror = await asyncio.create_subprocess_exec(
            *TENUTO, *asking(hub, url, "--json"), env=env, stdout=subprocess.PIPE
        )
        assert mirror.stdout is not None
        for name in ("a", "b", "c"):
            await (await host.client.start(child, name, instance_id=name)).result()
            while not json.loads(await mirror.stdout.readline())["written"]:
                pass  # it has begun, and found nothing
            assert hub.instance(name)["RuntimeStatus"] == "Completed"
        mirror.send_signal(signal.SIGTERM)
        await mirror.stdout.read()
        assert await mirror.wait() == 0


def test_the_connection_string_is_told_to_nobody(
    url: str,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    asyncio.run(filled(url, 1))
    caplog.set_level(logging.DEBUG)

    def says(connection_string: str, code: int) -> str:
        monkeypatch.setenv("TENUTO_AZURE_CONNECTION_STRING", connection_string)
        found = run_command_line(asking(hub, url, "--once"))
        said = "".join(capsys.readouterr())
        assert found == code, said
        for secret in (KEY, KEY[:20], "c2VjcmV0"):
            assert secret not in said + caplog.text
        return said

    assert "up to date" in says(hub.account, 0)
    assert "TN-1812" in says(hub.account.replace(KEY, "c2VjcmV0IHNlY3JldA=="), 1)
    assert "TN-1104" in says(f"AccountKey={KEY};AccountName", 2)
    nowhere = "TableEndpoint=http://127.0.0.1:1/a;BlobEndpoint=http://127.0.0.1:1/a"
    away = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={KEY};{nowhere}"
    assert "TN-1811" in says(away, 1)
    hub.name = "no hub"
    assert "TN-1813" in says(hub.account, 2)
    monkeypatch.delenv("TENUTO_AZURE_CONNECTION_STRING")
    assert run_command_line(asking(hub, url, "--once")) == 2
    assert "TENUTO_AZURE_CONNECTION_STRING" in capsys.readouterr().err


async def test_the_packages_of_azure_are_asked_for_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for missing in ("aiohttp", "azure.data.tables.aio"):
        with monkeypatch.context() as here:
            here.setitem(sys.modules, missing, None)
            with pytest.raises(AzurePackagesError, match=r"pip install 'tenuto\[azure\]'"):
                async with opened("UseDevelopmentStorage=true"):
                    pass
    async with opened("UseDevelopmentStorage=true;") as account:
        assert account.blob_root == "http://127.0.0.1:10000/devstoreaccount1"
