"""The page of an instance: time travel, the timeline as it grows, history, graph, log."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tenuto import Client
from tests.support.dashboard import Visit
from tests.support.http_server import Serving, serving
from tests.support.steered_app import standing
from tests.support.travelled_app import travelled_app
from tests.support.waiting import until_given


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    store = tmp_path_factory.mktemp("instance") / "hub.db"
    async with serving(travelled_app(), storage=f"sqlite:///{store}") as running:
        await on_its_way(running.server.host.client)
        yield running


@pytest.fixture
def client(hub: Serving) -> Client:
    return hub.server.host.client


async def on_its_way(client: Client) -> None:
    """One that is packed, labelled, and given to a child."""
    await client.start("parcel", "Elm Street", instance_id="parcel-1")
    await standing(client, "parcel-1", lambda one: one.custom_status)
    await client.raise_event("parcel-1", "Labelled", "P-1")
    await until_given(lambda: child_of(client, "parcel-1"))


async def child_of(client: Client, parent: str) -> str:
    found = [one async for one in client.query() if one.parent_instance_id == parent]
    return found[0].instance_id if found else ""


def variable(page: Page, name: str) -> Locator:
    row = page.get_by_role("table", name="Variables of").last.get_by_role("row")
    return row.filter(has=page.get_by_role("rowheader", name=name, exact=True))


def row(page: Page, name: str) -> Locator:
    """Of the timeline."""
    return page.locator(".tl-row").filter(has_text=name)


async def test_each_turn_shows_the_line_and_the_variables_that_were_known(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/instances/parcel-1?tab=travel&turn=1")
    line = page.locator(".source-line.current").last
    await expect(line).to_contain_text("await ctx.call_activity(pack, total)")
    await expect(variable(page, "total")).to_contain_text("1")
    await expect(variable(page, "packed")).to_have_count(0)
    await page.get_by_role("button", name="Last turn").click()
    await expect(line).to_contain_text("await ctx.call_sub_orchestrator(bring, street)")
    await expect(variable(page, "total")).to_contain_text("3")
    await expect(variable(page, "label")).to_contain_text("P-1")
    last = await page.get_by_role("slider", name="Turn").input_value()
    assert page.url.endswith(f"turn={last}")


async def test_the_slider_goes_by_keyboard_and_the_address_keeps_the_turn(visit: Visit) -> None:
    """In the sixth turn it is packed: each attempt took one, and each pause."""
    page = visit.page
    await visit.go("#/instances/parcel-1?tab=travel&turn=5")
    slider = page.get_by_role("slider", name="Turn")
    await slider.focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_text("Turn 6 of")).to_be_visible()
    assert page.url.endswith("turn=6")
    line = page.locator(".source-line.current").last
    await expect(line).to_contain_text('ctx.wait_for_external_event("Labelled"')
    await expect(variable(page, "total")).to_contain_text("changed")
    await page.reload()
    await expect(slider).to_have_value("6")
    await expect(line).to_contain_text("Labelled")
    await expect(
        page.get_by_text('{"packed": "1 packed"}').or_(page.get_by_text('"1 packed"')).first
    ).to_be_visible()


async def test_playing_goes_through_all_turns(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/instances/parcel-1?tab=travel&turn=1")
    slider = page.get_by_role("slider", name="Turn")
    await page.get_by_role("button", name="Play").click()
    last = await slider.get_attribute("max")
    assert last is not None
    await expect(slider).to_have_value(last)
    await expect(page.get_by_role("button", name="Play")).to_be_visible()


async def test_the_timeline_has_retries_waits_and_children(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/instances/parcel-1")
    for name in ("pack", "Labelled", "parcels", "timer", "bring"):
        await expect(row(page, name)).to_be_visible()
    packed = row(page, "pack")
    await expect(packed).to_contain_text("\N{MULTIPLICATION SIGN}3")
    assert await packed.locator("rect.tl-bar.failed").count() == 2
    await packed.click()
    pane = page.get_by_role("complementary", name="Step")
    await expect(pane.get_by_text("3 attempts")).to_be_visible()
    await expect(pane.get_by_text("the shelf is locked").first).to_be_visible()
    await expect(pane.get_by_label("result")).to_have_text('"1 packed"')
    assert "step=" in page.url
    await page.keyboard.press("Escape")
    await expect(pane).to_have_count(0)
    child = row(page, "bring")
    await child.focus()
    await page.keyboard.press("ArrowRight")
    await expect(row(page, "Brought")).to_be_visible()
    await page.get_by_role("button", name="As a table").click()
    table = page.get_by_role("table", name="Steps")
    await expect(table.get_by_role("row").filter(has_text="pack")).to_contain_text("3")


async def test_the_timeline_grows_by_itself(visit: Visit, client: Client) -> None:
    page = visit.page
    await client.start("parcel", "Oak Street", instance_id="parcel-2")
    await visit.go("#/instances/parcel-2")
    await page.evaluate("window.isTheSamePage = true")
    await expect(row(page, "Labelled")).to_contain_text("waiting")
    await client.raise_event("parcel-2", "Labelled", "P-2")
    await expect(row(page, "Labelled")).to_contain_text("completed")
    await expect(row(page, "bring")).to_be_visible()
    await client.terminate("parcel-2", "enough")
    await expect(page.locator("header").get_by_text("Terminated", exact=True)).to_be_visible()
    assert await page.evaluate("window.isTheSamePage")


async def test_two_payloads_of_the_history_are_compared(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/instances/parcel-1?tab=history")
    grid = page.get_by_role("grid", name="History")
    await expect(grid.get_by_text('"Elm Street"').first).to_be_visible()
    boxes = grid.get_by_role("checkbox")
    started = grid.get_by_role("row").filter(has_text='"Elm Street"').first
    await started.get_by_role("checkbox").check()
    await grid.get_by_role("row").filter(has_text='"P-1"').first.get_by_role("checkbox").check()
    assert await boxes.count() > 4
    await page.get_by_role("button", name="Compare two").click()
    dialog = page.get_by_role("dialog", name="Two payloads")
    await expect(dialog.locator(".left")).to_contain_text('"Elm Street"')
    await expect(dialog.locator(".right")).to_contain_text("P-1")
    await page.keyboard.press("Escape")
    await page.get_by_label("Find by name, event or payload").fill("Labelled")
    await expect(grid.get_by_text('"Elm Street"')).to_have_count(0)
    await grid.get_by_role("button").first.click()
    pane = page.get_by_role("complementary", name="Event")
    await expect(pane.get_by_role("heading", name="Labelled")).to_be_visible()


async def test_the_graph_has_its_steps_and_leads_to_them(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/instances/parcel-1?tab=graph")
    nodes = page.locator(".graph-node")
    await expect(nodes.filter(has_text="pack").first).to_be_visible()
    await expect(nodes.filter(has_text="bring").first).to_be_visible()
    await nodes.filter(has_text="pack").first.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("complementary", name="Step")).to_be_visible()


async def test_the_log_has_its_lines_as_text(visit: Visit) -> None:
    page = visit.page
    await visit.go("#/instances/parcel-1?tab=log")
    log = page.get_by_role("log")
    await expect(log).to_contain_text("packs for <b>Elm Street</b>")
    await page.get_by_label("Find in the lines").fill("nothing like it")
    await expect(page.get_by_text("0 of")).to_be_visible()


async def test_a_child_is_opened_and_leads_back(visit: Visit, client: Client) -> None:
    page = visit.page
    child = await child_of(client, "parcel-1")
    await visit.go("#/instances/parcel-1?tab=children")
    await page.get_by_role("table", name="Children").get_by_role("link", name=child).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("bring")
    await page.get_by_role("navigation", name="Above").get_by_role("link", name="parcel-1").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("parcel")
    why = page.get_by_role("region", name="Why it does not go on")
    await expect(why).to_contain_text("waits for 2 things")
    await expect(why.get_by_role("link", name=child).first).to_be_visible()
