"""Which event ends its host: found out by running those one after another that may be it.

When an owner has died, the next one notes which events run, before each begins, for as many as the
dead one can have begun. When that one dies as well, its note names the few that it died with: they
are run alone, one after another, and everything else after them. An event that was run at too many
deaths in a row is put aside, so that it does not take the host, and all that runs there, with it
for ever (``one_never_takes_all``). One death alone slows nothing down.
"""

import asyncio
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct

from tenuto.engine.program import Delivery, Trigger, TriggeredFunction
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import Place
from tenuto.messaging.listening import ListenerMeans
from tenuto.model.errors import StorageError, TenutoError

_KEY: Final = "running/"


class Running(Struct, frozen=True, array_like=True):
    """What is noted of an event that runs.

    Attributes:
        position: Of the event.
        deaths: So many hosts have died with it, one after another.
    """

    position: int
    deaths: int


_decode: Final = msgspec.json.Decoder(list[Running]).decode


class Suspicion:
    """Watches the first events after a death, for one subscription under one lease.

    Args:
        means: The host.
        lease: Of the subscription's partition.
        subscription: Its name.
        most: How many events may be the cause.
    """

    def __init__(self, means: ListenerMeans, lease: Lease, subscription: str, most: int) -> None:
        self._means = means
        self._lease = lease
        self._key = _KEY + subscription
        self._left = most
        self._alone = asyncio.Lock()
        self._noting = asyncio.Lock()
        self._deaths: dict[int, int] = {}
        self._suspects: set[int] = set()
        self._running: set[int] = set()
        self._noted: set[int] = set()

    async def look(self, place: Place) -> None:
        """Read what the host before has left; what is done with by now is no suspect.

        Raises:
            StorageError: the store cannot be read.
        """
        text = (await self._means.storage.notes([self._key])).get(self._key)
        for one in () if text is None else _decode(text):
            if await self._is_there(place, one.position):
                self._deaths[one.position] = one.deaths + 1
                self._suspects.add(one.position)

    async def _is_there(self, place: Place, position: int) -> bool:
        """Whether an event comes yet: those that do not would be waited for."""
        storage = self._means.storage
        if position < 0:
            given_back = await storage.redeliveries(place.name, -position - 1, 1, 1)
            return bool(given_back) and given_back[0].position == position
        if position <= place.position or position in place.done:
            return False
        found = await storage.events(place.topic, position - 1, 1, 1)
        return bool(found) and found[0].position == position

    def over(self, position: int) -> None:
        """An event is done with."""
        self._suspects.discard(position)

    def takes(self) -> bool:
        """Whether another event may be the cause."""
        self._left -= 1
        if self._left < 0:
            self._suspects.clear()  # they have had their time
        return self._left >= 0

    def verdict(self, position: int) -> TenutoError | None:
        """Why an event is not run any more; None when it may be."""
        deaths = self._deaths.get(position, 0)
        if deaths < self._means.engine.options.max_deliveries:
            return None
        return TenutoError(f"the host has died {deaths} times while the function ran")

    async def run(self, function: TriggeredFunction, delivery: Delivery, position: int) -> None:
        """Run a function once that is noted: beside no other while there are suspects."""
        if self._suspects:
            async with self._alone:
                await self._run(function, delivery, position)
        else:
            await self._run(function, delivery, position)

    async def _run(self, function: TriggeredFunction, delivery: Delivery, position: int) -> None:
        self._running.add(position)
        try:
            await self._note(position)
            await function.run(delivery)
        except Exception:
            # It has failed, and its host lives: of a death in its pause it is not the cause.
            self._left_alive(position)
            with suppress(StorageError):
                async with self._noting:
                    await self._write()
            raise
        finally:
            self._left_alive(position)

    def _left_alive(self, position: int) -> None:
        self._running.discard(position)
        self._suspects.discard(position)
        self._deaths.pop(position, None)

    async def _note(self, position: int) -> None:
        """Note what runs, this one among it; those that begin at once share a note."""
        async with self._noting:
            if position not in self._noted:
                await self._write()

    async def _write(self) -> None:
        running = set(self._running)
        found = [Running(one, self._deaths.get(one, 0)) for one in sorted(running)]
        self._noted = set()
        text = msgspec.json.encode(found).decode()
        await self._means.storage.write_note(self._lease, self._key, text)
        self._noted = running


class Suspected(Struct, frozen=True):
    """A function as it is run for an event that may be the cause."""

    function: TriggeredFunction
    suspicion: Suspicion
    position: int

    @property
    def name(self) -> str:
        """The function's."""
        return self.function.name

    @property
    def trigger(self) -> Trigger:
        """The function's."""
        return self.function.trigger

    async def run(self, delivery: Delivery) -> None:
        """One after another."""
        await self.suspicion.run(self.function, delivery, self.position)
