"""How far a subscription is, while several of its events are worked on at once. Pure.

Events are read in order, and end in any: what is noted is the position up to which all are done
with, which ones beyond it are, and what has failed and is tried again. So a host that takes over
delivers again what was under way, and nothing else, and counts attempts on.
"""

from collections import OrderedDict
from collections.abc import Iterable

from tenuto.engine.topic_ports import Place, Tried
from tenuto.model.timing import Microseconds


class PlaceKeeper:
    """Keeps the place of one subscription.

    Args:
        place: As it was noted.
        most_ahead: So many events may be read beyond the first that is not done with: they are
            listed in what is noted.
    """

    def __init__(self, place: Place, most_ahead: int) -> None:
        self.name = place.name
        self.topic = place.topic
        self._position = place.position
        self._reached = max((place.position, *place.done))
        self._known = frozenset(place.done)
        # By position, in the order of reading: whether it is done with.
        self._open: OrderedDict[int, bool] = OrderedDict()
        self._read = place.position
        self._tried = {one.position: one for one in place.tried}
        self._most_ahead = most_ahead

    @property
    def read(self) -> int:
        """Up to here events have been read."""
        return self._read

    @property
    def ahead(self) -> int:
        """How many events were read beyond the position."""
        return len(self._open)

    @property
    def room(self) -> int:
        """How many more may be read."""
        return max(0, self._most_ahead - len(self._open))

    def begin(self, position: int) -> bool:
        """An event was read, the next in order; whether it is to be delivered."""
        self._read = position
        if position <= self._reached and position in self._known:
            self._open[position] = True
            self._advance()
            return False
        self._open[position] = False
        return True

    def end(self, positions: Iterable[int]) -> None:
        """Events are done with; those that were given back have no place in the order."""
        for position in positions:
            self._tried.pop(position, None)
            if position > 0:
                self._open[position] = True
        self._advance()

    def tried(self, position: int) -> Tried:
        """How often an event was tried."""
        return self._tried.get(position) or Tried(position, 0, 0)

    def failed(self, position: int, attempts: int, due: Microseconds) -> None:
        """An event has failed, and is tried again."""
        self._tried[position] = Tried(position, attempts, due)

    def _advance(self) -> None:
        while self._open:
            position, is_done = next(iter(self._open.items()))
            if not is_done:
                return
            del self._open[position]
            self._position = position

    def place(self) -> Place:
        """What is to be noted now."""
        position = self._read if not self._open else self._position
        done = tuple(one for one, is_done in self._open.items() if is_done)
        reached = max(position, self._position)
        tried = tuple(one for one in self._tried.values() if not 0 < one.position <= reached)
        return Place(self.name, self.topic, reached, done, tried, not self.room)
