"""One budget for all that a host has in hand: who gets how much, and who is woken when."""

import random
from functools import partial

import pytest

from tenuto.messaging.budget import Budget, Share

MEBI = 1 << 20


def never() -> None:
    pytest.fail("nobody waits")


def test_who_has_nothing_may_always_read_one() -> None:
    budget = Budget(1_000)
    first, second = Share(budget, never), Share(budget, never)
    first.came(5_000)
    assert second.reserve(100) == 1
    assert second.held == 1
    assert second.reserve(100) == 0


def test_one_never_takes_all() -> None:
    budget = Budget(64 * MEBI)
    shares = [Share(budget, lambda: None) for _ in range(50)]
    for share in shares:
        while portion := share.reserve(MEBI):
            assert portion <= MEBI
    assert budget.in_hand == sum(one.held for one in shares)
    assert budget.in_hand <= 64 * MEBI + len(shares), "a byte stands for the one that each may have"
    assert shares[0].held <= 32 * MEBI
    assert shares[4].held >= MEBI, "what comes later finds something left"


def test_who_waits_is_woken_as_soon_as_there_is_enough_and_not_before() -> None:
    budget = Budget(64 * MEBI)
    woken = list[str]()
    rest = Share(budget, never)
    little, much = (
        Share(budget, lambda: woken.append("little")),
        Share(budget, lambda: woken.append("much")),
    )
    rest.came(50 * MEBI)
    much.came(13 * MEBI)
    little.came(1 * MEBI)
    assert (much.reserve(MEBI), little.reserve(MEBI)) == (0, 0)
    rest.went(MEBI)
    assert woken == []
    rest.went(2 * budget.least - 1)
    assert woken == []
    rest.went(1)
    assert woken == ["little"]
    assert little.reserve(MEBI) == budget.least
    little.went(little.held)
    assert woken == ["little"], "what waits for more waits on"
    rest.went(rest.held)
    assert woken == ["little", "much"]
    rest.came(1)
    rest.went(1)
    assert woken == ["little", "much"], "each once"


def test_those_that_wait_are_woken_in_the_order_in_which_they_began_to() -> None:
    budget = Budget(1_000)
    woken = list[int]()
    rest = Share(budget, never)
    shares = [Share(budget, partial(woken.append, number)) for number in range(5)]
    rest.came(1_000)
    for share in shares:
        share.came(1)
    for number in (3, 0, 4, 1, 2):
        assert shares[number].reserve(10) == 0
    rest.went(1_000)
    assert woken == [3, 0, 4, 1, 2]


def test_what_is_closed_has_given_all_back_whatever_ends_later() -> None:
    budget = Budget(1_000)
    woken = list[int]()
    closed, other = Share(budget, never), Share(budget, lambda: woken.append(1))
    closed.came(900)
    other.came(100)
    assert (closed.reserve(10), other.reserve(10)) == (0, 0)
    closed.close()
    assert (budget.in_hand, woken) == (100, [1])
    closed.went(900)
    assert budget.in_hand == 100


@pytest.mark.parametrize("seed", range(30))
def test_whatever_comes_the_sum_keeps_to_the_budget_and_nobody_is_left_asleep(seed: int) -> None:
    """One that may read and waits has been woken: no wake-up is lost."""
    chance = random.Random(seed)
    budget = Budget(chance.choice([10, 1_000, 64 * MEBI]))
    awake = set(range(8))
    shares = [Share(budget, partial(awake.add, number)) for number in range(8)]
    wanted = max(1, budget.most // 4)
    longest = max(1, budget.most // 10)
    in_hand = [list[int]() for _ in shares]
    for _ in range(2_000):
        number = chance.randrange(8)
        share, sizes = shares[number], in_hand[number]
        if number in awake and chance.random() < 0.6:
            portion, read = share.reserve(wanted), 0
            if not portion:
                awake.discard(number)
            while read < portion:
                sizes.append(chance.randint(1, longest))
                share.came(sizes[-1])
                read += sizes[-1]
            share.went(portion)
        elif sizes:
            share.went(sizes.pop(chance.randrange(len(sizes))))
            awake.add(number)  # who has done with something looks again by itself
        assert budget.in_hand == sum(map(sum, in_hand)) <= budget.most + 8 * longest
        for one in set(range(8)) - awake:
            assert not budget.portion(shares[one].held, wanted)
