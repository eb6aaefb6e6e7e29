"""How many unfinished instances stand below a root, wherever they are: for ``open_descendants``.

Each partition counts its own. Of those of other hosts' partitions the store is asked, for many
roots at once, when a turn wants to know; what goes there meanwhile is counted here. So what this
host begins is counted exactly, in whatever quick succession. Of what others begin the last look
knows: where several hosts begin instances below one root, each may begin with one turn more than
is left. A tree near its limit is looked at all the time, so that it never grows far beyond.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from tenuto.engine.parts import Parts
from tenuto.engine.state import InstanceState
from tenuto.model.errors import StorageError
from tenuto.model.ids import InstanceId
from tenuto.model.messages import ChildResult, Message
from tenuto.model.timing import Microseconds

_FRESH: Final[Microseconds] = 500_000
_OLD: Final[Microseconds] = 2_000_000
"""After so long what was known counts no more: who has ended since must not keep others out."""
_SETTLED: Final[Microseconds] = 5_000_000
"""After so long what was sent has begun, and is in the store."""
_MOST: Final = 10_000
"""Roots that are kept in mind."""


class _Abroad:
    """What is known of the instances below a root that other hosts have.

    Attributes:
        known: How many there were at the last look.
        sent: Children that were sent there, and have not been heard of.
        heard: How many have been, ever.
    """

    __slots__ = ("asked_at", "heard", "known", "known_at", "sent", "sent_at")

    def __init__(self) -> None:
        self.known = 0
        self.known_at: Microseconds | None = None
        self.asked_at: Microseconds | None = None
        self.heard = 0
        self.sent = 0
        self.sent_at: Microseconds | None = None

    def count(self, now: Microseconds) -> int:
        known_at = self.known_at
        known = 0 if known_at is None or now - known_at > _OLD else self.known
        return max(known, self.sent)

    def is_asked(self, now: Microseconds) -> bool:
        return self.asked_at is not None and now - self.asked_at < _FRESH


class Descendants:
    """Counts for an engine.

    Args:
        engine: Whose.

    Attributes:
        abroad: By root, what is known of other hosts.
    """

    def __init__(self, engine: Parts) -> None:
        self._engine = engine
        self.abroad: dict[InstanceId, _Abroad] = {}
        self._wanted: set[InstanceId] = set()
        self._task: asyncio.Task[None] | None = None

    def begins(self, state: InstanceState) -> None:
        """An instance of ours is there; it counts if another one has called it."""
        if not state.facts.depth:
            return
        engine = self._engine
        root_id = state.facts.root_id
        engine.partitions[state.partition].count_child(root_id, 1)
        engine.halfway.look_at_child(state, self.open_below(root_id))

    def ends(self, state: InstanceState) -> None:
        """It counts no more."""
        if state.facts.depth:
            self._engine.partitions[state.partition].count_child(state.facts.root_id, -1)

    def sends(self, root_id: InstanceId) -> None:
        """A child goes to another host."""
        place = self._place(root_id)
        place.sent += 1
        place.sent_at = self._engine.clock.monotonic()

    def hear(self, state: InstanceState, messages: Sequence[Message]) -> None:
        """These have come for an instance: perhaps that a child of another host has ended."""
        place = self.abroad.get(state.facts.root_id) if self.abroad else None
        if place is None:
            return
        own = f"{self._engine.origin}:"
        for message in messages:
            if isinstance(message, ChildResult) and not str(message.message_id).startswith(own):
                place.heard += 1
                place.sent = max(0, place.sent - 1)
                place.known = max(0, place.known - 1)

    def forget(self) -> None:
        """Partitions have moved, or what was sent is sent again: ask anew."""
        self.abroad.clear()

    def open_below(self, root_id: InstanceId) -> int:
        """How many there are, as far as is known here."""
        engine = self._engine
        count = sum(one.open_by_root.get(root_id, 0) for one in engine.partitions.values())
        if len(engine.partitions) < engine.hub_partitions:
            now = engine.clock.monotonic()
            place = self._place(root_id)
            if not place.is_asked(now):
                place.asked_at = now
                self._ask(root_id)
            count += place.count(now)
        return count

    # --- other hosts ------------------------------------------------------------------------------

    def _place(self, root_id: InstanceId) -> _Abroad:
        place = self.abroad.get(root_id)
        if place is None:
            if len(self.abroad) >= _MOST:
                self.abroad.clear()
            place = self.abroad[root_id] = _Abroad()
        return place

    def _ask(self, root_id: InstanceId) -> None:
        self._wanted.add(root_id)
        if self._task is None:
            self._engine.reads += 1
            self._task = self._engine.loop.create_task(self._read(), name="tenuto-descendants")

    async def _read(self) -> None:
        engine = self._engine
        try:
            while self._wanted:
                roots, self._wanted = list(self._wanted), set()
                others = set(range(engine.hub_partitions)) - engine.partitions.keys()
                began = engine.clock.monotonic()
                heard = {one: self._place(one).heard for one in roots}
                found = await engine.storage.open_below(others, roots)
                for root_id in roots:
                    self._learn(root_id, found.get(root_id, 0), heard[root_id], began)
        except StorageError:
            self._wanted.clear()  # whoever wants to know asks again
        finally:
            self._task = None
            engine.reads -= 1

    def _learn(self, root_id: InstanceId, count: int, heard: int, began: Microseconds) -> None:
        place = self.abroad.get(root_id)
        if place is None:
            return  # it was forgotten meanwhile
        # Who was heard of meanwhile may have been among them.
        place.known, place.known_at = max(0, count - (place.heard - heard)), began
        if place.sent_at is not None and began - place.sent_at >= _SETTLED:
            place.sent, place.sent_at = 0, None
        if 2 * self.open_below(root_id) > self._engine.options.limits.open_descendants:
            self._engine.clock.call_later(_FRESH, lambda: self._look_again(root_id))

    def _look_again(self, root_id: InstanceId) -> None:
        engine = self._engine
        if engine.gone is None and not engine.is_draining and root_id in self.abroad:
            self.open_below(root_id)
