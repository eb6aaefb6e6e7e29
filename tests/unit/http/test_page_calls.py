"""Which calls are the page's own, by what browsers say of them."""

import pytest

from tenuto.http.errors import ForbiddenError
from tenuto.http.options import HttpSettings
from tenuto.http.page_calls import PageCalls
from tenuto.http.routing import Call

HOST = "flows.test:7071"
OWN = f"http://{HOST}"
EVIL = "http://evil.test"


async def nothing() -> dict[str, object]:
    return {}


def call(method: str, headers: dict[str, str]) -> Call:
    sent = {"host": HOST, **headers}
    raw = [(name.encode(), value.encode()) for name, value in sent.items()]
    return Call({"method": method, "headers": raw}, nothing, 0)


def is_taken(method: str, headers: dict[str, str], base_url: str | None = None) -> bool:
    try:
        PageCalls(HttpSettings(base_url=base_url)).check(call(method, headers))
    except ForbiddenError:
        return False
    return True


DOCUMENT = {"sec-fetch-site": "none", "sec-fetch-dest": "document"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        (DOCUMENT, True),
        # What browsers add there counts, whatever else is said.
        ({"sec-fetch-site": "cross-site", "origin": OWN, "referer": f"{OWN}/"}, False),
        ({"origin": OWN}, True),
        ({"origin": OWN.upper()}, True),
        ({"origin": "null"}, False),
        ({"origin": EVIL}, False),
        ({"origin": "http://flows.test"}, False),
        ({"origin": f"{OWN}.evil.test"}, False),
        ({"origin": EVIL, "referer": f"{OWN}/"}, False),
        ({"referer": f"{OWN}/dashboard"}, True),
        ({"referer": f"{EVIL}/{OWN}"}, False),
        ({"referer": f"{EVIL}/?{OWN}/"}, False),
        ({"referer": f"http://{HOST}@evil.test/"}, False),
        ({"referer": "about:blank"}, False),
    ],
)
def test_only_the_page_asks_with_a_session(headers: dict[str, str], expected: bool) -> None:
    assert is_taken("GET", headers) is expected
    assert is_taken("HEAD", headers) is expected
    may_change = expected and headers != DOCUMENT
    assert is_taken("POST", {**headers, "x-tenuto-session": "1"}) is may_change
    assert not is_taken("POST", headers)
    assert not is_taken("DELETE", {**headers, "x-tenuto-session": "0"})


def test_a_page_behind_a_proxy_that_names_another_host_is_known_by_the_own_address() -> None:
    headers = {"host": "127.0.0.1:7071", "origin": "https://flows.example.com"}
    assert not is_taken("GET", headers)
    assert is_taken("GET", headers, base_url="https://flows.example.com/below")


def test_without_a_host_nothing_is_the_pages() -> None:
    assert not is_taken("GET", {"host": "", "origin": "null"})
    assert not is_taken("GET", {"host": "", "referer": "about:blank"})


@pytest.mark.parametrize(
    ("headers", "is_foreign"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"origin": OWN}, False),
        ({"origin": EVIL}, True),
        ({"origin": "null"}, True),
    ],
)
def test_who_is_no_browser_may_sign_in_and_another_page_may_not(
    headers: dict[str, str], is_foreign: bool
) -> None:
    pages = PageCalls(HttpSettings())
    try:
        pages.check_not_foreign(call("POST", headers))
    except ForbiddenError:
        assert is_foreign
    else:
        assert not is_foreign
