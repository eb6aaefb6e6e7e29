"""What people give an orchestration: its input, an event, an answer; and what is wrong with it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tenuto import Client
from tests.support.dashboard import Visit
from tests.support.http_server import Serving, serving
from tests.support.steered_app import Trip, begun, ends, standing, steered_app


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    store = tmp_path_factory.mktemp("sending") / "hub.db"
    async with serving(steered_app(), storage=f"sqlite:///{store}") as running:
        yield running


@pytest.fixture
def client(hub: Serving) -> Client:
    return hub.server.host.client


async def start_dialog(visit: Visit, name: str) -> Locator:
    await visit.go("#/instances")
    await visit.page.get_by_role("button", name="Start an orchestration").click()
    dialog = visit.page.get_by_role("dialog", name="Start an orchestration")
    await dialog.get_by_label("Orchestrator").select_option(name)
    return dialog


async def send_dialog(page: Page, button: str) -> Locator:
    await page.get_by_role("group", name="Actions").get_by_role("button", name=button).click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator("form")).to_be_visible()
    return dialog


async def test_an_orchestration_is_started_from_a_form(visit: Visit, client: Client) -> None:
    dialog = await start_dialog(visit, "book")
    await dialog.get_by_label("City").fill("Łódź <b>")
    await dialog.get_by_label("Nights").fill("many")
    await dialog.get_by_label("Instance id").fill("trip-1")
    await dialog.get_by_role("button", name="Start", exact=True).click()
    nights = dialog.get_by_label("Nights")
    await expect(nights).to_have_attribute("aria-invalid", "true")
    await expect(nights).to_have_accessible_description("Enter a whole number.")
    assert await client.get_status("trip-1") is None
    await nights.fill("3")
    await dialog.get_by_label("Leaves").fill("2026-05-03")
    await dialog.get_by_role("button", name="Start", exact=True).click()
    await expect(dialog).to_have_count(0)
    await expect(visit.page.get_by_role("heading", level=1)).to_have_text("book")
    assert visit.page.url.endswith("#/instances/trip-1")
    status = await standing(client, "trip-1", lambda one: one.input)
    assert status.input == {
        "city": "Łódź <b>", "nights": 3, "leaves": "2026-05-03", "is_flexible": False
    }  # fmt: skip


async def test_an_input_as_json_arrives_to_the_letter(visit: Visit, client: Client) -> None:
    dialog = await start_dialog(visit, "number")
    await dialog.get_by_role("button", name="As JSON").click()
    written = dialog.get_by_label("Input as JSON")
    await written.fill("[1, 2")
    await dialog.get_by_role("button", name="Start", exact=True).click()
    await expect(dialog.get_by_text("This is not JSON")).to_be_visible()
    await written.fill("1234567890123456789012")
    await dialog.get_by_label("Instance id").fill("long")
    await dialog.get_by_role("button", name="Start", exact=True).click()
    await expect(dialog).to_have_count(0)
    assert (await ends(client, "long")).output == 1234567890123456789012


async def test_what_the_server_refuses_is_told_and_nothing_is_lost(
    visit: Visit, client: Client
) -> None:
    visit.expected.append("status of 4")
    await begun(client, "wait", instance_id="taken")
    dialog = await start_dialog(visit, "wait")
    await dialog.get_by_label("Instance id").fill("taken")
    await dialog.get_by_role("button", name="Start", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_contain_text("taken")
    await expect(dialog.get_by_label("Instance id")).to_have_value("taken")
    await visit.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)


async def test_an_event_is_raised_with_a_form_of_the_awaited_type(
    visit: Visit, client: Client
) -> None:
    await begun(client, "book", Trip("Graz", 1), instance_id="paid")
    await visit.go("#/instances/paid")
    dialog = await send_dialog(visit.page, "Raise event…")
    await expect(dialog.get_by_label("Event")).to_contain_text("Paid (it waits for this)")
    await dialog.get_by_label("Amount").fill("1.5")
    await dialog.get_by_role("button", name="Raise event").click()
    amount, way = dialog.get_by_label("Amount"), dialog.get_by_label("Way")
    await expect(amount).to_have_accessible_description("Enter a whole number.")
    await expect(way).to_have_accessible_description("Choose one.")
    await amount.fill("120")
    await way.select_option("card")
    await dialog.get_by_role("button", name="Raise event").click()
    await expect(
        visit.page.get_by_role("status").get_by_text("The event was raised.")
    ).to_be_visible()
    assert (await ends(client, "paid")).output == "Graz: 120 by card"
    await expect(visit.page.locator("header").get_by_text("Completed", exact=True)).to_be_visible()


async def test_data_that_do_not_fit_are_refused_by_the_server_beside_the_form(
    visit: Visit, client: Client
) -> None:
    visit.expected.append("status of 4")
    await begun(client, "book", Trip("Graz", 1), instance_id="wrong")
    await visit.go("#/instances/wrong")
    dialog = await send_dialog(visit.page, "Raise event…")
    await dialog.get_by_role("button", name="Write JSON").click()
    await dialog.get_by_label("Value").fill('{"amount": "much"}')
    await dialog.get_by_role("button", name="Raise event").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("amount")
    await expect(dialog.get_by_label("Value")).to_have_value('{"amount": "much"}')


async def test_another_event_is_raised_by_its_name(visit: Visit, client: Client) -> None:
    await begun(client, "book", Trip("Graz", 1), instance_id="other")
    await visit.go("#/instances/other")
    dialog = await send_dialog(visit.page, "Raise event…")
    await dialog.get_by_label("Event").select_option("Another event…")
    await dialog.get_by_label("Name of the event").fill("Nudge")
    await dialog.get_by_label("Value").fill('{"of": ["any", "kind"]}')
    await dialog.get_by_role("button", name="Raise event").click()
    await expect(dialog).to_have_count(0)
    history = await client.history("other")
    assert "Nudge" in str(history)


async def test_a_question_is_answered_by_choice(visit: Visit, client: Client) -> None:
    await begun(client, "choose", instance_id="choice")
    await visit.go("#/instances/choice")
    dialog = await send_dialog(visit.page, "Answer…")
    await expect(dialog.get_by_text("Train or car?")).to_be_visible()
    await dialog.get_by_role("button", name="Answer", exact=True).click()
    await expect(dialog.get_by_text("Choose one.")).to_be_visible()
    await dialog.get_by_role("combobox").select_option("Car")
    await dialog.get_by_role("button", name="Answer", exact=True).click()
    assert (await ends(client, "choice")).output == "car"


async def test_a_question_is_answered_with_a_form_by_keyboard_alone(
    visit: Visit, client: Client
) -> None:
    await begun(client, "inquire", instance_id="question")
    await visit.go("#/instances/question")
    page = visit.page
    answer = page.get_by_role("button", name="Answer…")
    await answer.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Amount")).to_be_visible()
    await page.get_by_label("Amount").focus()
    await page.keyboard.type("80")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Way")).to_be_focused()
    await page.keyboard.type("cash")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert (await ends(client, "question")).output == "80 by cash"
