"""Live updates: what committed turns have changed, for whoever listens inside this host.

Only what is durable is told (``durable_before_visible``). While nobody listens a batch costs one
look at an attribute. A listener that cannot be told everything, because it came too late or reads
too slowly, is told to read anew; none misses something without knowing. Must never wait for a
listener.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Self

from msgspec import structs

from tenuto.engine.batch import Batch
from tenuto.engine.ports import Clock, Storage
from tenuto.engine.update import (
    BEFORE_FIRST,
    Update,
    new_row,
    place,
    size_of,
    summary,
    updates_of,
)
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds

__all__ = ["KEPT", "KEPT_BYTES", "QUEUED", "Subscription", "Update", "UpdateFeed"]

KEPT: Final = 10_000
"""Updates of the list that a listener can come back to."""
KEPT_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of custom statuses and failures among them."""
QUEUED: Final = 256
"""Updates that wait for one listener at most."""
_LINGER: Final[Microseconds] = 60_000_000
"""How long updates of the list are kept for listeners that come back, in microseconds."""
_LONGEST_NUMBER: Final = 18


class UpdateFeed:
    """Tells listeners on the host's loop what was committed.

    Args:
        storage: Where the updates of one instance that a listener has missed are found.
        clock: Tells when nobody will come back for what is kept.
        check_ours: Raises an error for an instance that another host serves.
        kept: Updates of the list that are kept for listeners who come back.
        queued: Updates that wait for one listener at most.

    Attributes:
        is_heard: Whether batches must be published.

    Example:
        ::

            listening = engine.updates.subscribe("trip-1")
            async for update in listening:
                if update.has_ended:
                    listening.close()
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        check_ours: Callable[[InstanceId], None] = lambda _: None,
        *,
        kept: int = KEPT,
        queued: int = QUEUED,
    ) -> None:
        self.is_heard: bool = False
        self._storage = storage
        self._clock = clock
        self._check_ours = check_ours
        self._queued = queued
        self._epoch = os.urandom(4).hex()
        self._recent = _Recent(kept)
        self._for_all: list[Subscription] = []
        self._for_one: dict[InstanceId, list[Subscription]] = {}
        self._keeps_until: Microseconds | None = None
        self._is_closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._for_all) + sum(map(len, self._for_one.values()))

    # --- listening -------------------------------------------------------------------------------

    def subscribe(
        self, instance_id: InstanceId | None = None, *, after: str | None = None
    ) -> "Subscription":
        """Listen from now on, or from where a listener was before.

        Args:
            instance_id: One instance: each of its turns is told. None for all instances: told is
                what changes their rows, and what is purged.
            after: The position of the last update that was seen. For all instances it holds
                within one life of the host and for as much as is kept; for one instance it holds
                for its present generation. Any other leads to a reset.

        Raises:
            StorageOwnedError: another host serves this instance.
        """
        if instance_id is not None:
            self._check_ours(instance_id)
            listener = Subscription(self, instance_id, self._queued, after)
        else:
            listener = Subscription(self, None, self._queued)
            if after is not None:
                listener.missed(self._since(after))
        if self._is_closed:
            listener.end()
        elif instance_id is None:
            self._for_all.append(listener)
            self._keeps_until = None
        else:
            self._for_one.setdefault(instance_id, []).append(listener)
        self.is_heard = not self._is_closed
        return listener

    def _since(self, position: str) -> list[Update]:
        number = _number_in(position, self._epoch)
        found = None if number is None else self._recent.after(number)
        if found is None:
            here = f"{self._epoch}-{self._recent.last_number}"
            return [Update(position=here, is_reset=True)]
        return found

    def forget(self, listener: "Subscription") -> None:
        """A listener has gone."""
        key = listener.instance_id
        listeners = self._for_all if key is None else self._for_one.get(key, [])
        if listener not in listeners:
            return
        listeners.remove(listener)
        if key is not None and not listeners:
            del self._for_one[key]
        if key is None and not listeners:
            self._keeps_until = self._clock.now() + _LINGER
        self.is_heard = bool(self._for_one or self._for_all or self._keeps_until)

    def let_go(self, is_gone: Callable[[InstanceId], bool]) -> None:
        """These instances are another host's: what becomes of them is not told here any more.

        Who listens to one of them gets the end, and who listens to all is told to read anew: of
        what was being committed, nobody is told.
        """
        for instance_id in filter(is_gone, list(self._for_one)):
            for listener in self._for_one.pop(instance_id):
                listener.end()
        if self._keeps_list():
            self._recent.forget()
            here = Update(position=f"{self._epoch}-{self._recent.last_number}", is_reset=True)
            for listener in self._for_all:
                listener.offer([here])
        self.is_heard = bool(self._for_one or self._for_all or self._keeps_until)

    def close(self) -> None:
        """The host goes: every listener gets what waits for it, and the end."""
        self._is_closed = True
        everyone = [*self._for_all, *(one for some in self._for_one.values() for one in some)]
        self._for_all.clear()
        self._for_one.clear()
        self._recent.forget()
        self.is_heard = False
        for listener in everyone:
            listener.end()

    # --- telling ---------------------------------------------------------------------------------

    def publish(self, batch: Batch, refused: AbstractSet[int]) -> None:
        """A batch is durable; ``refused`` are the instances whose rows were left out of it."""
        keeps = self._keeps_list()
        told: list[Update] = []
        for update in updates_of(batch, refused, None if keeps else self._for_one.keys()):
            for listener in self._for_one.get(update.instance_id, ()):
                listener.offer([update])
            if keeps and (update.record is not None or update.is_purged):
                told.append(update)
        self._tell_all(told)

    def publish_row(self, record: InstanceRecord) -> None:
        """An instance that another process has inserted was taken in."""
        update = new_row(record)
        for listener in self._for_one.get(record.instance_id, ()):
            listener.offer([update])
        if self._keeps_list():
            self._tell_all([update])

    def _tell_all(self, updates: Sequence[Update]) -> None:
        if not updates:
            return
        number = self._recent.last_number
        numbered = [
            structs.replace(update, position=f"{self._epoch}-{number + index}")
            for index, update in enumerate(updates, 1)
        ]
        self._recent.add(numbered)
        for listener in self._for_all:
            listener.offer(numbered)

    def _keeps_list(self) -> bool:
        """Whether the list is listened to, or somebody may come back who did."""
        until = self._keeps_until
        if until is None:
            return bool(self._for_all)
        if self._clock.now() < until:
            return True
        self._keeps_until = None
        self._recent.forget()
        self.is_heard = bool(self._for_one)
        return False

    async def missed_turns(self, instance_id: InstanceId, after: str) -> list[Update]:
        """What one instance has done since, as the store knows it.

        Raises:
            StorageError: the store cannot be read.
        """
        standing = await self._storage.standing(instance_id)
        if standing is None:
            return [Update(position=after, instance_id=instance_id, is_purged=True)]
        record, last = standing.record, standing.turns - 1
        seen = _turn_in(after, record.generation)
        if seen is None or seen > last or last - seen > self._queued:
            here = place(record.generation, last)
            return [Update(position=here, generation=record.generation, turn=last, is_reset=True)]
        updates = [
            Update(
                position=place(record.generation, turn),
                instance_id=instance_id,
                generation=record.generation,
                turn=turn,
            )
            for turn in range(seen + 1, last + 1)
        ]
        if updates:
            ended = record.status.is_finished
            newest = structs.replace(updates[-1], record=summary(record), has_ended=ended)
            updates[-1] = newest
        return updates


class Subscription:
    """The updates of one listener, in order: an async iterator. Made by ``UpdateFeed``.

    Waiting for the next update may be cancelled at any time; nothing is lost by that. The iterator
    ends after ``close``, when the host stops, and when another host takes over the instance.

    Raises:
        StorageError: what was missed cannot be read from the store; ask again.
    """

    def __init__(
        self,
        feed: UpdateFeed,
        instance_id: InstanceId | None,
        queued: int,
        after: str | None = None,
    ) -> None:
        self.instance_id = instance_id
        self._feed = feed
        self._queued = queued
        self._after = after
        self._backlog: deque[Update] = deque()
        self._queue: deque[Update] = deque()
        self._is_behind = False
        self._is_ended = False
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update:
        if self._after is not None and self.instance_id is not None:
            self._catch_up(await self._feed.missed_turns(self.instance_id, self._after))
        while not self._backlog and not self._queue:
            if self._is_ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._backlog:
            return self._backlog.popleft()
        self._is_behind = False
        return self._queue.popleft()

    def close(self) -> None:
        """Listen no more; what still waits is dropped."""
        self._feed.forget(self)
        self._backlog.clear()
        self._queue.clear()
        self.end()

    def offer(self, updates: Sequence[Update]) -> None:
        """These come next, if there is room; else the listener must read anew."""
        queue = self._queue
        if self._is_behind or len(queue) + len(updates) > self._queued:
            # The word is not read yet: it stands for what comes until then, too.
            self._is_behind = True
            self._backlog.clear()
            queue.clear()
            last = updates[-1]
            place = Update(
                position=last.position, generation=last.generation, turn=last.turn, is_reset=True
            )
            queue.append(place)
        else:
            queue.extend(updates)
        self._wake()

    def missed(self, updates: Sequence[Update]) -> None:
        """These came before whatever is offered."""
        self._backlog.extend(updates)

    def end(self) -> None:
        """Nothing more comes."""
        self._is_ended = True
        self._wake()

    def _catch_up(self, missed: list[Update]) -> None:
        self._after = None
        if self._is_behind:
            return
        self._backlog.extend(missed)
        if missed:
            # What was committed while the store was read has been read.
            self._queue = deque(one for one in self._queue if _is_news(one, missed[-1]))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Recent:
    """The newest updates of the list, bounded in number and bytes."""

    def __init__(self, kept: int) -> None:
        self.last_number: int = 0
        self._kept = kept
        self._updates: deque[Update] = deque()
        self._bytes = 0

    def add(self, updates: Sequence[Update]) -> None:
        """They take the next numbers."""
        self.last_number += len(updates)
        for update in updates:
            self._updates.append(update)
            self._bytes += size_of(update)
        while len(self._updates) > self._kept or self._bytes > KEPT_BYTES:
            self._bytes -= size_of(self._updates.popleft())

    def after(self, number: int) -> list[Update] | None:
        """All that came after this number; None when some of it is not kept any more."""
        missing = self.last_number - number
        if not 0 <= missing <= len(self._updates):
            return None
        kept = list(self._updates)
        return kept[len(kept) - missing :]

    def forget(self) -> None:
        """Keep nothing: who comes back has missed something, for all we know."""
        self.last_number += 1
        self._updates.clear()
        self._bytes = 0


# --- positions ---------------------------------------------------------------------------------


def _is_news(update: Update, read: Update) -> bool:
    """Whether an update says more than the last one that was read. A hold is no turn of its own."""
    place, seen = (update.generation, update.turn), (read.generation, read.turn)
    if update.is_purged or place > seen:
        return True
    row, last = update.record, read.record
    return place == seen and row is not None and last is not None and row.hold != last.hold


def _turn_in(position: str, generation: int) -> int | None:
    """The turn that a position of this generation names; None for any other text."""
    before, _, after = position.partition(".")
    if before != str(generation):
        return None
    return BEFORE_FIRST if after == str(BEFORE_FIRST) else _number(after)


def _number_in(position: str, epoch: str) -> int | None:
    before, _, after = position.partition("-")
    return _number(after) if before == epoch else None


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    return int(text) if is_number else None
