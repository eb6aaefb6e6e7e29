"""The cookie of a session in the headers of a request."""

import pytest

from tenuto.http.session_cookie import sent_sessions, set_cookie, without_session

Headers = list[tuple[bytes, bytes]]


def headers(*cookies: bytes) -> Headers:
    return [(b"host", b"localhost"), *((b"cookie", one) for one in cookies), (b"x", b"1")]


@pytest.mark.parametrize(
    ("cookies", "found", "left"),
    [
        ((), [], []),
        ((b"a=1",), [], [b"a=1"]),
        ((b"a=1;b=2",), [], [b"a=1;b=2"]),
        ((b"tenuto-session=s",), ["s"], []),
        ((b"a=1; tenuto-session=s; b=2",), ["s"], [b"a=1; b=2"]),
        ((b"tenuto-session=s;a=1",), ["s"], [b"a=1"]),
        ((b"a=1; tenuto-session=s", b"tenuto-session=t"), ["s", "t"], [b"a=1"]),
        ((b"a=tenuto-session",), [], [b"a=tenuto-session"]),
        ((b"my-tenuto-session=s; a",), [], [b"my-tenuto-session=s; a"]),
        ((b" tenuto-session = s ;;",), ["s"], []),
        ((b"tenuto-session",), [""], []),
        ((b"a=1=2; tenuto-session=s=t",), ["s=t"], [b"a=1=2"]),
        ((b"tenuto-session=\xff",), ["ÿ"], []),
    ],
)
def test_it_is_found_and_taken_out(
    cookies: tuple[bytes, ...], found: list[str], left: list[bytes]
) -> None:
    given = headers(*cookies)
    assert sent_sessions(given) == found
    assert without_session(given) == headers(*left)


def test_only_so_many_are_looked_at() -> None:
    assert len(sent_sessions(headers(b"; ".join([b"tenuto-session=s"] * 70_000)))) == 64 * 1024
    assert sent_sessions(headers(b"tenuto-session=x; " * 100 + b"tenuto-session=own"))[-1] == "own"


def test_a_header_keeps_it_from_scripts_and_other_sites() -> None:
    assert set_cookie("s", "", 60, is_secure=False) == (
        "tenuto-session=s; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"
    )
    assert set_cookie("", "/flows", 0, is_secure=True) == (
        "tenuto-session=; Path=/flows; Max-Age=0; HttpOnly; SameSite=Strict; Secure"
    )
