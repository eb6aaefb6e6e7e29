"""A page that somebody looks at, in a real browser, starts and steers nothing on a server without
keys (S6): not from another port of this machine, not from another name, not by any element.
"""

import asyncio
import json
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
from tests.support.http_server import ADMIN_KEY, KEYS, Serving, serving
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
        if path.lstrip("/").isdigit() and "to" in query:
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


# --- with keys: somebody has signed in ------------------------------------------------------------

TOLD: Final = """
<script>
const told = [];
const tell = (text) => told.push(text);
const targets = TARGETS;
for (const target of targets) {
  for (const mode of ["cors", "no-cors"])
    for (const credentials of ["include", "same-origin"])
      fetch(target, {mode, credentials}).then((one) => one.text()).then(tell, () => tell(""));
  const asked = new XMLHttpRequest();
  asked.withCredentials = true;
  asked.onloadend = () => tell(asked.responseText);
  asked.open("GET", target);
  asked.send();
  const source = new EventSource(target, {withCredentials: true});
  source.onmessage = (event) => tell(event.data);
  const frame = document.createElement("iframe");
  frame.src = target;
  frame.onload = () => {
    try { tell(frame.contentDocument.documentElement.textContent); } catch { tell(""); }
  };
  document.documentElement.append(frame);
}
</script>
"""
"""A page that tries to read; TARGETS are addresses."""


@pytest.fixture
async def guarded() -> AsyncIterator[Serving]:
    app = App()

    @app.orchestrator
    async def work(ctx: Context) -> None:
        await ctx.wait_for_external_event("go")

    async with serving(app, keys=KEYS) as running:
        await running.server.host.client.start(work, instance_id="the-secret")
        yield running


async def _called(page: Page, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    """How the server answers its own page."""
    status, text = await page.evaluate(
        """async ([method, path, body]) => {
            const headers = {"x-tenuto-session": "1"};
            const answer = await fetch(path, {method, body, headers});
            return [answer.status, await answer.text()];
        }""",
        [method, path, body],
    )
    return status, text


@pytest.mark.parametrize("name", NAMES)
async def test_a_foreign_page_reads_and_does_nothing_with_a_session(
    guarded: Serving, name: str
) -> None:
    """S6, for who has signed in: another port of this machine is the same site, and is sent the
    cookie.
    """
    base = f"http://localhost:{guarded.port}"
    instance = f"{base}{MOUNT}/instances/the-secret"
    targets = [
        f"{base}{MOUNT}/orchestrators/work",
        *(f"{instance}/{word}" for word in ("terminate", "suspend", "raiseEvent/go")),
        f"{base}/admin/instances/the-secret/terminate",
        f"{base}/session",
    ]
    read = [f"{base}{path}" for path in ("/admin/instances", "/admin/events", "/session", "/")]
    async with evil() as site, chromium(RESOLVED) as browser:
        for number, body in enumerate(BY_POST.values()):
            for at, target in enumerate(targets):
                site.bodies[f"/{number}/{at}"] = body.replace("TARGET", target)
        for number, body in enumerate(BY_GET.values(), len(BY_POST)):
            site.bodies[f"/{number}/0"] = body.replace("TARGET", read[0])
        inside = list(site.bodies)
        site.bodies["/all"] = _frames(inside)
        site.bodies["/read"] = TOLD.replace("TARGETS", json.dumps(read))
        person = await browser.new_context()
        own = await person.new_page()
        await own.goto(f"{base}/dashboard")
        signed_in = await _called(own, "POST", "/session", json.dumps({"key": ADMIN_KEY}))
        assert signed_in == (204, "")
        assert await own.evaluate("document.cookie") == "", "no script reads it"

        page = await person.new_page()
        await _look_at(page, f"http://{name}:{site.port}/all")
        await until(lambda: site.seen >= len(inside) + 1)
        await _rest(page)
        await page.goto(f"http://{name}:{site.port}/read", wait_until="commit")
        await page.wait_for_function(f"told.length >= {len(read) * 5}")
        told = await page.evaluate("told")
        assert [one for one in told if one] == [], "nothing could be read"
        popped = await person.new_page()
        await popped.goto(f"http://{name}:{site.port}/{len(BY_POST)}/0")
        await popped.evaluate(f"location = {json.dumps(read[0])}")
        await popped.wait_for_url(read[0])
        assert "the-secret" not in await popped.content()

        # Whoever is signed in still is, and has noticed nothing.
        status, text = await _called(own, "GET", "/session")
        assert (status, json.loads(text)["role"]) == (200, "admin")
        status, text = await _called(own, "GET", f"{MOUNT}/instances")
        (only,) = json.loads(text)
        assert (only["instanceId"], only["runtimeStatus"]) == ("the-secret", "Running")
        assert (await _called(own, "POST", f"{MOUNT}/instances/the-secret/terminate"))[0] == 202
        counted = guarded.server._served.traffic.requests
        refused = {status for _, path, status in counted if path == "/admin/instances"}
        # The cookie came along from where it does; from elsewhere there was none.
        assert refused == ({401, 403} if name == "localhost" else {401})


async def test_no_foreign_page_signs_anybody_in(guarded: Serving) -> None:
    target = f"http://localhost:{guarded.port}/session"
    body = json.dumps({"key": ADMIN_KEY})
    fetched = (
        f"<script>fetch('{target}', {{method: 'POST', mode: 'no-cors', credentials: 'include', "
        f"body: '{body}'}})</script>"
    )
    sent = (
        f'<form id="g" method="post" enctype="text/plain" action="{target}">'
        f"""<input name='{{"key": "{ADMIN_KEY}", "x' value='":1}}'></form>"""
        "<script>g.submit()</script>"
    )
    async with evil() as site, chromium(RESOLVED) as browser:
        for number, attempt in enumerate((fetched, sent)):
            site.bodies[f"/{number}"] = attempt
            for name in NAMES:
                person = await browser.new_context()
                page = await person.new_page()
                await _look_at(page, f"http://{name}:{site.port}/{number}")
                assert await person.cookies() == []
                await person.close()
    counted = guarded.server._served.traffic.requests
    assert {key[2] for key in counted if key[1] == "/session"} == {403}


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
