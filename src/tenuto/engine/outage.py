"""What is read from the store again and again, and cannot be read for a while.

Owns what is said of it, whoever reads: a line when that begins, at most one a minute while it
lasts, and one when everything works again.
"""

from typing import Final

from tenuto.engine.ports import Clock, Observer
from tenuto.model.timing import Microseconds

_SAID_EVERY: Final = 60_000_000


class Outage:
    """The reads of a host that fail now.

    Args:
        observer: Is told.
        clock: Says when a minute has passed.
    """

    def __init__(self, observer: Observer, clock: Clock) -> None:
        self._observer = observer
        self._clock = clock
        self._failing: set[str] = set()
        self._said_at: Microseconds | None = None
        self._is_said = False

    def failed(self, what: str, error: Exception) -> None:
        """It could not be read, and is read again soon.

        Args:
            what: A sentence about it: ``timers could not be read``. One that begins to fail while
                others do is not said, since it is the same store.
            error: Why.
        """
        self._failing.add(what)
        now = self._clock.monotonic()
        # One that fails and works in turns says as little as one that fails all the time.
        if self._said_at is None or now - self._said_at >= _SAID_EVERY:
            self._said_at, self._is_said = now, True
            self._observer.problem(None, f"{what}, tried again: {error}")

    def works(self, what: str) -> None:
        """It has been read."""
        self._failing.discard(what)
        if not self._failing and self._is_said:
            self._is_said = False
            self._observer.problem(None, "the store can be read again")
