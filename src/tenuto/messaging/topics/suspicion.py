"""Which event ends its host: found out by running those one after another that may be it.

Only on a host whose owner before has died, and only for as long as that is news. Such a host notes
which events run, before they do; as many at once as ever. When it dies as well, its note names
those that may be the cause, and the next host runs these one at a time (``Suspects``), each named
as the one that runs alone. An event that was running at too many deaths in a row, the last ones
alone, is put aside, so that it does not take the host, and all that runs there, with it for ever
(``one_never_takes_all``).

::

    a host dies ──▶ the next one notes which events run, and dies ──▶ those run alone ──▶ put aside
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from msgspec import Struct

from tenuto.engine.careful import SERVED
from tenuto.engine.rows import Lease
from tenuto.messaging.listening import ListenerMeans
from tenuto.model.errors import StorageError, TenutoError
from tenuto.model.timing import MICROSECONDS

_KEY: Final = "begun/"
_LEAST_ALONE: Final = 2
"""Beside a suspect that runs alone others may run that nobody suspects yet: once says nothing."""


class Begun(Struct, frozen=True):
    """An event that has begun.

    Attributes:
        position: Of the event.
        deaths: So many hosts have died while it ran, one after another.
        alone: So many of them while it had the turn of the suspects.
    """

    position: int
    deaths: int = 0
    alone: int = 0


class Noted(Struct, frozen=True, forbid_unknown_fields=True):
    """What is noted of a subscription.

    Attributes:
        running: Those that run.
        waiting: Those that wait for their turn as suspects.
        epoch: Of the lease under which it was noted.
        alone: The position of the one that has the turn.
    """

    running: list[Begun]
    waiting: list[Begun]
    epoch: int
    alone: int | None = None


_decode: Final = msgspec.json.Decoder(Noted).decode


class Suspicion:
    """Watches the events of one subscription under one lease, after a death.

    Args:
        means: The host.
        lease: Of the subscription's partition.
        subscription: Its name.
    """

    def __init__(self, means: ListenerMeans, lease: Lease, subscription: str) -> None:
        self._means = means
        self._lease = lease
        self._key = _KEY + subscription
        self._suspects: dict[int, Begun] = {}
        self._running: dict[int, Begun] = {}
        self._alone: int | None = None
        self._changes = 0
        self._written = 0
        self._writing = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + SERVED / MICROSECONDS

    async def look(self) -> None:
        """Read what the host before has left.

        Raises:
            StorageError: the store cannot be read.
        """
        text = (await self._means.storage.notes([self._key])).get(self._key)
        if text is None:
            return
        try:
            noted = _decode(text)
        except msgspec.DecodeError:
            return  # of another version: whoever ends its host is found again
        self._suspects = {one.position: one for one in noted.waiting}
        if noted.epoch == self._lease.epoch:
            return  # this host's own, which has begun anew with its last note
        for one in noted.running:
            alone = one.alone + (one.position == noted.alone)
            self._suspects[one.position] = Begun(one.position, one.deaths + 1, alone)

    def verdict(self, position: int) -> TenutoError | None:
        """Why an event is not run any more; None when it may be."""
        suspect = self._suspects.get(position)
        if suspect is None or not self._is_blamed(suspect):
            return None
        return TenutoError(f"the host has died {suspect.deaths} times while the function ran")

    def _is_blamed(self, suspect: Begun) -> bool:
        most = self._means.engine.options.max_deliveries
        return suspect.deaths >= most and suspect.alone >= min(_LEAST_ALONE, most)

    def forget(self, position: int) -> None:
        """An event is done with."""
        self._suspects.pop(position, None)

    @asynccontextmanager
    async def turn(self, position: int) -> AsyncGenerator[None]:
        """Around an attempt: it is noted that it runs, and who is suspected runs alone.

        Raises:
            FencedError: the subscription is another host's by now.
            StorageError: it cannot be noted.
        """
        suspect = self._suspects.get(position)
        if suspect is not None:
            one_more = Begun(position, suspect.deaths + 1, suspect.alone + 1)
            turn = self._means.suspects.turn(
                suspect.deaths, self._passes, is_decisive=self._is_blamed(one_more)
            )
            async with turn, self._noted(suspect):
                yield
        elif self._loop.time() < self._end:
            async with self._noted(Begun(position)):
                yield
        else:
            yield

    @asynccontextmanager
    async def _noted(self, event: Begun) -> AsyncGenerator[None]:
        position = event.position
        self._running[position] = event
        if position in self._suspects:
            self._alone = position
        try:
            await self._write()
            yield
        finally:
            del self._running[position]
            self._changes += 1
        # Else it would be blamed for a death in its next pause, or after it has ended. That others
        # have ended is known from the place of the subscription. One that was given up is not
        # cleared: its host may be about to die.
        if self._alone == position:
            await self._passes()

    async def _passes(self) -> None:
        """Nobody has the turn of the suspects now."""
        self._alone = None
        try:
            await self._write()
        except StorageError:
            return  # it is part of the next note

    async def _write(self) -> None:
        """Have noted what runs now; those that begin together share a note."""
        self._changes += 1
        change = self._changes
        async with self._writing:
            if self._written >= change:
                return
            written = self._changes
            waiting = [one for one in self._suspects.values() if one.position not in self._running]
            noted = Noted(list(self._running.values()), waiting, self._lease.epoch, self._alone)
            text = msgspec.json.encode(noted).decode()
            await self._means.storage.write_note(self._lease, self._key, text)
            self._written = written
