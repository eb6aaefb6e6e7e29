"""A page that somebody looks at, in a real browser, starts and steers nothing on a server without
keys (S6): not from another port of this machine, not from another name, not by any element.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

import pytest
from playwright.async_api import Page
from playwright.async_api import TimeoutError as PlaywrightTimeoutError
from starlette.types import Receive, Scope, Send

from tenuto import App, Client, Context
from tenuto.http.options import HttpSettings
from tenuto.http.payloads import MOUNT
from tenuto.http.server.socket import HttpServer, listen
from tests.support.browser import chromium
from tests.support.http_server import Serving, serving
from tests.support.waiting import until

NAMES: Final = ("localhost", "127.0.0.1", "evil.test", "sub.localhost")
RESOLVED: Final = "--host-resolver-rules=MAP *.test 127.0.0.1, MAP *.localhost 127.0.0.1"

# Each is a page's body; TARGET is an address that starts something when it is asked for.
BY_GET: Final = {
    "frame": '<iframe src="TARGET"></iframe>',
    "sandboxed frame": '<iframe sandbox="allow-scripts allow-forms" src="TARGET"></iframe>',
    "object": '<object data="TARGET"></object>',
    "embed": '<embed src="TARGET">',
    "image": '<img src="TARGET">',
    "script": '<script src="TARGET"></script>',
    "style": '<link rel="stylesheet" href="TARGET">',
    "prefetch": '<link rel="prefetch" href="TARGET">',
    "video": '<video autoplay src="TARGET"></video>',
    "font": "<style>@font-face{font-family:x;src:url(TARGET)} p{font-family:x}</style><p>x</p>",
    "form in a frame": (
        '<iframe name="f"></iframe><form id="g" action="TARGET" target="f"></form>'
        "<script>g.submit()</script>"
    ),
    "form": '<form id="g" action="TARGET"></form><script>g.submit()</script>',
    "fetch": '<script>fetch("TARGET").catch(() => 0)</script>',
    "fetch no-cors": '<script>fetch("TARGET", {mode: "no-cors"}).catch(() => 0)</script>',
    "navigation": '<script>location = "TARGET"</script>',
    "popup": '<script>open("TARGET")</script>',
    "refresh": '<meta http-equiv="refresh" content="0;url=TARGET">',
    "event source": '<script>new EventSource("TARGET")</script>',
    "redirected frame": '<iframe src="/302?to=TARGET"></iframe>',
    "redirected image": '<img src="/307?to=TARGET">',
    "redirected fetch": '<script>fetch("/302?to=TARGET", {mode: "no-cors"}).catch(()=>0)</script>',
    "redirected navigation": '<script>location = "/302?to=TARGET"</script>',
}
BY_POST: Final = {
    "form": '<form id="g" method="post" action="TARGET"></form><script>g.submit()</script>',
    "plain form": (
        '<form id="g" method="post" enctype="text/plain" action="TARGET">'
        "<input name='1' value=''></form><script>g.submit()</script>"
    ),
    "form in a frame": (
        '<iframe name="f"></iframe><form id="g" method="post" action="TARGET" target="f"></form>'
        "<script>g.submit()</script>"
    ),
    "form of a sandboxed frame": (
        """<iframe sandbox="allow-scripts allow-forms" srcdoc='<form id="g" method="post" """
        """action="TARGET"></form><script>g.submit()</script>'></iframe>"""
    ),
    "form without a referrer": (
        '<meta name="referrer" content="no-referrer"><form id="g" method="post" action="TARGET">'
        "</form><script>g.submit()</script>"
    ),
    "fetch": '<script>fetch("TARGET", {method: "POST", mode: "no-cors", body: "1"})'
    ".catch(() => 0)</script>",
    "fetch with headers": '<script>fetch("TARGET", {method: "POST", body: "1", headers: '
    '{"content-type": "application/json"}}).catch(() => 0)</script>',
    "beacon": '<script>navigator.sendBeacon("TARGET", "1")</script>',
    "ping": '<a id="a" href="/" ping="TARGET">x</a><script>a.click()</script>',
    "redirected form": (
        '<form id="g" method="post" action="/307?to=TARGET"></form><script>g.submit()</script>'
    ),
    "redirected fetch": '<script>fetch("/308?to=TARGET", {method: "POST", mode: "no-cors"})'
    ".catch(() => 0)</script>",
}
CLICKED: Final = '<form method="post" action="TARGET"><button>Win a prize</button></form>'
LINK: Final = '<a href="TARGET">the report</a>'


@dataclass
class Evil:
    """A web site on this machine that is not ours."""

    port: int
    bodies: dict[str, str] = field(default_factory=dict)
    seen: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pages, redirects, and a picture that tells that a page's elements were asked for."""
        path, query = scope["path"], parse_qs(scope["query_string"].decode())
        status, headers, body = 200, [(b"content-type", b"text/html")], b""
        if path.lstrip("/").isdigit():
            status, headers = int(path[1:]), [(b"location", query["to"][0].encode())]
        elif path in self.bodies:
            self.seen += 1
            body = f"<!doctype html><title>evil</title>{self.bodies[path]}".encode()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def evil() -> AsyncIterator[Evil]:
    settings = HttpSettings(port=0)
    listening = listen(settings)
    site = Evil(listening.getsockname()[1])
    server = HttpServer(site, listening, settings)
    await server.start()
    try:
        yield site
    finally:
        await server.stop()


@pytest.fixture
def begun() -> list[str]:
    return []


@pytest.fixture
async def serve(begun: list[str]) -> AsyncIterator[Serving]:
    app = App()

    @app.orchestrator
    async def work(ctx: Context) -> None:
        await ctx.wait_for_external_event("go")

    @app.http(("GET", "POST"), "/begin")
    async def begin(client: Client) -> str:
        begun.append((await client.start(work)).instance_id)
        return "begun"

    @app.http(("GET", "POST"), "/")
    async def root(client: Client) -> str:
        begun.append((await client.start(work)).instance_id)
        return "begun at the root"

    async with serving(app) as running:
        yield running


async def _look_at(page: Page, address: str) -> None:
    """As somebody who happens to come by and stays for a moment."""
    await page.goto(address, wait_until="commit")
    await _rest(page)


async def _rest(page: Page) -> None:
    # A page that never comes to rest is fine, too.
    with suppress(PlaywrightTimeoutError):
        await page.wait_for_load_state("networkidle", timeout=2_000)


def _frames(paths: Iterable[str]) -> str:
    return "".join(f'<iframe src="{path}"></iframe>' for path in paths)


@pytest.mark.parametrize("name", NAMES)
async def test_a_foreign_page_starts_nothing_by_any_element(
    serve: Serving, begun: list[str], name: str
) -> None:
    functions = [f"http://localhost:{serve.port}/api{path}" for path in ("", "/", "/begin")]
    starts = [f"http://localhost:{serve.port}{MOUNT}/orchestrators/work", *functions[1:]]
    async with evil() as site, chromium(RESOLVED) as browser:
        for kind, bodies, targets in (("get", BY_GET, functions), ("post", BY_POST, starts)):
            for number, body in enumerate(bodies.values()):
                for at, target in enumerate(targets):
                    site.bodies[f"/{kind}/{number}/{at}"] = body.replace("TARGET", target)
        inside = list(site.bodies)
        site.bodies["/all"] = _frames(inside)
        alone = ["/all"]
        for kind, bodies in (("get", BY_GET), ("post", BY_POST)):
            alone += [
                f"/{kind}/{number}/1"
                for number, title in enumerate(bodies)
                if title in {"form", "navigation", "popup", "refresh", "redirected navigation"}
            ]

        async def look(path: str) -> None:
            page = await browser.new_page()
            await _look_at(page, f"http://{name}:{site.port}{path}")
            if path == "/all":
                await until(lambda: site.seen >= len(inside) + len(alone))
                await _rest(page)
            await page.close()

        # What takes time is that each comes to rest.
        await asyncio.gather(*map(look, alone))
    assert begun == []
    assert (await serve.http.get(f"{MOUNT}/instances")).json() == []


async def test_a_foreign_page_steers_nothing(serve: Serving) -> None:
    client = serve.server.host.client
    await client.start("work", instance_id="a")
    instance = f"http://localhost:{serve.port}{MOUNT}/instances/a"
    admin = f"http://localhost:{serve.port}/admin/instances/a"
    targets = [
        f"{instance}/{word}"
        for word in ("terminate", "suspend", "restart", "raiseEvent/go", "resume")
    ]
    targets += [f"{admin}/{word}" for word in ("terminate", "suspend", "raise-event")]
    async with evil() as site, chromium(RESOLVED) as browser:
        for number, body in enumerate(BY_POST.values()):
            for at, target in enumerate(targets):
                site.bodies[f"/{number}/{at}"] = body.replace("TARGET", target)
        site.bodies["/all"] = _frames(list(site.bodies))
        names = NAMES[:3]

        async def look(name: str) -> None:
            page = await browser.new_page()
            await _look_at(page, f"http://{name}:{site.port}/all")
            await until(lambda: site.seen >= len(names) * len(site.bodies))
            await _rest(page)
            await page.close()

        await asyncio.gather(*map(look, names))
    status = await client.get_status("a")
    assert status is not None
    assert status.runtime_status.name == "RUNNING"
    assert len((await serve.http.get(f"{MOUNT}/instances")).json()) == 1


async def test_a_click_sends_no_form_of_a_foreign_page_and_follows_a_link(
    serve: Serving, begun: list[str]
) -> None:
    target = f"http://localhost:{serve.port}/api/begin"
    async with evil() as site, chromium(RESOLVED) as browser:
        site.bodies = {
            "/form": CLICKED.replace("TARGET", target),
            "/link": LINK.replace("TARGET", target),
        }
        for name in NAMES:
            page = await browser.new_page()
            await page.goto(f"http://{name}:{site.port}/form")
            await page.get_by_role("button").click()
            await page.wait_for_url(target)
            assert "TN-1702" in await page.content()
            assert begun == []
            await page.close()
        page = await browser.new_page()
        await page.goto(f"http://evil.test:{site.port}/link")
        await page.get_by_role("link").click()
        await page.wait_for_url(target)
        assert "begun" in await page.content()
        assert len(begun) == 1


async def test_a_name_that_is_made_to_point_here_opens_nothing(
    serve: Serving, begun: list[str]
) -> None:
    """DNS rebinding: the browser takes the server for the page's own."""
    async with chromium(RESOLVED) as browser:
        page = await browser.new_page()
        base = f"http://rebind.test:{serve.port}"
        for path in ("/api/begin", f"{MOUNT}/instances", "/admin/info"):
            answer = await page.goto(base + path)
            assert answer is not None
            assert answer.status == 403
        status = await page.evaluate(
            f"fetch('{MOUNT}/orchestrators/work', {{method: 'POST'}}).then(one => one.status)"
        )
        assert status == 403
    assert begun == []


async def test_the_servers_own_pages_call_it(serve: Serving, begun: list[str]) -> None:
    async with chromium(RESOLVED) as browser:
        page = await browser.new_page()
        await page.goto(f"{serve.url}/healthz")
        for method in ("GET", "POST"):
            status = await page.evaluate(
                f"fetch('/api/begin', {{method: '{method}'}}).then(one => one.status)"
            )
            assert status == 200
    assert len(begun) == 2
