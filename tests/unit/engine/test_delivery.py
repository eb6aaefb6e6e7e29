"""Where a message is: each arrow of the chart in ``engine.delivery``, and each copy that goes."""

import pytest

from tenuto.engine.delivery import Delivery, Place
from tenuto.model.events import EventRaised
from tenuto.model.ids import AnyMessageId, MemoryId, MessageId
from tenuto.model.messages import Message, RaiseEvent

KEY = MessageId("message")


def message(key: AnyMessageId = KEY) -> Message:
    return RaiseEvent(message_id=key, event=EventRaised("go"))


@pytest.fixture
def used_up() -> set[MessageId]:
    return set()


@pytest.fixture
def delivery(used_up: set[MessageId]) -> Delivery:
    return Delivery(used_up.__contains__)


def test_what_arrives_is_here_once(delivery: Delivery) -> None:
    assert delivery.sets_out(KEY)
    assert delivery.place_of(KEY) is Place.ARRIVING
    assert not delivery.sets_out(KEY), "a copy of what is on its way"
    assert delivery.arrives(message())
    assert delivery.place_of(KEY) is Place.HERE
    assert not delivery.arrives(message()), "a copy of what is here"
    assert not delivery.sets_out(KEY)
    assert not delivery.hands_over(message())


def test_what_is_handed_over_is_here_once(delivery: Delivery) -> None:
    assert delivery.hands_over(message())
    assert not delivery.hands_over(message())
    assert not delivery.decides(message())


def test_what_its_instance_was_read_with_does_not_arrive_as_well(delivery: Delivery) -> None:
    delivery.sets_out(KEY)
    delivery.found([message()])
    assert not delivery.arrives(message())
    assert not delivery.turns_away(KEY), "it has found its instance"
    assert delivery.place_of(KEY) is Place.HERE


def test_what_finds_nobody_is_no_longer_on_its_way(delivery: Delivery) -> None:
    delivery.sets_out(KEY)
    assert delivery.turns_away(KEY)
    assert not delivery.turns_away(KEY)
    assert delivery.place_of(KEY) is None


def test_an_instance_that_leaves_memory_leaves_its_messages_to_their_rows(
    delivery: Delivery,
) -> None:
    delivery.hands_over(message())
    delivery.leaves([message()])
    assert not delivery.is_known(KEY)
    assert delivery.sets_out(KEY), "a copy brings it back"


def test_what_has_landed_is_not_known_but_to_the_pipeline(
    delivery: Delivery, used_up: set[MessageId]
) -> None:
    delivery.hands_over(message())
    used_up.add(KEY)
    delivery.lands([message()])
    assert delivery.place_of(KEY) is None
    assert delivery.is_known(KEY), "its row may be on a page that is being read"
    used_up.clear()
    assert not delivery.is_known(KEY)


def test_a_start_is_decided_once_and_begins_its_instance(delivery: Delivery) -> None:
    assert delivery.decides(message())
    assert not delivery.decides(message())
    assert delivery.is_known(KEY)
    assert not delivery.hands_over(message()), "it is not decided yet"
    delivery.has_decided(message())
    assert delivery.hands_over(message())
    delivery.has_decided(message())
    assert delivery.place_of(KEY) is Place.HERE, "it was decided before"


def test_what_is_kept_for_later_is_here(delivery: Delivery) -> None:
    delivery.keeps(KEY)
    assert delivery.is_known(KEY)
    assert len(delivery) == 1


def test_read_anew_everything_may_come_again_but_what_is_being_decided(delivery: Delivery) -> None:
    arriving, here, start = map(MessageId, ("arriving", "here", "start"))
    delivery.sets_out(arriving)
    delivery.hands_over(message(here))
    delivery.decides(message(start))
    delivery.forgets()
    assert not delivery.is_known(arriving)
    assert not delivery.is_known(here)
    assert delivery.is_known(start)


@pytest.mark.parametrize("key", [None, MemoryId(1)])
def test_what_has_no_row_has_no_place(delivery: Delivery, key: AnyMessageId) -> None:
    for _ in range(2):
        assert delivery.hands_over(message(key))
        assert delivery.arrives(message(key))
    delivery.lands([message(key)])
    assert len(delivery) == 0
