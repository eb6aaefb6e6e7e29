"""How many lines of a log a worker may write: each costs the host time that others wait for.

A function that logs in a loop must not hold up what else the host does. So many lines at once are
taken whatever they are, and so many a second for ever; what is more is counted, and told as one
line. Warnings and errors have a budget of their own: a flood of lesser lines leaves none of them
out.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 2_000
A_SECOND: Final = 1_000
_PAUSE_SECONDS: Final = 1.0

Later = Callable[[float, Callable[[], None]], object]


class LineBudget:
    """The budget of one writer.

    Args:
        tell: Told how many lines were left out, once a second at most.
        later: Calls back after so many seconds.
        now: A clock in seconds.
    """

    def __init__(
        self, tell: Callable[[int], None], later: Later, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._later = later
        self._now = now
        self._budgets = {False: float(AT_ONCE), True: float(AT_ONCE)}
        self._filled_at = now()
        self._left_out = 0
        self._lock = threading.Lock()  # what is left out may be told from another thread

    def takes(self, *, is_serious: bool) -> bool:
        """Whether one more line is to be logged.

        Args:
            is_serious: A warning, or worse.
        """
        self._fill()
        if self._budgets[is_serious] >= 1.0:
            self._budgets[is_serious] -= 1.0
            return True
        with self._lock:
            self._left_out += 1
            is_first = self._left_out == 1
        if is_first:
            self._later(_PAUSE_SECONDS, self.tell_all)
        return False

    def tell_all(self) -> None:
        """Tell of those that were left out and not told of yet; also when nothing more comes."""
        with self._lock:
            left_out, self._left_out = self._left_out, 0
        if left_out:
            self._tell(left_out)

    def _fill(self) -> None:
        now = self._now()
        more = (now - self._filled_at) * A_SECOND
        self._filled_at = now
        for kind, left in self._budgets.items():
            self._budgets[kind] = min(left + more, float(AT_ONCE))
