"""What people see of the hosts of a hub in a real PostgreSQL, and of the one host of a file."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tenuto import App, Client, Context
from tenuto.cli.command import run_command_line
from tenuto.host.server import Server
from tenuto.host.settings import Settings
from tenuto.http.options import HttpSettings
from tenuto.model.ids import InstanceId, partition_of
from tenuto.storage import open_storage
from tests.support.postgres import Postgres
from tests.support.waiting import until, until_given

PARTITIONS = 32


def an_app(version: str = "", *, has_news: bool = False) -> App:
    app = App(version=version)

    @app.orchestrator
    async def waits(ctx: Context, _: None) -> str:
        return await ctx.wait_for_external_event("go", str)

    if has_news:

        @app.orchestrator
        async def news(ctx: Context, _: None) -> str:
            return await ctx.wait_for_external_event("go", str)

    return app


class Hub:
    """Servers on one hub, and the command line in this process."""

    def __init__(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.url = url
        self.stack = AsyncExitStack()
        self._capsys = capsys

    async def server(self, app: App | None = None, **given: Any) -> Server:
        settings = Settings(
            storage=self.url, lease_seconds=1, drain_seconds=1, http=HttpSettings(port=0), **given
        )
        server = Server(app or an_app(), settings=settings)
        await server.start()
        self.stack.push_async_callback(server.stop)
        return server

    async def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """In a thread, as a process would: hosts of the test go on meanwhile."""
        found = await asyncio.to_thread(run_command_line, list(arguments))
        captured = self._capsys.readouterr()
        assert found == code, captured.out + captured.err
        return captured.out, captured.err

    async def read(self, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
        return json.loads((await self.run(*arguments, "--json"))[0])

    async def hosts(self) -> Any:  # noqa: ANN401 - any JSON
        return await self.read("hosts", "--storage", self.url)


@pytest.fixture
async def hub(safe_postgres: Postgres, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Hub]:
    hub = Hub(safe_postgres.fresh_url(), capsys)
    async with hub.stack:
        yield hub


async def shared(*servers: Server) -> None:
    """Wait until every partition has one host, and each host its share."""

    def is_shared() -> bool:
        counts = [len(one.host.engine.partitions) for one in servers]
        return sum(counts) == PARTITIONS and max(counts) - min(counts) <= 1

    await until(is_shared)


async def answer(server: Server, path: str) -> Any:  # noqa: ANN401 - any JSON
    async with httpx2.AsyncClient() as client:
        return (await client.get(f"{server.url}{path}")).json()


def of_partition(served: Server) -> str:
    """An instance id whose partition this server serves."""
    owned = served.host.engine.partitions
    ids = (InstanceId(f"wait-{number}") for number in range(1_000))
    return next(one for one in ids if partition_of(one, PARTITIONS) in owned)


async def test_any_host_counts_the_hub_and_tells_figures_of_its_own(hub: Hub) -> None:
    first, second = await hub.server(), await hub.server()
    await shared(first, second)
    for server in (first, second):
        await server.host.client.start("waits", None, instance_id=of_partition(server))

    async def are_counted() -> Any:  # noqa: ANN401 - any JSON
        found = [await answer(one, "/admin/overview") for one in (first, second)]
        is_there = all(one["instances"]["running"] == 2 for one in found)
        return found if is_there else None

    for told, server in zip(await until_given(are_counted), (first, second), strict=True):
        assert told["instances"]["pending"] == 0
        assert told["host"] == server.host.description
        assert sum(told["series"]["started"]) == 1, "each by the host that serves it"
        figures = await answer(server, "/admin/functions/figures")
        started = [(one["name"], one["started"]) for one in figures["orchestrators"]]
        assert started == [("waits", 1)]


async def test_the_log_of_an_instance_is_its_hosts_and_another_one_says_whose(hub: Hub) -> None:
    first, second = await hub.server(), await hub.server()
    await shared(first, second)
    name = of_partition(first)
    await first.host.client.start("waits", None, instance_id=name)
    logging.getLogger("some.library").warning("it waits", extra={"instance_id": name})
    path = f"/admin/instances/{name}/log"
    own = await answer(first, path)
    assert [one["message"] for one in own["lines"]] == ["it waits"]
    assert (own["host"], own["address"]) == (None, None)
    other = await answer(second, path)
    assert other["lines"] == []
    assert (other["host"], other["address"]) == (first.host.description, first.url)


async def test_each_host_is_listed_with_what_it_serves(hub: Hub) -> None:
    first, second = await hub.server(), await hub.server()
    await shared(first, second)

    async def are_both() -> Any:  # noqa: ANN401 - any JSON
        found = await hub.hosts()
        return found if not found["unserved"] else None

    found = await until_given(are_both)
    assert found["partitions"] == PARTITIONS
    assert [one["address"] for one in found["hosts"]] == [first.url, second.url]
    assert [len(one["partitions"]) for one in found["hosts"]] == [16, 16]
    assert sorted(number for one in found["hosts"] for number in one["partitions"]) == list(
        range(PARTITIONS)
    )
    assert all(one["isAlive"] and one["isNewest"] for one in found["hosts"])
    assert all(one["description"].startswith("process ") for one in found["hosts"])
    for server in (first, second):
        told = await hub.read("hosts", "--url", server.url)
        assert [one["host"] for one in told["hosts"]] == [one["host"] for one in found["hosts"]]
        told = await answer(server, "/admin/hosts")
        assert [one["address"] for one in told["hosts"]] == [first.url, second.url]
    table, _ = await hub.run("hosts", "--storage", hub.url)
    assert table.split()[:4] == ["HOST", "ADDRESS", "VERSION", "STATE"]
    assert first.url in table
    assert second.url in table


async def test_the_load_of_each_host_is_told(hub: Hub) -> None:
    server = await hub.server()
    for number in range(5):
        await server.host.client.start("waits", None, instance_id=f"w-{number}")

    async def is_told() -> bool:
        (one,) = (await hub.hosts())["hosts"]
        load = {"instances": 5, "activities": 0, "ready": 0, "waited": 0.0, "busy": 0}
        return bool(one["load"] == load)

    await until_given(is_told)
    advised = await hub.read("hosts", "--advice", "--storage", hub.url)
    assert (advised["hosts"], advised["wanted"], advised["partitions"]) == (1, 1, PARTITIONS)
    told = await answer(server, "/admin/scale?least=3")
    assert (told["wanted"], told["target"]) == (3, 0)
    text, _ = await hub.run("hosts", "--advice", "--storage", hub.url)
    assert text == "1 host now, 1 wanted: there is nothing to do; at least 1 as asked\n"


async def test_what_a_dead_host_had_is_told_with_its_name_until_others_take_it(hub: Hub) -> None:
    server = await hub.server()
    await server.host.abandon()

    async def is_told() -> Any:  # noqa: ANN401 - any JSON
        found = await hub.hosts()
        return found if found["unserved"] else None

    found = await until_given(is_told)
    (lost,) = found["unserved"]
    assert lost["partitions"] == list(range(PARTITIONS))
    assert lost["lastHost"].startswith("process ")
    assert lost["sinceTime"] <= found["time"]
    _, said = await hub.run("hosts", "--storage", hub.url)
    assert "nobody serves partitions 0 to 31 for " in said
    assert "had them" in said
    assert "no host runs on this store" in said
    other = await hub.server()
    await shared(other)
    assert (await hub.hosts())["unserved"] == []


async def test_what_a_stopped_host_gave_back_is_told_since_when(hub: Hub) -> None:
    server = await hub.server()
    await server.stop()
    found = await hub.hosts()
    (left,) = found["unserved"]
    assert (left["partitions"], left["lastHost"]) == (list(range(PARTITIONS)), "")
    assert left["sinceTime"] <= found["time"]
    assert found["hosts"] == []


async def test_the_newest_app_version_is_marked(hub: Hub) -> None:
    await hub.server(an_app("9"))
    await hub.server(an_app("10"))
    found = await hub.hosts()
    assert [(one["appVersion"], one["isNewest"]) for one in found["hosts"]] == [
        ("9", False),
        ("10", True),
    ]
    table, _ = await hub.run("hosts", "--storage", hub.url)
    assert "10 (newest)" in table
    assert "9 (newest)" not in table


async def test_the_one_host_of_a_file_is_listed_by_its_store_and_by_itself(
    hub: Hub, tmp_path: Path
) -> None:
    hub.url = f"sqlite:///{tmp_path}/one.db"
    server = await hub.server(an_app("3"))
    found = await hub.hosts()
    (one,) = found["hosts"]
    assert one["description"].startswith("process ")
    assert one["sinceTime"] is not None
    assert (one["partitions"], one["load"]) == ([0], None)
    (one,) = (await hub.read("hosts", "--url", server.url))["hosts"]
    assert (one["address"], one["appVersion"], one["partitions"]) == (server.url, "3", [0])
    assert one["load"]["instances"] == 0
    await server.stop()
    found = await hub.hosts()
    assert (found["hosts"], found["unserved"][0]["partitions"]) == ([], [0])


# --- health and figures -----------------------------------------------------------------------


async def test_a_host_that_serves_nothing_is_well_and_says_why(hub: Hub) -> None:
    await hub.server(an_app("1"))
    new = await hub.server(an_app("2"))
    old = await hub.server(an_app("1"))
    await until(lambda: old.host.engine.peers is not None)
    health = await answer(old, "/healthz")
    assert health["ready"]
    assert health["notes"] == [
        "this host serves no partition: hosts of a newer app version have them"
    ]
    assert (await answer(new, "/healthz"))["notes"] == []


async def test_a_host_beyond_the_number_of_partitions_says_so(hub: Hub) -> None:
    first = await hub.server(partitions=1)
    second = await hub.server(partitions=1)
    await until(lambda: second.host.engine.peers is not None and not second.host.engine.partitions)
    health = await answer(second, "/healthz")
    assert health["ready"]
    (note,) = health["notes"]
    assert note.startswith("this host serves no partition: there are 1, and 2 hosts; ")
    await first.stop()
    await until(lambda: len(second.host.engine.partitions) == 1)
    assert (await answer(second, "/healthz"))["notes"] == []


async def test_metrics_tell_what_this_host_serves_and_how_many_there_are(hub: Hub) -> None:
    first, second = await hub.server(), await hub.server()
    await shared(first, second)
    async with httpx2.AsyncClient() as client:
        text = (await client.get(f"{first.url}/metrics")).text
    assert "\ntenuto_partitions_owned 16.0\n" in text
    assert "\ntenuto_hub_partitions 32.0\n" in text
    assert "\ntenuto_hub_hosts 2.0\n" in text


# --- explanations and the doctor ---------------------------------------------------------------


async def ask(server: Server, instance_id: str) -> Any:  # noqa: ANN401 - any JSON
    return (await answer(server, f"/admin/instances/{instance_id}"))["explanation"]


async def starts(hub: Hub, name: str, most: int) -> list[str]:
    """Instances, in as many partitions as it takes."""
    ids = [f"{name}-{number}" for number in range(most)]
    async with Client.open(hub.url) as client:
        for one in ids:
            await client.start(name, None, instance_id=one)
    return ids


async def test_any_host_explains_an_instance_and_says_who_knows_more(hub: Hub) -> None:
    first, second = await hub.server(), await hub.server()
    await shared(first, second)
    names = await starts(hub, "waits", 8)
    for name in names:
        home = partition_of(InstanceId(name), PARTITIONS)
        owner, other = first, second
        if home not in first.host.engine.partitions:
            owner, other = second, first

        async def waits(name: str = name, other: Server = other) -> Any:  # noqa: ANN401 - JSON
            found = await ask(other, name)
            return found if "waits for event" in found["sentence"] else None

        told = await until_given(waits)
        assert told["facts"][-1]["type"] == "elsewhere"
        assert told["facts"][-1]["address"] == owner.url
        assert f"partition {home} is served by process " in told["sentence"]
        assert "served by" not in (await ask(owner, name))["sentence"]


async def test_during_an_upgrade_it_is_said_which_hosts_have_what_an_owner_lacks(hub: Hub) -> None:
    old = await hub.server(an_app("1"))
    new = await hub.server(an_app("2", has_news=True))
    names = await starts(hub, "news", 40)
    lacking = [
        name
        for name in names
        if partition_of(InstanceId(name), PARTITIONS) in old.host.engine.partitions
    ]
    assert lacking
    home = partition_of(InstanceId(lacking[0]), PARTITIONS)
    for server in (old, new):
        told = await ask(server, lacking[0])
        assert (
            f"waits for partition {home} to move to a host that has orchestrator 'news'"
            in (told["sentence"])
        )
        assert "app version 2" in told["sentence"]
        assert not told.get("isStuck", False)
    shown = await hub.read("instances", "show", lacking[0], "--storage", hub.url)
    assert f"partition {home} to move" in json.dumps(shown)
    said, _ = await hub.run("doctor", "--storage", hub.url)
    assert "2 app versions: '1' on 1, '2' on 1 (the newest): an upgrade is under way" in said
    assert f"partition {home} to move" in said
    await old.stop()
    await shared(new)

    async def all_wait() -> bool:
        found = [(await ask(new, name))["sentence"] for name in lacking]
        return all("waits for event" in one for one in found)

    await until_given(all_wait)


async def test_the_doctor_names_the_hosts_of_a_hub_from_its_store_and_from_a_host(hub: Hub) -> None:
    first, second = await hub.server(), await hub.server()
    await shared(first, second)
    for place in (("--storage", hub.url), ("--url", second.url)):
        said, _ = await hub.run("doctor", *place)
        assert "2 hosts run: process " in said
        assert "nothing is wrong" in said


async def test_who_closes_a_store_at_once_does_not_wait_for_its_next_look(hub: Hub) -> None:
    server = await hub.server()
    store = open_storage(hub.url)
    await store.open()
    store.on_change(lambda: None)  # begins to listen, and is closed before it does
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    await store.close()
    assert asyncio.get_running_loop().time() - began < 3  # it looks every 4 to 6 s
    assert server.host.engine.partitions


async def test_a_host_whose_signs_of_life_do_not_come_back_is_not_ready(hub: Hub) -> None:
    server = await hub.server()
    peers = server.host.engine.peers
    assert peers is not None
    assert (await answer(server, "/healthz"))["ready"]
    peers.lease_seconds = -1.0  # as if it were over
    health = await answer(server, "/healthz")
    assert (health["ready"], health["live"]) == (False, True)
    assert "no sign of life of this host has reached the store for " in health["reasons"][0]


async def test_a_start_that_no_host_has_checked_says_so(hub: Hub) -> None:
    await shared(await hub.server(), await hub.server())
    _, said = await hub.run("instances", "start", "nosuch", "--storage", hub.url)
    assert "nobody has checked whether one knows what is named here" in " ".join(said.split())
    _, said = await hub.run("instances", "list", "--storage", hub.url)
    assert "checked" not in said


async def test_a_host_takes_starts_of_what_only_a_newer_one_has(hub: Hub) -> None:
    old = await hub.server(an_app("1"))
    await hub.server(an_app("2", has_news=True))
    await hub.run("instances", "start", "news", "--id", "by command", "--url", old.url)
    async with httpx2.AsyncClient() as client:
        place = f"{old.url}/runtime/webhooks/durabletask/orchestrators"
        assert (await client.post(f"{place}/news/plain")).status_code == 202
        assert (await client.post(f"{place}/nosuch")).status_code == 400
    await hub.run("instances", "start", "nosuch", "--url", old.url, code=2)
    await old.stop()  # what it has moves to the newer one
    async with Client.open(hub.url) as client:
        for instance_id in ("by command", "plain"):
            await client.raise_event(instance_id, "go", "on")
            async with asyncio.timeout(20):
                await client.wait(instance_id)
