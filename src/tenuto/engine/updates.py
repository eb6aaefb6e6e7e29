"""Live updates: what committed turns have changed, for whoever listens inside this host.

What this host commits is told as it is committed. Of an instance that another host has, the store
is looked at (``engine.store_watch``), also while its partition moves; of the list it is only known
then that something has changed elsewhere, and whoever listens is told to read it anew. Only what is
durable is told (``durable_before_visible``). While nobody listens a batch costs one look at an
attribute; who only wants to know that something has changed is told how much (``engine.digest``),
which costs little more. A listener that cannot be told everything, because it came too late or
reads too slowly, is told to read anew; none misses something without knowing. Must never wait for a
listener.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final

from msgspec import structs

from tenuto.engine.batch import Batch
from tenuto.engine.digest import NOTHING, Digest, DigestSubscription, digest_of, digest_of_row
from tenuto.engine.ports import Clock, Storage
from tenuto.engine.store_watch import StoreWatch
from tenuto.engine.subscription import Afar, Subscription, number_in, steps, turn_in
from tenuto.engine.update import (
    Update,
    new_row,
    size_of,
    updates_of,
)
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds

__all__ = [
    "KEPT",
    "KEPT_BYTES",
    "QUEUED",
    "Digest",
    "DigestSubscription",
    "Subscription",
    "Update",
    "UpdateFeed",
]

KEPT: Final = 10_000
"""Updates of the list that a listener can come back to."""
KEPT_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of custom statuses and failures among them."""
QUEUED: Final = 256
"""Updates that wait for one listener at most."""
_LINGER: Final[Microseconds] = 60_000_000
"""How long updates of the list are kept for listeners that come back, in microseconds."""
_RESET_SECONDS: Final = 1.0
"""Between two words that the list has changed elsewhere."""


class UpdateFeed:
    """Tells listeners on the host's loop what was committed.

    Args:
        storage: Where the updates of one instance that a listener has missed are found.
        clock: Tells when nobody will come back for what is kept.
        watch: Looks at instances that other hosts have; by default one of its own.
        serves: Whether an instance is this host's, and with None whether all are.
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
        watch: StoreWatch | None = None,
        serves: Callable[[InstanceId | None], bool] = lambda _: True,
        *,
        kept: int = KEPT,
        queued: int = QUEUED,
    ) -> None:
        self.is_heard: bool = False
        self._storage = storage
        self._clock = clock
        self._watch = StoreWatch(storage) if watch is None else watch
        self._serves = serves
        self._afar: dict[InstanceId, Afar] = {}
        self._resetting: asyncio.TimerHandle | None = None
        self._reset_at = 0.0
        self._queued = queued
        self._epoch = os.urandom(4).hex()
        self._recent = _Recent(kept)
        self._for_all: list[Subscription] = []
        self._for_one: dict[InstanceId, list[Subscription]] = {}
        self._digests: list[DigestSubscription] = []
        self._watches_elsewhere = False
        self._keeps_until: Microseconds | None = None
        self._is_closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._for_all) + len(self._digests) + sum(map(len, self._for_one.values()))

    @property
    def position(self) -> str:
        """Where the list stands: who goes on from here has not missed what comes."""
        return f"{self._epoch}-{self._recent.last_number}"

    # --- listening -------------------------------------------------------------------------------

    def subscribe(
        self,
        instance_id: InstanceId | None = None,
        *,
        after: str | None = None,
        queued: int | None = None,
    ) -> "Subscription":
        """Listen from now on, or from where a listener was before.

        Args:
            instance_id: One instance: each of its turns is told. None for all instances: told is
                what changes their rows, and what is purged.
            after: The position of the last update that was seen. For all instances it holds
                within one life of the host and for as much as is kept; for one instance it holds
                for its present generation. Any other leads to a reset.
            queued: Updates that wait for this listener at most, if not as many as for others.
        """
        queued = queued or self._queued
        if instance_id is not None:
            listener = Subscription(self, instance_id, queued, after)
        else:
            listener = Subscription(self, None, queued)
            if after is not None:
                listener.missed(self._since(after))
        if self._is_closed:
            listener.end()
        elif instance_id is None:
            self._watch_elsewhere()
            self._for_all.append(listener)
            self._keeps_until = None
        else:
            self._for_one.setdefault(instance_id, []).append(listener)
            if not self._serves(instance_id):
                self._look_afar(instance_id)
        self.is_heard = not self._is_closed
        return listener

    def subscribe_digests(self) -> DigestSubscription:
        """Listen to how much changes, from now on."""
        listener = DigestSubscription(self._forget_digests)
        if self._is_closed:
            listener.end()
        else:
            self._watch_elsewhere()
            self._digests.append(listener)
            self.is_heard = True
        return listener

    def _forget_digests(self, listener: DigestSubscription) -> None:
        if listener in self._digests:
            self._digests.remove(listener)
        self._set_heard()

    def _watch_elsewhere(self) -> None:
        """From the first one on who is to know that other hosts have changed something."""
        if not self._watches_elsewhere:
            self._watches_elsewhere = True
            self._watch.on_change(self._changed_elsewhere)

    def _set_heard(self) -> None:
        self.is_heard = bool(
            self._for_one or self._for_all or self._digests or self._keeps_until is not None
        )

    def _since(self, position: str) -> list[Update]:
        number = _number_in(position, self._epoch)
        found = None if number is None else self._recent.after(number)
        if found is None:
            return [Update(position=self.position, is_reset=True)]
        return found

    def forget(self, listener: "Subscription", *, comes_back: bool) -> None:
        """A listener has gone."""
        key = listener.instance_id
        listeners = self._for_all if key is None else self._for_one.get(key, [])
        if listener not in listeners:
            return
        listeners.remove(listener)
        if key is not None and not listeners:
            del self._for_one[key]
            self._look_no_more(key)
        if key is None and not listeners:
            if comes_back:
                self._keeps_until = self._clock.now() + _LINGER
            else:
                self._recent.forget()
        self._set_heard()

    def let_go(self, is_gone: Callable[[InstanceId], bool]) -> None:
        """These instances are another host's: the store tells what becomes of them.

        Who listens to all is told to read anew: of what was being committed, nobody is told.
        """
        for instance_id in filter(is_gone, list(self._for_one)):
            self._look_afar(instance_id)
        self._reset_list()

    def come(self, is_ours: Callable[[InstanceId], bool]) -> None:
        """These instances are this host's from now on: what was committed before is looked at."""
        for instance_id in filter(is_ours, list(self._afar)):
            self._look_no_more(instance_id)
            self._look_afar(instance_id, is_last=True)

    def _look_afar(self, instance_id: InstanceId, *, is_last: bool = False) -> None:
        if instance_id in self._afar:
            self._look_no_more(instance_id)  # a last look may be under way
        listeners = self._for_one[instance_id]
        for listener in listeners:
            listener.minds_gaps = True
        follower = Afar(listeners, partial(self._look_no_more, instance_id), is_last=is_last)
        self._afar[instance_id] = follower
        self._watch.follow(instance_id, follower)

    def _look_no_more(self, instance_id: InstanceId) -> None:
        follower = self._afar.pop(instance_id, None)
        if follower is not None:
            self._watch.leave(instance_id, follower)

    def look_again(self, instance_id: InstanceId) -> None:
        """A listener knows now from where it goes on."""
        if instance_id in self._afar:
            self._watch.stir()

    def _changed_elsewhere(self) -> None:
        """Another process has written, perhaps what the list shows; not told more than often."""
        if not self._digests and not self._keeps_list():
            self._watches_elsewhere = False
            self._watch.forget(self._changed_elsewhere)
        elif not self._serves(None) and self._resetting is None:
            loop = asyncio.get_running_loop()
            pause = max(0.0, self._reset_at + _RESET_SECONDS - loop.time())
            self._resetting = loop.call_later(pause, self._reset_now)

    def _reset_now(self) -> None:
        self._resetting = None
        self._reset_at = asyncio.get_running_loop().time()
        self._reset_list()

    def _reset_list(self) -> None:
        if self._keeps_list():
            self._recent.forget()
            here = Update(position=self.position, is_reset=True)
            for listener in self._for_all:
                listener.offer([here])
        self._tell_digests(Digest(elsewhere=True))
        self._set_heard()

    def close(self) -> None:
        """The host goes: every listener gets what waits for it, and the end."""
        self._is_closed = True
        for instance_id in list(self._afar):
            self._look_no_more(instance_id)
        self._watch.forget(self._changed_elsewhere)
        if self._resetting is not None:
            self._resetting.cancel()
        everyone = [*self._for_all, *(one for some in self._for_one.values() for one in some)]
        digests = self._digests
        self._for_all.clear()
        self._for_one.clear()
        self._digests = []
        self._recent.forget()
        self.is_heard = False
        for listener in everyone:
            listener.end()
        for digest in digests:
            digest.end()

    # --- telling ---------------------------------------------------------------------------------

    def publish(self, batch: Batch, refused: AbstractSet[int]) -> None:
        """A batch is durable; ``refused`` are the instances whose rows were left out of it."""
        if self._digests:
            self._tell_digests(digest_of(batch, refused))
        keeps = self._keeps_list()
        if not keeps and not self._for_one:
            return
        told: list[Update] = []
        for update in updates_of(batch, refused, None if keeps else self._for_one.keys()):
            for listener in self._for_one.get(update.instance_id, ()):
                listener.committed(update)
            if keeps and (update.record is not None or update.is_purged):
                told.append(update)
        self._tell_all(told)

    def publish_row(self, record: InstanceRecord) -> None:
        """An instance that another process has inserted was taken in."""
        self._tell_digests(digest_of_row(record))
        update = new_row(record)
        for listener in self._for_one.get(record.instance_id, ()):
            listener.committed(update)
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

    def _tell_digests(self, digest: Digest) -> None:
        if digest != NOTHING:
            for listener in self._digests:
                listener.add(digest)

    def _keeps_list(self) -> bool:
        """Whether the list is listened to, or somebody may come back who did."""
        until = self._keeps_until
        if until is None:
            return bool(self._for_all)
        if self._clock.now() < until:
            return True
        self._keeps_until = None
        self._recent.forget()
        self._set_heard()
        return False

    async def missed_turns(self, instance_id: InstanceId, after: str) -> list[Update]:
        """What one instance has done since, as the store knows it.

        Raises:
            StorageError: the store cannot be read.
        """
        standings = await self._storage.standings([instance_id])
        if not standings:
            return [Update(position=after, instance_id=instance_id, is_purged=True)]
        seen = turn_in(after, standings[0].record.generation)
        return steps(standings[0], seen, self._queued)


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


def _number_in(position: str, epoch: str) -> int | None:
    before, _, after = position.partition("-")
    return number_in(after) if before == epoch else None
