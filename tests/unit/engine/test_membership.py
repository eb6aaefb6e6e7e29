"""What a host makes of rosters, when what it has asked of the store fails half-way."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tenuto import App
from tenuto.engine.engine import Engine
from tenuto.engine.lifecycle import Lifecycle
from tenuto.engine.member_ports import MemberFacts
from tenuto.engine.membership import Membership
from tenuto.engine.options import EngineOptions
from tenuto.engine.ports import HostIdentity
from tenuto.engine.program import RunnerMeans
from tenuto.host.programs import program_of
from tenuto.model.limits import Limits
from tenuto.testing import RecordingObserver
from tenuto.testing.clock import VirtualClock
from tests.support.shared_members import MemberStorage
from tests.support.shared_store import SharedHub

PARTITIONS = 4


class Host:
    """An engine that is a member of a hub."""

    def __init__(self) -> None:
        self.hub = SharedHub(PARTITIONS)
        self.storage = MemberStorage(self.hub)
        self.observer = RecordingObserver()
        clock = VirtualClock()
        means = RunnerMeans(clock=clock, limits=Limits(), webhook_base=lambda: "http://here")
        self.engine = Engine(
            self.storage,
            clock,
            program_of(App()).make_runner(means),
            self.observer,
            EngineOptions(),
            lambda _: None,
        )
        self.lifecycle = Lifecycle(self.engine)
        self.membership = Membership(
            self.engine, self.lifecycle, self.storage.members, "me", 1.0, 1.0
        )

    async def start(self) -> None:
        await self.storage.open()
        facts = MemberFacts(
            member="me", description="me", address=None, app_version="", orchestrators=[]
        )
        await self.storage.members.join(facts)
        identity = HostIdentity(owner="me", description="me", member="me")
        await self.lifecycle.start(identity, hub_partitions=PARTITIONS, partitions=[])
        await self.membership.start()

    async def hear(self) -> None:
        """A roster comes, and what it leads to is done."""
        await self.storage.members.tell()
        for _ in range(200):
            await asyncio.sleep(0)

    @property
    def served(self) -> list[int]:
        return sorted(self.engine.partitions)

    @property
    def owned(self) -> list[int]:
        return [number for number, place in enumerate(self.hub.places) if place.owner is not None]


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    one = Host()
    yield one
    await one.membership.stop(1.0)
    await one.lifecycle.stop(1.0)


async def test_what_was_taken_without_hearing_so_is_served_in_the_end(host: Host) -> None:
    host.storage.members.loses_answer = True
    await host.start()
    assert (host.owned, host.served) == ([0, 1, 2, 3], [])
    await host.hear()
    await host.hear()
    assert host.served == [0, 1, 2, 3]


async def test_what_could_not_be_given_back_is_given_back_later(host: Host) -> None:
    await host.start()
    assert host.served == [0, 1, 2, 3]
    host.storage.members.others = ["other"]
    host.storage.loses_release = True
    await host.hear()
    assert (host.owned, host.served) == ([0, 1, 2, 3], [1, 2, 3])
    await host.hear()
    assert (host.owned, host.served) == ([1, 2, 3], [1, 2, 3])
    await host.hear()
    assert (host.owned, host.served) == ([2, 3], [2, 3])


async def test_an_older_roster_takes_nothing_away_that_came_meanwhile(host: Host) -> None:
    host.storage.members.others = ["other"]
    await host.start()
    older = await host.storage.members.roster()
    host.storage.members.others = []
    await host.hear()
    assert host.served == [0, 1, 2, 3]
    host.storage.members.hear(older)
    assert host.served == [0, 1, 2, 3]
    assert host.observer.problems == []


async def test_what_is_being_taken_is_neither_given_back_nor_taken_once_more(host: Host) -> None:
    host.storage.members.others = ["other"]
    await host.start()
    host.storage.members.others = []
    host.hub.rounds = lambda: 5
    for _ in range(50):  # in between it is ours in the store, and is not served yet
        await host.storage.members.tell()
        await asyncio.sleep(0)
    await host.hear()
    assert (host.owned, host.served) == ([0, 1, 2, 3], [0, 1, 2, 3])
    assert [place.epoch for place in host.hub.places] == [1, 1, 1, 1]
    assert host.storage.members.takes == 2


async def test_a_host_that_stops_takes_nothing_any_more(host: Host) -> None:
    await host.start()
    await host.membership.stop(1.0)
    host.hub.places[0].owner = None
    await host.hear()
    assert (host.owned, host.served) == ([1, 2, 3], [1, 2, 3])


async def test_a_host_that_stops_while_it_takes_leaves_nothing_behind(host: Host) -> None:
    host.storage.members.others = ["other"]
    await host.start()
    host.storage.members.others = []
    host.hub.rounds = lambda: 5
    await host.storage.members.tell()
    await asyncio.sleep(0)
    await host.membership.stop(1.0)
    await host.lifecycle.stop(1.0)
    assert host.owned == []
