"""How far a subscription is: what is noted while events end in any order."""

from tenuto.engine.topic_ports import Place, Tried
from tenuto.messaging.topics.progress import PlaceKeeper


def keeper(place: Place | None = None, most: int = 5) -> PlaceKeeper:
    return PlaceKeeper(place or Place("s", "t", 10), most)


def test_all_up_to_the_first_that_is_not_done_with_is_one_position() -> None:
    one = keeper()
    assert all(one.begin(position) for position in (12, 15, 19))
    one.end([15, 19])
    assert one.place() == Place("s", "t", 10, (15, 19))
    one.end([12])
    assert one.place() == Place("s", "t", 19)
    assert (one.ahead, one.room, one.read) == (0, 5, 19)


def test_what_was_done_with_before_is_not_begun_again() -> None:
    one = keeper(Place("s", "t", 10, (15, 19)))
    assert [one.begin(position) for position in (12, 15, 17, 19, 22)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert one.place().is_full
    assert one.room == 0
    one.end([12])
    assert one.place() == Place("s", "t", 15, (19,))


def test_attempts_are_kept_until_an_event_is_done_with() -> None:
    one = keeper(Place("s", "t", 10, (), (Tried(12, 2, 7), Tried(-3, 1, 8))))
    assert one.tried(12) == Tried(12, 2, 7)
    assert one.tried(-3).attempts == 1
    assert one.tried(15) == Tried(15, 0, 0)
    one.begin(12)
    one.begin(15)
    one.failed(15, 1, 9)
    one.failed(12, 3, 11)
    assert one.place().tried == (Tried(12, 3, 11), Tried(-3, 1, 8), Tried(15, 1, 9))
    one.end([12, -3])
    assert one.place() == Place("s", "t", 12, (), (Tried(15, 1, 9),))


def test_attempts_of_what_is_gone_from_the_topic_are_forgotten() -> None:
    one = keeper(Place("s", "t", 10, (), (Tried(12, 2, 7),)))
    one.begin(15)
    one.end([15])
    assert one.place() == Place("s", "t", 15)
