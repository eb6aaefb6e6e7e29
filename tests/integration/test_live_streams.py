"""Server-sent events over real HTTP: baseline, updates, coming back, ends, limits."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec import structs

from tenuto import App, Context, Settings
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.model.ids import InstanceId
from tests.support.http_server import unread
from tests.support.waiting import until

app = App()


@app.orchestrator
async def collect(ctx: Context, count: int) -> list[int]:
    found = []
    for _ in range(count):
        found.append(await ctx.wait_for_external_event("item", int))
        ctx.set_custom_status(found)
    return found


@app.orchestrator
async def show(ctx: Context, text: str) -> None:
    ctx.set_custom_status(text)
    await ctx.wait_for_external_event("over")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(storage=f"sqlite:///{tmp_path / 'hub.db'}", http=HttpSettings(port=0))


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[Server, httpx2.AsyncClient]]:
    async with (
        Server(app, settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url, timeout=20) as http,
    ):
        yield server, http


class Stream:
    """The events of one connection."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.comments = 0

    async def next(self) -> tuple[str, str, Any]:
        """Id, name and data of the next event."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if line.startswith(":"):
                self.comments += 1
            elif line:
                fields[name] = value
            elif fields:
                return fields["id"], fields["event"], json.loads(fields["data"])
        raise EOFError

    async def is_over(self) -> bool:
        try:
            await self.next()
        except EOFError:
            return True
        return False


@asynccontextmanager
async def stream(http: httpx2.AsyncClient, path: str, last: str = "") -> AsyncIterator[Stream]:
    headers = {"Last-Event-ID": last} if last else {}
    async with http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer.aiter_lines())


async def test_an_instance_is_shown_as_it_stands_then_step_by_step_to_its_end(
    settings: Settings,
) -> None:
    async with serving(settings) as (server, http):
        handle = await server.host.client.start(collect, 2, instance_id="c-1")
        await until_turns(server, "c-1", 1)
        async with stream(http, "/admin/instances/c-1/events") as events:
            place, name, data = await events.next()
            assert (place, name) == ("0.0", "reset")
            assert (data["instanceId"], data["runtimeStatus"]) == ("c-1", "Running")
            await handle.raise_event("item", 5)
            place, name, data = await events.next()
            assert (place, name, data["customStatus"]) == ("0.1", "update", [5])
            assert not data["ended"]
            await handle.raise_event("item", 6)
            _, _, data = await events.next()
            assert (data["runtimeStatus"], data["ended"]) == ("Completed", True)
            assert await events.is_over()


async def test_who_comes_back_misses_nothing_also_after_a_restart_of_the_host(
    settings: Settings,
) -> None:
    async with serving(settings) as (server, http):
        handle = await server.host.client.start(collect, 3, instance_id="c-1")
        await until_turns(server, "c-1", 1)
        async with stream(http, "/admin/instances/c-1/events") as events:
            place, _, _ = await events.next()
        await handle.raise_event("item", 5)
        await handle.raise_event("item", 6)
        await until_turns(server, "c-1", 3)
    async with serving(settings) as (server, http):
        async with stream(http, "/admin/instances/c-1/events", last=place) as events:
            assert [(await events.next())[0] for _ in range(2)] == ["0.1", "0.2"]
            await server.host.client.raise_event("c-1", "item", 7)
            place, _, data = await events.next()
            assert data["ended"]
        answer = await http.get("/admin/instances/c-1/events", headers={"Last-Event-ID": place})
        assert answer.status_code == 204, "nothing will come: do not come back"


async def until_turns(server: Server, instance_id: str, turns: int) -> None:
    gateway, wanted = server.host.client.gateway, InstanceId(instance_id)
    while len(await gateway.history(wanted)) < turns:  # noqa: ASYNC110 - asks the store
        await asyncio.sleep(0.001)


async def test_the_list_tells_of_all_instances_and_goes_on_after_a_break(
    settings: Settings,
) -> None:
    async with serving(settings) as (server, http):
        client = server.host.client
        async with stream(http, "/admin/events") as events:
            assert (await events.next())[1] == "reset"
            await client.start(collect, 1, instance_id="a")
            place, name, data = await events.next()
            assert (name, data["instanceId"], data["name"]) == ("update", "a", "collect")
        await client.start(collect, 1, instance_id="b")
        async with stream(http, "/admin/events", last=place) as events:
            while data["instanceId"] != "b":
                _, _, data = await events.next()
            await client.terminate("b")
            while not data["ended"]:
                _, _, data = await events.next()
            assert data["runtimeStatus"] == "Terminated"
            await client.purge("b")
            assert (await events.next())[2]["purged"]
        async with stream(http, "/admin/events", last="another-host-5") as events:
            assert (await events.next())[1] == "reset", "what was missed cannot be told"


async def test_of_what_comes_at_once_the_list_tells_each_instance_once_and_one_instance_all(
    settings: Settings,
) -> None:
    """Each step of the list told cost a host with a page open a tenth of its rate."""
    async with serving(settings) as (server, http):
        client = server.host.client
        async with stream(http, "/admin/events") as events:
            begin, _, _ = await events.next()
        for name in ("a", "b"):
            await client.start(collect, 2, instance_id=name)
            for item in range(2):
                await until_turns(server, name, item + 1)
                await client.raise_event(name, "item", item)
            await client.handle(name).result()
        await client.purge("a")
        async with stream(http, "/admin/events", last=begin) as events:
            told = [(await events.next())[2] for _ in range(2)]
            assert [one["instanceId"] for one in told] == ["b", "a"]
            assert (told[0]["ended"], told[0]["runtimeStatus"]) == (True, "Completed")
            assert (told[1]["purged"], "name" in told[1]) == (True, False)
            await client.start(collect, 1, instance_id="c")
            assert (await events.next())[2]["instanceId"] == "c", "nothing else was told"
        async with stream(http, "/admin/instances/b/events", last="0.0") as events:
            assert [(await events.next())[0] for _ in range(2)] == ["0.1", "0.2"]


async def test_a_digest_says_how_many_have_changed_at_most_so_often(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.http.admin.live._Digests.pause", 0.3)
    async with serving(settings) as (server, http):
        client = server.host.client
        async with stream(http, "/admin/events?digest=true") as events:
            assert await events.next() == ("0", "reset", {})
            began = asyncio.get_running_loop().time()
            for number in range(300):  # more than wait for one listener to updates
                await client.start(collect, 0, instance_id=f"i-{number}")
            ended = count = 0
            while ended < 300:
                _, name, data = await events.next()
                count += 1
                assert name == "digest"
                assert data["changed"] >= data["ended"] >= data["failed"] == 0
                ended += data["ended"]
            assert ended == 300, "each is counted once, and none is missed"
            assert count <= 2 + (asyncio.get_running_loop().time() - began) / 0.3
            await client.purge("i-0")
            assert (await events.next())[2]["purged"] == 1
        async with stream(http, "/admin/events?digest=true", last="3") as events:
            assert (await events.next())[1] == "reset", "what was missed is not known"
        refused = await http.get("/admin/events?digest=perhaps")
        assert refused.status_code == 400
        await until(lambda: not server.host.engine.updates.listeners)


async def test_of_more_than_a_reader_wants_it_is_told_how_many_then_each_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.http.admin.live.DIGEST_SECONDS", 0.2)
    async with serving(settings) as (server, http):
        client, feed = server.host.client, server.host.engine.updates
        async with stream(http, "/admin/events?most=2") as events:
            begin, name, _ = await events.next()
            await client.start(collect, 1, instance_id="alone")
            place, name, data = await events.next()
            assert (name, data["instanceId"]) == ("update", "alone")
            assert place.split("-")[0] == begin.split("-")[0]
            await asyncio.gather(
                *(client.start(collect, 0, instance_id=f"i-{number}") for number in range(300))
            )
            ended = 0
            digests: list[tuple[str, int]] = []
            while ended < 300:
                place, name, data = await events.next()
                ended += data["ended"]
                if name == "digest":
                    digests.append((place, data["changed"]))
            assert ended == 300
            await client.raise_event("alone", "item", 1)
            await until(feed._keeps_list)
            await client.start(collect, 1, instance_id="later")
            while name != "update" or data["instanceId"] != "later":
                place, name, data = await events.next()
                if name == "digest":
                    digests.append((place, data["changed"]))
            many = [place == "new" for place, _ in digests]
            assert many == [changed > 2 for _, changed in digests], "who comes back reads anew"
            assert (any(many), many[-1]) == (True, False)
            last = digests[-1][0]
            assert last.split("-")[0] == begin.split("-")[0]
        async with stream(http, "/admin/events?most=2", last=last) as events:
            while (await events.next())[2]["instanceId"] != "later":
                pass  # from there on nothing is missed
        for wrong in ("0", "101", "x"):
            assert (await http.get(f"/admin/events?most={wrong}")).status_code == 400
        await until(lambda: not feed.listeners)


async def test_silence_is_broken_by_comments_and_a_stopping_server_ends_streams(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.http.admin.live.HEARTBEAT_SECONDS", 0.01)
    async with serving(settings) as (server, http):
        await server.host.client.start(collect, 1, instance_id="c-1")
        await until_turns(server, "c-1", 1)
        async with stream(http, "/admin/instances/c-1/events") as events:
            await events.next()
            over = asyncio.ensure_future(events.is_over())
            await until(lambda: events.comments > 2)
            began = asyncio.get_running_loop().time()
            await server.stop()
            assert await over
            assert asyncio.get_running_loop().time() - began < 4, "it did not wait for the stream"


async def test_readers_that_come_back_at_once_do_not_hold_up_a_server_that_stops(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(settings) as (server, http):

        async def again(query: str) -> int:
            answers = list[int]()
            with suppress(httpx2.TransportError):
                while True:
                    async with http.stream("GET", f"/admin/events{query}") as answer:
                        answers.append(answer.status_code)
                        async for _ in answer.aiter_lines():
                            pass
            return max(answers)

        readers = [asyncio.ensure_future(again(one)) for one in ("", "?digest=true", "?most=5") * 3]
        await until(lambda: server.host.engine.updates.listeners == len(readers))
        began = asyncio.get_running_loop().time()
        await server.stop()
        assert asyncio.get_running_loop().time() - began < 4
        assert 503 in await asyncio.gather(*readers)
    assert "ASGI" not in caplog.text


async def test_a_reader_that_does_not_read_does_not_hold_up_a_server_that_stops(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(settings) as (server, _):
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            peer.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
            peer.sendall(b"GET /admin/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until(lambda: server.host.engine.updates.listeners == 1)
            while not unread(server):
                await server.host.client.start(show, "x" * 200_000)
            began = asyncio.get_running_loop().time()
            await server.stop()
            assert asyncio.get_running_loop().time() - began < 4
    assert "ASGI" not in caplog.text


async def test_streams_are_limited_and_a_closed_one_makes_room(settings: Settings) -> None:
    narrow = structs.replace(settings, http=HttpSettings(port=0, watchers=1))
    async with serving(narrow) as (server, http):
        async with stream(http, "/admin/events") as events:
            await events.next()
            refused = await http.get("/admin/events")
            assert (refused.status_code, refused.json()["code"]) == (503, "TN-1707")
            assert refused.headers["retry-after"]
            assert server.host.engine.updates.listeners == 1
        await until(lambda: not server.host.engine.updates.listeners)
        async with stream(http, "/admin/events") as events:
            assert (await events.next())[1] == "reset"


async def test_unknown_instances_and_wrong_ids_get_one_clear_answer(settings: Settings) -> None:
    async with serving(settings) as (server, http):
        unknown = await http.get("/admin/instances/nobody/events")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "TN-1202")
        wrong = await http.get(f"/admin/instances/{'x' * 300}/events")
        assert (wrong.status_code, wrong.json()["code"]) == (400, "TN-1101")
        assert (await http.head("/admin/events")).status_code == 200
        assert not server.host.engine.updates.listeners
