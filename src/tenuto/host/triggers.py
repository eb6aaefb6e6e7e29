"""Runs the functions of a host's programs that events start: which listener serves which trigger.

Owns their life: they begin when the host serves, hear of partitions that become its own and of what
is published, and end before its instances do. Must know no kind of trigger but for its name.
"""

import asyncio
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Final, cast

from tenuto.client.client import Client
from tenuto.engine.engine import Engine
from tenuto.engine.news import ANYTHING, News, more_than_messages
from tenuto.engine.program import (
    AzureBlobTrigger,
    AzureQueueTrigger,
    EventGridTrigger,
    FileTrigger,
    QueueTrigger,
    TopicTrigger,
    TriggeredFunction,
)
from tenuto.functions.outbound import OutboundSettings
from tenuto.messaging.listening import Listener, ListenerMeans, MakeListener
from tenuto.model.errors import RegistrationError, StorageError
from tenuto.model.ids import InstanceId

LISTENERS: Final[Mapping[type, str]] = {
    QueueTrigger: "tenuto.messaging.queues:QueueListener",
    TopicTrigger: "tenuto.messaging.topics.listener:TopicListener",
    FileTrigger: "tenuto.messaging.files:FileListener",
    EventGridTrigger: "tenuto.messaging.event_grid:EventGridListener",
    AzureQueueTrigger: "tenuto.interop.azure_services.queue_listener:AzureQueueListener",
    AzureBlobTrigger: "tenuto.interop.azure_services.blob_listener:AzureBlobListener",
}
"""Where the listener of each kind of trigger is: few apps have any, and some need an extra."""


def check_triggered(functions: Iterable[TriggeredFunction]) -> list[TriggeredFunction]:
    """The functions that events start, each with a name of its own.

    Raises:
        RegistrationError: two have the same name, the listener of one needs a package that is
            not installed, or its ``check``, or that of
            the function itself, refuses it.
    """
    found: dict[str, TriggeredFunction] = {}
    for one in functions:
        if one.name in found:
            raise RegistrationError(
                f"two functions of this host that events start are named {one.name!r}; what is "
                "known of their deliveries is kept by name, so rename one of them"
            )
        found[one.name] = one
        check = getattr(_maker_of(one), "check", None)
        if check is not None:
            check(one)
        own = getattr(one, "check", None)
        if own is not None:
            own()
    _check_queues(found.values())
    return list(found.values())


def _check_queues(functions: Iterable[TriggeredFunction]) -> None:
    """A message goes to one function: which of two it would be, nobody could say."""
    found: dict[str, str] = {}
    for one in functions:
        if not isinstance(one.trigger, QueueTrigger):
            continue
        queue = one.trigger.queue
        if queue in found:
            raise RegistrationError(
                f"functions {found[queue]!r} and {one.name!r} both take the messages of queue "
                f"{queue!r}; a message goes to one function: give each a queue of its own, or "
                "publish to a topic, which both can subscribe to"
            )
        found[queue] = one.name


def _maker_of(function: TriggeredFunction) -> MakeListener:
    module, _, name = LISTENERS[type(function.trigger)].partition(":")
    try:
        return cast("MakeListener", getattr(import_module(module), name))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "tenuto":
            raise
        raise RegistrationError(
            f"function {function.name!r} needs the package {error.name!r}: pip install "
            '"tenuto[azure]"'
        ) from error


class HostTriggers:
    """The listeners of a running host.

    Args:
        functions: What ``check_triggered`` gives.
        engine: Knows which partitions are ours, the clock and the store.
        client: What functions are given.
        outbound: Where their requests may go.
    """

    def __init__(
        self,
        functions: Iterable[TriggeredFunction],
        engine: Engine,
        client: Client,
        outbound: OutboundSettings,
    ) -> None:
        self._engine = engine
        self._means = ListenerMeans(engine, client, outbound)
        self._listeners: dict[Listener, TriggeredFunction] = {}
        self._left: list[tuple[str, TriggeredFunction]] = []
        for one in functions:
            self._add(one)

    async def start(self) -> None:
        """Serve what is ours, from now on also what becomes ours.

        What is published once this has returned is delivered.
        """
        if not self._listeners:
            return
        try:
            await self._means.topics.prepare()
        except StorageError as error:
            self._engine.observer.problem(
                None, f"subscriptions that are new begin when the store can be used: {error}"
            )
        self._engine.moves.owned.append(self._take_up)
        self._engine.moves.giving.append(self._leave)
        self._engine.moves.dropped.append(self._take_up)
        self._engine.on_fed.append(self._fed)
        # Others may have published before we listened, or do so through the store.
        self._engine.storage.on_change(self._has_changed, more_than_messages)
        self._take_up()

    def _add(self, function: TriggeredFunction) -> None:
        self._listeners[_maker_of(function)(function, self._means)] = function

    def _take_up(self) -> None:
        back = [one for one in self._left if self._means.serves(one[0])]
        for left in back:
            self._left.remove(left)
            self._add(left[1])
        for one in self._listeners:
            one.take_up()

    def _fed(self, news: News) -> None:
        """Whom it concerns is told; each of them asks the store."""
        if news.events:
            self._means.topics.fed()
        queues = self._means.queues
        for name in queues if news.queues is None else queues.keys() & news.queues:
            queues[name]()
        for tell in self._means.given_back if news.given_back else ():
            tell()

    def _has_changed(self) -> None:
        self._fed(ANYTHING)

    async def _leave(self, partition: int, seconds: float) -> None:
        """Let end what runs for a partition that is given away, and note it.

        Who brought it deliveries has stopped for good; should the partition come back, another one
        does that.
        """
        number_of = self._engine.number_of
        leaving = [one for one in self._listeners if number_of(InstanceId(one.place)) == partition]
        for one in leaving:
            self._left.append((one.place, self._listeners.pop(one)))
        await self._stop(leaving, seconds)

    def _hear_no_more(self) -> None:
        if self._take_up in self._engine.moves.owned:
            self._engine.moves.owned.remove(self._take_up)
            self._engine.moves.giving.remove(self._leave)
            self._engine.moves.dropped.remove(self._take_up)
        if self._fed in self._engine.on_fed:
            self._engine.on_fed.remove(self._fed)

    async def stop(self, seconds: float) -> None:
        """Begin nothing more, and wait for what runs, at most this long."""
        self._hear_no_more()
        self._means.stopping()
        await self._means.topics.stop()
        await self._stop(self._listeners, seconds)
        await self._means.http.stop()

    async def _stop(self, listeners: Iterable[Listener], seconds: float) -> None:
        results: list[Any] = await asyncio.gather(
            *(one.stop(seconds) for one in listeners), return_exceptions=True
        )
        for error in results:
            if isinstance(error, Exception):
                self._engine.observer.problem(None, f"a listener did not stop cleanly: {error!r}")

    async def abandon(self) -> None:
        """Go as a process goes that dies: what runs is given up, and nothing is noted."""
        self._hear_no_more()
        await self._means.topics.stop()
        for one in self._listeners:
            await one.abandon()
        await self._means.http.stop()
