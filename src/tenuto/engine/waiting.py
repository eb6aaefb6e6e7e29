"""How long a queue lets its oldest entry wait, told without a clock call per entry."""

from collections import deque

from tenuto.model.timing import Microseconds


class QueueAge:
    """The age of the head of a queue that is emptied in rounds, to within one round.

    Entries leave in the order in which they came, so it is enough to note at the end of a round
    how many have come so far.
    """

    __slots__ = ("_marks", "_taken")

    def __init__(self) -> None:
        self._taken = 0
        self._marks: deque[tuple[int, Microseconds]] = deque()

    def round(self, taken: int, left: int, now: Microseconds) -> None:
        """A round has ended: so many were taken, so many are left."""
        self._taken += taken
        marks = self._marks
        while marks and marks[0][0] <= self._taken:
            marks.popleft()
        if left:
            marks.append((self._taken + left, now))

    @property
    def since(self) -> Microseconds | None:
        """By when the head had come, in the time of the rounds; None without one."""
        return self._marks[0][1] if self._marks else None
