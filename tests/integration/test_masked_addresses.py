"""Who may only look sees no address that does something when it is used (S5)."""

import asyncio
import json
import re
import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import quote

import pytest
from starlette.responses import Response

from tenuto import App, Context
from tenuto.http.masking import Masking
from tenuto.http.payloads import MOUNT
from tenuto.model.webhook import signed_token
from tests.support.http_server import ADMIN_KEY, KEYS, OPERATE_KEY, READ_KEY, Serving, serving

INSTANCE = f"{MOUNT}/instances/a"
PLACES = (
    INSTANCE,
    f"{INSTANCE}?showHistory=true&showHistoryOutput=true&showExplanation=true",
    f"{MOUNT}/instances",
    f"{MOUNT}/instances/child",
    "/admin/instances",
    "/admin/instances/a",
    "/admin/instances/a/history",
    "/admin/instances/a/history?after=",
    "/admin/instances/child/history",
    "/admin/instances/ended",
    "/admin/instances/alone",
    "/admin/instances/alone/history",
)
DIGEST = urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


@pytest.fixture
async def serve() -> AsyncIterator[Serving]:
    app = App()

    @app.activity
    def send_mail(url: str, digest: str) -> str:
        return f"sent {url}"

    @app.orchestrator
    async def child(ctx: Context, url: str) -> str:
        return await ctx.wait_for_external_event("end", str)

    @app.orchestrator
    async def ended(ctx: Context) -> str:
        return await ctx.create_webhook("e", expires_in=timedelta(days=1))

    @app.orchestrator
    async def alone(ctx: Context) -> None:
        token = (await ctx.create_webhook("t", expires_in=timedelta(days=1))).rpartition("/")[2]
        ctx.set_custom_status({"door": ["alone", token], "named": f"alone-{token}"})
        await ctx.wait_for_external_event("t")

    @app.orchestrator
    async def approval(ctx: Context) -> object:
        url = await ctx.create_webhook("go", expires_in=timedelta(days=1))
        ctx.set_custom_status({"mail": [f'<a href="{url}">', quote(url, safe="")], "d": DIGEST})
        await ctx.call_activity(send_mail, url, DIGEST)
        await ctx.call_sub_orchestrator(child.options(instance_id="child"), url)
        return await ctx.wait_for_external_event("go")

    async with serving(app, keys=KEYS) as running:
        await running.server.host.client.start("ended", instance_id="ended")
        await running.server.host.client.wait("ended")
        await running.server.host.client.start("approval", instance_id="a")
        await running.server.host.client.start("alone", instance_id="alone")
        async with asyncio.timeout(20):
            while await running.server.host.client.get_status("child") is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while True:
                status = await running.server.host.client.get_status("alone")
                if status is not None and status.custom_status is not None:
                    break
                await asyncio.sleep(0.01)
        yield running


def key(text: str) -> dict[str, str]:
    return {"x-functions-key": text}


async def tokens(serve: Serving) -> set[str]:
    """Those that an operator sees."""
    found = set()
    for place in PLACES:
        text = (await serve.http.get(place, headers=key(OPERATE_KEY))).text
        for start in [at for at in range(len(text)) if text.startswith("/callbacks/", at)]:
            found.add(text[start:].split("/")[3][:43])
    return found


async def test_a_read_key_sees_no_address_of_a_webhook_anywhere(serve: Serving) -> None:
    known = await tokens(serve)
    assert len(known) == 3
    shown = 0
    for place in PLACES:
        open_answer = await serve.http.get(place, headers=key(OPERATE_KEY))
        shown += any(one in open_answer.text for one in known)
        masked = await serve.http.get(place, headers=key(READ_KEY))
        assert masked.status_code == open_answer.status_code
        assert not [one for one in known if one in masked.text], place
        masked.json()  # still JSON
        if "a/history" in place:
            assert DIGEST in masked.text, "what only looks like a token stays"
            assert "/callbacks/a/***" in masked.text
    assert shown == len(PLACES)


async def test_a_link_that_only_reads_shows_none_either(serve: Serving) -> None:
    known = await tokens(serve)
    link = (await serve.http.get(INSTANCE, headers=key(READ_KEY))).headers["location"]
    read = await serve.http.get(link)
    assert read.status_code == 202
    assert not [one for one in known if one in read.text]


async def test_a_live_stream_shows_none_to_a_read_key(serve: Serving) -> None:
    known = await tokens(serve)
    for stream in ("/admin/events", "/admin/instances/a/events"):
        for who, is_shown in ((READ_KEY, False), (ADMIN_KEY, "instances" in stream)):
            head = f"GET {stream}?code={who} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            text = (await serve.raw(head.encode(), until=b"event: reset\ndata: ")).decode()
            reader, writer = await asyncio.open_connection("127.0.0.1", serve.port)
            writer.write(head.encode())
            text = (await reader.readuntil(b"}\n\n")).decode()
            writer.close()
            assert any(one in text for one in known) == is_shown, stream


async def test_links_that_do_more_than_read_are_hidden_too(serve: Serving) -> None:
    started = await serve.http.post(f"{MOUNT}/orchestrators/ended", headers=key(ADMIN_KEY))
    links = started.text
    assert "l1.o." in links
    assert "l1.p." in links
    await serve.http.post(
        f"{INSTANCE}/raiseEvent/kept",
        content=links,
        headers={**key(ADMIN_KEY), "content-type": "application/json"},
    )
    async with asyncio.timeout(20):
        while True:
            shown = await serve.http.get("/admin/instances/a/history", headers=key(ADMIN_KEY))
            if "l1.o." in shown.text:
                break
    codes = [link.partition("code=")[2] for link in json.loads(links).values() if "code=" in link]
    masked = await serve.http.get("/admin/instances/a/history", headers=key(READ_KEY))
    assert not [code for code in codes if code in masked.text]


async def test_what_a_durable_function_answers_shows_none_to_a_read_key_only() -> None:
    """Not at its address, not in a header of its own, not in the base64 in which it is stored."""
    app = App()

    @app.http("POST", "/plain", auth="anonymous", durable=True, wait=timedelta(0))
    async def plain(ctx: Context) -> str:
        await ctx.wait_for_external_event("end")
        return await ctx.create_webhook("go", expires_in=timedelta(days=1))

    @app.http("POST", "/response", auth="anonymous", durable=True, wait=timedelta(0))
    async def response(ctx: Context) -> Response:
        await ctx.wait_for_external_event("end")
        url = await ctx.create_webhook("go", expires_in=timedelta(days=1))
        answer = Response(f"go to {url} now", headers={"X-Door": url})
        answer.set_cookie("a", "x" * 43)
        answer.set_cookie("b", "y" * 43)
        return answer

    async with serving(app, keys=KEYS) as serve:
        for path in ("plain", "response"):
            link = (await serve.http.post(f"/api/{path}")).headers["location"]
            instance = link.partition("/results/")[2].partition("?")[0]
            await serve.server.host.client.raise_event(instance, "end")
            await serve.server.host.client.wait(instance)
            answers = {
                who: await serve.http.get(link.partition("?")[0], headers=key(who))
                for who in (OPERATE_KEY, READ_KEY)
            }
            token = answers[OPERATE_KEY].text.partition(f"/{instance}/")[2][:43]
            assert len(token) == 43
            assert token in (await serve.http.get(link)).text, "who asked gets what was said"
            read = answers[READ_KEY]
            assert read.status_code == 200
            assert token not in read.text + str(read.headers)
            cookies = 2 if path == "response" else 0
            assert len(read.headers.get_list("set-cookie")) == cookies, "the others stay"
            for place in (f"{MOUNT}/instances", "/admin/instances"):
                for below in ("", "/history", "?showHistory=true&showHistoryOutput=true"):
                    shown = await serve.http.get(
                        f"{place}/{instance}{below}", headers=key(READ_KEY)
                    )
                    assert token not in decoded(shown.text)


def decoded(text: str) -> str:
    """An answer with all that stands in it in base64."""
    found = re.findall(r"[A-Za-z0-9+/]{40,}={0,2}", text)
    return text + "".join(b64decode(one[: len(one) // 4 * 4]).decode("latin-1") for one in found)


async def test_a_long_text_without_a_break_is_passed_over() -> None:
    """Each of its letters was looked at by itself: 3 MB took a quarter of a second of the loop."""
    token = signed_token("s", "a", secrets.token_bytes(16)).encode()
    long = b"x" * 3_000_000
    turns = [0]

    async def others() -> None:
        while True:
            await asyncio.sleep(0)
            turns[0] += 1

    going = asyncio.create_task(others())
    masked = await Masking("s").masked(b'"%s","%s"' % (long, token))
    assert masked == b'"%s","***"' % long
    runs = b'"%s",' % (b"y" * 128) * 1_000
    assert await Masking("s").masked(runs) == runs
    going.cancel()
    assert turns[0] >= 20, "others go on meanwhile"


@pytest.mark.parametrize(
    "quoted",
    [
        "%s",
        "https://x/callbacks/a/%s?event=go",
        "%%2Fcallbacks%%2Fa%%2F%s",
        "\\u002f%s",
        "\\n%s",
        "a-%s-go",
    ],
)
@pytest.mark.parametrize("before", [0, 8_100, 8_140, 8_180, 8_190, 262_100, 262_140, 600_000])
async def test_a_token_is_found_however_it_is_quoted_and_wherever_it_stands(
    quoted: str, before: int
) -> None:
    token = signed_token("s", "a", secrets.token_bytes(16))
    text = "word " * (before // 5) + quoted % token + " " + DIGEST + "A" * 1_000
    masked = (await Masking("s").masked(text.encode())).decode()
    assert masked == text.replace(token, "***")
    assert await Masking("another").masked(text.encode()) == text.encode()


@pytest.mark.parametrize("backslashes", [1, 2, 4])
async def test_a_token_whose_letters_are_escaped_is_found_too(backslashes: int) -> None:
    start = "\\" * backslashes + "u00"

    def escaped(text: str) -> str:
        return "".join(f"{start}{ord(letter):02x}" for letter in text)

    link = "l1.o.1f." + "k" * 43
    rest = f"{escaped('no')} \\u00e9"
    for hidden in (signed_token("s", "a", secrets.token_bytes(16)), link, "systemkey-systemkey"):
        for written in (escaped(hidden), hidden[:9] + escaped(hidden[9]) + hidden[10:]):
            body = f'{{"u":"https://h/{written}?x\\n","é":"{rest}"}}'
            masked = (await Masking("s", "systemkey-systemkey").masked(body.encode())).decode()
            assert "***" in masked, body
            assert hidden not in _letters(masked)
            assert f'"{rest}"' in masked  # all else stays to the letter
    only = await Masking("s", "systemkey").without_hidden(escaped("systemkey").encode())
    assert only == b"***"
    many = (escaped("no-token ") * 20_000).encode()
    assert await Masking("s").masked(many) == many
    assert (
        await Masking("s").masked(escaped("a" * 20_000).encode()) == escaped("a" * 20_000).encode()
    )


def _letters(text: str) -> str:
    return re.sub(r"\\+u00([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
