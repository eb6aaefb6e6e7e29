"""Numbers for instances: none twice, none waited for."""

import pytest

from tenuto.engine.iids import Iids


def test_numbers_come_out_of_one_block_after_the_other() -> None:
    asked: list[int] = []
    iids = Iids()
    iids.add(range(5, 9))
    iids.on_low = lambda: asked.append(1)
    assert [iids.take(), iids.take()] == [5, 6]
    assert not asked
    assert iids.take() == 7
    assert asked == [1]
    iids.add(range(100, 104))
    assert [iids.take() for _ in range(3)] == [8, 100, 101]
    assert asked == [1]
    assert [iids.take(), len(asked)] == [102, 2]


@pytest.mark.parametrize("size", [1, 2, 3, 1_000])
def test_a_block_that_comes_late_is_in_time_while_there_is_a_number(size: int) -> None:
    iids = Iids()
    blocks = [range(start, start + size) for start in (1, 5_000, 9_000)]
    waiting = [*blocks]
    iids.on_low = lambda: iids.add(waiting.pop(0)) if waiting else None
    iids.add(waiting.pop(0))
    taken = [iids.take() for _ in range(3 * size - 1)]
    assert taken == [iid for block in blocks for iid in block][:-1]
