"""What can be done to one instance, asked before it is done, and its effect in the store."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tenuto import Client, RuntimeStatus
from tests.support.dashboard import Visit
from tests.support.http_server import Serving, serving
from tests.support.steered_app import becomes, begun, ends, standing, steered_app
from tests.support.waiting import until_given


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    store = tmp_path_factory.mktemp("actions") / "hub.db"
    async with serving(steered_app(), storage=f"sqlite:///{store}") as running:
        yield running


@pytest.fixture
def client(hub: Serving) -> Client:
    return hub.server.host.client


def actions(page: Page) -> Locator:
    return page.get_by_role("group", name="Actions")


async def asked(page: Page, action: str) -> Locator:
    """The dialog that asks before it is done."""
    button = actions(page).get_by_role("button", name=f"{action}…")
    if not await button.is_visible():
        await actions(page).get_by_role("button", name="More").click()
    await button.click()
    return page.get_by_role("dialog")


async def opened(visit: Visit, instance_id: str) -> Page:
    await visit.go(f"#/instances/{instance_id}")
    await expect(actions(visit.page)).to_be_visible()
    return visit.page


async def test_an_instance_is_suspended_and_resumed(visit: Visit, client: Client) -> None:
    await begun(client, "wait", instance_id="paused")
    page = await opened(visit, "paused")
    dialog = await asked(page, "Suspend")
    await dialog.get_by_label("Reason").fill("lunch & <i>more</i>")
    await dialog.get_by_role("button", name="Suspend", exact=True).click()
    await expect(page.get_by_role("status").get_by_text("Suspended.")).to_be_visible()
    await becomes(client, "paused", RuntimeStatus.SUSPENDED)
    await expect(page.get_by_text("lunch & <i>more</i>").first).to_be_visible()
    await expect(actions(page).get_by_role("button", name="Suspend…")).to_have_count(0)
    await (await asked(page, "Resume")).get_by_role("button", name="Resume", exact=True).click()
    await becomes(client, "paused", RuntimeStatus.RUNNING)
    await expect(actions(page).get_by_role("button", name="Suspend…")).to_be_visible()


async def test_an_instance_is_suspended_by_keyboard_alone(visit: Visit, client: Client) -> None:
    await begun(client, "wait", instance_id="typed")
    await visit.go()
    page = visit.page
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type("typed")
    await page.keyboard.press("Enter")
    await expect(actions(page)).to_be_visible()
    suspend = actions(page).get_by_role("button", name="Suspend…")
    for _ in range(40):
        if await suspend.evaluate("one => one === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await expect(suspend).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Reason")).to_be_focused()
    await page.keyboard.type("by hand")
    await page.keyboard.press("Enter")
    await becomes(client, "typed", RuntimeStatus.SUSPENDED)
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_nothing_is_done_by_who_calls_it_off(visit: Visit, client: Client) -> None:
    await begun(client, "wait", instance_id="spared")
    page = await opened(visit, "spared")
    dialog = await asked(page, "Terminate")
    await expect(dialog.locator(":focus")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    dialog = await asked(page, "Terminate")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_have_count(0)
    await becomes(client, "spared", RuntimeStatus.RUNNING)


@pytest.mark.parametrize("with_children", [True, False])
async def test_an_instance_is_terminated_with_what_it_called_or_alone(
    visit: Visit, client: Client, with_children: bool
) -> None:
    parent = f"caller-{with_children}"
    await begun(client, "call", instance_id=parent)

    async def below() -> list[str]:
        return [one.instance_id async for one in client.query() if one.parent_instance_id == parent]

    (child,) = await until_given(below)
    await becomes(client, child, RuntimeStatus.RUNNING)
    page = await opened(visit, parent)
    dialog = await asked(page, "Terminate")
    if with_children:
        await dialog.get_by_label("Also end what it has called").check()
    await dialog.get_by_label("Reason").fill("enough")
    await dialog.get_by_role("button", name="Terminate", exact=True).click()
    status = await ends(client, parent)
    assert (status.runtime_status, status.output) == (RuntimeStatus.TERMINATED, "enough")
    await expect(page.locator("header").get_by_text("Terminated", exact=True)).to_be_visible()
    if with_children:
        await becomes(client, child, RuntimeStatus.TERMINATED)
    else:
        await becomes(client, child, RuntimeStatus.RUNNING)
        await client.terminate(child)


async def test_an_instance_is_failed(visit: Visit, client: Client) -> None:
    await begun(client, "wait", instance_id="failed")
    page = await opened(visit, "failed")
    dialog = await asked(page, "Fail")
    await dialog.get_by_label("Reason").fill("the customer has gone")
    await dialog.get_by_role("button", name="Fail", exact=True).click()
    status = await ends(client, "failed")
    assert status.runtime_status is RuntimeStatus.FAILED
    assert status.failure is not None
    assert "the customer has gone" in status.failure.error_message
    await expect(page.get_by_role("region", name="How it failed")).to_contain_text(
        "the customer has gone"
    )
    off = actions(page).get_by_role("button", name="Terminate…")
    await expect(off).to_have_attribute("aria-disabled", "true")
    await expect(off).to_have_attribute("title", "It has ended (Failed).")


async def test_an_instance_is_restarted_under_a_new_id(visit: Visit, client: Client) -> None:
    await client.start("number", 7, instance_id="again")
    await ends(client, "again")
    page = await opened(visit, "again")
    dialog = await asked(page, "Restart")
    await dialog.get_by_role("button", name="Restart", exact=True).click()
    await expect(dialog).to_have_count(0)
    await expect(page).not_to_have_url(f"{visit.base}/dashboard#/instances/again")
    new = page.url.rpartition("/")[2]
    assert (await ends(client, new)).output == 7


async def test_an_instance_is_restarted_under_its_own_id(visit: Visit, client: Client) -> None:
    await client.start("number", 8, instance_id="same")
    before = (await ends(client, "same")).execution_id
    page = await opened(visit, "same")
    dialog = await asked(page, "Restart")
    await dialog.get_by_label("Under its own id").check()
    await dialog.get_by_role("button", name="Restart", exact=True).click()
    status = await standing(
        client,
        "same",
        lambda one: one.execution_id != before and one.runtime_status.is_finished,
    )
    assert status.output == 8


@pytest.mark.parametrize("is_over", [True, False])
async def test_an_instance_is_purged(visit: Visit, client: Client, is_over: bool) -> None:
    instance_id = f"purged-{is_over}"
    if is_over:
        await client.start("number", 9, instance_id=instance_id)
        await ends(client, instance_id)
    else:
        await begun(client, "wait", instance_id=instance_id)
    page = await opened(visit, instance_id)
    visit.expected.append("status of 404")
    dialog = await asked(page, "Purge")
    await dialog.get_by_role(
        "button", name="Purge" if is_over else "Terminate and purge", exact=True
    ).click()
    await expect(page.get_by_role("main")).to_contain_text(instance_id)
    await expect(
        page.get_by_text(f"{instance_id} was purged").or_(
            page.get_by_text(f"There is no instance {instance_id}")
        )
    ).to_be_visible()
    assert await client.get_status(instance_id) is None


async def test_what_comes_too_late_is_told_in_the_dialog(visit: Visit, client: Client) -> None:
    await begun(client, "wait", instance_id="late")
    page = await opened(visit, "late")
    await expect(page.get_by_role("heading", level=1)).to_have_text("wait")
    visit.expected.append("status of 4")
    dialog = await asked(page, "Suspend")
    await dialog.get_by_label("Reason").fill("for lunch")
    await client.terminate("late")
    await ends(client, "late")
    # The button has another place now; what somebody writes stays where it is.
    await expect(page.locator("article").get_by_text("Terminated").first).to_be_visible()
    await expect(dialog.get_by_label("Reason")).to_have_value("for lunch")
    await dialog.get_by_role("button", name="Suspend", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_be_visible()


@pytest.mark.parametrize("action", ["Terminate", "Purge", "Raise event"])
async def test_what_was_meant_for_one_is_not_done_to_the_next_under_its_id(
    visit: Visit, client: Client, action: str
) -> None:
    instance_id = f"handed-on-{action.replace(' ', '-')}"
    await begun(client, "wait", instance_id=instance_id)
    if action == "Purge":
        await client.terminate(instance_id)
        await ends(client, instance_id)
    page = await opened(visit, instance_id)
    dialog = await asked(page, action)
    title = await dialog.get_by_role("heading").first.inner_text()
    if action == "Raise event":
        await dialog.get_by_role("textbox").last.fill("1")
    if action != "Purge":
        await client.terminate(instance_id)
        await ends(client, instance_id)
    await begun(client, "number", 7, instance_id=instance_id)
    await expect(page.get_by_role("heading", level=1)).to_have_text("number")
    await expect(dialog.get_by_role("heading").first).to_have_text(title)
    await dialog.locator("button[type=submit]").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("was started anew in the meantime")
    assert (await standing(client, instance_id, lambda one: one)).name == "number"


async def test_the_page_of_a_purged_instance_shows_the_next_one(
    visit: Visit, client: Client
) -> None:
    await begun(client, "wait", instance_id="purged-then-begun")
    page = await opened(visit, "purged-then-begun")
    await client.purge("purged-then-begun", force=True)
    await expect(page.get_by_text("purged-then-begun was purged")).to_be_visible()
    await client.start("wait", instance_id="purged-then-begun")
    await expect(actions(page)).to_be_visible()


async def test_a_dialog_outlives_its_instance_and_says_so(visit: Visit, client: Client) -> None:
    await begun(client, "wait", instance_id="purged-meanwhile")
    page = await opened(visit, "purged-meanwhile")
    visit.expected.append("status of 4")
    dialog = await asked(page, "Terminate")
    await dialog.get_by_label("Reason").fill("no use")
    await client.purge("purged-meanwhile", force=True)
    await expect(page.get_by_text("purged-meanwhile was purged")).to_be_visible()
    await expect(dialog.get_by_label("Reason")).to_have_value("no use")
    await dialog.get_by_role("button", name="Terminate", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_contain_text("purged-meanwhile")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_have_count(0)
