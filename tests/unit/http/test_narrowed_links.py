"""The system key never leaves with what a function answers; links open their own instance alone."""

import html
import json
import re
import time
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from tenuto.http.access import Access
from tenuto.http.functions.narrowed_links import NarrowedLinks
from tenuto.http.options import AccessKey, HttpSettings, Role
from tenuto.http.tokens import Tokens
from tenuto.model.ids import InstanceId

SECRET = "of the store"
KEY = AccessKey(key="k" * 32, role=Role.ADMIN)
MOUNT = "http://127.0.0.1:7071/runtime/webhooks/durabletask"
ACCESS = Access(HttpSettings(keys={"all": KEY}), lambda: 0, SECRET)
LINKS = NarrowedLinks(ACCESS)
SYSTEM = ACCESS.system_key
IDS = [
    "plain",
    'mine"x',
    "a<b>c",
    "a b",
    "a&b",
    "a'b",
    "ü€😀",
    "victim%31",
    "100%",
    "instances",
    "a=b;c",
]


def link(instance_id: str, below: str = "", query: str = "taskHub=h&connection=Storage&") -> str:
    """As packages write it: the id as it is."""
    return f"{MOUNT}/instances/{instance_id}{below}?{query}code={SYSTEM}"


def opened(text: str) -> list[str]:
    """The codes in a text."""
    return re.findall(r"l1\.o\.[0-9a-f]+\.[A-Za-z0-9_-]{43}", text)


def opens(text: str, instance_id: str) -> bool:
    """Whether the one code in it opens this instance."""
    (code,) = opened(text)
    return Tokens([KEY], SECRET).read(code, InstanceId(instance_id), 0) is not None


def narrowed(text: str) -> str:
    found = LINKS.narrowed(text.encode()).decode()
    assert SYSTEM not in found
    return found


@pytest.mark.parametrize("instance_id", IDS)
@pytest.mark.parametrize(
    "quoted",
    [
        str,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: json.dumps(text).replace("/", "\\/"),
        lambda text: json.dumps(text).replace("&", "\\u0026").replace("<", "\\u003c"),
        html.escape,
        lambda text: html.escape(text).replace("&amp;", "&#38;"),
        lambda text: html.escape(text).replace("&amp;", "&#x26;"),
        lambda text: "http://page/?status=" + quote(text, safe=""),
        str.swapcase,
    ],
    ids=["header", "json", "json in utf-8", "php", "jinja", "html", "dec", "hex", "query", "case"],
)
def test_a_link_opens_the_instance_whose_id_stands_in_it(instance_id: str, quoted: object) -> None:
    assert callable(quoted)
    text = quoted(link(instance_id, "/raiseEvent/{eventName}"))
    if quoted is str.swapcase:
        text = text.replace(SYSTEM.swapcase(), SYSTEM)
        instance_id = instance_id.swapcase()
    assert opens(narrowed(f"before {text} after"), instance_id)


def test_a_link_with_an_escape_in_its_id_opens_no_other_instance() -> None:
    found = narrowed(link("victim%31"))
    assert opens(found, "victim%31")
    assert not opens(found, "victim1")


@pytest.mark.parametrize(
    "text",
    [
        SYSTEM,
        f"code={SYSTEM}",
        f"{MOUNT}/orchestrators/flow?code={SYSTEM}",
        f"{MOUNT}/instances/?code={SYSTEM}",
        f"{MOUNT}/instances/@counter@one?code={SYSTEM}",
        f"{MOUNT}/instances/one;code={SYSTEM}",
        f"{MOUNT}/instances/one {MOUNT}/orchestrators/flow?code={SYSTEM}",
        f"{MOUNT}/instances/one?a={MOUNT}/orchestrators/flow?code={SYSTEM}",
        f"{MOUNT}/instances/one?a=b c&code={SYSTEM}",
        f"{MOUNT}/instances/one\\two?code={SYSTEM}",
        json.dumps(json.dumps(link('a"b'))),
        link("i" * 257),
        link("i" * 15_000),
        link("one", "/x y"),
    ],
)
def test_where_the_instance_cannot_be_told_the_key_is_hidden(text: str) -> None:
    found = narrowed(text)
    assert "***" in found
    assert not opened(found)


def test_a_key_after_another_has_its_own_link_alone() -> None:
    """A template that was filled in twice (JavaScript: ``$'`` in an id)."""
    found = narrowed(f"{link('one')}b?code={SYSTEM}")
    assert len(opened(found)) == 1
    assert found.endswith("***")
    both = narrowed(f"{link('one')}\n{link('two')}")
    assert len(opened(both)) == 2


@pytest.mark.parametrize("size", [1, 7, 50, 8 * 1024])
async def test_a_stream_is_cut_anywhere(size: int) -> None:
    text = json.dumps({"a": link('ü"1'), "b": "x" * 20_000, "c": link("two"), "d": SYSTEM})
    whole = text.encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(whole), size):
            yield whole[start : start + size]

    got = b"".join([piece async for piece in LINKS.pieces(pieces())])
    assert got == LINKS.narrowed(whole)
    assert SYSTEM.encode() not in got


async def test_a_key_that_ends_as_it_begins_is_not_cut() -> None:
    """``s1.…s``: its end could be the beginning of another. One secret of 64 makes such a key."""
    for number in range(500):
        access = Access(HttpSettings(keys={"all": KEY}), lambda: 0, str(number))
        key = access.system_key.encode()

        async def pieces(twice: bytes = 2 * key) -> AsyncIterator[bytes]:
            for start in range(len(twice)):
                yield twice[start : start + 1]

        got = [piece async for piece in NarrowedLinks(access).pieces(pieces())]
        assert b"".join(got) == b"******"


async def test_a_stream_that_ends_within_a_key_is_whole() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"begins " + SYSTEM[:10].encode()

    assert [piece async for piece in LINKS.pieces(pieces())] == [b"begins ", SYSTEM[:10].encode()]


def test_without_keys_nothing_is_looked_for() -> None:
    links = NarrowedLinks(Access(HttpSettings(), lambda: 0, SECRET))
    assert links.narrowed(link("one").encode()) == link("one").encode()


@pytest.mark.parametrize("letter", ["a", '"', "%", "\\", "&", "/"])
def test_it_takes_time_in_proportion(letter: str) -> None:
    """A caller who chooses the text does not choose how long the host's loop is held up."""

    def seconds(length: int) -> float:
        text = f"{MOUNT}/instances/{letter * length}?{letter * length}\n{link('one')}".encode()
        began = time.process_time()
        LINKS.narrowed(text)
        return time.process_time() - began

    assert seconds(1_000_000) < 0.2
