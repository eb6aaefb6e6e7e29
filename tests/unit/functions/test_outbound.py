"""Where calls over HTTP may go: real connections on this machine, names resolved as tests say."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

import httpx2
import pytest

from tenuto import OutboundRefusedError, OutboundSettings, SettingsError
from tenuto.functions.activity_context import ActivityContext
from tenuto.functions.http_activity import HttpActivity, _fit_for
from tenuto.functions.outbound import OutboundPolicy, is_public
from tenuto.host.clock import SystemClock
from tenuto.model.errors import HttpCallError
from tenuto.model.http_call import HttpAnswer, HttpRequest
from tests.support.answering_server import Asked, Reply, answering_server

Ask = Callable[..., Awaitable[HttpAnswer]]


async def ask(settings: OutboundSettings, url: str, **more: Any) -> HttpAnswer:
    activity = HttpActivity({}, SystemClock(), settings, 1_000_000)
    try:
        return await activity.run(ActivityContext(), HttpRequest("GET", url, **more))
    finally:
        await activity.stop()


def blocking(*allow: str) -> OutboundSettings:
    return OutboundSettings(block_private=True, allow=allow)


class Names:
    """Takes the place of the system's resolver."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.asked: list[str] = []

        async def resolve(host: str, port: int, **_more: object) -> list[Any]:
            self.asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.3.4", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("ff0e::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::a00:1", False),
        ("::127.0.0.1", False),
        ("::93.184.215.14", False),
        ("::ffff:0:7f00:1", False),
        ("5f00::1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_addresses_that_are_not_public_are_told_however_they_are_written(
    address: str, expected: bool
) -> None:
    assert is_public(ip_address(address)) is expected


async def test_private_addresses_are_refused_only_when_that_is_set() -> None:
    async with answering_server(lambda _asked: Reply(200, b"in")) as server:
        assert (await ask(OutboundSettings(), server.url)).content == "in"
        for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"):
            with pytest.raises(OutboundRefusedError, match=r"outbound\.block_private"):
                await ask(blocking(), f"http://{host}:{server.port}")
        assert len(server.asked) == 1


@pytest.mark.parametrize("allow", ["localhost", "LocalHost.", "127.0.0.0/8", "127.0.0.1"])
async def test_what_is_listed_may_be_called_all_the_same(allow: str) -> None:
    async with answering_server(lambda _asked: Reply(200, b"in")) as server:
        url = f"http://localhost:{server.port}/a?b=1"
        answer = await ask(blocking(allow), url, headers={"X": ["1"]})
        assert (answer.content, answer.url) == ("in", url)
        (asked,) = server.asked
        assert (asked.target, asked.headers["host"]) == ("/a?b=1", f"localhost:{server.port}")


async def test_redirects_and_polls_are_checked_too() -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(302, headers=[("Location", f"http://127.0.0.1:{server.port}/in")])

    async with answering_server(answer) as server:
        url = f"http://localhost:{server.port}"
        with pytest.raises(OutboundRefusedError, match=r"'127\.0\.0\.1' has no public address"):
            await ask(blocking("localhost"), url)
        with pytest.raises(OutboundRefusedError):
            await ask(
                blocking("localhost"), f"http://127.0.0.1:{server.port}/7", base=url, origin=url
            )
        assert len(server.asked) == 1


async def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: what the name means a moment later does not count."""
    async with answering_server(lambda _asked: Reply(200, b"in")) as server:
        names = Names(monkeypatch, "127.0.0.1")
        url = f"http://flows.example:{server.port}"
        assert (await ask(blocking("127.0.0.1/32"), url)).content == "in"
        assert names.asked == ["flows.example"]
        assert server.asked[0].headers["host"] == f"flows.example:{server.port}"


async def test_of_several_addresses_the_allowed_ones_are_tried_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with answering_server(lambda _asked: Reply(200, b"in")) as server:
        url = f"http://flows.example:{server.port}"
        Names(monkeypatch, "10.0.0.1", "127.0.0.2", "127.0.0.1")
        assert (await ask(blocking("127.0.0.0/30"), url)).content == "in"
        with pytest.raises(ConnectionError, match=r"GET http://flows\.example"):
            await ask(blocking("127.0.0.2"), url)


async def test_connections_are_not_shared_between_names_with_one_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with answering_server(lambda _asked: Reply(200, b"in")) as server:
        Names(monkeypatch, "127.0.0.1")
        activity = HttpActivity({}, SystemClock(), blocking("127.0.0.1"), 1_000)
        for host in ("a.example", "b.example"):
            request = HttpRequest("GET", f"http://{host}:{server.port}")
            await activity.run(ActivityContext(), request)
        assert server.opened == 2
        await activity.stop()


async def test_a_certificate_is_asked_for_by_name_though_the_address_is_fixed() -> None:
    hello = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.set_result(await reader.read(4_096))
        writer.close()

    listening = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    with pytest.raises(ConnectionError):
        await ask(blocking("localhost"), f"https://localhost:{port}")
    assert b"localhost" in hello.result()
    listening.close()


async def test_a_host_header_of_ones_own_is_kept() -> None:
    async with answering_server(lambda _asked: Reply()) as server:
        url = f"http://localhost:{server.port}"
        await ask(blocking("localhost"), url, headers={"Host": ["virtual.example"]})
        assert server.asked[0].headers["host"] == "virtual.example"


async def test_a_scoped_address_is_judged_without_its_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Names(monkeypatch, "fe80::1%lo")
    with pytest.raises(OutboundRefusedError):
        await OutboundPolicy(blocking()).addresses("flows.example", 80)


@pytest.mark.parametrize("entry", ["", "10.0.0.0/99", "a b", "http://x", "a..b"])
def test_an_entry_that_is_neither_name_nor_network_is_refused(entry: str) -> None:
    with pytest.raises(SettingsError, match=r"outbound\.allow"):
        OutboundSettings(allow=(entry,))


@pytest.mark.parametrize("url", ["http://[::1", "http://a\x7fb"])
async def test_an_address_that_is_none_is_not_tried_again(url: str) -> None:
    with pytest.raises(HttpCallError, match="is not an address") as caught:
        await ask(OutboundSettings(), url)
    assert caught.value.is_non_retriable


async def test_a_redirect_to_an_address_that_is_none_is_not_tried_again() -> None:
    bad = Reply(302, headers=[("Location", "http://[::1")])
    async with answering_server(lambda _asked: bad) as server:
        with pytest.raises(HttpCallError, match=r"redirects to 'http://\[::1'"):
            await ask(OutboundSettings(), server.url)


async def test_a_request_that_breaks_the_protocol_is_not_tried_again() -> None:
    async with answering_server(lambda _asked: Reply()) as server:
        with pytest.raises(HttpCallError, match="cannot be sent"):
            await ask(OutboundSettings(), server.url, headers={"A": ["\x00"]})


async def test_secrets_follow_a_redirect_to_the_same_server_with_better_protection() -> None:
    url, better, other = (
        httpx2.URL(text)
        for text in ("http://a.example", "https://a.example", "http://a.example:81")
    )
    headers = [("Authorization", "Basic abc"), ("X", "1"), ("Accept", "a/b")]
    assert _fit_for(better, url, headers) == headers
    assert _fit_for(url, better, headers) == [("Accept", "a/b")]
    assert _fit_for(other, url, headers) == [("Accept", "a/b")]


async def test_text_in_another_encoding_is_read_by_what_the_answer_says() -> None:
    latin = Reply(200, "grüß".encode("latin-1"), [("Content-Type", "text/plain; charset=latin-1")])
    async with answering_server(lambda _asked: latin) as server:
        assert (await ask(OutboundSettings(), server.url)).content == "grüß"


async def test_a_name_that_none_can_have_is_a_name_that_cannot_be_resolved() -> None:
    policy = OutboundPolicy(OutboundSettings(block_private=True))
    with pytest.raises(OSError, match=r"x\.example' cannot be resolved"):
        await policy.addresses(f"{'x' * 64}.example", 80)
