"""Several windows side by side: a browser has six connections to a host, for all of them."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import expect

from tests.support.dashboard import Visit
from tests.support.http_server import Serving, serving
from tests.support.steered_app import begun, steered_app
from tests.support.waiting import until


@pytest_asyncio.fixture(loop_scope="session")
async def hub() -> AsyncIterator[Serving]:
    async with serving(steered_app()) as running:
        yield running


async def test_all_windows_work_and_those_without_a_stream_say_so_and_ask(
    hub: Serving, visit: Visit
) -> None:
    client, updates = hub.server.host.client, hub.server.host.engine.updates
    pages = [visit.page, *[await visit.page.context.new_page() for _ in range(5)]]
    for number, page in enumerate(pages):
        await begun(client, "wait", instance_id=f"w-{number}")
        await page.goto(f"{visit.base}/dashboard#/instances/w-{number}")
        await expect(page.get_by_role("group", name="Actions")).to_be_visible()
    await until(lambda: updates.listeners == 4)
    for page in pages[:4]:
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    for page in pages[4:]:
        await expect(page.get_by_text("Every 3 s", exact=True)).to_be_visible()
    for number, page in reversed(list(enumerate(pages))):
        await client.terminate(f"w-{number}")
        await expect(page.locator("header").get_by_text("Terminated", exact=True)).to_be_visible()
    # Who comes next has what is given back.
    await pages[0].close()
    await expect(pages[4].get_by_text("Live", exact=True)).to_be_visible()
