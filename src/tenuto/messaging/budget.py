"""What a host has in hand of events and messages: one budget for all subscriptions and queues.

Owns how much each of them may read. Who has nothing in hand may always read one, so that nobody
waits for another to get on at all; beyond that each gets half of what is free over what it has
itself. So the first cannot take all, what comes later finds something left, and together they have
no more than the budget, and one event or message each. Pure.
"""

from collections.abc import Callable
from typing import Final

_LEAST: Final = 64 * 1024
"""Less is not handed out to who has something: pages of single events would be slow."""
_LEAST_SHARE: Final = 64
"""Nor less than this part of a budget that is small."""


class Budget:
    """Of one host.

    Args:
        most: So many bytes are in hand.

    Attributes:
        in_hand: So many bytes are, with those that are about to be read.
    """

    def __init__(self, most: int) -> None:
        self.most: Final = most
        self.least: Final = min(_LEAST, max(1, most // _LEAST_SHARE))
        self.in_hand: int = 0
        self.loose: dict[Share, None] = {}
        self._waiting: dict[Share, None] = {}
        self._needed = 0

    def portion(self, held: int, wanted: int) -> int:
        """How much may be read now by who has so much; 0 for nothing."""
        portion = min(wanted, (self.most - self.in_hand - held) // 2)
        if held:
            return portion if portion >= min(wanted, self.least) else 0
        return max(1, portion)

    def let_go(self) -> None:
        """Have all let go of what they can read again."""
        for share in list(self.loose):
            share.let_go()
        self.loose.clear()

    def wait(self, share: "Share") -> None:
        """Wake it when there is enough for it."""
        needed = share.held + 2 * self.least
        self._needed = min(self._needed, needed) if self._waiting else needed
        self._waiting[share] = None

    def wait_no_more(self, share: "Share") -> None:
        """It has found something by itself, or is closed."""
        self._waiting.pop(share, None)

    def give_back(self, size: int) -> None:
        """Something is in hand no more."""
        self.in_hand -= size
        if self._waiting and self.most - self.in_hand >= self._needed:
            self._wake()

    def _wake(self) -> None:
        """Those that there is enough for, who waits longest first; the others wait on."""
        waiting, self._waiting = self._waiting, {}
        woken = list[Share]()
        for share in waiting:
            if share.held and self.most - self.in_hand < share.held + 2 * self.least:
                self.wait(share)
            else:
                woken.append(share)
        for share in woken:
            share.wake()


class Share:
    """What one subscription or queue has of the budget.

    Args:
        budget: The host's.
        wake: Called when there is something again after ``reserve`` has given nothing. It reads
            nothing itself, but has somebody do so.
        let_go: Called for what can be read again, when there is too little and it is ``loose``.

    Attributes:
        held: So many bytes.
    """

    def __init__(
        self,
        budget: Budget,
        wake: Callable[[], None],
        let_go: Callable[[], None] = lambda: None,
    ) -> None:
        self._budget = budget
        self.wake: Final = wake
        self.let_go: Final = let_go
        self.held: int = 0

    def reserve(self, wanted: int) -> int:
        """So many bytes may be read now, until they are released; 0 when it has to wait."""
        budget = self._budget
        portion = budget.portion(self.held, wanted)
        if not portion and budget.loose:
            budget.let_go()
            portion = budget.portion(self.held, wanted)
        if portion:
            budget.wait_no_more(self)
            self.came(portion)
        else:
            budget.wait(self)
        return portion

    def came(self, size: int) -> None:
        """Something is in hand."""
        self.held += size
        self._budget.in_hand += size

    def went(self, size: int) -> None:
        """It is not any more; so is what was reserved, once what was read of it has come."""
        self.held -= size
        self._budget.give_back(size)

    def can_let_go(self) -> None:
        """There is something that can be read again."""
        self._budget.loose[self] = None

    def close(self) -> None:
        """Give all back. What still runs counts for nobody."""
        budget, held = self._budget, self.held
        self._budget = Budget(budget.most)
        self.held = 0
        budget.wait_no_more(self)
        budget.loose.pop(self, None)
        budget.give_back(held)
