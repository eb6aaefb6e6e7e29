"""Why an instance does not go on: one sentence for each wait, however it is asked for.

From another process through the store, over HTTP, and in a test on a virtual clock. Who is asked
knows more or less: a queue is known to the host alone.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tenuto import App, Client, Context, RetryPolicy, Settings
from tenuto.engine.engine import Engine
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.insight.explanation import Explanation
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import InstanceId
from tenuto.model.timing import to_datetime
from tenuto.testing import TestHost
from tests.support.terminal import tenuto

HOUR = timedelta(hours=1)

app = App()


class Gate:
    """What the activity waits for."""

    is_open = False


gate = Gate()


@app.activity(max_concurrent=1)
async def busy() -> None:
    while not gate.is_open:  # noqa: ASYNC110 - of several loops, one after another
        await asyncio.sleep(0.001)


@app.activity(retry=RetryPolicy(max_attempts=3, first_interval=HOUR))
async def breaks() -> None:
    raise ValueError("no seat")


@app.orchestrator
async def sleeps(ctx: Context) -> None:
    await ctx.create_timer(HOUR)


@app.orchestrator
async def waits(ctx: Context) -> None:
    await ctx.wait_for_external_event("approved")


@app.orchestrator
async def waits_until(ctx: Context) -> None:
    await ctx.wait_for_external_event("approved", timeout=HOUR)


@app.orchestrator
async def works(ctx: Context) -> None:
    await ctx.call_activity(busy)


@app.orchestrator
async def tries_again(ctx: Context) -> None:
    await ctx.call_activity(breaks)


@app.orchestrator
async def calls(ctx: Context) -> None:
    await ctx.call_sub_orchestrator(waits.options(instance_id=f"{ctx.instance_id}-child"))


async def prepare_all(client: Client, engine: Engine) -> None:
    """One instance for each wait, under the name of the wait."""
    for name in ("sleeps", "waits", "waits_until", "tries_again", "calls", "is_held"):
        await client.start("waits" if name == "is_held" else name, instance_id=name)
    for number in range(3):
        await client.start(works, instance_id=f"works-{number}")
    await client.start(waits, instance_id="suspended")
    await client.suspend("suspended", "for lunch")
    held = engine.residents.named(InstanceId("is_held"))
    assert held is not None
    engine.holding.hold(held, Hold(HoldReason.GUARD, "time.time() is new here", engine.clock.now()))
    later = to_datetime(client.gateway.now()) + HOUR
    await client.start(waits, instance_id="later", start_at=later)


MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ?"
SINCE = rf"since {MOMENT} \([^)]+\)"

EVERYWHERE = {
    "sleeps": rf"waits for a timer due at {MOMENT}",
    "waits": rf"waits for event 'approved' {SINCE}",
    "waits_until": rf"waits for event 'approved' {SINCE}, until {MOMENT}",
    "tries_again": rf"waits for attempt 2 of activity breaks at {MOMENT}, "
    r"after ValueError: no seat",
    "calls": rf"waits for sub-orchestration waits \(calls-child\) {SINCE}",
    "is_held": rf"held since {MOMENT} \(guard\): time.time\(\) is new here",
    "works-0": rf"waits for activity busy, running {SINCE}",
    "suspended": rf"suspended since {MOMENT} \([^)]+\)",
    "later": rf"begins at {MOMENT}",
}
"""What everybody says."""

QUEUED = (
    rf"waits for activity busy, queued at place 2 behind the limit of activity 'busy', 1 at once "
    rf"{SINCE}"
)
"""What only the host knows; others believe that it runs."""


@pytest.fixture(autouse=True)
def _nothing_is_blocked_at_the_end() -> Iterator[None]:
    gate.is_open = False
    yield
    gate.is_open = True


def check(found: dict[str, Explanation], expected: dict[str, str]) -> None:
    for name, pattern in expected.items():
        assert re.fullmatch(pattern, found[name].sentence), (name, found[name].sentence)
    assert {name for name, one in found.items() if one.is_stuck} == {"is_held"}
    assert found["waits"].advice.startswith("tenuto instances raise-event waits approved")
    assert found["suspended"].advice.startswith("tenuto instances resume suspended")


async def test_a_host_explains_in_a_test_on_a_virtual_clock() -> None:
    async with TestHost(app, settings=Settings(on_mismatch="hold")) as test:
        await prepare_all(test.client, test.host.engine)
        await test.advance(timedelta(seconds=2), with_activities=False)
        found = {name: await test.host.explain(name) for name in EVERYWHERE}
        check(found, EVERYWHERE)
        assert re.fullmatch(QUEUED, (await test.host.explain("works-2")).sentence)
        gate.is_open = True


async def test_a_server_and_its_store_explain_to_other_processes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    settings = Settings(storage=url, http=HttpSettings(port=0))
    async with (
        Server(app, settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
        Client(server.url) as client,
    ):
        await prepare_all(server.host.client, server.host.engine)
        told: dict[str, Explanation] = {}
        async with asyncio.timeout(20):
            while not told or not is_settled(told):
                told = {name: await over_http(http, name) for name in EVERYWHERE}
        check(told, EVERYWHERE)
        assert re.fullmatch(QUEUED, (await over_http(http, "works-2")).sentence)
        assert (await client.get_status("works-2")) is not None
        shown = [asyncio.to_thread(shown_by_command, tmp_path, url, name) for name in EVERYWHERE]
        found = dict(zip(EVERYWHERE, await asyncio.gather(*shown), strict=True))
        check(found, EVERYWHERE)
        resumed = await asyncio.to_thread(shown_by_command, tmp_path, server.url, "suspended")
        assert resumed.advice == f"tenuto instances resume suspended --url {server.url}"
        at_host = await asyncio.to_thread(shown_by_command, tmp_path, server.url, "works-2")
        assert re.fullmatch(QUEUED, at_host.sentence)
        gate.is_open = True


def is_settled(told: dict[str, Explanation]) -> bool:
    """Whether all of them have come to their waits."""
    return all(re.fullmatch(EVERYWHERE[name], one.sentence) for name, one in told.items())


async def over_http(http: httpx2.AsyncClient, name: str) -> Explanation:
    found = (await http.get(f"/admin/instances/{name}")).json()["explanation"]
    return Explanation(
        sentence=found["sentence"],
        advice=found.get("advice", ""),
        is_stuck=found.get("isStuck", False),
    )


def shown_by_command(folder: Path, place: str, name: str) -> Explanation:
    option = "--url" if place.startswith("http") else "--storage"
    done = tenuto(folder, "instances", "show", name, "--json", option, place)
    found = json.loads(done.stdout)["explanation"]
    return Explanation(
        sentence=found["sentence"], advice=found["advice"], is_stuck=found["isStuck"]
    )
