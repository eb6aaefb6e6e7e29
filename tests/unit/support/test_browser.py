import pytest

from tests.support.browser import chromium

pytestmark = pytest.mark.asyncio


async def test_a_page_is_pressed_without_script() -> None:
    async with chromium() as browser:
        page = await browser.new_page(java_script_enabled=False)
        await page.set_content("<details><summary>More</summary><p>Inside</p></details>")
        assert not await page.get_by_text("Inside").is_visible()
        await page.get_by_text("More").click()
        assert await page.get_by_text("Inside").is_visible()
