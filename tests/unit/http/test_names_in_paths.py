"""What the description of the API says of names of topics, queues and subscriptions."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.http.queries import PLACE
from tenuto.model.errors import TenutoError
from tenuto.model.topics import checked_place


def fits(name: str) -> bool:
    """Whether a name is what the schema describes."""
    is_long = not PLACE["minLength"] <= len(name) <= PLACE["maxLength"]
    return not is_long and re.fullmatch(PLACE["pattern"], name) is not None


@given(name=st.text(max_size=300))
def test_each_name_that_is_taken_is_described(name: str) -> None:
    with suppress(TenutoError):
        assert fits(checked_place(name, "a topic"))


@pytest.mark.parametrize("name", ["größe", "a+b", "a:b", "$x", "a@b", "@a", ".a", "日本語 注文"])
def test_names_with_more_than_letters_are_taken(name: str) -> None:
    assert fits(checked_place(name, "a topic"))


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", " a", "a ", "a/b", "a\\b", "a#b", "a?", "a\n", "a\x00b", "a\u00a0b", "x" * 257],
)
def test_what_is_refused_is_not(name: str) -> None:
    assert not fits(name)
    with pytest.raises(TenutoError):
        checked_place(name, "a topic")
