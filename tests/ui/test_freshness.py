"""What is shown is so: after the host has come back, after one's own actions, before one acts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from tenuto import App, Client, Context, RetryPolicy, RuntimeStatus
from tests.support.dashboard import Look, Visit
from tests.support.http_server import ADMIN_KEY, KEYS, Serving, serving
from tests.support.shop import is_held, shop
from tests.support.steered_app import begun, ends, steered_app
from tests.support.waiting import until_given

AWAY = "ERR_|status of 4|status of 503"
"""What the console says while nobody answers, or who answers is stopping."""


@asynccontextmanager
async def back(app: App, folder: Path, port: int = 0) -> AsyncIterator[Serving]:
    """A host on the store of the one before, at the same address."""
    async with serving(app, storage=f"sqlite:///{folder / 'hub.db'}", port=port) as running:
        yield running


async def invoice(client: Client, number: int) -> str:
    """One that waits for its signature, after its first activity."""
    instance_id = f"invoice-{number}"
    await client.start("invoice", number, instance_id=instance_id)

    async def waits() -> bool:
        return len(await client.history(instance_id)) >= 5

    await until_given(waits)
    return instance_id


async def sign(client: Client, instance_id: str) -> None:
    await client.raise_event(instance_id, "Signed", "Grace")


async def test_the_held_page_follows_a_host_that_comes_back_with_other_code(
    look: Look, tmp_path: Path
) -> None:
    async with back(shop(), tmp_path) as first:
        port = first.port
        old = await invoice(first.server.host.client, 1)
    async with back(shop(checks_first=True), tmp_path, port) as second:
        client = second.server.host.client
        await sign(client, old)
        await until_given(lambda: is_held(client, old))
        new = await invoice(client, 2)
        visit = await look(second.url)
        visit.expected.append(AWAY)
        await visit.go("#/held")
        page = visit.page
        await expect(page.get_by_role("article", name=old)).to_be_visible()
    await expect(page.get_by_text("The host does not answer").first).to_be_visible()
    async with back(shop(), tmp_path, port) as third:
        client = third.server.host.client
        await ends(client, old)
        await sign(client, new)
        await until_given(lambda: is_held(client, new))
        await expect(page.get_by_role("article", name=new)).to_be_visible()
        await expect(page.get_by_role("article", name=old)).to_have_count(0)
        await page.goto("about:blank")


async def test_who_acts_on_a_card_that_is_old_hurts_nobody(look: Look, tmp_path: Path) -> None:
    async with back(shop(), tmp_path) as first:
        port = first.port
        one = await invoice(first.server.host.client, 1)
    async with back(shop(checks_first=True), tmp_path, port) as second:
        client = second.server.host.client
        await sign(client, one)
        await until_given(lambda: is_held(client, one))
        visit = await look(second.url)
        visit.expected.append(AWAY)
        page = visit.page
        stale = await (await page.request.get(f"{second.url}/admin/instances?held=true")).body()

        async def as_before(route: Route) -> None:
            await route.fulfill(body=stale, content_type="application/json")

        await page.route("**/admin/instances?held=true*", as_before)
        await visit.go("#/held")
        await expect(page.get_by_role("article", name=one)).to_be_visible()
    async with back(shop(), tmp_path, port) as third:
        client = third.server.host.client
        assert (await ends(client, one)).runtime_status is RuntimeStatus.COMPLETED
        card = page.get_by_role("article", name=one)
        await card.get_by_role("button", name="Restart").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Restart", exact=True).click()
        await expect(dialog.get_by_role("alert")).to_contain_text("is not held any more")
        await expect(dialog.get_by_role("alert")).to_contain_text("it is Completed now")
        status = await client.get_status(one)
        assert status is not None
        assert status.output == "Grace"
        await page.goto("about:blank")


async def test_a_list_that_is_opened_while_the_host_is_away_fills_itself(
    look: Look, tmp_path: Path
) -> None:
    async with back(steered_app(), tmp_path) as first:
        port = first.port
        await begun(first.server.host.client, "wait", instance_id="waits")
        visit = await look(first.url)
        visit.expected.append(AWAY)
        await visit.go("#/functions")
        page = visit.page
        await expect(page.get_by_role("heading", level=1)).to_have_text("Functions")
    await page.get_by_role("link", name="Instances", exact=True).click()
    await expect(page.get_by_text("Nothing could be read yet")).to_be_visible()
    await expect(page.get_by_text("There is no instance yet")).to_have_count(0)
    async with back(steered_app(), tmp_path, port):
        await expect(page.get_by_role("link", name="waits", exact=True)).to_be_visible()
        await expect(page.get_by_text("Nothing could be read yet")).to_have_count(0)
        await page.goto("about:blank")


def mailing_app() -> App:
    app = App()

    @app.queue("mails", retry=RetryPolicy(max_attempts=1))
    async def send_mail(address: str) -> None:
        raise ValueError(f"{address!r} is no address")

    @app.orchestrator
    async def number(ctx: Context, value: int) -> int:
        return value

    return app


async def put_aside(client: Client) -> list[int]:
    return [one.number for one in await client.gateway.failed_deliveries()]


async def test_deliveries_that_were_given_back_and_fail_again_come_back_to_the_list(
    look: Look, tmp_path: Path
) -> None:
    async with back(mailing_app(), tmp_path) as hub:
        client = hub.server.host.client
        for name in ("one", "two"):
            await client.enqueue("mails", name, message_id=f"mail-{name}")

        async def both() -> bool:
            return len(await put_aside(client)) == 2

        await until_given(both)
        before = await put_aside(client)
        visit = await look(hub.url)
        page = visit.page
        await visit.go("#/failed-deliveries")
        await page.get_by_label("Choose all").check()
        await page.get_by_role("button", name="Give back").click()
        await page.get_by_role("dialog").get_by_role("button", name="Give back").click()
        await expect(page.get_by_text("2 deliveries were given back")).to_be_visible()
        await expect(page.get_by_text("Nothing was put aside")).to_have_count(0)

        async def again() -> bool:
            return await both() and not set(before) & set(await put_aside(client))

        await until_given(again)
        for name in ("one", "two"):
            await expect(page.get_by_label(f"Choose mail-{name}")).to_be_visible()
        await page.goto("about:blank")


async def started(page: Page, value: str, instance_id: str) -> None:
    """The form, filled in and sent."""
    await page.get_by_role("button", name="Start an orchestration").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Orchestrator").select_option("number")
    await dialog.locator("form input").first.fill(value)
    await dialog.get_by_label("Instance id").fill(instance_id)
    await dialog.get_by_role("button", name="Start", exact=True).click()


@pytest.mark.parametrize("is_replaced", [True, False])
async def test_a_start_asks_before_it_replaces_an_instance_that_has_ended(
    look: Look, tmp_path: Path, is_replaced: bool
) -> None:
    async with back(mailing_app(), tmp_path) as hub:
        client = hub.server.host.client
        await client.start("number", 7, instance_id="taken")
        await ends(client, "taken")
        visit = await look(hub.url)
        visit.expected.append("status of 409")
        page = visit.page
        await visit.go("#/instances")
        await started(page, "8", "taken")
        asked = page.get_by_role("dialog").get_by_role("alert")
        await expect(asked).to_contain_text("There is an instance with this id already")
        await expect(asked).to_contain_text("the old one goes for good")
        assert (await ends(client, "taken")).output == 7
        if is_replaced:
            await asked.get_by_role("button", name="Start anew under this id").click()
        else:
            await page.get_by_role("dialog").get_by_label("Instance id").fill("free")
            await expect(asked).to_have_count(0)
            await page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        assert (await ends(client, "taken" if is_replaced else "free")).output == 8
        assert (await ends(client, "taken")).output == (8 if is_replaced else 7)
        await page.goto("about:blank")


@pytest_asyncio.fixture(loop_scope="session")
async def visit_with_keys(look: Look) -> AsyncIterator[Visit]:
    async with serving(steered_app(), keys=KEYS) as hub:
        visit = await look(hub.url)
        yield visit
        await visit.page.goto("about:blank")


async def test_what_was_typed_is_there_after_a_session_has_ended(visit_with_keys: Visit) -> None:
    page = visit_with_keys.page
    visit_with_keys.expected.append("status of 401")
    await visit_with_keys.go("#/instances")
    await page.get_by_label("Key").fill(ADMIN_KEY)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Start an orchestration").click()
    await page.get_by_role("dialog").get_by_label("Instance id").fill("long to type")
    await page.context.clear_cookies()
    await expect(page.get_by_text("Your session has ended. Sign in again")).to_be_visible()
    await page.get_by_label("Key").fill(ADMIN_KEY)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("dialog").get_by_label("Instance id")).to_have_value(
        "long to type"
    )
