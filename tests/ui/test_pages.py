"""Every page opens by its address, shows what is there, fits a phone, and hinders nobody."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.support.dashboard import PHONE, Visit, axe
from tests.support.http_server import Serving
from tests.support.shop import serving_shop

ROOT: Final = Path(__file__).parents[2]

PLACES: Final = {
    "overview": ("#/", "Overview", "2 instances held"),
    "instances": ("#/instances", "Instances", "order-1042"),
    "held": ("#/held", "Held", "Its history says"),
    "topics": ("#/topics?topic=orders", "Topics", "Newest events of orders"),
    "queues": ("#/queues?queue=mails", "Queues", "mail-2"),
    "failed-deliveries": ("#/failed-deliveries", "Failed deliveries", "'nowhere' is no address"),
    "dead-letters": ("#/dead-letters", "Dead letters", "accounts-2026"),
    "functions": ("#/functions", "Functions", "tidy_up"),
    "hosts": ("#/hosts", "Hosts", "Partitions"),
    "usage": ("#/usage", "Usage", "GB-seconds"),
    "settings": ("#/settings", "Settings", "http.dashboard"),
}
"""By their names in navigation.ts: the address, the heading, something that stands there."""

ORDER: Final = "#/instances/order-1042"
INSTANCE: Final = {
    "running": (ORDER, "waits for"),
    "step": (f"{ORDER}?step=%2F2", "3 attempts"),
    "graph": (f"{ORDER}?tab=graph", "over a topic"),
    "history": (f"{ORDER}?tab=history", "events"),
    "travel": (f"{ORDER}?tab=travel&turn=2", "Turn 2 of"),
    "log": (f"{ORDER}?tab=log", "the bank of Ada is busy"),
    "children": (f"{ORDER}?tab=children", "delivery"),
    "data": (f"{ORDER}?tab=data", "Execution id"),
    "failed": ("#/instances/order-1040", "It failed"),
    "held": ("#/instances/invoice-11", "Recorded: what its history says"),
    "asked": ("#/instances/refund-7", "Give back 120"),
    "absent": ("#/instances/nobody", "There is no instance nobody"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    async with serving_shop(tmp_path_factory.mktemp("shop")) as running:
        yield running


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def examined(visit: Visit) -> None:
    await visit.page.add_init_script(path=axe())


async def suits_everybody(visit: Visit) -> None:
    """In light and dark, at a desk and on a phone."""
    assert await visit.hinders() == []
    await visit.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert await visit.hinders(only=["color-contrast"]) == []
    assert not await visit.is_too_wide()
    await visit.page.set_viewport_size(PHONE)
    await expect(visit.page.get_by_role("main")).to_be_visible()
    assert not await visit.is_too_wide()
    assert await visit.hinders() == []


def test_the_list_of_places_is_whole() -> None:
    navigation = (ROOT / "dashboard/src/frame/navigation.ts").read_text(encoding="utf-8")
    assert set(re.findall(r'place: "([a-z-]+)"', navigation)) == set(PLACES)


@pytest.mark.parametrize("name", PLACES)
async def test_a_place_shows_what_is_there_and_suits_everybody(visit: Visit, name: str) -> None:
    address, heading, shown = PLACES[name]
    await visit.go(address)
    page = visit.page
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    await expect(page).to_have_title(f"{heading} · Tenuto")
    main = page.get_by_role("main")
    await expect(main.get_by_text(shown).first).to_be_visible()
    await expect(
        page.get_by_role("navigation", name="Places").get_by_role("link", name=heading)
    ).to_have_attribute("aria-current", "page")
    await suits_everybody(visit)


@pytest.mark.parametrize("name", INSTANCE)
async def test_the_page_of_an_instance_suits_everybody(visit: Visit, name: str) -> None:
    address, shown = INSTANCE[name]
    if name == "absent":
        visit.expected.append("status of 404")
    await visit.go(address)
    await expect(visit.page.get_by_role("main").get_by_text(shown).first).to_be_visible()
    await suits_everybody(visit)


async def test_hosts_tell_of_their_workers_and_whether_they_are_too_many(visit: Visit) -> None:
    await visit.go("#/hosts")
    workers = visit.page.get_by_role("table", name="Workers of this host")
    row = workers.get_by_role("row").filter(has_text="threads")
    await expect(row.get_by_role("cell")).to_have_count(6)
    bound = await row.get_by_role("cell").last.inner_text()
    assert int(bound) >= 1


async def test_places_are_reached_by_pressing_on_them(visit: Visit) -> None:
    await visit.go()
    page = visit.page
    places = page.get_by_role("navigation", name="Places")
    for address, heading, shown in PLACES.values():
        await places.get_by_role("link", name=heading).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        assert page.url.endswith(address.partition("?")[0])
        if "?" not in address:
            await expect(page.get_by_role("main").get_by_text(shown).first).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Usage")


async def test_dialogs_suit_everybody(visit: Visit) -> None:
    page = visit.page
    await visit.go(ORDER)
    for button in ("Raise event…", "Terminate…"):
        await page.get_by_role("group", name="Actions").get_by_role("button", name=button).click()
        await expect(page.get_by_role("dialog").locator("form")).to_be_visible()
        assert await visit.hinders() == []
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await suits_everybody_dialog(visit)


async def suits_everybody_dialog(visit: Visit) -> None:
    await visit.page.set_viewport_size(PHONE)
    assert not await visit.is_too_wide()
    assert await visit.hinders() == []


async def test_an_address_that_is_none_says_so(visit: Visit) -> None:
    await visit.go("#/nowhere")
    await expect(visit.page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    await suits_everybody(visit)


async def test_a_phone_has_all_places_behind_a_button(visit: Visit) -> None:
    page = visit.page
    await page.set_viewport_size(PHONE)
    await visit.go()
    link = page.get_by_role("link", name="Functions", exact=True)
    await expect(link).to_be_hidden()
    await page.get_by_role("button", name="Menu").click()
    await link.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Functions")
    await expect(link).to_be_hidden()


async def test_the_theme_and_the_zone_that_were_chosen_stay(visit: Visit) -> None:
    page = visit.page
    await visit.go()
    await page.get_by_role("button", name="Theme: system").click()
    await page.get_by_role("button", name="Theme: light").click()
    await page.get_by_role("button", name="Times in local time").click()
    await page.reload()
    await expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    await expect(page.get_by_role("button", name="Times in UTC")).to_be_visible()
