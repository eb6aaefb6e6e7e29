"""A device and a hub, linked: starts, events and results go both ways."""

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx2
import pytest

from tenuto import (
    App,
    Context,
    RuntimeStatus,
    Settings,
    SubOrchestrationError,
)
from tenuto.client.client import Client
from tenuto.client.status import HoldStatus
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.link.dialling import Line
from tenuto.link.links import let_in, link_store
from tenuto.link.options import LinkSettings
from tenuto.model.errors import (
    InputError,
    InvalidInstanceIdError,
    LinkFullError,
    NoSuchLinkError,
    NotOverLinksError,
)
from tenuto.model.linking import Parcel
from tenuto.model.requests import IdReuse
from tenuto.storage import open_storage
from tests.support.http_server import ADMIN_KEY, KEYS, READ_KEY
from tests.support.linked import linked
from tests.support.waiting import until_given

hub = App()
device = App()
PATIENCE_SECONDS = 10


@hub.orchestrator
async def collect(ctx: Context, count: int) -> list[str]:
    return [await ctx.wait_for_external_event("reading", str) for _ in range(count)]


@hub.orchestrator
async def judge(ctx: Context, celsius: float) -> str:
    if celsius < 0:
        raise ValueError("there is no such temperature")
    return "warm" if celsius > 20 else "cold"


@hub.orchestrator
async def ask_device(ctx: Context, word: str) -> str:
    answer = await ctx.call_sub_orchestrator("answer", word, on="box")
    return f"the device says {answer}"


@hub.orchestrator
async def sleep(ctx: Context) -> None:
    ctx.set_custom_status("asleep")
    await ctx.create_timer(timedelta(days=1))


@device.orchestrator
async def answer(ctx: Context, word: str) -> str:
    return word.upper()


@device.orchestrator
async def measure(ctx: Context, celsius: float) -> str:
    return str(await ctx.call_sub_orchestrator("judge", celsius, on="hub"))


@device.orchestrator
async def report(ctx: Context, to: str) -> None:
    ctx.send_event(to, "reading", "from an orchestration")


@device.orchestrator
async def begin(ctx: Context) -> list[str]:
    return [
        ctx.start_orchestrator("collect", 1, on="hub"),
        ctx.start_orchestrator("collect", 1, instance_id="chosen", on="hub"),
    ]


@device.orchestrator
async def hurry(ctx: Context) -> str:
    try:
        async with asyncio.timeout(0.2):
            await ctx.call_sub_orchestrator("sleep", instance_id="sleeper", on="hub")
    except TimeoutError:
        return "gave up"
    return "slept"


@device.orchestrator
async def nested(ctx: Context) -> None:
    await ctx.call_sub_orchestrator("sleep", instance_id="sleeper", on="hub")


@device.orchestrator
async def lost(ctx: Context) -> str:
    ctx.send_event("nowhere/x", "reading", "lost")
    try:
        await ctx.call_sub_orchestrator("judge", 1.0, on="nowhere")
    except SubOrchestrationError as error:
        return str(error)
    return "not lost"


async def held(client: Client, instance_id: str) -> HoldStatus | None:
    found = await client.get_status(instance_id)
    return None if found is None else found.hold


async def until_there(client: Client, instance_id: str, status: RuntimeStatus) -> None:
    async def has_come() -> bool:
        found = await client.get_status(instance_id)
        return found is not None and found.runtime_status is status

    async with asyncio.timeout(PATIENCE_SECONDS):
        await until_given(has_come)


async def test_events_of_a_device_reach_an_instance_of_the_hub_in_their_order() -> None:
    async with linked(hub, device) as both:
        handle = await both.there.start(collect, 21, instance_id="x")
        for number in range(20):
            await both.here.raise_event("hub/x", "reading", str(number))
        await (await both.here.start(report, "hub/x")).result()
        assert await handle.result() == [*map(str, range(20)), "from an orchestration"]


async def test_a_child_runs_on_the_hub_and_its_result_comes_back() -> None:
    async with linked(hub, device) as both:
        handle = await both.here.start(measure, 21.5, instance_id="m")
        assert await handle.result() == "warm"
        (there,) = [one async for one in both.there.query()]
        assert there.name == "judge"
        assert there.parent_instance_id == "box/m"


async def test_a_failure_comes_back_with_its_cause() -> None:
    async with linked(hub, device) as both:
        handle = await both.here.start(measure, -1.0)
        with pytest.raises(Exception, match="there is no such temperature"):
            await handle.result()


async def test_the_hub_runs_children_on_the_device_that_dials() -> None:
    async with linked(hub, device) as both:
        assert await (await both.there.start(ask_device, "yes")).result() == ("the device says YES")


async def test_what_the_hub_does_not_serve_yet_waits_there() -> None:
    async with linked(hub, device) as both:
        await both.here.start("judgement", instance_id="later", on="hub")
        async with asyncio.timeout(PATIENCE_SECONDS):
            found = await until_given(partial(held, both.there, "later"))
        assert found is not None
        assert found.reason == "not_served"


async def test_starts_that_nobody_waits_for() -> None:
    async with linked(hub, device) as both:
        ids = await (await both.here.start(begin)).result()
        for address in ids:
            assert address.startswith("hub/")
            await both.here.raise_event(address, "reading", "r")
            await until_there(both.there, address[4:], RuntimeStatus.COMPLETED)
        handle = await both.here.start("judge", 3.0, instance_id="j", on="hub")
        assert handle.instance_id == "hub/j"
        await until_there(both.there, "j", RuntimeStatus.COMPLETED)
        await both.here.start(judge.options(on="hub"), 3.0, instance_id="k")
        await until_there(both.there, "k", RuntimeStatus.COMPLETED)


async def test_a_call_that_is_given_up_ends_the_child_there() -> None:
    async with linked(hub, device) as both:
        assert await (await both.here.start(hurry)).result() == "gave up"
        await until_there(both.there, "sleeper", RuntimeStatus.TERMINATED)


async def test_the_end_of_a_parent_with_all_it_called_ends_children_there() -> None:
    async with linked(hub, device) as both:
        handle = await both.here.start(nested)
        await until_there(both.there, "sleeper", RuntimeStatus.RUNNING)
        await handle.terminate("enough", recurse=True)
        await until_there(both.there, "sleeper", RuntimeStatus.TERMINATED)


async def test_a_hub_that_is_not_linked_is_refused_by_name() -> None:
    async with linked(hub, device) as both:
        with pytest.raises(NoSuchLinkError, match=r"no link 'nowhere' here .there are: hub."):
            await both.here.raise_event("nowhere/x", "reading")
        with pytest.raises(NoSuchLinkError):
            await both.here.start("judge", 1.0, on="nowhere")
        assert "TN-1801" in await (await both.here.start(lost)).result()
        (letter,) = await both.here.dead_letters()
        assert letter.instance_id == "nowhere/x"
        assert "TN-1801" in letter.reason


async def test_what_cannot_be_asked_over_a_link() -> None:
    async with linked(hub, device) as both:
        handle = await both.here.start("judge", 1.0, instance_id="j", on="hub")
        with pytest.raises(NotOverLinksError, match="started and told events"):
            await handle.result()
        with pytest.raises(InvalidInstanceIdError):
            await handle.terminate()
        with pytest.raises(
            InvalidInstanceIdError, match="can be started and told events, nothing else"
        ):
            await both.here.get_status("hub/j")
        with pytest.raises(InvalidInstanceIdError):
            await both.here.terminate("hub/j")
        with pytest.raises(InvalidInstanceIdError):
            await both.here.raise_event("hub/j/k", "reading")
        with pytest.raises(InputError, match="name of a linked hub"):
            await both.here.raise_event("a hub/j", "reading")
        with pytest.raises(InputError, match="name of a linked hub"):
            judge.options(on="")
        with pytest.raises(InvalidInstanceIdError):
            await both.here.start(measure, 1.0, instance_id="hub/j")


async def test_an_event_that_nobody_can_take_there_is_a_dead_letter_there() -> None:
    async with linked(hub, device) as both:
        await both.here.raise_event("hub/nobody", "reading", 1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            letters = await until_given(both.there.dead_letters)
        assert letters[0].instance_id == "nobody"


async def test_what_is_fetched_comes_to_the_letter_from_a_server_with_keys() -> None:
    @hub.orchestrator(name="pass an address on")
    async def pass_on(ctx: Context) -> bool:
        address = await ctx.create_webhook("used", expires_in=timedelta(hours=1))
        return bool(await ctx.call_sub_orchestrator("answer", address, on="box") == address.upper())

    async with linked(hub, device, keys=KEYS) as both:
        assert await (await both.there.start(pass_on)).result() is True
        async with httpx2.AsyncClient(base_url=both.hub.url) as http:
            path = "/runtime/links"
            asking = {"x-functions-key": READ_KEY}
            (link,) = (await http.get(path, headers=asking)).json()
            assert link["name"] == "box"
            assert (await http.get(path)).status_code == 401
            for key in (READ_KEY, ADMIN_KEY):
                opened = await http.get(f"{path}/box/messages", headers={"x-functions-key": key})
                assert opened.status_code == 401


async def test_health_names_links_that_are_silent_to_those_with_a_key(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/hub.db"
    storage = open_storage(store)
    await storage.open()
    links = link_store(storage)
    for name, heard_at in (("old", 1_000), ("older", 1), ("new", None)):
        await let_in(links, name)
        await links.heard(name, heard_at, None)
    await storage.close()
    http_settings = HttpSettings(port=0, keys=KEYS)
    async with (
        Server(hub, settings=Settings(storage=store, http=http_settings)) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        asking = {"x-functions-key": READ_KEY}
        told = (await http.get("/healthz", headers=asking)).json()
        assert told["ready"] is True
        assert told["silentLinks"] == ["older", "old"]
        assert (await http.get("/healthz")).json()["silentLinks"] == []
        key = await server.host.links.let_in("old")
        line = Line(server.url, "old", key)
        try:
            await line.bring(Parcel(life="abc"))
        finally:
            await line.close()
        told = (await http.get("/healthz", headers=asking)).json()
        assert told["silentLinks"] == ["older"]


async def test_nobody_who_runs_there_ends_for_a_start_from_here() -> None:
    async with linked(hub, device) as both:
        handle = await both.there.start(collect, 1, instance_id="x")
        with pytest.raises(InputError, match="only when it has ended"):
            await both.here.start("judge", 1.0, instance_id="x", on="hub", reuse=IdReuse.ALWAYS)
        await both.here.raise_event("hub/x", "reading", "r")
        assert await handle.result() == ["r"]


async def test_a_name_stands_for_one_link() -> None:
    async with linked(hub, device) as both:
        with pytest.raises(InputError, match="which is dialled by its other end"):
            await both.hub.host.links.dial("https://h", called="x", key="k", name="box")
        with pytest.raises(InputError, match="which dials http"):
            await both.device.links.let_in("hub")


async def test_no_more_waits_than_may() -> None:
    few = LinkSettings(messages=3, longest_pause_seconds=0.1)
    async with linked(hub, device, links=few) as both:
        both.line.go_down()
        for number in range(3):
            await both.here.raise_event("hub/x", "reading", str(number))
        with pytest.raises(LinkFullError, match=r"3 messages with .* links\.messages"):
            await both.here.raise_event("hub/x", "reading", "4")
        with pytest.raises(Exception, match="TN-1802"):
            await (await both.here.start(measure, 1.0)).result()
        both.line.is_down = False
        handle = await both.there.start(collect, 3, instance_id="x")
        assert await handle.result() == ["0", "1", "2"]
