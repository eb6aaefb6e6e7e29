"""Templates of paths: what they match, in which order they are asked, what is no template."""

import pytest

from tenuto import InputError
from tenuto.http.templates import PathTemplate


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("/", "", {}),
        ("/orders", "Orders", {}),
        ("/orders/", "orders", {}),
        ("/orders", "order", None),
        ("/orders", "orders/1", None),
        ("/{id:int}", "-07", {"id": "-07"}),
        ("/{id:int}", "1.0", None),
        ("/{id:int}", "²", None),
        ("/{id:int}", "1" * 301, None),
        ("/{x:float}", "1.50", {"x": "1.50"}),
        ("/{x:float}", "1e5", None),
        ("/{x:float}", "nan", None),
        (
            "/{x:uuid}",
            "6F2B4C1E-0f2b-4d6c-9c1e-3f2b4c1e0f2b",
            {"x": "6F2B4C1E-0f2b-4d6c-9c1e-3f2b4c1e0f2b"},
        ),
        ("/{x:uuid}", "6F2B4C1E0f2b4d6c9c1e3f2b4c1e0f2b", None),
        ("/{x:uuid}", "x", None),
        ("/{x}/b", "Ä ö/b", {"x": "Ä ö"}),
        ("/{x}/b", "/b", None),
        ("/f/{rest:path}", "f/a/b/c", {"rest": "a/b/c"}),
        ("/f/{rest:path}", "f/a", {"rest": "a"}),
        ("/f/{rest:path}", "f", None),
        ("/f/{rest:path}", "f/", None),
        ("/f/{rest:path}", "g/a/b", None),
    ],
)
def test_a_template_matches_what_fits_its_segments(
    template: str, path: str, values: dict[str, str] | None
) -> None:
    parts = path.split("/") if path else []
    assert PathTemplate(template).match(parts) == values


def test_a_literal_is_asked_first_then_the_narrowest_parameter() -> None:
    paths = ["/a/{x:path}", "/a/{x}", "/a/{x:float}", "/a/{x:uuid}", "/a/{x:int}", "/a/b"]
    templates = [PathTemplate(path) for path in paths]
    assert [one.path for one in sorted(templates, key=lambda one: one.order)] == paths[::-1]


def test_templates_with_other_names_for_the_same_paths_have_one_shape() -> None:
    assert PathTemplate("/A/{x}").shape == PathTemplate("/a/{y}/").shape
    assert PathTemplate("/a/{x}").shape != PathTemplate("/a/{x:int}").shape
    assert PathTemplate("/a/{x}").shape != PathTemplate("/b/{x}").shape


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("orders", "must begin with a slash"),
        ("", "must begin with a slash"),
        ("/a//b", "a segment that no URL can have: ''"),
        ("/a?b", "no URL can have: 'a?b'"),
        ("/a b", "no URL can have"),
        ("/a/../b", "no URL can have: '..'"),
        ("/a{b}", "takes a whole segment"),
        ("/{a", "takes a whole segment"),
        ("/{}", "names a parameter '', which is no Python name"),
        ("/{a-b}", "names a parameter 'a-b'"),
        ("/{a:}", "after the colon may stand int, float, uuid, path"),
        ("/{a:str}", "after the colon may stand int, float, uuid, path"),
        ("/{a}/{a:int}", "names a parameter twice"),
        ("/{a:path}/b", "must be the last segment"),
    ],
)
def test_what_is_no_template_is_refused_with_the_reason(path: str, said: str) -> None:
    with pytest.raises(InputError) as refusal:
        PathTemplate(path)
    assert said in str(refusal.value)
