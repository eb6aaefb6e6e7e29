"""How many lines of a log are taken, in virtual time."""

from collections.abc import Callable

from tenuto.interop.workers.line_budget import A_SECOND, AT_ONCE, LineBudget


class Clock:
    """Time, and what is to be called later."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.told: list[int] = []
        self.budget = LineBudget(self.told.append, self.later, lambda: self.now)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.due.append((self.now + seconds, call))

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        due, self.due = self.due, []
        for _, call in due:
            call()

    def taken(self, count: int, *, is_serious: bool = False) -> int:
        return sum(self.budget.takes(is_serious=is_serious) for _ in range(count))


def test_so_many_lines_at_once_and_so_many_a_second() -> None:
    clock = Clock()
    assert clock.taken(AT_ONCE + 5) == AT_ONCE
    clock.pass_by(0.5)
    assert clock.taken(AT_ONCE) == A_SECOND // 2
    clock.pass_by(3600)
    assert clock.taken(2 * AT_ONCE) == AT_ONCE


def test_what_is_left_out_is_told_once_a_second() -> None:
    clock = Clock()
    clock.taken(AT_ONCE + 7)
    assert clock.told == []
    assert [due for due, _ in clock.due] == [101.0]
    clock.pass_by(1)
    assert clock.told == [7]
    assert clock.taken(A_SECOND) == A_SECOND
    clock.pass_by(1)
    assert (clock.told, clock.due) == ([7], [])


def test_what_is_left_out_at_the_end_is_told_then() -> None:
    clock = Clock()
    clock.taken(AT_ONCE + 1)
    clock.budget.tell_all()
    assert clock.told == [1]
    clock.pass_by(1)
    assert clock.told == [1]


def test_warnings_and_errors_have_a_budget_of_their_own() -> None:
    clock = Clock()
    clock.taken(2 * AT_ONCE)
    assert clock.taken(10, is_serious=True) == 10
    assert clock.taken(2 * AT_ONCE, is_serious=True) == AT_ONCE - 10
