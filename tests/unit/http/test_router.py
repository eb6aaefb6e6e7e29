"""The router: two that would answer the same requests are a mistake of whoever made them."""

import pytest

from tenuto import InputError
from tenuto.http.router import Router
from tenuto.http.templates import PathTemplate


def router(*entries: str) -> Router[str]:
    """Entries are written ``GET,POST /path``."""
    pairs = [entry.split(" ") for entry in entries]
    return Router((PathTemplate(path), methods.split(","), path) for methods, path in pairs)


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("GET /a", "GET /A/", "GET /a and GET /A"),
        ("GET /a/{x}", "GET /a/{y}", "GET /a/{x} and GET /a/{y}"),
        ("GET,POST /a/{x:int}", "DELETE,POST /A/{y:int}", "POST /a/{x:int} and POST /A/{y:int}"),
    ],
)
def test_two_that_would_answer_the_same_requests_are_refused(
    first: str, second: str, names: str
) -> None:
    with pytest.raises(InputError) as refusal:
        router(first, second)
    assert names in str(refusal.value)


def test_the_same_path_may_have_several_methods_and_a_narrower_one_beside_it() -> None:
    made = router("GET /a/{x}", "POST /a/{y}", "GET /a/{z:int}", "GET /a/b")
    assert made.find("GET", ["a", "b"], "/a/b") == ("/a/b", {})
    assert made.find("GET", ["a", "7"], "/a/7") == ("/a/{z:int}", {"z": "7"})
    assert made.find("POST", ["a", "b"], "/a/b") == ("/a/{y}", {"y": "b"})
