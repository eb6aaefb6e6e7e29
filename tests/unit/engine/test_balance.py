"""Who should have which partitions: shares, moves, and that they come to an end."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tenuto.engine.balance import change_for, fair_shares
from tenuto.engine.member_ports import Member, Place, Roster


def roster(
    members: list[Member], held: dict[int, str], partitions: int, dead: frozenset[int] = frozenset()
) -> Roster:
    places = [
        Place(number, 1, number not in held or number in dead, held.get(number), held.get(number))
        for number in range(partitions)
    ]
    return Roster(members, places)


def members(*names: str) -> list[Member]:
    return [Member(member=name) for name in names]


def test_whoever_is_alone_takes_everything() -> None:
    assert change_for(roster(members("a"), {}, 4), "a").take == [0, 1, 2, 3]


def test_whoever_has_most_keeps_most() -> None:
    held = {0: "a", 1: "a", 2: "b", 3: "b", 4: "b"}
    assert fair_shares(roster(members("a", "b"), held, 5)) == {"a": 2, "b": 3}


def test_who_leaves_has_no_share() -> None:
    staying, leaving = Member(member="a"), Member(member="b", is_leaving=True)
    found = roster([staying, leaving], {0: "b", 1: "b"}, 2)
    assert fair_shares(found) == {"a": 2, "b": 0}
    assert change_for(found, "b").surplus == 2


def test_when_all_leave_nobody_has_a_share() -> None:
    assert fair_shares(roster([Member(member="a", is_leaving=True)], {}, 2)) == {"a": 0}


def test_what_the_dead_had_is_free() -> None:
    found = roster(members("a"), {0: "a", 1: "gone", 2: "gone"}, 3, dead=frozenset({1, 2}))
    assert change_for(found, "a").take == [1, 2]


def test_what_has_run_out_counts_for_nobody() -> None:
    """Not for a host that lives, either: it may have come back from a long sleep."""
    old, new = Member(member="old", newness=1), Member(member="new", newness=2)
    held = {0: "old", 1: "old", 2: "old", 3: "new"}
    found = roster([old, new], held, 4, dead=frozenset({0, 1, 2}))
    assert fair_shares(found) == {"old": 0, "new": 4}
    assert change_for(found, "new").take
    alone = roster([old], {0: "old", 1: "old"}, 2, dead=frozenset({1}))
    assert change_for(alone, "old").take == [1]


def test_whom_the_roster_does_not_know_does_nothing() -> None:
    change = change_for(roster(members("a"), {}, 4), "b")
    assert (change.take, change.surplus) == ([], 0)


def test_two_who_see_the_same_begin_elsewhere() -> None:
    found = roster(members("a", "b"), {}, 4)
    assert change_for(found, "a").take == [0, 1]
    assert change_for(found, "b").take == [2, 3]


def test_older_versions_take_nothing_and_give_no_more_than_their_share() -> None:
    old, new = Member(member="old", newness=1), Member(member="new", newness=2)
    found = roster([old, new], {0: "old", 1: "old", 2: "old"}, 8)
    assert fair_shares(found) == {"old": 3, "new": 5}
    assert change_for(found, "old").take == []
    assert fair_shares(roster([old, new], dict.fromkeys(range(8), "old"), 8)) == {
        "old": 4,
        "new": 4,
    }


NAMES = [f"host-{number}" for number in range(6)]
CHANGES = st.lists(
    st.tuples(st.sampled_from(["join", "leave", "die"]), st.integers(0, 5), st.integers(1, 3)),
    max_size=12,
)


def settle(living: list[Member], held: dict[int, str], partitions: int) -> int:
    """Let each do what it is to do, in turn, until nobody has anything to do; how many moved."""
    moved = 0
    for _ in range(4 * partitions + 4):
        is_done = True
        for one in living:
            change = change_for(roster(living, held, partitions), one.member)
            for number in change.take:
                held[number] = one.member
                moved += 1
            if change.surplus:
                del held[next(number for number, who in held.items() if who == one.member)]
            is_done = is_done and not change.take and not change.surplus
        if is_done:
            return moved
    raise AssertionError("it never comes to an end")


@given(st.integers(1, 40), CHANGES)
def test_however_hosts_come_and_go_everything_has_a_host_in_the_end(
    partitions: int, changes: list[tuple[str, int, int]]
) -> None:
    living: list[Member] = []
    held: dict[int, str] = {}
    for kind, number, newness in changes:
        name = NAMES[number]
        before = [one for one in living if one.member != name]
        if kind == "join":
            living = [*before, Member(member=name, newness=newness)]
        elif len(before) < len(living):
            if kind == "leave":
                settle([*before, Member(member=name, is_leaving=True)], held, partitions)
                assert name not in held.values() or not before
            living = before
            held = {one: who for one, who in held.items() if who != name}
        settle(living, held, partitions)
        if living:
            counts = Counter(held.values())
            assert sum(counts.values()) == partitions
            newest = max(one.newness for one in living)
            shares = [counts[one.member] for one in living if one.newness == newest]
            assert max(shares) - min(shares) <= 1


@given(st.integers(1, 64), st.integers(1, 8))
def test_a_host_more_moves_no_more_than_its_share(partitions: int, many: int) -> None:
    living = members(*(f"host-{number}" for number in range(many)))
    held: dict[int, str] = {}
    settle(living, held, partitions)
    moved = settle([*living, Member(member="new")], held, partitions)
    assert moved <= partitions // (many + 1) + 1
