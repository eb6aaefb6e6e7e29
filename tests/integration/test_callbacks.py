"""The page behind a webhook: what a GET shows, what a POST does, and that it works once."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from tenuto import App, Context, RuntimeStatus, Settings
from tenuto.http.options import AccessKey, HttpSettings
from tenuto.http.shown_paths import without_token
from tenuto.model.limits import Limits
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost
from tests.support.http_in_process import BASE, http_to

PAGE = {"accept": "text/html,*/*"}


@pytest.fixture
def app() -> App:
    app = App()

    @app.orchestrator
    async def approval(ctx: Context, event: str = "approval") -> Any:  # noqa: ANN401 - any JSON
        url = await ctx.create_webhook(event, expires_in=timedelta(days=1))
        ctx.set_custom_status(url)
        first = await ctx.wait_for_external_event(event)
        await ctx.wait_for_external_event("end")
        return first

    return app


async def address(test: TestHost, **start: Any) -> str:
    """The address of a fresh instance's webhook, without the server."""
    await test.client.start("approval", *start.pop("args", ()), instance_id="one", **start)
    await test.idle()
    status = await test.client.get_status("one")
    assert status is not None
    url = str(status.custom_status)
    assert url.startswith(f"{BASE}/callbacks/one/")
    assert len(url.rpartition("/")[2].partition("?")[0]) == 43  # 256 bits
    return url.removeprefix(BASE)


async def result(test: TestHost) -> Any:  # noqa: ANN401 - any JSON
    await test.client.raise_event("one", "end")
    return await test.client.handle("one").result()


async def test_looking_at_the_page_changes_nothing_and_its_button_raises_the_event_once(
    test: TestHost, app: App
) -> None:
    async with http_to(test, app) as http:
        url = await address(test)
        for _ in range(3):
            page = await http.get(url, headers=PAGE)
            assert page.status_code == 200
            assert "<h1>approval</h1>" in page.text
            assert '<form method="post"><button type="submit">' in page.text
        thanks = await http.post(url, headers=PAGE)
        assert thanks.status_code == 202
        assert "Thank you" in thanks.text
        again = await http.post(url, headers=PAGE)
        assert again.status_code == 410
        assert "This link is closed" in again.text
        assert await result(test) is None


async def test_pages_carry_no_script_and_leak_their_address_nowhere(
    test: TestHost, app: App
) -> None:
    async with http_to(test, app) as http:
        url = await address(test, args=["<b>R&D</b>"])
        token = url.rpartition("/")[2].partition("?")[0]
        for page in [
            await http.get(url, headers=PAGE),
            await http.post(url, headers=PAGE),
            await http.post(url, headers=PAGE),
            await http.get(url),
        ]:
            headers = page.headers
            assert headers["cache-control"] == "no-store"
            assert headers["referrer-policy"] == "no-referrer"
            assert "noindex" in headers["x-robots-tag"]
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'sha256-")
            assert "<script" not in page.text
            assert "<b>" not in page.text
            assert token not in page.text


async def test_the_button_works_in_a_browser_which_hides_where_the_page_came_from(
    test: TestHost, app: App
) -> None:
    """Under ``Referrer-Policy: no-referrer`` a form is sent with ``Origin: null``."""
    async with http_to(test, app) as http:
        url = await address(test)
        page = await http.get(url, headers=PAGE)
        assert page.headers["referrer-policy"] == "no-referrer"
        pressed = await http.post(url, headers={**PAGE, "origin": "null"})
        assert pressed.status_code == 202


@pytest.mark.parametrize(
    ("body", "kind", "data"),
    [
        (b"", None, None),
        (b'{"approved": true, "by": "Ada"}', "application/json", {"approved": True, "by": "Ada"}),
        (b'"yes"', None, "yes"),
        (
            b"by=Ada+L.&why=&tag=a&tag=b",
            "application/x-www-form-urlencoded",
            {
                "by": "Ada L.",
                "why": "",
                "tag": ["a", "b"],
            },
        ),
    ],
)
async def test_what_is_posted_becomes_the_data_of_the_event(
    test: TestHost, app: App, body: bytes, kind: str | None, data: object
) -> None:
    async with http_to(test, app) as http:
        url = await address(test)
        headers = {} if kind is None else {"content-type": kind}
        accepted = await http.post(url, content=body, headers=headers)
        assert (accepted.status_code, accepted.json()) == (202, {"accepted": True})
        assert await result(test) == data


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b"a=%ff", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a=1" for _ in range(1001)), "application/x-www-form-urlencoded", 400),
        (b"x", "multipart/form-data; boundary=x", 415),
        (b'"' + b"x" * 2000 + b'"', "application/json", 413),
    ],
)
async def test_bad_input_is_refused_whole_and_the_webhook_stays_open(
    app: App, open_host: OpenHost, body: bytes, kind: str, status: int
) -> None:
    test = await open_host(app, settings=Settings(limits=Limits(payload_bytes=1000)))
    async with http_to(test, app) as http:
        url = await address(test)
        refused = await http.post(url, content=body, headers={"content-type": kind})
        assert refused.status_code == status
        assert (await http.post(url, content=b"1")).status_code == 202
        assert await result(test) == 1


async def test_an_address_that_no_link_has_costs_a_look_up_and_is_404(
    test: TestHost, app: App
) -> None:
    """S3: whoever has no link is told so before a body is read."""
    async with http_to(test, app) as http:
        url = await address(test)
        start, _, token = url.rpartition("/")
        strangers = [
            f"{start}/{'x' * 43}",
            f"{url}x",
            f"/callbacks/unknown/{token}",
            f"/callbacks/@x/{token}",
            f"{start}/%F0%9F%98%80",
        ]
        for how in ("GET", "POST"):
            answers = [await http.request(how, one, content="{") for one in strangers]
            assert {one.status_code for one in answers} == {404}
            assert len({one.text for one in answers}) == 1
            pages = [await http.request(how, one, headers=PAGE) for one in strangers]
            assert {page.status_code for page in pages} == {404}
            assert len({page.text for page in pages}) == 1
        assert (await http.get(url)).json() == {"use": "POST"}


async def test_a_webhook_that_has_expired_says_so_before_it_reads(test: TestHost, app: App) -> None:
    async with http_to(test, app) as http:
        url = await address(test)
        await test.advance(timedelta(days=1))
        for how in ("GET", "POST"):
            answer = await http.request(how, url, content="{")
            assert (answer.status_code, answer.json()["code"]) == (410, "TN-1205")
            page = await http.request(how, url, headers=PAGE)
            assert page.status_code == 410
            assert "<h1>approval</h1><p>This link is closed.</p>" in page.text


async def test_data_that_do_not_fit_are_422_on_the_page_and_400_for_programs(
    test: TestHost, app: App
) -> None:
    @app.orchestrator
    async def counting(ctx: Context) -> int:
        ctx.set_custom_status(await ctx.create_webhook("count", expires_in=timedelta(days=1)))
        return await ctx.wait_for_external_event("count", int)

    async with http_to(test, app) as http:
        await test.client.start("counting", instance_id="one")
        await test.idle()
        url = str((await test.client.handle("one").status()).custom_status)
        program = await http.post(url, content='"x"')
        assert (program.status_code, program.json()["code"]) == (400, "TN-1102")
        page = await http.post(url, content='"x"', headers=PAGE)
        assert page.status_code == 422
        assert "Expected `int`, found `str`" in page.text
        assert (await http.post(url, content="4")).status_code == 202
        assert await test.client.handle("one").result() == 4


async def test_exactly_once_turns_of_many_who_press_at_the_same_time_one_is_accepted(
    test: TestHost, app: App
) -> None:
    async with http_to(test, app) as http:
        url = await address(test)
        answers = await asyncio.gather(
            *(http.post(url, content=str(number)) for number in range(20))
        )
        accepted = [number for number, one in enumerate(answers) if one.status_code == 202]
        assert len(accepted) == 1
        assert {one.status_code for one in answers} == {202, 410}
        assert await result(test) == accepted[0]


async def test_an_ended_instance_has_no_open_webhook(test: TestHost, app: App) -> None:
    async with http_to(test, app) as http:
        url = await address(test)
        await test.client.terminate("one")
        assert (await test.client.wait("one")).runtime_status is RuntimeStatus.TERMINATED
        assert (await http.post(url)).status_code == 410


async def test_a_power_cut_leaves_an_open_webhook_open_and_a_used_one_closed(
    test: TestHost, app: App
) -> None:
    async with http_to(test, app) as http:
        url = await address(test)
        await test.crash()
    async with http_to(test, app) as http:
        assert (await http.post(url, content="7")).status_code == 202
        await test.crash()
    async with http_to(test, app) as http:
        assert (await http.post(url, content="8")).status_code == 410
        assert await result(test) == 7


async def test_a_webhook_needs_no_key(test: TestHost, app: App) -> None:
    settings = HttpSettings(keys={"boss": AccessKey(key="a-key-of-16-characters")})
    async with http_to(test, app, settings) as http:
        url = await address(test)
        assert (await http.get(url)).status_code == 200
        assert (await http.post(url)).status_code == 202
        assert isinstance(await http.get("/callbacks/one"), httpx2.Response)


def test_no_token_stands_in_a_log() -> None:
    assert without_token("/callbacks/trip-1/secret") == "/callbacks/trip-1/..."
    assert without_token("/api/callbacks") == "/api/callbacks"
