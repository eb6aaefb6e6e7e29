"""Ids that are made of several parts."""

from hypothesis import given
from hypothesis import strategies as st

from tenuto.model.joined_ids import joined, joined_event_id
from tenuto.model.topics import MOST_ID, checked_id

PARTS = st.lists(st.text(alphabet="a:%3-A", max_size=4), min_size=3, max_size=3)


@given(PARTS, PARTS)
def test_no_two_lists_of_parts_give_the_same_id(first: list[str], second: list[str]) -> None:
    assert (joined(*first) == joined(*second)) == (first == second)


def test_usual_parts_are_read_as_they_are() -> None:
    assert joined_event_id("orders.ship", "17", "urn:order:7") == "orders.ship:17:urn:order:7"
    assert joined_event_id("a:b", "7") == "a%3Ab:7"


def test_what_cannot_be_an_id_is_named_by_a_hash() -> None:
    fits = joined_event_id("f", "x" * (MOST_ID - 2))
    long = joined_event_id("f", "x" * (MOST_ID - 1))
    assert (len(fits), len(long)) == (MOST_ID, 64)
    for found in (long, joined_event_id("f", "a\nb"), joined_event_id("f", "\ud800")):
        assert ":" not in checked_id(found, "an event")
    assert long != joined_event_id("g", "x" * (MOST_ID - 1))
