"""Which event ends its host: found out by running those one after another that may be it.

Only when the owner before has died, and only for as many events as it can have begun. Before each
attempt it is noted which event is about to be run; the note that a dead host has left names the one
that it died with. An event that was run at too many deaths in a row is put aside, so that it does
not take the host, and all that runs there, with it for ever (``one_never_takes_all``).
"""

import asyncio
from typing import Final

import msgspec
from msgspec import Struct

from tenuto.engine.program import Delivery, Trigger, TriggeredFunction
from tenuto.engine.rows import Lease
from tenuto.messaging.listening import ListenerMeans
from tenuto.model.errors import TenutoError

_KEY: Final = "begun/"


class Begun(Struct, frozen=True):
    """What is noted before an attempt.

    Attributes:
        position: Of the event.
        deaths: So many hosts have died with it, one after another.
    """

    position: int
    deaths: int


_decode: Final = msgspec.json.Decoder(Begun).decode


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
        self._found: Begun | None = None

    async def look(self) -> None:
        """Read what the host before has left.

        Raises:
            StorageError: the store cannot be read.
        """
        text = (await self._means.storage.notes([self._key])).get(self._key)
        if text is not None:
            left = _decode(text)
            self._found = Begun(left.position, left.deaths + 1)

    def takes(self) -> bool:
        """Whether another event may be the cause."""
        self._left -= 1
        return self._left >= 0

    def verdict(self, position: int) -> TenutoError | None:
        """Why an event is not run any more; None when it may be."""
        deaths = self._deaths(position)
        if deaths < self._means.engine.options.max_deliveries:
            return None
        return TenutoError(f"the host has died {deaths} times while the function ran")

    def _deaths(self, position: int) -> int:
        found = self._found
        return found.deaths if found is not None and found.position == position else 0

    async def run(self, function: TriggeredFunction, delivery: Delivery, position: int) -> None:
        """Run a function beside no other that is suspected, once that is noted."""
        async with self._alone:
            begun = Begun(position, self._deaths(position))
            text = msgspec.json.encode(begun).decode()
            await self._means.storage.write_note(self._lease, self._key, text)
            await function.run(delivery)


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
