"""Who is let in: signing in and out, keys that only read, sessions that end."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.support.dashboard import Look, Visit
from tests.support.http_server import ADMIN_KEY, KEYS, OPERATE_KEY, READ_KEY, Serving, serving
from tests.support.steered_app import begun, steered_app


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    store = tmp_path_factory.mktemp("keys") / "hub.db"
    async with serving(steered_app(), storage=f"sqlite:///{store}", keys=KEYS) as running:
        await begun(running.server.host.client, "wait", instance_id="guarded")
        yield running


async def sign_in(page: Page, key: str) -> None:
    await page.get_by_label("Key").fill(key)
    await page.get_by_role("button", name="Sign in").click()


async def test_a_wrong_key_says_so_and_the_right_one_leads_to_the_address(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/instances/guarded?tab=history")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(page.get_by_label("Key")).to_be_focused()
    await sign_in(page, "")
    await expect(page.get_by_role("alert")).to_contain_text("Enter a key")
    visit.expected.append("status of 401")
    await sign_in(page, "wrong-key-0123456789")
    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(page.get_by_role("alert")).not_to_contain_text("Enter a key")
    await sign_in(page, OPERATE_KEY)
    await expect(page.get_by_role("grid", name="History")).to_be_visible()
    assert page.url.endswith("#/instances/guarded?tab=history")
    await expect(page.locator(".role")).to_have_text("operate")
    kept = await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert OPERATE_KEY not in kept + await page.evaluate("document.cookie")


async def test_a_key_that_only_reads_is_told_why_it_may_do_nothing(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/instances/guarded")
    await sign_in(page, READ_KEY)
    reason = "Your key may only read; this needs one with the role"
    bar = page.get_by_role("group", name="Actions")
    await bar.get_by_role("button", name="More").click()
    for action in ("Raise event…", "Suspend…", "Terminate…", "Fail…", "Restart…", "Purge…"):
        button = bar.get_by_role("button", name=action)
        await expect(button).to_have_attribute("aria-disabled", "true")
        title = await button.get_attribute("title") or ""
        assert title.startswith(reason), (action, title)
        await button.click(force=True)
        await button.press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await visit.go("#/instances")
    start = page.get_by_role("button", name="Start an orchestration")
    await expect(start).to_have_attribute("aria-disabled", "true")
    await visit.go("#/settings")
    await expect(page.get_by_text("Settings are for administrators")).to_be_visible()


async def test_no_page_shows_a_secret(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/settings")
    await sign_in(page, ADMIN_KEY)
    await expect(page.get_by_text("http.keys").first).to_be_visible()
    content = await page.content()
    assert not [key for key in (READ_KEY, OPERATE_KEY, ADMIN_KEY) if key in content]


async def test_who_signs_out_is_out_in_every_way(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/instances/guarded")
    await sign_in(page, ADMIN_KEY)
    await expect(page.get_by_role("heading", level=1)).to_have_text("wait")
    cookies = await page.context.cookies()
    visit.expected.append("status of 401")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    await expect(page.get_by_text("Your session has ended")).to_have_count(0)
    await page.context.add_cookies(
        [{"name": one["name"], "value": one["value"], "url": visit.base} for one in cookies]
    )
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    await page.go_back()
    await expect(page.get_by_text("guarded")).to_have_count(0)


async def test_a_session_that_is_gone_leads_to_sign_in_and_back(visit: Visit) -> None:
    page = visit.page
    address = "#/instances/guarded?tab=data"
    await visit.go(address)
    await sign_in(page, ADMIN_KEY)
    await expect(page.get_by_text("Execution id")).to_be_visible()
    visit.expected.append("status of 40[13]")
    await page.context.clear_cookies()
    await visit.go("#/instances/guarded?tab=history")
    await expect(page.get_by_text("Your session has ended. Sign in again")).to_be_visible()
    await expect(page.get_by_text("guarded").first).to_be_hidden()
    await sign_in(page, ADMIN_KEY)
    await expect(page.get_by_role("grid", name="History")).to_be_visible()
    assert page.url.endswith("#/instances/guarded?tab=history")


async def test_a_session_runs_out_while_somebody_looks(look: Look) -> None:
    async with serving(steered_app(), keys=KEYS, session_seconds=2) as short:
        await begun(short.server.host.client, "wait", instance_id="guarded")
        visit = await look(short.url)
        page = visit.page
        visit.expected.append("status of 401")
        await visit.go("#/instances/guarded?tab=data")
        await sign_in(page, ADMIN_KEY)
        # Nothing is pressed: the page asks for its figures itself, and hears of it.
        await expect(page.get_by_text("Your session has ended. Sign in again")).to_be_visible()
        await sign_in(page, ADMIN_KEY)
        await expect(page.get_by_text("Execution id")).to_be_visible()
        assert page.url.endswith("#/instances/guarded?tab=data")
        await page.goto("about:blank")
