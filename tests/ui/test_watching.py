"""The watch that all tests of the page are under: it notices what no page may do."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tenuto import App
from tests.support.dashboard import axe, visiting
from tests.support.http_server import Serving, serving

WRONGS: Final = {
    "an error in the console": ("console.error('broken')", "broken"),
    "an error of a script": ("setTimeout(() => { throw new Error('thrown') })", "thrown"),
    "a script in the page": (
        "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))",
        "policy: script-src",
    ),
    "a request to elsewhere": (
        "fetch('http://127.0.0.1:9/x').catch(() => 0)",
        "policy: connect-src",
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hub() -> AsyncIterator[Serving]:
    async with serving(App()) as running:
        yield running


@pytest.mark.parametrize("name", WRONGS)
async def test_a_wrong_is_noticed(hub: Serving, browser: Browser, name: str) -> None:
    script, told = WRONGS[name]
    with pytest.raises(AssertionError, match=told):
        await _visited(hub, browser, script)


async def _visited(hub: Serving, browser: Browser, script: str) -> None:
    async with visiting(browser, hub.url) as visit:
        await visit.go()
        await visit.page.get_by_role("heading", level=1).wait_for()
        await visit.page.evaluate(f"() => {{ {script}; }}")
        # What was thrown in a task of its own has been told by then.
        await visit.page.evaluate("new Promise((go) => setTimeout(go))")


async def test_what_hinders_people_is_noticed(hub: Serving, browser: Browser) -> None:
    async with visiting(browser, hub.url) as visit:
        await visit.page.add_init_script(path=axe())
        await visit.go()
        await visit.page.get_by_role("heading", level=1).wait_for()
        assert await visit.hinders() == []
        await visit.page.evaluate("document.body.append(document.createElement('button'))")
        (found,) = await visit.hinders()
        assert found.startswith("button-name")
        await visit.page.evaluate("document.body.style.minWidth = '3000px'")
        assert await visit.is_too_wide()
