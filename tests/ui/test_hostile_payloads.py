"""What code has written stays text, however it looks, and the page stays usable."""

import json
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tenuto import App, Client, Context
from tests.support.dashboard import Visit
from tests.support.http_server import Serving, serving

MARKUP: Final = (
    "<img src=x onerror=\"document.title='run'\"></script><script>document.title='run'</script>"
    "<svg onload=alert(1)>&lt;b&gt;{{1+1}}${1}]]><!--"
)
HOSTILE: Final = {
    "markup": MARKUP,
    "turned": "invoice\u202efdp.exe\u2066\u2069 \u200b",
    "nul": "\\u0000 \\x00 \u0001\u001b[31m \x7f",
    "halves": "\\ud800 \ufffd \ufeff",
    "words": "javascript:alert(1) data:text/html,<script>1</script>",
}


def deep(levels: int) -> object:
    value: object = "at the bottom"
    for _ in range(levels):
        value = {"in": [value]}
    return value


def hostile_app() -> App:
    app = App()

    @app.activity(name=MARKUP[:60])
    def echo(given: object) -> object:
        return given

    @app.activity
    def fails(given: str) -> None:
        raise ValueError(given)

    @app.orchestrator
    async def passes(ctx: Context, given: object) -> object:
        ctx.set_custom_status({"status": MARKUP})
        ctx.logger.warning("%s", MARKUP)
        result = await ctx.call_activity(MARKUP[:60], given)
        await ctx.wait_for_external_event(MARKUP[:40])
        return result

    @app.orchestrator
    async def breaks(ctx: Context, given: str) -> None:
        await ctx.call_activity(fails, given)

    return app


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    store = tmp_path_factory.mktemp("hostile") / "hub.db"
    async with serving(hostile_app(), storage=f"sqlite:///{store}") as running:
        client = running.server.host.client
        await client.start("passes", HOSTILE, instance_id="<b>odd<b> & 'id'", tags={"a": MARKUP})
        await client.start("passes", {"large": "<b>x</b>" * 260_000}, instance_id="large")
        await client.start("passes", deep(40), instance_id="deep")
        await client.start("passes", list(range(30_000)), instance_id="wide")
        failing = await client.start("breaks", MARKUP, instance_id="broken")
        await client.wait(failing.instance_id)
        yield running


@pytest.fixture
def client(hub: Serving) -> Client:
    return hub.server.host.client


async def is_untouched(visit: Visit) -> None:
    """Nothing of it was read as HTML or run."""
    page = visit.page
    assert await page.title() != "run"
    assert await page.locator("img, main script, b:text-is('odd'), main svg[onload]").count() == 0


ODD: Final = "#/instances/%3Cb%3Eodd%3Cb%3E%20%26%20'id'"


@pytest.mark.parametrize(
    "tab", ["timeline", "graph", "history", "travel", "log", "children", "data"]
)
async def test_markup_is_text_in_every_view_of_an_instance(visit: Visit, tab: str) -> None:
    page = visit.page
    await visit.go(f"{ODD}?tab={tab}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("passes")
    panel = page.get_by_role("tabpanel")
    shown = {
        "timeline": MARKUP[:20],
        "graph": MARKUP[:10],
        "history": MARKUP[:20],
        "travel": "given",
        "log": MARKUP,
        "children": "It has called no other orchestrator",
        "data": "onerror=",
    }
    await expect(panel).to_contain_text(shown[tab])
    await expect(page.locator("header").get_by_text(json.dumps(MARKUP)[1:30]).first).to_be_visible()
    await is_untouched(visit)


async def test_what_hides_or_turns_text_stays_to_the_letter(visit: Visit) -> None:
    page = visit.page
    await visit.go(f"{ODD}?tab=data")
    text = await page.get_by_role("tabpanel").get_by_label("Input", exact=True).inner_text()
    assert "fdp.exe" in text
    shown = json.loads(text)
    assert shown == HOSTILE


@pytest.mark.parametrize("address", ["#/", "#/instances", "#/instances/broken", "#/functions"])
async def test_markup_is_text_in_lists_and_failures(visit: Visit, address: str) -> None:
    await visit.go(address)
    await expect(visit.page.get_by_role("main").get_by_text("onerror=").first).to_be_visible()
    await is_untouched(visit)


@pytest.mark.parametrize("tab", ["data", "history"])
async def test_two_megabytes_are_shown_in_part_and_the_page_goes_on(visit: Visit, tab: str) -> None:
    page = visit.page
    await visit.go(f"#/instances/large?tab={tab}")
    if tab == "data":
        box = page.get_by_role("tabpanel").get_by_label("Input", exact=True)
        await expect(box.get_by_role("button", name="Show all")).to_be_visible()
        assert len(await box.inner_text()) < 10_000
    else:
        await expect(page.get_by_role("grid", name="History")).to_be_visible()
    assert await page.evaluate("document.getElementsByTagName('*').length") < 3_000
    await page.get_by_role("tab", name="Timeline").click()
    await expect(page.locator(".tl-row").first).to_be_visible()


async def test_deep_json_is_folded_and_opens(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/instances/deep?tab=data")
    box = page.get_by_role("tabpanel").get_by_label("Input", exact=True)
    await expect(box).not_to_contain_text("at the bottom")
    for _ in range(100):
        if "at the bottom" in await box.inner_text():
            break
        await box.locator(".json-fold[aria-expanded=false]").last.click()
    await expect(box).to_contain_text("at the bottom")
    assert not await visit.is_too_wide()


async def test_a_long_list_shows_its_beginning(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/instances/wide?tab=data")
    box = page.get_by_role("tabpanel").get_by_label("Input", exact=True)
    await expect(box.get_by_role("button", name="29,900 more")).to_be_visible()
    assert await page.evaluate("document.getElementsByTagName('*').length") < 3_000
