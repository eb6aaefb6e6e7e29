"""What is done to several at once: chosen instances, held ones, deliveries that were put aside."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tenuto import Client, RuntimeStatus
from tests.support.dashboard import Visit
from tests.support.http_server import Serving
from tests.support.shop import is_held, serving_shop
from tests.support.steered_app import becomes, ends, standing
from tests.support.waiting import until_given


@pytest_asyncio.fixture(loop_scope="session")
async def hub(tmp_path: Path) -> AsyncIterator[Serving]:
    """A shop for each test: each changes it."""
    async with serving_shop(tmp_path) as running:
        yield running


@pytest.fixture
def client(hub: Serving) -> Client:
    return hub.server.host.client


async def choose(page: Page, *instance_ids: str) -> None:
    for one in instance_ids:
        await page.get_by_role("checkbox", name=f"Choose {one}", exact=True).check()


async def test_chosen_instances_are_suspended_resumed_terminated_and_purged(
    visit: Visit, client: Client
) -> None:
    both = ("refund-7", "order-1042")
    page = visit.page
    await visit.go("#/instances")
    bar = page.get_by_role("region", name="Actions on the chosen instances")
    for verb, status in (
        ("Suspend", RuntimeStatus.SUSPENDED),
        ("Resume", RuntimeStatus.RUNNING),
        ("Terminate", RuntimeStatus.TERMINATED),
    ):
        await choose(page, *both)
        await expect(bar.get_by_text("2 instances chosen")).to_be_visible()
        await bar.get_by_role("button", name=verb).click()
        dialog = page.get_by_role("dialog", name=f"{verb} 2 instances?")
        await dialog.get_by_role("button", name=verb, exact=True).click()
        await expect(dialog).to_have_count(0)
        for one in both:
            await becomes(client, one, status)
        await expect(bar).to_have_count(0)
    await choose(page, *both, "delivery-1")
    await bar.get_by_role("button", name="Purge").click()
    # One has not ended: it is left alone, and stays chosen.
    dialog = page.get_by_role("dialog", name="Purge 2 instances?")
    await expect(dialog.get_by_text("1 other one")).to_be_visible()
    await dialog.get_by_role("button", name="Purge", exact=True).click()
    await expect(bar.get_by_text("1 instance chosen")).to_be_visible()
    for one in both:
        assert await client.get_status(one) is None
    await becomes(client, "delivery-1", RuntimeStatus.SUSPENDED)


async def test_who_has_the_id_now_of_one_that_was_chosen_is_left_alone(
    visit: Visit, client: Client
) -> None:
    page = visit.page
    await visit.go("#/instances")
    await choose(page, "refund-7", "order-1042")
    await client.purge("refund-7", force=True)
    other = await client.get_status("delivery-1")
    assert other is not None
    await client.start(other.name, "shelf 7", instance_id="refund-7")
    row = page.get_by_role("row").filter(has_text="refund-7")
    await expect(row).to_contain_text(other.name)
    await (
        page.get_by_role("region", name="Actions on the chosen")
        .get_by_role("button", name="Terminate")
        .click()
    )
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Terminate", exact=True).click()
    await expect(dialog.get_by_text('"refund-7" was started anew in the meantime')).to_be_visible()
    await becomes(client, "order-1042", RuntimeStatus.TERMINATED)
    again = await client.get_status("refund-7")
    assert again is not None
    assert not again.runtime_status.is_finished


async def test_a_held_instance_shows_both_sides_and_is_tried_again_failed_or_restarted(
    visit: Visit, client: Client
) -> None:
    page = visit.page
    await visit.go("#/held")
    card = page.get_by_role("article", name="invoice-11")
    cause = page.get_by_role("region", name="invoice × 2: the code decides otherwise")  # noqa: RUF001
    await expect(cause).to_be_visible()
    sides = card.locator("pre")
    await expect(sides.nth(0)).to_contain_text("write")
    await expect(sides.nth(1)).to_contain_text("check")

    before = await client.get_status("invoice-11")
    assert before is not None
    assert before.hold is not None
    await card.get_by_role("button", name="Try again").click()
    await page.get_by_role("dialog").get_by_role("button", name="Try again").click()
    await standing(client, "invoice-11", lambda one: one.hold is not None and one.hold.tried)
    await expect(card).to_be_visible()

    await card.get_by_role("button", name="Fail").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("written by hand")
    await dialog.get_by_role("button", name="Fail", exact=True).click()
    assert (await ends(client, "invoice-11")).runtime_status is RuntimeStatus.FAILED
    await expect(card).to_have_count(0)

    other = page.get_by_role("article", name="invoice-12")
    await other.get_by_role("button", name="Restart").click()
    await page.get_by_role("dialog").get_by_role("button", name="Restart", exact=True).click()
    await standing(client, "invoice-12", lambda one: one.hold is None)
    await expect(page.get_by_text("No instance is held")).to_be_visible()
    await client.raise_event("invoice-12", "Signed", "Grace")
    assert (await ends(client, "invoice-12")).output == "Grace"


async def test_all_held_instances_are_tried_again_at_once(visit: Visit, client: Client) -> None:
    page = visit.page
    await visit.go("#/held")
    await page.get_by_role("button", name="Try 2 instances again").click()
    for one in ("invoice-11", "invoice-12"):
        await standing(client, one, lambda one: one.hold is not None and one.hold.tried)
        assert await is_held(client, one)
    await expect(page.get_by_text("tried again").first).to_be_visible()


async def test_failed_deliveries_are_given_back_and_dropped(visit: Visit, client: Client) -> None:
    page = visit.page
    await visit.go("#/failed-deliveries")
    (first,) = await client.gateway.failed_deliveries()
    give = page.get_by_role("button", name="Give back")
    await expect(give).to_have_attribute("aria-disabled", "true")
    await expect(give).to_have_attribute("title", "Choose some first.")
    item = page.locator("details").filter(has_text="'nowhere' is no address")
    await item.locator("summary").click()
    await expect(item.get_by_label("Its content")).to_have_text('"nowhere"')
    await page.get_by_label("Choose mail-1").check()
    await give.click()
    dialog = page.get_by_role("dialog", name="Give back 1 delivery?")
    await dialog.get_by_role("button", name="Give back").click()
    await expect(dialog).to_have_count(0)

    async def anew() -> bool:
        """It has failed once more, and has another number."""
        found = await client.gateway.failed_deliveries()
        return bool(found) and found[0].number != first.number

    await until_given(anew)
    await page.reload()
    await page.get_by_label("Choose all").check()
    await page.get_by_role("button", name="Drop").click()
    dialog = page.get_by_role("dialog", name="Drop 1 delivery?")
    await dialog.get_by_role("button", name="Drop").click()
    await expect(page.get_by_text("Nothing was put aside")).to_be_visible()
    assert await client.gateway.failed_deliveries() == []


async def test_a_dead_letter_says_for_whom_it_was_and_what_it_says(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/dead-letters")
    letter = page.locator("details").filter(has_text="accounts-2026")
    await letter.locator("summary").click()
    await expect(letter.get_by_label("The message")).to_contain_text("RefundAsked")
    await expect(letter.get_by_role("link", name="Its instance")).to_have_attribute(
        "href", "#/instances/accounts-2026"
    )


async def test_messages_of_a_queue_are_looked_at_and_dropped(visit: Visit, client: Client) -> None:
    page = visit.page
    await visit.go("#/queues?queue=mails")
    item = page.locator("details").filter(has_text="mail-2")
    await item.locator("summary").click()
    await expect(item.get_by_label("Its data")).to_have_text('"later@example.org"')
    await item.get_by_role("button", name="Drop").click()
    await page.get_by_role("dialog").get_by_role("button", name="Drop").click()
    await expect(page.get_by_text("It is empty now.")).to_be_visible()


async def test_a_function_of_a_schedule_is_run_now(visit: Visit, hub: Serving) -> None:
    page = visit.page
    await visit.go("#/functions")
    await page.get_by_role("button", name="Run now: tidy_up").click()
    await page.get_by_role("dialog").get_by_role("button", name="Run now").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    row = page.get_by_role("row").filter(has_text="tidy_up")
    await expect(row.locator('[data-label="Completed attempts"]')).to_have_text("1")
