"""Durable HTTP against a real server on this machine; the pauses between polls are virtual."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final, Protocol

import pytest

from tenuto import (
    App,
    Context,
    HttpCallOptions,
    HttpResponse,
    HttpRetry,
    ManagedIdentityTokenSource,
    OrchestrationFailedError,
    Settings,
)
from tenuto.model.limits import Limits
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost
from tests.support.answering_server import (
    Answerer,
    AnsweringServer,
    Asked,
    Reply,
    answering_server,
)
from tests.support.waiting import until


class Serve(Protocol):
    async def __call__(self, answer: Answerer) -> AnsweringServer: ...


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def open_one(answer: Answerer) -> AnsweringServer:
            return await stack.enter_async_context(answering_server(answer))

        yield open_one


def polled(times: int, *headers: tuple[str, str]) -> Answerer:
    """Accepted, this many times; then done."""
    left = [times]

    def answer(asked: Asked) -> Reply:
        if left[0] == 0:
            return Reply(200, f"done after {asked.target}".encode())
        left[0] -= 1
        return Reply(202, headers=[("Location", f"/jobs/{left[0]}"), *headers])

    return answer


async def test_answers_are_values_whatever_their_status(
    app: App, test: TestHost, serve: Serve
) -> None:
    """S84: 200 and 404 as values; multi-valued headers; User-Agent and Accept are sent."""

    def answer(asked: Asked) -> Reply:
        cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
        return Reply(404 if asked.target == "/no" else 200, "grüß dich".encode(), cookies)

    server = await serve(answer)

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> list[HttpResponse]:
        return [await ctx.call_http("GET", url + path) for path in ("/yes", "/no")]

    found, missing = await test.run(calls, server.url)
    assert (found.status_code, missing.status_code) == (200, 404)
    assert (found.ok, missing.ok) == (True, False)
    assert found.content == "grüß dich"
    assert found.url == f"{server.url}/yes"
    assert found.headers["set-cookie"] == ["a=1", "b=2"]
    assert server.asked[0].headers["user-agent"].startswith("tenuto/")
    assert "accept" in server.asked[0].headers


async def test_content_goes_out_as_json_text_or_what_the_headers_say(
    app: App, test: TestHost, serve: Serve
) -> None:
    """S84: content types."""
    server = await serve(lambda asked: Reply(200, asked.body.encode()))

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> list[str | None]:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answers = [
            await ctx.call_http("POST", url, {"a": "ü"}),
            await ctx.call_http("PUT", url, "plain ü"),
            await ctx.call_http("POST", url, "a=1&b=2", form),
            await ctx.call_http("POST", url),
        ]
        return [one.content for one in answers]

    assert await test.run(calls, server.url) == ['{"a":"ü"}', "plain ü", "a=1&b=2", None]
    assert [one.headers.get("content-type") for one in server.asked] == [
        "application/json",
        "text/plain; charset=utf-8",
        "application/x-www-form-urlencoded",
        None,
    ]


async def test_a_202_is_polled_with_durable_timers_until_it_is_done(
    app: App, test: TestHost, serve: Serve
) -> None:
    """S85: several rounds, relative Location, Retry-After in seconds; the key is not resent."""
    server = await serve(polled(4, ("Retry-After", "3600")))

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> list[str]:
        headers = {"x-functions-key": "key", "Authorization": "Basic abc"}
        answer = await ctx.call_http("POST", f"{url}/start?x=1", "body", headers)
        return [str(answer.content), str(ctx.current_time)]

    content, at = await test.run(calls, server.url)
    assert content == "done after /jobs/0"
    assert at.startswith("2026-01-01 04:00:00")
    first, *polls = server.asked
    assert (first.method, first.target, first.headers["x-functions-key"]) == (
        "POST",
        "/start?x=1",
        "key",
    )
    assert [one.target for one in polls] == [f"/jobs/{left}" for left in (3, 2, 1, 0)]
    for poll in polls:
        assert poll.method == "GET"
        assert not poll.body
        assert "x-functions-key" not in poll.headers
        assert "content-type" not in poll.headers
        assert poll.headers["authorization"] == "Basic abc"


async def test_retry_after_may_be_a_date_and_polls_survive_a_crash(
    app: App, test: TestHost, serve: Serve
) -> None:
    due = datetime(2026, 1, 3, 12, tzinfo=UTC)
    server = await serve(polled(1, ("Retry-After", format_datetime(due, usegmt=True))))

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> str:
        await ctx.call_http("GET", url)
        return str(ctx.current_time)

    handle = await test.start(calls, server.url)
    await test.idle()
    await test.crash()
    assert len(server.asked) == 1
    assert (await handle.result()).startswith("2026-01-03 12:00:00")
    assert len(server.asked) == 2


async def test_several_calls_poll_at_the_same_time(app: App, test: TestHost, serve: Serve) -> None:
    """S85."""
    servers = [await serve(polled(2)) for _ in range(3)]

    @app.orchestrator
    async def calls(ctx: Context, urls: list[str]) -> list[str]:
        answers = await asyncio.gather(*(ctx.call_http("GET", url) for url in urls))
        return [str(one.content) for one in answers] + [str(ctx.current_time)]

    *contents, at = await test.run(calls, [server.url for server in servers])
    assert contents == ["done after /jobs/0"] * 3
    assert at.startswith("2026-01-01 00:01:00")


async def test_without_polling_the_202_comes_back_at_once(
    app: App, test: TestHost, serve: Serve
) -> None:
    """S85: pattern off."""
    server = await serve(polled(1))

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> list[object]:
        answer = await ctx.call_http("GET", url, options=HttpCallOptions(poll=False))
        return [answer.status_code, answer.header("Location")]

    assert await test.run(calls, server.url) == [202, "/jobs/0"]


async def test_a_call_that_takes_longer_than_its_timeout_raises(
    app: App, test: TestHost, serve: Serve
) -> None:
    """S86: reached while polling, and not reached."""
    server = await serve(polled(3))

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> list[str]:
        texts = []
        for minutes in (1, 10):
            options = HttpCallOptions(timeout=timedelta(minutes=minutes))
            try:
                texts.append(str((await ctx.call_http("GET", url, options=options)).content))
            except TimeoutError as error:
                texts.append(str(error))
        return texts

    late, done = await test.run(calls, server.url)
    assert "within 0:01:00" in late
    assert done.startswith("done")


async def test_a_request_that_nobody_waits_for_is_broken_off(
    app: App, test: TestHost, serve: Serve
) -> None:
    released = asyncio.Event()

    async def hang(_asked: Asked) -> Reply:
        await released.wait()
        return Reply()

    server = await serve(hang)

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> str:
        try:
            await ctx.call_http("GET", url, options=HttpCallOptions(timeout=timedelta(minutes=1)))
        except TimeoutError:
            return "timeout"
        return "answer"

    handle = await test.start(calls, server.url)
    await until(lambda: server.asked)
    await test.advance(timedelta(minutes=2), with_activities=False)
    assert await handle.result() == "timeout"
    await test.idle()
    assert test.host.engine.running == 0
    released.set()


async def test_a_request_has_a_longest_time_by_the_hosts_clock(
    app: App, test: TestHost, serve: Serve
) -> None:
    released = asyncio.Event()

    async def hang(_asked: Asked) -> Reply:
        await released.wait()
        return Reply()

    server = await serve(hang)

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> str:
        try:
            await ctx.call_http("GET", url)
        except TimeoutError as error:
            return f"{type(error).__name__}: {error}"
        return "answer"

    handle = await test.start(calls, server.url)
    await until(lambda: server.asked)
    await test.advance(timedelta(seconds=101), with_activities=False)
    text = await handle.result()
    assert text.startswith("ActivityTimeoutError")
    assert "within 100 s" in text
    released.set()


async def test_a_network_error_surfaces_and_names_the_address(
    app: App, test: TestHost, serve: Serve
) -> None:
    """S86: without retry, and exhausted by error."""
    server = await serve(lambda _asked: Reply(raw=b"no http\r\n\r\n"))

    @app.orchestrator
    async def calls(ctx: Context, url: str, attempts: int) -> None:
        retry = HttpRetry(max_attempts=attempts, first_interval=timedelta(hours=1))
        await ctx.call_http("GET", url, options=HttpCallOptions(retry=retry))

    with pytest.raises(OrchestrationFailedError, match=f"ConnectionError: GET {server.url}"):
        await test.run(calls, server.url, 1)
    with pytest.raises(OrchestrationFailedError, match="ConnectionError"):
        await test.run(calls, server.url, 3)
    assert len(server.asked) == 4
    nobody = "http://127.0.0.1:1"
    with pytest.raises(OrchestrationFailedError, match=f"ConnectionError: GET {nobody}"):
        await test.run(calls, nobody, 1)


async def test_statuses_of_the_list_are_tried_again(app: App, test: TestHost, serve: Serve) -> None:
    """S86: not retried when 404 is not listed."""
    left = [2]

    def answer(asked: Asked) -> Reply:
        if asked.target == "/404":
            return Reply(404)
        left[0] -= 1
        return Reply(503 if left[0] >= 0 else 200, b"up")

    server = await serve(answer)

    @app.orchestrator
    async def calls(ctx: Context, url: str, path: str) -> int:
        retry = HttpRetry(max_attempts=5, first_interval=timedelta(minutes=1), statuses=(503,))
        answer = await ctx.call_http("GET", url + path, options=HttpCallOptions(retry=retry))
        return answer.status_code

    assert await test.run(calls, server.url, "/503") == 200
    assert len(server.asked) == 3
    assert await test.run(calls, server.url, "/404") == 404
    assert len(server.asked) == 4


async def test_redirects_are_followed_and_secrets_stay_with_the_server_that_was_meant(
    app: App, test: TestHost, serve: Serve
) -> None:
    other = await serve(lambda asked: Reply(200, asked.method.encode()))

    def answer(asked: Asked) -> Reply:
        if asked.target == "/here":
            return Reply(307, headers=[("Location", "there")])
        return Reply(303, headers=[("Location", f"{other.url}/elsewhere")])

    server = await serve(answer)

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> list[str | None]:
        headers = {
            "Authorization": "Basic abc",
            "Cookie": "a=1",
            "X-Mine": "1",
            "X-Api-Key": "k",
            "X-Functions-Key": "k",
            "Accept-Language": "de",
            "traceparent": "00-a-b-01",
        }
        got = await ctx.call_http("POST", f"{url}/here", "body", headers)
        return [got.content, got.url]

    assert await test.run(calls, server.url) == ["GET", f"{other.url}/elsewhere"]
    here, there = server.asked
    assert (here.method, here.body) == (there.method, there.body) == ("POST", "body")
    assert there.headers["authorization"] == "Basic abc"
    (elsewhere,) = other.asked
    assert there.headers["x-api-key"] == "k"
    assert elsewhere.headers["accept-language"] == "de"
    assert elsewhere.headers["traceparent"] == "00-a-b-01"
    secret = {"authorization", "cookie", "x-api-key", "x-functions-key", "x-mine"}
    assert not (secret | {"content-type"}) & set(elsewhere.headers), "any name may be a key's"


async def test_a_poll_of_another_server_gets_no_key_and_the_header_that_names_it_may_be_chosen(
    app: App, test: TestHost, serve: Serve
) -> None:
    """As Azure's services have it: 202 with ``Operation-Location``."""
    other = await serve(lambda asked: Reply(200, asked.target.encode()))
    names = [("Operation-Location", f"{other.url}/operation"), ("Retry-After", "1")]
    server = await serve(lambda _asked: Reply(202, headers=names))

    @app.orchestrator
    async def calls(ctx: Context, url: str, chosen: bool) -> list[str | int | None]:
        headers = {"Ocp-Apim-Subscription-Key": "k", "api-key": "k", "Accept": "a/b"}
        names = ("operation-location", "Location") if chosen else ("Location",)
        options = HttpCallOptions(poll_headers=names)
        got = await ctx.call_http("POST", url, "body", headers, options=options)
        return [got.status_code, got.content]

    assert await test.run(calls, server.url, True) == [200, "/operation"]
    (poll,) = other.asked
    assert poll.headers["accept"] == "a/b"
    assert not {"ocp-apim-subscription-key", "api-key"} & set(poll.headers)
    assert (await test.run(calls, server.url, False))[0] == 202


async def test_endless_redirects_and_binary_answers_and_long_ones_end_with_an_error(
    app: App, open_host: OpenHost, serve: Serve
) -> None:
    def answer(asked: Asked) -> Reply:
        match asked.target:
            case "/binary":
                return Reply(200, b"\x89PNG\xff", [("Content-Type", "image/png")])
            case "/long":
                return Reply(200, b"x" * 20_000)
            case "/badly":
                return Reply(302, headers=[("Location", "ftp://example.org")])
            case _:
                return Reply(302, headers=[("Location", "/round")])

    server = await serve(answer)
    test = await open_host(app, settings=Settings(limits=Limits(payload_bytes=10_000)))

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> None:
        retry = HttpRetry(max_attempts=9)
        await ctx.call_http("GET", url, options=HttpCallOptions(retry=retry))

    for path, text in (
        ("/round", "redirected more than 10 times"),
        ("/binary", r"image/png\) is not text"),
        ("/badly", "ftp://example.org is no address of http or https"),
    ):
        with pytest.raises(OrchestrationFailedError, match=text):
            await test.run(calls, server.url + path)
    assert len(server.asked) == 13, "no other attempt would help"

    @app.orchestrator
    async def fetches(ctx: Context, url: str) -> None:
        await ctx.call_http("GET", url)

    with pytest.raises(OrchestrationFailedError, match=r"limits\.payload_bytes"):
        await test.run(fetches, f"{server.url}/long")


async def test_no_cookie_of_one_instance_is_sent_with_the_calls_of_another(
    app: App, test: TestHost, serve: Serve
) -> None:
    """What a server gave to one is not another's, nor that of another port, nor of a redirect."""

    def answer(asked: Asked) -> Reply:
        given = [("Set-Cookie", "session=of-the-first; Path=/")]
        if asked.target == "/login":
            return Reply(303, headers=[("Location", "/home"), *given])
        return Reply(200, headers=given)

    server, other = await serve(answer), await serve(lambda _asked: Reply())

    @app.orchestrator
    async def calls(ctx: Context, url: str, headers: dict[str, str]) -> int:
        return (await ctx.call_http("GET", url, headers=headers)).status_code

    for url in (f"{server.url}/login", f"{server.url}/again", other.url):
        assert await test.run(calls, url, {}) == 200
    assert len(server.asked) == 3
    assert [one for one in [*server.asked, *other.asked] if "cookie" in one.headers] == []
    assert await test.run(calls, server.url, {"Cookie": "own=1"}) == 200
    assert server.asked[-1].headers["cookie"] == "own=1"


NOTHING: Final = b"\x00\x00\x00\xff\xff" * 100_000
"""Blocks of a compressed body that hold nothing, so that no limit of bytes ends them."""


@pytest.mark.parametrize(
    ("codings", "body", "content_type", "text"),
    [
        (["gzip, gzip"], gzip.compress(gzip.compress(b"x")), "text/plain", "compressed 2 times"),
        (["deflate", "GZIP"], gzip.compress(NOTHING), "text/plain", "compressed 2 times"),
        (["gzip", "identity, gzip ,gzip"], b"x", "text/plain", "compressed 3 times"),
        (["gzip"], gzip.compress(b"a" * 20_000), "text/plain", r"limits\.payload_bytes"),
        ([], b"a" * 9_000, "text/plain; charset=punycode", "is not text"),
        ([], b"a" * 9_000, "text/plain; charset=PunyCode", "is not text"),
        ([], b"a" * 9_000, "text/plain; charset=idna", "is not text"),
    ],
    ids=["twice", "two headers", "three times", "once", "punycode", "PunyCode", "idna"],
)
async def test_an_answer_that_takes_more_to_read_than_it_is_long_is_refused(
    app: App,
    open_host: OpenHost,
    serve: Serve,
    codings: list[str],
    body: bytes,
    content_type: str,
    text: str,
) -> None:
    """One server that is called must not take the loop from all instances."""
    headers = [*(("Content-Encoding", one) for one in codings), ("Content-Type", content_type)]
    server = await serve(lambda _asked: Reply(200, body, headers))
    test = await open_host(app, settings=Settings(limits=Limits(payload_bytes=10_000)))

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> None:
        await ctx.call_http("GET", url)

    with pytest.raises(OrchestrationFailedError, match=text):
        await test.run(calls, server.url)


async def test_one_that_is_compressed_once_is_read(app: App, test: TestHost, serve: Serve) -> None:
    headers = [("Content-Encoding", "identity, gzip")]
    server = await serve(lambda _asked: Reply(200, gzip.compress(b"read"), headers))

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> str | None:
        return (await ctx.call_http("GET", url)).content

    assert await test.run(calls, server.url) == "read"


async def test_others_go_on_between_the_pieces_of_an_answer(
    app: App, test: TestHost, serve: Serve
) -> None:
    """Twenty thousand pieces of one byte come at once, and would be read without a pause."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw = head + b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n"
    rounds = [0]

    async def others() -> None:
        while True:
            await asyncio.sleep(0)
            rounds[0] += 1

    going: list[asyncio.Task[None]] = []

    def answer(_asked: Asked) -> Reply:
        going.append(asyncio.create_task(others()))
        return Reply(raw=raw)

    server = await serve(answer)

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> int:
        return len((await ctx.call_http("GET", url)).content or "")

    assert await test.run(calls, server.url) == 20_000
    going[0].cancel()
    assert rounds[0] >= 20_000


@pytest.mark.parametrize("port", [0, 65_536, 99_999])
async def test_a_port_that_cannot_be_is_told_by_its_address(
    app: App, test: TestHost, serve: Serve, port: int
) -> None:
    server = await serve(lambda _: Reply(302, headers=[("Location", f"http://127.0.0.1:{port}/")]))

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> None:
        await ctx.call_http("GET", url)

    with pytest.raises(OrchestrationFailedError, match=f"127.0.0.1:{port}/ has no port"):
        await test.run(calls, server.url)


async def test_tokens_go_along_with_first_requests_and_polls_and_stand_in_no_history(
    app: App, test: TestHost, serve: Serve
) -> None:
    """S87."""
    server = await serve(polled(1))
    given: list[object] = []

    @app.token_source
    def billing() -> str:
        return f"secret-{len(server.asked)}"

    @app.token_source(name="AzureManagedIdentity")
    async def identity(source: ManagedIdentityTokenSource) -> str:
        given.append(source)
        return "secret-identity"

    wanted = ManagedIdentityTokenSource("https://graph", tenant_id="t1")

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> None:
        await ctx.call_http("GET", url, options=HttpCallOptions(token_source="billing"))
        await ctx.call_http("GET", url, options=HttpCallOptions(token_source=wanted))

    handle = await test.start(calls, server.url)
    await handle.result()
    assert [one.headers["authorization"] for one in server.asked] == [
        "Bearer secret-0",
        "Bearer secret-1",
        "Bearer secret-identity",
    ]
    assert given == [wanted]
    assert "secret" not in str(await test.client.history(handle.instance_id))


async def test_token_sources_that_are_missing_or_broken_fail_the_call_by_name(
    app: App, test: TestHost, serve: Serve
) -> None:
    server = await serve(lambda _asked: Reply())

    @app.token_source
    def broken() -> str:
        return 7  # type: ignore[return-value]  # a mistake

    @app.orchestrator
    async def calls(ctx: Context, name: str | None) -> None:
        source = name or ManagedIdentityTokenSource("https://graph")
        await ctx.call_http("GET", server.url, options=HttpCallOptions(token_source=source))

    for name, text in (
        ("borken", "no token source named 'borken'.*did you mean 'broken'"),
        ("broken", "'broken' must return a non-empty str, got int"),
        (None, "no token source named 'AzureManagedIdentity'.*@app.token_source"),
    ):
        with pytest.raises(OrchestrationFailedError, match=text):
            await test.run(calls, name)
    assert server.asked == []


@pytest.mark.parametrize(
    "kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopIteration]
)
async def test_token_sources_that_end_programs_fail_the_call_alone(
    app: App, test: TestHost, serve: Serve, kind: type[BaseException]
) -> None:
    server = await serve(lambda _asked: Reply())

    @app.token_source
    def sync() -> str:
        raise kind

    @app.token_source
    async def on_loop() -> str:
        await asyncio.sleep(0)
        raise kind

    @app.orchestrator
    async def calls(ctx: Context, source: str) -> None:
        await ctx.call_http("GET", server.url, options=HttpCallOptions(token_source=source))

    for name in ("sync", "on_loop"):
        with pytest.raises(OrchestrationFailedError, match=kind.__name__):
            await test.run(calls, name)
    assert server.asked == []


async def test_connections_are_closed_when_the_host_stops(
    app: App, test: TestHost, serve: Serve
) -> None:
    server = await serve(lambda _asked: Reply(200, b"x"))

    @app.orchestrator
    async def calls(ctx: Context, url: str) -> int:
        return (await ctx.call_http("GET", url)).status_code

    assert await test.run(calls, server.url) == 200
    assert server.connections == 1
    await test.restart()
    await until(lambda: server.connections == 0)
    assert await test.run(calls, server.url) == 200
