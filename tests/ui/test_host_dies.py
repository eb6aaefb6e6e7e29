"""A host is killed and comes back while somebody looks: the page says so, and goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest_asyncio
from playwright.async_api import expect

from tenuto import Client
from tests.support import seen_host_process
from tests.support.dashboard import BROKEN_OFF, Look
from tests.support.host_process import HostProcess
from tests.support.ports import held_port
from tests.support.steered_app import begun, ends


class Host:
    """One that can be killed and started again, at the same address."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._port = port
        self._process: HostProcess | None = None

    async def start(self) -> None:
        self._process = await HostProcess.begin(
            seen_host_process.__file__,
            self._folder / "log",
            self._folder / "hub.db",
            self._port,
        )
        assert await self._process.said("up"), (self._folder / "log").read_text()

    async def kill(self) -> None:
        assert self._process is not None
        await self._process.kill()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with Client(self.url) as client:
            yield client


@pytest_asyncio.fixture(loop_scope="session")
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    with held_port() as port:
        one = Host(tmp_path, port)
        await one.start()
        yield one
        await one.kill()


async def test_a_list_goes_on_when_its_host_is_back(host: Host, look: Look) -> None:
    visit = await look(host.url)
    page = visit.page
    async with host.client() as client:
        await begun(client, "wait", instance_id="before")
        await visit.go("#/instances")
        await expect(page.get_by_role("link", name="before")).to_be_visible()
        await page.evaluate("window.isTheSamePage = true")
        visit.expected.append(BROKEN_OFF)
        await host.kill()
        notice = page.get_by_role("alert").filter(has_text="The host does not answer.")
        await expect(notice).to_be_visible()
        await expect(page.get_by_role("link", name="before")).to_be_visible()
        await host.start()
        await expect(notice).to_have_count(0)
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        await client.raise_event("before", "Go", "on")
        assert (await ends(client, "before")).output == "on"
        await expect(
            page.get_by_role("row").filter(has_text="before").get_by_text("Completed")
        ).to_be_visible()
        assert await page.evaluate("window.isTheSamePage")


async def test_the_page_of_an_instance_goes_on_when_its_host_is_back(
    host: Host, look: Look
) -> None:
    visit = await look(host.url)
    page = visit.page
    async with host.client() as client:
        await begun(client, "wait", instance_id="seen")
        await visit.go("#/instances/seen")
        await expect(page.locator(".tl-row")).to_contain_text("Go")
        await page.evaluate("window.isTheSamePage = true")
        visit.expected.append(BROKEN_OFF)
        await host.kill()
        # Who does something meanwhile is told so, and what was typed stays.
        await page.get_by_role("button", name="Suspend…").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Reason").fill("a pause")
        await dialog.get_by_role("button", name="Suspend", exact=True).click()
        await expect(dialog.get_by_role("alert")).to_contain_text("The host does not answer")
        await host.start()
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        await dialog.get_by_role("button", name="Suspend", exact=True).click()
        await expect(page.locator("header").get_by_text("Suspended", exact=True)).to_be_visible()
        await client.resume("seen")
        await client.raise_event("seen", "Go", "on")
        await expect(page.locator("header").get_by_text("Completed", exact=True)).to_be_visible()
        assert await page.evaluate("window.isTheSamePage")


async def test_a_page_that_is_opened_while_there_is_no_answer_waits_for_one(
    host: Host, look: Look
) -> None:
    visit = await look(host.url)
    page = visit.page
    await page.route("**/session", lambda route: route.abort())
    visit.expected += ["ERR_FAILED"]
    await visit.go("#/hosts")
    await expect(page.get_by_role("heading", name="The host does not answer")).to_be_visible()
    await page.unroute("**/session")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Hosts")
