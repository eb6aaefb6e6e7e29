"""The approval of the docs, pressed by hand: a real server, a real Chromium, no script."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from playwright.async_api import Page, expect

from tenuto import App, Context, RuntimeStatus
from tests.docs.test_patterns_run import TRAIN, Report, approval
from tests.support.browser import chromium
from tests.support.http_server import Serving, serving
from tests.support.waiting import until

QUESTION = "Approve 120 € for a train?"


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with chromium() as browser:
        context = await browser.new_context(
            java_script_enabled=False, viewport={"width": 320, "height": 640}, color_scheme="dark"
        )
        yield await context.new_page()


async def asked(server: Serving, done: list[str], name: str, instance_id: str) -> str:
    """Start one, and give the address in its mail."""
    before = len(done)
    await server.server.host.client.start(name, TRAIN, instance_id=instance_id)
    await until(lambda: len(done) > before)
    return done[before]


async def result(server: Serving, instance_id: str) -> object:
    return await server.server.host.client.handle(instance_id).result()


@pytest.mark.parametrize(
    ("button", "shown", "outcome"),
    [("Approve", "Answered: Approve", "approved"), ("Reject", "Answered: Reject", "refused")],
)
async def test_a_person_approves_or_rejects(
    page: Page, button: str, shown: str, outcome: str
) -> None:
    app, done = approval()
    async with serving(app) as server:
        link = await asked(server, done, "expense", "one")
        for _ in range(2):  # a look changes nothing
            await page.goto(link)
        await expect(page.get_by_role("heading", level=1)).to_have_text(QUESTION)
        await expect(page.get_by_role("button")).to_have_text(["Approve", "Reject"])
        await expect(page.get_by_text("Please answer by")).to_be_visible()
        await page.get_by_role("button", name=button).click()
        await expect(page.get_by_role("status")).to_contain_text("has been recorded")
        await expect(page.get_by_text(shown)).to_be_visible()
        assert await result(server, "one") == outcome
        await page.goto(link)
        await expect(page.get_by_text(f"{shown} on ")).to_be_visible()
        await expect(page.get_by_role("button")).to_have_count(0)


async def test_the_second_person_is_told_what_was_answered(page: Page) -> None:
    app, done = approval()
    async with serving(app) as server:
        link = await asked(server, done, "expense", "one")
        await page.goto(link)
        other = await page.context.new_page()
        await other.goto(link)
        await other.get_by_role("button", name="Reject").click()
        await expect(other.get_by_text("Answered: Reject")).to_be_visible()
        async with page.expect_response(link) as response:
            await page.get_by_role("button", name="Approve").click()
        assert (await response.value).status == 409
        await expect(page.get_by_role("alert")).to_contain_text("was answered before")
        await expect(page.get_by_text("Answered: Reject")).to_be_visible()
        assert await result(server, "one") == "refused"


async def test_it_is_too_late(page: Page) -> None:
    app = App()
    done: list[str] = []

    @app.activity
    def mail(link: str) -> None:
        done.append(link)

    @app.orchestrator
    async def quick(ctx: Context, _report: Report) -> str:
        question = ctx.ask(QUESTION, choices=["approve"], timeout=timedelta(seconds=1))
        await ctx.call_activity(mail, await question.url)
        try:
            return await question
        except TimeoutError:
            await ctx.wait_for_external_event("end")
            return "late"

    async with serving(app) as server:
        link = await asked(server, done, "quick", "one")
        await page.goto(link)
        await expect(page.get_by_role("button")).to_be_visible()
        while (await server.http.get(link)).json().get("isOpen"):
            await page.wait_for_timeout(20)
        async with page.expect_response(link) as response:
            await page.get_by_role("button", name="Approve").click()
        assert (await response.value).status == 410
        await expect(page.get_by_text("It is too late now.")).to_be_visible()
        status = await server.server.host.client.get_status("one")
        assert status is not None
        assert status.runtime_status is RuntimeStatus.RUNNING
        await server.server.host.client.terminate("one")


async def test_what_is_wrong_stands_beside_its_field_and_what_is_right_stays(page: Page) -> None:
    app, done = approval()
    async with serving(app) as server:
        link = await asked(server, done, "careful_expense", "one")
        await page.goto(link)
        await expect(page.get_by_text("asked for by Ada's team")).to_be_visible()
        await expect(page.get_by_label("Amount")).to_have_value("100")
        await page.get_by_label("Amount").fill("much")
        await page.get_by_label("Comment").fill('a "train" & <b>more</b>')
        async with page.expect_response(link) as response:
            await page.get_by_role("button", name="Send").click()
        assert (await response.value).status == 422
        await expect(page).to_have_title("Error: Approve 120 €?")
        alert = page.get_by_role("alert")
        await expect(alert.get_by_role("listitem")).to_have_text(
            ["Verdict: Choose one of the answers.", "Amount: Enter a whole number."]
        )
        amount = page.get_by_role("textbox", name="Amount")
        await expect(amount).to_have_accessible_description("Enter a whole number.")
        await expect(amount).to_have_attribute("aria-invalid", "true")
        await expect(amount).to_have_value("much")
        await expect(page.get_by_label("Comment")).to_have_value('a "train" & <b>more</b>')
        await expect(page.get_by_role("radio", name="Approve")).to_be_focused()
        await page.keyboard.press("Space")
        await amount.fill("7")
        await page.get_by_label("Pay on").fill("2026-05-03")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("has been recorded")
        await expect(page.get_by_role("definition")).to_have_text(
            ["Approve", "7", "2026-05-03", 'a "train" & <b>more</b>']
        )
        assert await result(server, "one") == "approve: 7"


async def test_the_pages_fit_a_small_screen_and_leak_nothing(page: Page) -> None:
    app, done = approval()
    async with serving(app) as server:
        link = await asked(server, done, "careful_expense", "one")
        response = await page.goto(link)
        assert response is not None
        headers = await response.all_headers()
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "script" not in headers["content-security-policy"]
        assert "form-action 'self'" in headers["content-security-policy"]
        body = page.locator("body")
        box = await body.bounding_box()
        assert box is not None
        assert box["width"] <= 320
        for one in await page.locator("input:not([type=radio]), button").all():
            inner = await one.bounding_box()
            assert inner is not None
            assert inner["x"] + inner["width"] <= 320
        unnamed = [
            one
            for role in ("textbox", "radio", "button")
            for one in await page.get_by_role(role, name="", exact=True).all()
        ]
        assert unnamed == []
        unknown = await page.goto(f"{link}x")
        assert unknown is not None
        assert unknown.status == 404
        await expect(page.get_by_role("heading")).to_have_text("There is nothing at this address")
        await server.server.host.client.terminate("one")
