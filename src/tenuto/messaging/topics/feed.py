"""Tells subscriptions that their topic has new events: one question to the store for all of them.
What they note meanwhile shares a transaction.

A host may have a thousand subscriptions, and publish a thousand times a second: none but those of
the topics in question are woken.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from tenuto.engine.engine import Engine
from tenuto.engine.ports import Observer
from tenuto.engine.program import TopicTrigger
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import Place, Progress
from tenuto.model.errors import FencedError, StorageError, StorageUnavailableError
from tenuto.model.ids import InstanceId

_AGAIN_SECONDS: Final = 0.5

_Note: TypeAlias = "tuple[Progress, asyncio.Future[None]]"


def say_kept(observer: Observer, place: Place, others: Iterable[str]) -> None:
    """Say of a subscription that is new in a topic where else it has a place."""
    for topic in others:
        observer.problem(
            None,
            f"subscription {place.name!r} reads topic {place.topic!r} from now on; its place in "
            f"topic {topic!r} is kept, for when it reads that again: `tenuto topics list` shows "
            "both, `tenuto topics remove` with --topic forgets one",
        )


class TopicFeed:
    """The news of a store's topics, on one host.

    Args:
        engine: Has the store.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._given_back: dict[str, Callable[[], None]] = {}
        self._triggers: list[TopicTrigger] = []
        self._notes: dict[Lease, list[_Note]] = {}
        self._writing: dict[Lease, asyncio.Task[None]] = {}
        self._cursor: int | None = None
        self._is_fed = False
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False

    def listen(
        self, trigger: TopicTrigger, tell: Callable[[], None], tell_given_back: Callable[[], None]
    ) -> None:
        """Call back, on the host's loop, when there may be new events for a subscription, or some
        that were given back to it.
        """
        self._listeners.setdefault(trigger.topic, []).append(tell)
        self._given_back[trigger.subscription] = tell_given_back
        self._triggers.append(trigger)

    def listen_no_more(self, trigger: TopicTrigger, tell: Callable[[], None]) -> None:
        """A subscription is another host's; it may come back, to somebody else."""
        told = self._listeners.get(trigger.topic, [])
        if tell in told:
            told.remove(tell)
            self._triggers.remove(trigger)

    async def prepare(self) -> None:
        """Give subscriptions that are new their place: what is published from now on is for them.

        Raises:
            StorageError: the store cannot be read or written.
        """
        wanted = {one.subscription: one for one in self._triggers}
        if not wanted:
            return
        storage, engine = self._engine.storage, self._engine
        places = await storage.places(list(wanted))
        known = {place.name for place in places if place.topic == wanted[place.name].topic}
        # Whatever was published before, each subscription reads anyway, and need not be told of.
        last = self._cursor = await storage.last_position()
        new: dict[Lease, list[Progress]] = {}
        for name, trigger in wanted.items():
            home = engine.find(InstanceId(name))
            if name not in known and home is not None:
                position = 0 if trigger.from_beginning else last
                place = Place(name, trigger.topic, position)
                others = [one.topic for one in places if one.name == name]
                say_kept(engine.observer, place, others)
                new.setdefault(home.lease, []).append(Progress(place=place, at=engine.clock.now()))
        for lease, progress in new.items():
            await storage.write_progress(lease, progress)

    async def note(self, lease: Lease, progress: Progress) -> None:
        """Note how far a subscription is, together with others that want to.

        Raises:
            FencedError: the lease does not hold any more.
            StorageError: it could not be written.
        """
        note = progress, self._engine.loop.create_future()
        self._notes.setdefault(lease, []).append(note)
        if lease not in self._writing:
            self._writing[lease] = self._engine.loop.create_task(
                self._write_notes(lease), name="tenuto-places"
            )
        await note[1]

    async def _write_notes(self, lease: Lease) -> None:
        try:
            while notes := self._notes.pop(lease, None):
                await self._write_together(lease, notes)
        finally:
            del self._writing[lease]

    async def _write_together(self, lease: Lease, notes: list[_Note]) -> None:
        wanted = [note for note in notes if not note[1].done()]
        if not wanted:
            return
        error: Exception | None = None
        try:
            await self._engine.storage.write_progress(lease, [progress for progress, _ in wanted])
        except (FencedError, StorageUnavailableError) as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001 - whoever waits is told
            if len(wanted) > 1:  # it may be the fault of one of them
                for note in wanted:
                    await self._write_together(lease, [note])
                return
            error = failure
        for _, written in wanted:
            if written.done():
                continue
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(error)

    def fed(self) -> None:
        """Something was published, here or by another process."""
        self._is_fed = True
        if self._task is None and not self._is_stopped and self._listeners:
            self._engine.reads += 1
            self._task = self._engine.loop.create_task(self._look(), name="tenuto-topics")

    async def stop(self) -> None:
        """Tell nothing more."""
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _look(self) -> None:
        try:
            while self._is_fed:
                self._is_fed = False
                try:
                    news = await self._engine.storage.topic_news(self._cursor)
                except StorageError:
                    self._is_fed = True  # listeners say so themselves
                    await asyncio.sleep(_AGAIN_SECONDS)
                    continue
                self._cursor = news.cursor
                for topic in news.topics:
                    for tell in self._listeners.get(topic, ()):
                        tell()
                for name in news.given_back:
                    if name in self._given_back:
                        self._given_back[name]()
        finally:
            self._engine.reads -= 1
            self._task = None
