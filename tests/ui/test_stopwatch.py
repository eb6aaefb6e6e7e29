"""A stranger finds what is stuck, from the overview, and repairs it in a few clicks.

Each click is counted and named: docs/dashboard.md has the same lists.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest_asyncio
from playwright.async_api import Locator, expect

from tenuto import RuntimeStatus
from tests.support.dashboard import BROKEN_OFF, Look, Visit
from tests.support.http_server import Serving, serving
from tests.support.ports import held_port
from tests.support.shop import is_held, serving_shop, shop
from tests.support.steered_app import ends, standing

DOCS: Final = Path(__file__).parents[2] / "docs" / "dashboard.md"


class Clicks:
    """What somebody presses, by the words on it."""

    def __init__(self) -> None:
        self.words: list[str] = []

    async def on(self, place: Locator, word: str) -> None:
        await place.click()
        self.words.append(word)

    def stand_in_the_docs(self) -> bool:
        """Whether a list of exactly these is there."""
        lines = "\n".join(f"{at}. **{word}**" for at, word in enumerate(self.words, 1))
        text = DOCS.read_text(encoding="utf-8")
        found = [line.partition("**:")[0].removesuffix("**") + "**" for line in text.splitlines()]
        return lines in "\n".join(found)


@pytest_asyncio.fixture(loop_scope="session")
async def hub(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving_shop(tmp_path) as running:
        yield running


async def test_an_order_whose_payment_never_came_is_paid_in_four_clicks(
    visit: Visit, hub: Serving
) -> None:
    client, page, clicks = hub.server.host.client, visit.page, Clicks()
    await client.raise_event((await _child(hub)), "Delivered", "to a neighbour")
    await visit.go()
    await clicks.on(page.get_by_role("link", name="Running").first, "Running")
    await clicks.on(page.get_by_role("link", name="order-1042"), "order-1042")
    why = page.get_by_role("region", name="Why it does not go on")
    await expect(why).to_contain_text("waits for event “Paid”")
    await clicks.on(page.get_by_role("button", name="Raise event…"), "Raise event…")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Amount").fill("12")
    await dialog.get_by_label("Way").select_option("cash")
    await clicks.on(dialog.get_by_role("button", name="Raise event"), "Raise event")
    assert (await ends(client, "order-1042")).output == "receipt for Ada: 12 by cash"
    await expect(page.get_by_text("The event was raised.")).to_be_visible()
    assert clicks.stand_in_the_docs()


async def test_a_held_invoice_is_written_anew_in_three_clicks(visit: Visit, hub: Serving) -> None:
    client, page, clicks = hub.server.host.client, visit.page, Clicks()
    await client.fail("invoice-11")
    await visit.go()
    problems = page.get_by_role("region", name="What is wrong")
    await expect(problems).to_contain_text("1 instance held")
    await clicks.on(problems.get_by_role("link", name="Look at both sides"), "Look at both sides")
    await expect(page.get_by_text("the code decides otherwise")).to_be_visible()
    await clicks.on(page.get_by_role("button", name="Restart"), "Restart")
    dialog = page.get_by_role("dialog")
    await clicks.on(dialog.get_by_role("button", name="Restart", exact=True), "Restart")
    await standing(client, "invoice-12", lambda one: one.hold is None)
    await expect(page.get_by_text("No instance is held")).to_be_visible()
    await client.raise_event("invoice-12", "Signed", "Grace")
    assert (await ends(client, "invoice-12")).runtime_status is RuntimeStatus.COMPLETED
    assert clicks.stand_in_the_docs()


async def test_held_ones_go_on_by_themselves_once_code_that_fits_is_there(
    look: Look, tmp_path: Path
) -> None:
    """Nobody presses anything: the page tells of the bad deploy, and of the good one."""
    with held_port() as port:
        async with serving_shop(tmp_path, port=port) as bad:
            visit = await look(bad.url)
            page = visit.page
            await visit.go("#/held")
            await expect(page.get_by_role("article")).to_have_count(2)
            assert await is_held(bad.server.host.client, "invoice-11")
            visit.expected += [BROKEN_OFF, "status of 503"]
        await expect(page.get_by_text("The host does not answer.")).to_be_visible()
        storage = f"sqlite:///{tmp_path / 'shop.db'}"
        async with serving(shop(), storage=storage, port=port) as good:
            await expect(page.get_by_text("No instance is held")).to_be_visible()
            for one in ("invoice-11", "invoice-12"):
                assert (await ends(good.server.host.client, one)).output == "Grace"
            await page.goto("about:blank")


async def _child(hub: Serving) -> str:
    query = hub.server.host.client.query()
    (child,) = [one.instance_id async for one in query if one.parent_instance_id == "order-1042"]
    return child
