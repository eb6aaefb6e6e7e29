"""What functions have used: told apart, priced, and taken along as a table."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import expect

from tenuto import App, Context, Settings
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.model.usage import PricePlan
from tenuto.telemetry.usage_settings import UsageSettings
from tests.support.dashboard import Look
from tests.support.http_server import ADMIN_KEY, KEYS

app = App()


@app.activity
def paint(colour: str) -> str:
    return colour


@app.orchestrator
async def wall(ctx: Context, colours: list[str]) -> int:
    for colour in colours:
        await ctx.call_activity(paint, colour)
    return len(colours)


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[Server]:
    settings = Settings(
        storage="sqlite://",
        http=HttpSettings(port=0, keys=KEYS),
        usage=UsageSettings(
            tag="customer", prices={"dear": PricePlan(per_million_executions=1e6, currency="EUR")}
        ),
    )
    async with Server(app, settings=settings) as running:
        client = running.host.client
        for customer in ("ada", "grace"):
            handle = await client.start(wall, ["red", "blue"], tags={"customer": customer})
            await handle.result()
        yield running


async def test_it_is_told_apart_priced_and_taken_along(
    server: Server, look: Look, tmp_path: Path
) -> None:
    visit = await look(server.url)
    page = visit.page
    await visit.go("#/usage")
    await page.get_by_label("Key").fill(ADMIN_KEY)
    await page.get_by_role("button", name="Sign in").click()
    rows = page.get_by_role("table", name="Usage").get_by_role("row")
    await expect(rows).to_have_count(1 + 2)
    await expect(rows.filter(has_text="paint")).to_contain_text("activity")
    await page.get_by_label("Told apart").select_option("function,tag")
    await expect(rows).to_have_count(1 + 4)
    await expect(rows.filter(has_text="paint").filter(has_text="ada")).to_have_count(1)
    await page.get_by_label("Price plan").select_option("dear")
    await expect(page.get_by_role("columnheader", name="Price (EUR)")).to_be_visible()
    painted = rows.filter(has_text="paint").filter(has_text="ada")
    await expect(painted.get_by_role("cell").last).to_have_text("2.00")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="As CSV").click()
    await (await download.value).save_as(tmp_path / "usage.csv")
    lines = (tmp_path / "usage.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 4
    assert "price" in lines[0]
    await page.reload()
    await expect(page.get_by_label("Told apart")).to_have_value("function,tag")
    await page.get_by_label("To (UTC)").fill("2020-01-02")
    await page.get_by_label("From (UTC)").fill("2020-01-01")
    visit.expected.append("status of 400")  # between the two fields it is no span
    await expect(page.get_by_text("Nothing was used in these days")).to_be_visible()
