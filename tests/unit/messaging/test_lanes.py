"""What waits to be delivered to a subscription: order per key, and what is in memory of it."""

import random
from itertools import chain

from msgspec import Raw

from tenuto.messaging.budget import Budget
from tenuto.messaging.topics.lanes import Lanes, Waiting
from tenuto.model.topics import StoredEvent


def event(position: int, key: str | None = None, size: int = 10) -> StoredEvent:
    return StoredEvent(position, f"e{position}", "t", key, 0, None, Raw(b"x" * size))


def lanes_of(most_events: int, most_bytes: int, budget: Budget | None = None) -> Lanes:
    return Lanes(most_events, most_bytes, budget or Budget(1_000_000), lambda: None)


def position_of(waiting: Waiting) -> int:
    return waiting if isinstance(waiting, int) else waiting.position


def test_events_of_a_key_come_one_after_another_and_others_at_once() -> None:
    lanes = lanes_of(10, 1_000)
    for position, key in ((1, "a"), (2, "a"), (3, None), (4, None), (5, "b")):
        lanes.offer(event(position, key))
    assert [position_of(lanes.take()[1]) for _ in range(lanes.ready)] == [1, 3, 4, 5]
    assert not lanes.next_of(None)
    assert not lanes.next_of("b")
    assert lanes.next_of("a")
    assert position_of(lanes.take()[1]) == 2
    assert not lanes.next_of("a")
    lanes.offer(event(6, "a"))
    assert lanes.ready == 1


def test_what_waits_for_its_key_makes_room_and_is_known_by_its_position() -> None:
    for most_events, most_bytes in ((4, 1_000), (100, 40)):
        lanes = lanes_of(most_events, most_bytes)
        for position in range(1, 5):
            lanes.offer(event(position, "a"))
        assert lanes.make_room() > 0, "three of them are set apart"
        lanes.offer(event(5, "a"))  # behind those, and so it is as well
        lanes.offer(event(6, "b"))
        key, first = lanes.take()
        assert (key, isinstance(first, StoredEvent)) == ("a", True)
        assert lanes.take() == ("b", event(6, "b"))
        found = list[Waiting]()
        while lanes.next_of("a"):
            found.append(lanes.take()[1])
        assert found == [2, 3, 4, 5]


def test_whatever_comes_each_is_there_once_in_the_order_of_its_key() -> None:
    for seed in range(50):
        chance = random.Random(seed)
        most = chance.randrange(1, 8)
        lanes = lanes_of(most, 10_000)
        running = list[tuple[str | None, Waiting]]()
        came = dict[str | None, list[int]]()
        position = 0
        while position < 60 or lanes.ready or running:
            room = lanes.make_room()
            for _ in range(min(room, chance.randrange(4), 60 - position)):
                position += 1
                lanes.offer(event(position, chance.choice([None, "a", "b", "c"])))
            if lanes.ready and chance.random() < 0.7:
                key, waiting = lanes.take()
                stored = event(waiting, key) if isinstance(waiting, int) else waiting
                if isinstance(waiting, int):
                    lanes.came(stored)
                running.append((key, stored))
            if running and chance.random() < 0.5:
                key, waiting = running.pop(chance.randrange(len(running)))
                assert isinstance(waiting, StoredEvent)
                lanes.went(waiting)
                came.setdefault(key, []).append(waiting.position)
                lanes.next_of(key)
        assert sorted(chain.from_iterable(came.values())) == list(range(1, 61))
        for key in ("a", "b", "c"):
            assert came.get(key, []) == sorted(came.get(key, []))
        assert lanes.make_room() == most
        assert lanes.share.held == 0


def test_what_waits_for_its_key_is_let_go_of_when_another_subscription_needs_room() -> None:
    budget = Budget(100)
    stuck, other = lanes_of(100, 1_000, budget), lanes_of(100, 1_000, budget)
    for position in range(1, 10):
        stuck.offer(event(position, "a"))
    other.offer(event(1))
    assert (budget.in_hand, stuck.share.held) == (100, 90)
    assert other.share.reserve(1_000) > 0
    assert stuck.share.held == 10, "the one that has its turn"
    stuck.take()
    assert stuck.next_of("a")
    assert stuck.take() == ("a", 2)
