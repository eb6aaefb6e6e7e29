"""Ways through the page: back to a list, to an instance by its id, past what is gone."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Request, expect

from tenuto import App, Client, Context
from tests.support.dashboard import Visit
from tests.support.http_server import Serving, serving
from tests.support.steered_app import ends
from tests.support.waiting import until_given


def numbering_app() -> App:
    app = App()

    @app.orchestrator
    async def number(ctx: Context, value: int) -> int:
        return value

    @app.queue("mails")
    async def send_mail(address: str) -> None:
        pass

    return app


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hub() -> AsyncIterator[Serving]:
    async with serving(numbering_app()) as running:
        client = running.server.host.client
        for value in range(260):
            await client.start("number", value, instance_id=f"number-{value:03}")
        await ends(client, "number-259")
        yield running


@pytest.fixture
def client(hub: Serving) -> Client:
    return hub.server.host.client


async def test_who_comes_back_to_a_list_is_where_he_was(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/instances")
    await expect(page.get_by_role("link", name="number-259", exact=True)).to_be_visible()
    frame = page.locator(".virtual-frame")
    far = page.get_by_role("link", name="number-010", exact=True)

    async def is_far() -> bool:
        await frame.evaluate("one => one.scrollTo(0, 40 * 245)")
        return await far.count() > 0

    await until_given(is_far)
    await far.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("number")
    await page.go_back()
    await expect(far).to_be_visible()


async def test_ids_that_begin_alike_are_offered(visit: Visit) -> None:
    page = visit.page
    await visit.go()
    await page.get_by_role("combobox", name="Go to an instance").fill("number-12")
    await expect(page.get_by_role("option")).to_have_count(8)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("number")
    assert "#/instances/number-12" in page.url


async def test_an_instance_that_one_purges_is_not_asked_for_any_more(
    visit: Visit, client: Client
) -> None:
    await client.start("number", 7, instance_id="purged")
    await ends(client, "purged")
    page = visit.page
    await visit.go("#/instances/purged?tab=history")
    await page.get_by_role("button", name="Purge…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Purge", exact=True).click()
    await expect(page.get_by_text("purged was purged")).to_be_visible()
    # The visit fails for a 404 in the console, of which some seconds would show several.
    await page.wait_for_timeout(3_000)


async def test_an_instance_that_is_not_there_is_not_asked_for_again_and_again(
    visit: Visit, client: Client
) -> None:
    page = visit.page
    visit.expected.append("status of 404")
    asked: list[Request] = []
    page.on("request", lambda one: asked.append(one) if "/nobody" in one.url else None)
    await visit.go("#/instances/nobody")
    await expect(page.get_by_text("There is no instance nobody")).to_be_visible()
    before = len(asked)
    await page.wait_for_timeout(3_000)
    assert len(asked) == before
    async with page.expect_response(lambda answer: answer.status == 404):
        await page.get_by_role("button", name="Look again").click()
    await client.start("number", 1, instance_id="nobody")  # of that it is told
    await expect(page.get_by_role("heading", level=1)).to_have_text("number")


async def test_an_event_is_published_from_the_page_of_topics(visit: Visit, client: Client) -> None:
    page = visit.page
    await visit.go("#/topics")
    await page.get_by_role("button", name="Publish an event").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Topic").fill("news")
    await dialog.get_by_label("Data as JSON").fill("hello")
    await dialog.get_by_role("button", name="Publish").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("not JSON")
    await dialog.get_by_label("Data as JSON").fill("12345678901234567890123")
    await dialog.get_by_label("Key").fill("Grace")
    await dialog.get_by_role("button", name="Publish").click()
    await expect(page.get_by_role("heading", name="Newest events of news")).to_be_visible()
    event = page.locator("details").filter(has_text="key Grace")
    await event.locator("summary").click()
    await expect(event.get_by_label("Its data")).to_be_visible()


async def test_a_message_is_queued_from_the_page_of_queues(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/queues")
    await page.get_by_role("button", name="Queue a message").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Queue")).to_be_focused()
    await page.keyboard.type("mails")
    await dialog.get_by_label("Delay in seconds").fill("3600")
    await dialog.get_by_label("Data as JSON").fill('"ada@example.org"')
    await dialog.get_by_role("button", name="Queue", exact=True).click()
    await expect(page.get_by_role("heading", name="Next messages of mails")).to_be_visible()
    message = page.locator("details").filter(has_text="due in 1 h")
    await expect(message).to_be_visible()
