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


def test_what_cannot_be_an_id_has_a_digest_at_its_end() -> None:
    fits = joined_event_id("f", "x" * (MOST_ID - 2))
    long = joined_event_id("f", "x" * (MOST_ID - 1))
    assert (len(fits), len(long), long[:5]) == (MOST_ID, MOST_ID, "f:xxx")
    assert long != joined_event_id("f", "x" * MOST_ID)
    for second in ("a\nb", "\ud800", "x" * 100_000, "x" * 500 + "\n" + "x" * 100):
        found = joined_event_id("f", second)
        assert checked_id(found, "an event") == found
        assert found == joined_event_id("f", second)
        assert found != joined_event_id("f", f"{second}1")
    assert long != joined_event_id("g", "x" * (MOST_ID - 1))
