"""More changes at once than a list can show: it says so, shows what is true, and goes on."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

import pytest_asyncio
from playwright.async_api import Page, Route, expect

from tests.support.dashboard import Visit
from tests.support.http_server import Serving, serving
from tests.support.steered_app import begun, steered_app
from tests.support.waiting import until

_MANY: Final = 600
"""More than a first page has."""


@pytest_asyncio.fixture(loop_scope="session")
async def hub() -> AsyncIterator[Serving]:
    async with serving(steered_app()) as running:
        yield running


async def _burst(hub: Serving, page: Page) -> None:
    """Many come and end while one that is seen ends, too."""
    client = hub.server.host.client
    await begun(client, "wait", instance_id="calm")
    calm = page.get_by_role("row").filter(has_text="calm")
    await expect(calm).to_contain_text("Running")
    starts = [client.start("number", one, instance_id=f"burst-{one}") for one in range(_MANY)]
    await asyncio.gather(*starts[: _MANY // 2])
    await until(lambda: hub.server.host.engine.updates._digests)
    await asyncio.gather(client.terminate("calm"), *starts[_MANY // 2 :])


async def test_a_list_keeps_its_rows_and_says_that_there_are_more(
    hub: Serving, visit: Visit
) -> None:
    client, page = hub.server.host.client, visit.page
    await visit.go("#/instances")
    await _burst(hub, page)
    first = page.get_by_role("row").nth(1)
    await expect(first).to_contain_text("calm")
    await expect(first).to_contain_text("Terminated")
    await page.get_by_role("button", name=re.compile(r"^\d+\+ new: show$")).click()
    await expect(first).to_contain_text("burst-")
    # Few change now: each is told again, where it stands.
    await client.start("wait", instance_id="after")
    await page.get_by_role("button", name="1 new: show").click()
    await expect(first).to_contain_text("after")
    await client.terminate("after")
    await expect(first).to_contain_text("Terminated")


async def test_what_could_not_be_read_is_read_later(hub: Serving, visit: Visit) -> None:
    page = visit.page
    visit.expected.append("status of 503")
    readings = re.compile(r"/admin/instances\?")

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, json={"code": "TN-1401", "message": "not now"})

    client = hub.server.host.client
    await begun(client, "wait", instance_id="calm")
    await visit.go("#/instances")
    calm = page.get_by_role("row").filter(has_text="calm")
    await expect(calm).to_contain_text("Running")
    await page.route(readings, refuse)
    starts = [client.start("number", one, instance_id=f"burst-{one}") for one in range(_MANY)]
    await asyncio.gather(*starts[: _MANY // 2])
    await until(lambda: hub.server.host.engine.updates._digests)
    await asyncio.gather(client.terminate("calm"), *starts[_MANY // 2 :])
    await asyncio.sleep(2)  # the last digest has come, and its reading was refused
    await page.wait_for_event("response", lambda answer: answer.status == 503)
    await expect(calm).to_contain_text("Running")
    await page.unroute(readings)
    await expect(calm).to_contain_text("Terminated")


async def test_rows_that_may_be_old_are_said_to_be(hub: Serving, visit: Visit) -> None:
    """Under a filter by status nobody tells that a row has left it."""
    page = visit.page
    await visit.go("#/instances?status=running")
    await _burst(hub, page)
    await page.get_by_role("button", name="Changes were missed: read anew").click()
    await expect(page.get_by_text("No instance fits")).to_be_visible()


async def test_there_is_one_stream_whatever_is_looked_at(hub: Serving, visit: Visit) -> None:
    updates, page = hub.server.host.engine.updates, visit.page
    places = ("#/", "#/instances", "#/held", "#/functions", "#/instances", "#/")
    for place in places:
        await visit.go(place)
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        digests = 0 if place in {"#/instances", "#/held"} else 1
        await until(lambda: (updates.listeners, len(updates._digests)) == (1, digests))  # noqa: B023
