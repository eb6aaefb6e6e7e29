"""Workers of their own for what is suspected of killing workers.

What was out together with a worker that died comes in groups, each into a worker that runs nothing
else. A group whose worker dies comes back in halves, until one that is alone with it is to blame:
so one death costs a hundred innocents a moment, and not each its turn in a queue. A group that runs
for long without harm keeps its worker, and none of the others waiting.
"""

from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

from tenuto.interop.workers.errands import AnyErrand
from tenuto.interop.workers.link import WorkerLink
from tenuto.model.timing import MICROSECONDS, Microseconds

Suspect = TypeVar("Suspect")

_SLICE: Final[Microseconds] = 10 * MICROSECONDS
"""A group that has run for so long without harm no longer keeps the next one waiting."""
_AT_ONCE: Final = 8
"""Workers with groups that have run for less: one killer among 256 is found without a wait, though
all others run for long.
"""
_MOST: Final = 12
"""Workers in all."""


class Warden(Protocol):
    """What the quarantine needs of the pool."""

    @property
    def now(self) -> Microseconds:
        """Real time that passes."""

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more begins."""

    def send_alone(self, link: WorkerLink, errand: AnyErrand) -> None:
        """Send what is suspected to a worker that is kept for that."""

    async def start_alone(self) -> WorkerLink | None:
        """A worker for suspects; None when there cannot be one."""

    def let_go(self, link: WorkerLink) -> None:
        """The worker is not needed any more."""

    def spawn(self, step: Coroutine[Any, Any, None]) -> None:
        """Run a step in the background."""


class Quarantine:
    """Suspects, and the workers that run them.

    Args:
        pool: Whose.
    """

    def __init__(self, pool: Warden) -> None:
        self._pool = pool
        self._queue: deque[list[AnyErrand]] = deque()
        self._since: dict[WorkerLink, Microseconds] = {}
        self._starting = 0

    @property
    def links(self) -> list[WorkerLink]:
        """Its workers."""
        return list(self._since)

    @property
    def queued(self) -> int:
        """Calls that wait for it."""
        return sum(not one.is_turn for group in self._queue for one in group)

    def add(self, group: Sequence[AnyErrand]) -> None:
        """Suspect these together."""
        if group:
            self._queue.append(list(group))
            self.go_on()

    def take_calls(self) -> list[AnyErrand]:
        """Calls that wait here, which are not to begin any more."""
        calls = [one for group in self._queue for one in group if not one.is_turn]
        self._queue = deque(group for group in self._queue if group[0].is_turn)
        return calls

    def drop(self, errand: AnyErrand) -> None:
        """Nobody waits for it any more."""
        for group in self._queue:
            if errand in group:
                group.remove(errand)
        self._queue = deque(filter(None, self._queue))

    def go_on(self) -> None:
        """Begin with the next groups, as far as there is room."""
        if self._pool.is_stopping:
            return
        now = self._pool.now
        for link in self.links:
            if self._queue and not link.out:
                self._since[link] = now
                for errand in self._queue.popleft():
                    self._pool.send_alone(link, errand)
        busy = sum(now - since < _SLICE for link, since in self._since.items() if link.out)
        room = min(_AT_ONCE - busy, _MOST - len(self._since)) - self._starting
        for _ in range(min(room, len(self._queue) - self._starting)):
            self._starting += 1
            self._pool.spawn(self._start())

    async def _start(self) -> None:
        try:
            link = await self._pool.start_alone()
        finally:
            self._starting -= 1
        if link is not None and not link.is_gone:
            self._since[link] = self._pool.now
            link.then = self.go_on
        if link is not None:  # else it is tried again with the next look
            self.go_on()

    def gone(self, link: WorkerLink) -> None:
        """A worker is no longer there, perhaps one of these."""
        if self._since.pop(link, None) is not None:
            self.go_on()

    def look(self, now: Microseconds) -> None:
        """Go on after a while; let workers go when nobody is suspected any more."""
        self.go_on()
        for link, since in list(self._since.items()):
            if not (link.out or self._queue) and now - since > _SLICE:
                del self._since[link]
                self._pool.let_go(link)


def halves(group: Sequence[Suspect]) -> tuple[Sequence[Suspect], Sequence[Suspect]]:
    """Those that have killed a worker together, in two groups of which the second may be empty."""
    middle = (len(group) + 1) // 2
    return group[:middle], group[middle:]
