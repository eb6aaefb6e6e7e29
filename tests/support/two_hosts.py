"""Engines that own parts of one store, on one virtual clock, in one loop.

No host, no HTTP: what matters here is who owns which partition, and when.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from msgspec import Raw

from tenuto import App
from tenuto.engine.commands import Commands
from tenuto.engine.engine import Engine
from tenuto.engine.lifecycle import Lifecycle
from tenuto.engine.options import EngineOptions
from tenuto.engine.ports import HostIdentity
from tenuto.engine.program import RunnerMeans
from tenuto.engine.rows import CommitBatch, InboxRow
from tenuto.host.programs import program_of
from tenuto.model.codec import encode
from tenuto.model.errors import RowsRefusedError, StorageError, StorageUnavailableError
from tenuto.model.events import EventRaised
from tenuto.model.ids import InstanceId, MessageId, new_execution_id, partition_of
from tenuto.model.limits import Limits
from tenuto.model.messages import Message, RaiseEvent
from tenuto.model.status import InstanceRecord
from tenuto.model.topics import PublishedEvent
from tenuto.testing import RecordingObserver
from tenuto.testing.clock import VirtualClock
from tests.support.shared_store import SharedHub

_SECOND: Final = 1_000_000
_ROUNDS: Final = 60
_SECONDS: Final = 400
_PAUSE: Final = 0.01


class FussyHub(SharedHub):
    """A store that can hold no custom status: a batch with one is refused for its instance."""

    def _check(self, batch: CommitBatch) -> None:
        rows = [(row.iid, row.custom_status) for row in (*batch.instances, *batch.replaced)]
        rows += [(row.iid, row.custom_status) for row in batch.updates]
        spoiled = {iid: "it is spoiled" for iid, status in rows if status is not None}
        if spoiled:
            raise RowsRefusedError("the store cannot hold some rows", instances=spoiled)
        super()._check(batch)


class Member:
    """An engine that owns some partitions.

    Attributes:
        failures: So many of the next things that it asks of the store fail.
    """

    def __init__(
        self, hub: SharedHub, clock: VirtualClock, app: App, name: str, limits: Limits
    ) -> None:
        self.name = name
        self.observer = RecordingObserver()
        self.lost: list[StorageError] = []
        self._hub = hub
        self.failures = 0
        self._storage = hub.handle()
        self._storage.is_away = self._is_away
        means = RunnerMeans(
            clock=clock, limits=limits, webhook_base=lambda: "http://127.0.0.1:7071"
        )
        self.engine = Engine(
            self._storage,
            clock,
            program_of(app).make_runner(means),
            self.observer,
            EngineOptions(limits=limits),
            self.lost.append,
        )
        self.lifecycle = Lifecycle(self.engine)
        self.commands = Commands(self.engine)

    async def start(self, partitions: Sequence[int]) -> None:
        """Own these, and serve them."""
        await self._storage.open()
        identity = HostIdentity(owner=self.name, description=self.name)
        await self.lifecycle.start(
            identity, hub_partitions=self._hub.partitions, partitions=partitions
        )

    def _is_away(self) -> bool:
        self.failures -= 1
        return self.failures >= 0

    @property
    def owned(self) -> list[int]:
        """What the store says that it owns."""
        places = self._hub.places
        return [number for number, place in enumerate(places) if place.holder is self._storage]


class Cluster:
    """Members on one hub, with clients that know only the store."""

    def __init__(
        self, hub: SharedHub, app: App, names: Sequence[str], limits: Limits | None = None
    ) -> None:
        self.hub = hub
        self._app = app
        self._limits = limits or Limits()
        self.clock = VirtualClock()
        self.members = [Member(hub, self.clock, app, name, self._limits) for name in names]
        self._outside = hub.handle()
        self._messages = 0

    async def start(self) -> None:
        """Each member takes its share."""
        await self._outside.open()
        for number, member in enumerate(self.members):
            await member.start(range(self.hub.partitions)[number :: len(self.members)])

    async def stop(self) -> None:
        """As hosts stop."""
        for member in self.members:
            await member.lifecycle.stop(1.0)
        await self._outside.close()

    async def crash(self, number: int) -> None:
        """A member goes as a process dies; another one takes what it had."""
        old = self.members[number]
        owned = old.owned
        for partition in owned:  # after a while: who dies young makes the next one careful
            self.hub.places[partition].served = True
        await old.lifecycle.abandon()
        name = old.name
        while True:  # whoever cannot start is started again
            name += "+"
            new = Member(self.hub, self.clock, self._app, name, self._limits)
            self.members[number] = new
            try:
                await new.start(owned)
            except StorageUnavailableError:
                await new.lifecycle.abandon()
            else:
                return

    async def begin(self, name: str, instance_id: str, text: str) -> None:
        """Start an instance, as a client of the store does."""
        now = self.clock.now()
        checked = InstanceId(instance_id)
        await self._outside.start_instance(
            InstanceRecord(
                iid=0,
                instance_id=checked,
                partition=partition_of(checked, self.hub.partitions),
                name=name,
                execution_id=new_execution_id(now),
                created_at=now,
                updated_at=now,
                root_id=checked,
                input=text,
            )
        )

    async def tell(self, instance_id: str, name: str, text: str) -> None:
        """Raise an event, as a client of the store does."""
        event = EventRaised(name, text)
        await self.send(instance_id, lambda key: RaiseEvent(message_id=key, event=event))

    async def send(self, instance_id: str, make: Callable[[MessageId], Message]) -> None:
        """Send a message, as a client of the store does."""
        self._messages += 1
        key, to = MessageId(f"outside-{self._messages}"), InstanceId(instance_id)
        partition = partition_of(to, self.hub.partitions)
        await self._outside.append([InboxRow(key, partition, to, Raw(encode(make(key))))])

    async def publish(self, *events: PublishedEvent) -> None:
        """Publish events, as a client of the store does."""
        await self._outside.publish(events, [])

    async def rounds(self, count: int) -> None:
        """Let the loop go round."""
        for _ in range(count):
            await asyncio.sleep(0)

    def pass_time(self, seconds: int) -> None:
        """Time passes for all of them."""
        self.clock.jump(self.clock.now() + seconds * _SECOND)

    async def take_what_is_left(self) -> None:
        """What nobody serves, after takes that have failed, is taken by whoever is there."""
        for member in self.members:
            member.failures = 0
        for number, place in enumerate(self.hub.places):
            owners = [one for one in self.members if number in one.owned]
            if place.owner is None or not owners or number not in owners[0].engine.partitions:
                await self._take(number)

    async def _take(self, number: int) -> None:
        """By the first who can: one that owns nothing any more finds out, and has ended."""
        for member in self.members:
            taking = asyncio.create_task(member.lifecycle.take([number]))
            while not taking.done():  # a commit that has failed is tried again after a pause
                await self.rounds(10)
                self.pass_time(1)
            with suppress(StorageError):
                await taking
                return
        raise AssertionError(f"nobody can take partition {number}")

    async def settle(self) -> None:
        """Until every instance has ended and no message is left.

        Raises:
            AssertionError: that does not come.
        """
        for second in range(_SECONDS):
            await self.rounds(_ROUNDS)
            if second > _SECONDS // 4:  # pauses after a failure are of real time
                await asyncio.sleep(_PAUSE)
            if not self.hub.inbox and not self.unfinished():
                await self.rounds(_ROUNDS)
                return
            self.pass_time(1)
        left = {one.instance_id: (one.name, one.status.label) for one in self.unfinished()}
        raise AssertionError(f"these do not end: {left}; inbox: {list(self.hub.inbox.values())}")

    def unfinished(self) -> list[InstanceRecord]:
        """Who has not ended, says the store."""
        return [one for one in self.hub.instances.values() if not one.status.is_finished]
