"""A real Chromium without a screen, for pages, forms and foreign sites."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import Browser, async_playwright

CHROMIUM: Final = "/usr/bin/chromium"

# CI is root, which Chromium's sandbox refuses. The others keep it from calling home.
_ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def chromium(*arguments: str) -> AsyncIterator[Browser]:
    """A browser with a profile of its own, which is gone afterwards.

    Args:
        *arguments: What else Chromium is told.

    Example:
        >>> async with chromium() as browser:
        ...     page = await browser.new_page(java_script_enabled=False)
        ...     await page.goto(address)
        ...     await page.get_by_role("button", name="Approve").click()
    """
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*_ARGUMENTS, *arguments]
        )
        try:
            yield browser
        finally:
            await browser.close()
