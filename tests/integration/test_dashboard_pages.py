"""How the dashboard's page and its files are served, over real HTTP."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tenuto import App, InputError, RegistrationError, Settings
from tenuto.dashboard import built as built_files
from tenuto.dashboard.built import built
from tenuto.dashboard.pages import UNBUILT
from tenuto.engine.program import HttpRequest, HttpResponse
from tenuto.host import served_app
from tests.support.foreign_program import ForeignHttpFunction, ForeignProgram
from tests.support.http_server import ADMIN_KEY, KEYS, Serving, serving

FOLDER: Final = Path(built_files.__file__).parent
PLAIN: Final = {"accept-encoding": "identity"}


@pytest.fixture
async def serve() -> AsyncIterator[Serving]:
    async with serving(App(), keys=KEYS) as running:
        yield running


def addresses(page: str) -> list[str]:
    """Those of what a page asks for."""
    return re.findall(r'(?:src|href)="([^"]+)"', page)


async def test_there_is_one_page_at_the_root_and_at_its_own_address(serve: Serving) -> None:
    for path in ("/dashboard", "/", "/dashboard/", "/Dashboard"):
        page = await serve.http.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert '<meta name="tenuto-prefix" content=""' in page.text
        head = await serve.http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == page.headers["content-length"]
    assert (await serve.http.post("/dashboard")).status_code == 405
    assert (await serve.http.post("/")).status_code == 404


async def test_the_page_may_ask_nobody_but_this_server_and_stand_in_no_frame(
    serve: Serving,
) -> None:
    headers = (await serve.http.get("/dashboard")).headers
    policy = dict(one.split(" ", 1) for one in headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


async def test_the_page_has_nothing_inline_and_all_that_it_asks_for_is_there(
    serve: Serving,
) -> None:
    page = (await serve.http.get("/")).text
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    found = addresses(page)
    assert found
    for address in found:
        assert address.startswith("/dashboard/assets/")
        assert (await serve.http.get(address)).status_code == 200


async def test_every_file_is_kept_for_ever_and_sent_compressed_to_who_takes_that(
    serve: Serving,
) -> None:
    plain = [one for one in (FOLDER / "assets").iterdir() if one.suffix != ".gz"]
    assert plain
    for file in plain:
        path = f"/dashboard/assets/{file.name}"
        whole = await serve.http.get(path, headers=PLAIN)
        assert whole.content == file.read_bytes()
        assert "content-encoding" not in whole.headers
        assert whole.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert whole.headers["vary"] == "Accept-Encoding"
        assert whole.headers["content-type"] != "application/octet-stream"
        assert whole.headers["x-content-type-options"] == "nosniff"
        packed = file.with_name(f"{file.name}.gz")
        if not packed.exists():
            continue
        assert gzip.decompress(packed.read_bytes()) == file.read_bytes()
        short = await serve.http.get(path, headers={"accept-encoding": "br, gzip"})
        assert short.content == whole.content, "the client unpacks it"
        assert short.headers["content-encoding"] == "gzip"
        assert int(short.headers["content-length"]) == packed.stat().st_size
        assert short.headers["etag"] != whole.headers["etag"]
        assert short.headers["content-type"] == whole.headers["content-type"]


async def an_asset(serve: Serving) -> str:
    return addresses((await serve.http.get("/")).text)[0]


@pytest.mark.parametrize("said", ["", "identity", "gzip;q=0", "br, GZIP ; Q=0.0", "deflate"])
async def test_who_does_not_take_gzip_gets_none(serve: Serving, said: str) -> None:
    answer = await serve.http.get(await an_asset(serve), headers={"accept-encoding": said})
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers


async def test_who_has_a_file_is_told_that_it_is_the_same(serve: Serving) -> None:
    path = await an_asset(serve)
    tag = (await serve.http.get(path, headers=PLAIN)).headers["etag"]
    same = await serve.http.get(path, headers={**PLAIN, "if-none-match": f'"x", {tag}'})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == tag
    other = await serve.http.get(path, headers={**PLAIN, "if-none-match": '"x"'})
    assert other.status_code == 200
    head = await serve.http.head(path, headers=PLAIN)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)


@pytest.mark.parametrize(
    "path",
    [
        "/dashboard/assets",
        "/dashboard/assets/",
        "/dashboard/assets/none.js",
        "/dashboard/assets/..",
        "/dashboard/assets/../index.html",
        "/dashboard/assets/%2e%2e/built.py",
        "/dashboard/assets/..%2fbuilt.py",
        "/dashboard/assets/..%5cbuilt.py",
        "/dashboard/assets/%2fetc%2fpasswd",
        "/dashboard/assets//etc/passwd",
        "/dashboard/assets/.%00",
        "/dashboard/assets/a/b",
        "/dashboard/index.html",
        "/dashboard/built.py",
        "/dashboard/instances",
    ],
)
async def test_nothing_else_is_served(serve: Serving, path: str) -> None:
    for method in ("GET", "HEAD"):
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer = await serve.raw(head.encode())
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), answer[:80]


async def test_a_file_that_is_only_there_compressed_is_not_named(serve: Serving) -> None:
    path = await an_asset(serve)
    assert (await serve.http.get(f"{path}.gz")).status_code == 404


# --- below another path, behind others ------------------------------------------------------------


async def test_below_a_prefix_the_page_knows_it() -> None:
    durable = App().asgi("/flows", settings=Settings(storage="sqlite://"))
    outer = Starlette(routes=[Mount(durable.path, durable)], lifespan=durable.lifespan)
    transport = httpx2.ASGITransport(outer, client=("127.0.0.1", 1))
    async with (
        durable,
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        for path in ("/flows/", "/flows/dashboard"):
            page = await http.get(path)
            assert '<meta name="tenuto-prefix" content="/flows"' in page.text
            found = addresses(page.text)
            assert [one for one in found if not one.startswith("/flows/dashboard/assets/")] == []
            assert (await http.get(found[0])).status_code == 200


@pytest.mark.parametrize(
    ("settings", "said", "prefix"),
    [
        ({"trusted_proxies": ("127.0.0.1",)}, {"x-forwarded-prefix": "/a/b/"}, "/a/b"),
        ({}, {"x-forwarded-prefix": "/a"}, ""),
        ({"base_url": "https://x.test/a/"}, {"host": "x.test"}, "/a"),
        # Who comes without the proxy finds the page, too.
        ({"base_url": "https://x.test/a/"}, {}, ""),
        ({"base_url": "https://x.test"}, {"host": "x.test"}, ""),
    ],
)
async def test_a_proxy_may_put_a_prefix_before_it(
    settings: dict[str, Any], said: dict[str, str], prefix: str
) -> None:
    async with serving(App(), keys=KEYS, **settings) as serve:
        page = (await serve.http.get("/dashboard", headers=said)).text
        assert f'<meta name="tenuto-prefix" content="{prefix}"' in page
        assert addresses(page)[0].startswith(f"{prefix}/dashboard/assets/")


async def test_a_prefix_full_of_markup_is_refused() -> None:
    async with serving(App(), keys=KEYS, trusted_proxies=("127.0.0.1",)) as serve:
        said = {"x-forwarded-prefix": '/"><script>alert(1)</script>'}
        answer = await serve.http.get("/dashboard", headers=said)
        assert answer.status_code == 400
        assert "script" not in answer.text


async def test_without_keys_only_this_machine_is_shown_the_page() -> None:
    async with serving(App()) as serve:
        for path in ("/", "/dashboard", await an_asset(serve)):
            assert (await serve.http.get(path)).status_code == 200
            for foreign in ({"host": "evil.test"}, {"x-forwarded-for": "127.0.0.1"},
                            {"sec-fetch-site": "cross-site"}):  # fmt: skip
                assert (await serve.http.get(path, headers=foreign)).status_code == 403


# --- what else may be there -----------------------------------------------------------------------


async def _answer(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=200, headers=[], body=b"a function")


def program(route: str, name: str = "one") -> ForeignProgram:
    function = ForeignHttpFunction(name=name, function=_answer, route=route, prefix="")
    return ForeignProgram({}, http=[function])


@pytest.mark.parametrize("route", ["", "{*rest}"])
async def test_a_function_at_the_root_stays_there(route: str) -> None:
    async with serving(program(route)) as serve:
        assert (await serve.http.get("/")).text == "a function"
        assert "tenuto-prefix" in (await serve.http.get("/dashboard")).text
        assert serve.server.dashboard_url == f"{serve.url}/dashboard"


async def test_it_stands_at_the_root_otherwise() -> None:
    async with serving(program("else")) as serve:
        assert serve.server.dashboard_url == f"{serve.url}/"
    async with serving(App(), keys=KEYS, base_url="https://x.test/a") as serve:
        assert serve.server.dashboard_url == "https://x.test/a/"
    assert serve.server.dashboard_url is None, "nothing listens any more"


async def test_switched_off_it_leaves_its_paths_to_functions_of_programs() -> None:
    for route in ("dashboard", "session", "dashboard/assets/{name}"):
        with pytest.raises(RegistrationError, match=r"setting http\.dashboard"):
            async with serving(program(route)):
                pass
    async with serving(program("dashboard"), dashboard=False) as serve:
        assert (await serve.http.get("/dashboard")).text == "a function"
        assert serve.server.dashboard_url is None
        page = await serve.http.get("/")
        assert (page.status_code, "up and running" in page.text) == (200, True)
        assert (await serve.http.get("/dashboard/assets/x")).status_code == 404
        documented = (await serve.http.get("/openapi.json")).json()["paths"]
        assert not [one for one in documented if one.startswith(("/dashboard/", "/session"))]


@pytest.mark.parametrize("path", ["/dashboard", "/session", "/dashboard/below"])
def test_no_app_is_mounted_there(path: str) -> None:
    with pytest.raises(InputError, match="the server's own"):
        App().mount(path, Starlette())


async def test_functions_of_an_app_have_paths_of_their_own() -> None:
    app = App()

    @app.http("GET", "/dashboard")
    async def board() -> str:
        return "mine"

    async with serving(app) as serve:
        assert (await serve.http.get("/api/dashboard")).json() == "mine"


# --- the files ------------------------------------------------------------------------------------


async def test_a_checkout_without_the_built_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_app, "built", lambda: None)
    async with serving(App(), keys=KEYS) as serve:
        for path in ("/", "/dashboard"):
            page = await serve.http.get(path)
            assert (page.status_code, page.text) == (200, UNBUILT)
        assert (await serve.http.get("/dashboard/assets/x.js")).status_code == 404
        headers = {"x-functions-key": ADMIN_KEY}
        assert (await serve.http.get("/admin/instances", headers=headers)).status_code == 200


def test_half_a_build_is_none(tmp_path: Path) -> None:
    assert built(tmp_path) is None
    (tmp_path / "index.html").write_text("x")
    assert built(tmp_path) is None
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "below").mkdir()
    (tmp_path / "assets" / "a.js").write_text("x")
    found = built(tmp_path)
    assert found is not None
    assert list(found.assets) == ["a.js"]


async def test_files_that_another_version_took_away_are_said_to_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "assets").mkdir()
    file = tmp_path / "assets" / "a.wasm"
    file.write_bytes(b"x")
    (tmp_path / "index.html").write_text('<script src="./assets/a.js"></script>')
    monkeypatch.setattr(served_app, "built", lambda: built(tmp_path))
    async with serving(App(), keys=KEYS) as serve:
        assert '"/dashboard/assets/a.js"' in (await serve.http.get("/")).text
        answer = await serve.http.get("/dashboard/assets/a.wasm")
        assert answer.headers["content-type"] == "application/octet-stream"
        file.unlink()
        answer = await serve.http.get("/dashboard/assets/a.wasm")
        assert answer.status_code == 404
        assert "another version" in answer.json()["message"]
