"""Expressions of routes: they fit what ``re`` finds, whatever they are, and never take long."""

import random
import re
import time

import pytest

from tenuto.http.functions.route_expressions import MOST_LETTERS, route_expression
from tenuto.http.functions.route_templates import RouteTemplate
from tenuto.model.errors import InputError

MOST_SECONDS = 0.25
"""Some milliseconds, on a machine that does other things too."""

PATTERNS = (
    *(r"^([a-z0-9]+-?)+$", r"^\d{3}-\d{2}$", r"^(?!admin|login)\w+$", "a|b|", "(a*)*b", "(a|aa)+$"),
    *(r"^[^/]+\.(jpe?g|png)$", r"\bfoo\b", r"\B.", "(?<=x)a+", "(?<!x)a+b", "^(?:a{2,3}|b{,2})c?$"),
    *(
        "(?i)^abc$",
        "[]a]+",
        "[^]a]+$",
        "x{}",
        "a{,}",
        "a{2,}",
        "^$",
        "^a.b$",
        r"\Aa\Z",
        "a]b{",
        "}",
    ),
    *(r"(?P<y>\d{4})-(?P<m>\d\d)", r"\x41\u0042", "(a(?=b)|b)+$", "(|a)+b", "a??b", r"\.\-\w+"),
    *("^(a|b(?!c))*$", "(?#any)a", r"[\]x]+$", "(?:a?){3}$", "^(a|b)*?c", r"[a-c\d]{2}"),
)
LETTERS = "aAbBcx-./fo01]{,} \nÉ"
TEXTS = (
    *(
        "foo",
        "a foo!",
        "admin",
        "2024-12",
        "123-45",
        "photo.JPG",
        "aab",
        "x{}",
        "a{,}",
        "AB",
        "abc",
    ),
    *("my-long-slug-2", "caab", "aaabc", "a\n", "]", "}", ".-a"),
)
SLOW = {
    "^([a-z0-9]+-?)+$": "a" * 26 + "!",
    "((a*)*)*b": "a" * MOST_LETTERS,
    "(x+x+)+y": "x" * MOST_LETTERS,
    ".*.*.*.*=.*!": "=x" * (MOST_LETTERS // 2),
    "(a|b)*a(a|b){20}c": "ab" * (MOST_LETTERS // 2),
    "(a?){500}a{500}$": "a" * 400,
    "(?:(?=(.*a){3})a)*$": "a" * MOST_LETTERS,
    "(?=.*a)(?=.*b).*(?=c)" * 3: "ab" * (MOST_LETTERS // 2),
}
REFUSED = (
    *(r"(a)\1", "(?P<n>a)(?P=n)", "(?>a+)b", "a++b", "(a)?(?(1)b|c)", "(?s)a", "(?i:a)"),
    "[a-z-[aeiou]]",
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_it_fits_what_re_finds(pattern: str) -> None:
    fits, expected = route_expression(pattern), re.compile(pattern, re.IGNORECASE)
    chance = random.Random(pattern)
    texts = [*TEXTS, *("".join(chance.choices(LETTERS, k=size % 9)) for size in range(1_000))]
    for text in texts:
        assert fits(text) == (expected.search(text) is not None), text


@pytest.mark.parametrize("pattern", SLOW)
def test_none_takes_long(pattern: str) -> None:
    fits = route_expression(pattern)
    begun = time.perf_counter()
    assert not fits(SLOW[pattern])
    assert time.perf_counter() - begun < MOST_SECONDS


def test_a_longer_text_fits_none() -> None:
    fits = route_expression("^a+$")
    assert fits("a" * MOST_LETTERS)
    assert not fits("a" * (MOST_LETTERS + 1))


@pytest.mark.parametrize("pattern", REFUSED)
@pytest.mark.filterwarnings("ignore:Possible (nested set|set difference):FutureWarning")
def test_what_cannot_be_bounded_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match="within a bound of time"):
        route_expression(pattern)


def test_names_of_groups_are_those_of_dotnet_too() -> None:
    assert route_expression(r"^(?<year>\d{4})$")("2026")
    with pytest.raises(InputError, match="cannot be read"):
        route_expression("(a")


@pytest.mark.parametrize(
    "constraint",
    [
        *("file", "nonfile", "int", "long", "float", "double", "decimal", "bool", "guid"),
        *("datetime", "alpha", "length(5)", "range(1,9)", "regex(^([a-z0-9]+-?)+$)"),
    ],
)
@pytest.mark.parametrize("unit", ["a", ".", " ", "1", "-", "/", "1 ", "9.9e", "2026-01-01 "])
def test_no_constraint_takes_long(constraint: str, unit: str) -> None:
    template = RouteTemplate(f"x/{{one:{constraint}}}")
    text = unit * (16_384 // len(unit)) + "/"
    begun = time.perf_counter()
    template.match(["x", text])
    assert time.perf_counter() - begun < MOST_SECONDS
