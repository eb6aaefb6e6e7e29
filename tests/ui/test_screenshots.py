"""The pictures that README.md and docs/dashboard.md show of the dashboard (make screenshots)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Page, ViewportSize, expect

from tests.support.dashboard import PHONE, Look
from tests.support.http_server import Serving
from tests.support.shop import serving_shop

pytestmark = pytest.mark.screenshots

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES: Final = 150_000
SIZE: Final[ViewportSize] = {"width": 1180, "height": 760}
ORDER: Final = "#/instances/order-1042"

PICTURES: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "overview": ("#/", "2 instances held", {}),
    "instances": ("#/instances", "order-1042", {}),
    "timeline": (f"{ORDER}?step=%2F2", "3 attempts", {}),
    "time-travel": (f"{ORDER}?tab=travel&turn=8", "What arrived", {}),
    "held": ("#/held", "Its history says", {}),
    "phone": (ORDER, "waits for", {"viewport": PHONE, "color_scheme": "dark"}),
}
"""By their files: the address, something that must be there, how it is looked at."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    async with serving_shop(tmp_path_factory.mktemp("pictures")) as running:
        yield running


@pytest.mark.parametrize("name", PICTURES)
async def test_a_picture_is_taken(hub: Serving, look: Look, name: str) -> None:
    address, shown, options = PICTURES[name]
    visit = await look(hub.url, **({"viewport": SIZE, "color_scheme": "light"} | options))
    await visit.go(address)
    await expect(visit.page.get_by_role("main").get_by_text(shown).first).to_be_visible()
    await settled(visit.page)
    path = IMAGES / f"{name}.png"
    await visit.page.screenshot(path=path, animations="disabled")
    assert path.stat().st_size < MOST_BYTES


async def settled(page: Page) -> None:
    """What is loaded later is there."""
    await expect(page.locator("main [aria-busy=true]")).to_have_count(0)
    await expect(
        page.get_by_text("Live", exact=True).or_(page.get_by_title("Live"))
    ).not_to_have_count(0)
    await page.evaluate("document.fonts.ready.then(() => 0)")
