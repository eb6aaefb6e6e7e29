"""Numbers for new instances, out of blocks that the store has given to this host alone.

Taking one must never wait and never fail: the next block is asked for when half of one is left, and
half a block is more than a host can have in memory, however long the store is away.
"""

from collections.abc import Callable
from typing import Final

BLOCK: Final = 1 << 24
"""2**63 of them last for half a million million starts of hosts."""


class Iids:
    """What is left of the blocks of an engine.

    Attributes:
        on_low: Called once when there should be a further block.
    """

    def __init__(self) -> None:
        self.on_low: Callable[[], None] = _not_yet
        self._next = 1
        self._end = 1
        self._low = 1
        self._further: range | None = None

    def add(self, block: range) -> None:
        """Give these out too."""
        if self._next == self._end:
            self._begin(block)
        else:
            self._further = block

    def take(self) -> int:
        """A positive number that no instance has ever had."""
        if self._next >= self._low:
            self._look()
        iid = self._next
        self._next += 1
        return iid

    def _begin(self, block: range) -> None:
        self._next, self._end = block.start, block.stop
        self._low = block.start + len(block) // 2

    def _look(self) -> None:
        if self._next == self._end:
            assert self._further is not None, "the next block has not come in all this time"
            block, self._further = self._further, None
            self._begin(block)
        if self._low <= self._next:
            self._low = self._end
            self.on_low()


def _not_yet() -> None:
    """Nobody asks for further blocks before the host serves."""
