"""Routes in the words of ASP.NET."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.http.functions.route_templates import RouteTemplate
from tenuto.model.errors import InputError


def match(route: str, path: str) -> dict[str, str] | None:
    return RouteTemplate(route).match(path.split("/"))


@pytest.mark.parametrize(
    ("route", "path", "values"),
    [
        ("", "", {}),
        ("/", "", {}),
        ("~/a/b/", "a/b", {}),
        ("a", "A", {}),
        ("a", "", None),
        ("a", "a/b", None),
        ("{a}", "x y", {"a": "x y"}),
        ("{a}", "", None),
        ("a/{b}/c", "a//c", None),
        ("{a?}", "", {}),
        ("{a?}/{b?}", "x", {"a": "x"}),
        ("{a=1}", "", {"a": "1"}),
        ("{a=1}/{b=}", "x", {"a": "x", "b": ""}),
        ("{a=x}/b", "b", None),
        ("{*a}", "", {}),
        ("{*a}", "x", {"a": "x"}),
        ("{**a}", "x/y", {"a": "x/y"}),
        ("{*a=x}", "", {"a": "x"}),
        ("{*a:int}", "x", None),
        ("{*a:int}", "7", {"a": "7"}),
        ("v{a}", "V1", {"a": "1"}),
        ("v{a}", "v", None),
        ("v{a}", "x1", None),
        ("{a}-{b}", "x-y-z", {"a": "x-y", "b": "z"}),
        ("{a}-{b}", "-", None),
        ("{a}-{b}", "x-", None),
        ("{a}-{b}", "-y", None),
        ("{a}.{b?}", "x", {"a": "x"}),
        ("{a}.{b?}", "x.y", {"a": "x", "b": "y"}),
        ("{a}-{b?}", "x", None),
        ("{a:int}.{b}", "x.y", None),
        ("{a:int}.{b}", "1.y", {"a": "1", "b": "y"}),
        ("a{b}c", "aXc", {"b": "X"}),
        ("a{b}c", "axd", None),
        ("{a}", "İ", None),
        (r"{a:regex(^\d{{2}}$)}", "12", {"a": "12"}),
        (r"{a:regex(^\d{{2}}$)}", "123", None),
        (r"{a:regex(^[a-z]/[a-z]$)}", "x", None),
        ("{a:regex(^(x|y)$)?}", "", {}),
        ("{a:regex(^(x|y)$)=x}", "Y", {"a": "Y"}),
        ("{a:regex((?<n>x)):alpha}", "axb", {"a": "axb"}),
        ("{a:int:min(3)}", "2", None),
        ("{a:int:min(3)}", "3", {"a": "3"}),
    ],
)
def test_a_route_matches_paths(route: str, path: str, values: dict[str, str] | None) -> None:
    assert match(route, path) == values


@pytest.mark.parametrize(
    ("constraint", "fitting", "others"),
    [
        ("int", ["0", "-2147483648", "+7"], ["2147483648", "1.0", "x", "0x1", "٣"]),
        ("long", ["9223372036854775807"], ["9223372036854775808", "9" * 40]),
        ("float", ["1", "-1.5", "1.", ".5", "1e10", "1E-3"], ["x", ".", "1e", "1e5000", "nan"]),
        ("double", ["1.5"], ["1,5"]),
        ("decimal", ["1.5", "-7"], ["1e5", "x"]),
        ("bool", ["true", "False"], ["1", "yes"]),
        (
            "guid",
            ["CD2C1638-1638-72D5-1638-DEADBEEF1638", "{cd2c1638163872d51638deadbeef1638}"],
            ["cd2c", "x"],
        ),
        (
            "datetime",
            ["2026-11-29", "2026-11-29T17:00:00Z", "12/31/2026", "12/31/2026 7:32", "1 May 2026"],
            ["29/11", "x"],
        ),
        ("alpha", ["Ab"], ["a1", "é"]),
        ("required", ["x"], []),
        ("file", ["a.b"], ["a", "a."]),
        ("nonfile", ["a", "a."], ["a.b"]),
        ("length(2)", ["ab"], ["a", "abc"]),
        ("length(2, 3)", ["ab", "abc"], ["a", "abcd"]),
        ("minlength(2)", ["ab", "abc"], ["a"]),
        ("maxlength(2)", ["a", "ab"], ["abc"]),
        ("min(2)", ["2", "9"], ["1", "x"]),
        ("max(2)", ["2", "-9"], ["3", "x"]),
        ("range(2,4)", ["2", "4"], ["1", "5", "x"]),
        ("regex(^a)", ["ab", "A"], ["ba"]),
        ("INT", ["7"], ["x"]),
    ],
)
def test_a_constraint_narrows_what_fits(
    constraint: str, fitting: list[str], others: list[str]
) -> None:
    template = RouteTemplate(f"{{a:{constraint}}}")
    assert [one for one in fitting if template.match([one]) is None] == []
    assert [one for one in others if template.match([one]) is not None] == []


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        ("{", "a brace that is not closed"),
        ("{a:int", "a brace that is not closed"),
        ("}", "which no path can have"),
        ("a?b", "which no path can have"),
        ("a//b", "nothing between"),
        ("{a}{b}", "two parameters with nothing between them"),
        ("{}", "names no parameter"),
        ("{***a}", "names no parameter"),
        ("{a?b}", "cannot be read"),
        ("{a:}", "no constraint after the colon"),
        ("{a:foo}", "there is no constraint 'foo'"),
        ("{a:int(3)}", "there is no constraint 'int'"),
        ("{a:length}", "there is no constraint 'length'"),
        ("{a:length(x)}", "needs whole numbers, 1 or 2 of them"),
        ("{a:range(1)}", "needs whole numbers, 2 of them"),
        ("{a:range(3,1)}", "fits nothing"),
        ("{a:length(3}", "a bracket not closed"),
        ("{a:regex([)}", "its regular expression cannot be read"),
        ("{*a}/b", "must be the last segment"),
        ("x{*a}", "beside a text"),
        ("{*a?}", "may always be left out"),
        ("{a}/{A}", "names a parameter twice"),
    ],
)
def test_what_is_no_route_is_refused_with_a_reason(route: str, reason: str) -> None:
    with pytest.raises(InputError, match="its route") as refused:
        RouteTemplate(route)
    assert reason in str(refused.value)
    assert route in str(refused.value)


def test_a_literal_beats_a_narrow_parameter_and_that_a_wide_one() -> None:
    routes = ["{*a}", "{*a:int}", "{a}", "{a:int}", "v{a}", "a", "a/{b?}"]
    ordered = sorted(routes, key=lambda route: RouteTemplate(route).order)
    assert ordered == ["a", "a/{b?}", "{a:int}", "v{a}", "{a}", "{*a:int}", "{*a}"]


def test_templates_that_match_the_same_have_one_shape() -> None:
    def shape(route: str) -> tuple[str, ...]:
        return RouteTemplate(route, "api").shape

    assert shape("A/{b}") == shape("a/{C?}") == shape("a/{d=1}")
    assert shape("{a:INT:min(2)}") == shape("{b:min( 2 ):int}")
    assert len({shape(one) for one in ("{a}", "{a:int}", "{*a}", "a", "x{a}", "")}) == 6


def test_a_prefix_is_text_to_the_letter() -> None:
    template = RouteTemplate("{a}", "v1/{x}")
    assert template.path == "/v1/{x}/{a}"
    assert template.match(["V1", "{x}", "7"]) == {"a": "7"}
    assert template.match(["v1", "y", "7"]) is None


def test_the_first_segment_is_told_when_it_is_a_text() -> None:
    routes = {"": "", "{a}": None, "A/b": "a", "a{b}": None}
    assert {route: RouteTemplate(route).first_text for route in routes} == routes


def test_documents_show_each_length_of_a_path() -> None:
    assert RouteTemplate("a/{b:int}/{c?}/{*d}", "api").plain_paths == [
        "/api/a/{b}",
        "/api/a/{b}/{c}",
        "/api/a/{b}/{c}/{d}",
    ]


@given(st.text(max_size=30))
def test_whatever_a_route_is_it_is_read_or_refused(route: str) -> None:
    try:
        template = RouteTemplate(route)
    except InputError:
        return
    template.match(route.split("/"))


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_what_was_put_together_is_taken_apart(first: str, second: str) -> None:
    found = match("{a}-{b}", f"{first}-{second}".replace("/", "_"))
    if found is not None:
        assert f"{found['a']}-{found['b']}" == f"{first}-{second}".replace("/", "_")
        assert "-" not in found["b"][:-1]  # of the last letter something must be left
