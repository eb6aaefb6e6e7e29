"""The hosts of a hub in memory: who lives is what a test says, and rosters come when it says so."""

import asyncio
from collections.abc import Callable, Sequence

from tenuto.engine import member_ports
from tenuto.engine.member_ports import HostLoad, MemberFacts, Roster
from tenuto.engine.ports import HostIdentity
from tenuto.engine.rows import Lease
from tenuto.model.errors import StorageError, StorageUnavailableError
from tests.support.shared_store import Place, SharedHub, SharedStorage


class SharedMembers:
    """The members of a hub, as one of them has them: see ``HubMembers``.

    Attributes:
        others: Members that live beside it, and own nothing that is not theirs in the hub.
        loses_answer: The next time partitions are acquired, nobody hears of it.
        takes: How often partitions were to be acquired.
    """

    def __init__(self, storage: "MemberStorage") -> None:
        self._storage = storage
        self._me = ""
        self._heard: Callable[[Roster], None] = lambda _: None
        self.others: list[str] = []
        self.loses_answer = False
        self.takes = 0
        self.is_leaving = False
        self.failure: StorageError | None = None

    async def join(self, facts: MemberFacts) -> None:
        """Be a member."""
        self._me = facts.member

    def on_roster(self, heard: Callable[[Roster], None], load: Callable[[], HostLoad]) -> None:
        """Call back when the test says so (``tell``)."""
        self._heard = heard

    def look_at_roster(self) -> None:
        """The test says when."""

    def say_leaving(self) -> None:
        """Noted."""
        self.is_leaving = True

    async def tell(self) -> None:
        """A new roster comes."""
        self.hear(await self.roster())

    def hear(self, roster: Roster) -> None:
        """This one comes."""
        self._heard(roster)

    async def roster(self) -> Roster:
        """Who is there now."""
        hub = self._storage.hub
        members = [member_ports.Member(member=self._me, is_leaving=self.is_leaving)]
        members += [member_ports.Member(member=one) for one in self.others]
        places = [self._place(number, place) for number, place in enumerate(hub.places)]
        return Roster(members, places)

    async def outlived(self, lost: Sequence[Lease]) -> None:
        """Nobody counts deaths here."""

    def give_up(self) -> None:
        """These hosts go on."""

    async def census(self) -> member_ports.Census:
        """Nobody looks at these hosts."""
        return member_ports.Census(at=0, hosts=[], places=[])

    def _place(self, number: int, place: Place) -> member_ports.Place:
        owner = place.owner
        member = None if owner is None else owner.partition(".")[0]
        return member_ports.Place(number, place.epoch, owner is None, member, owner)

    async def acquire_free(self, host: HostIdentity, partitions: Sequence[int]) -> list[Lease]:
        """Own those of these that nobody has."""
        self.takes += 1
        places = self._storage.hub.places
        free = [number for number in partitions if places[number].owner is None]
        # As a server does what it was asked for, whether somebody waits for the answer or not.
        leases = await asyncio.shield(asyncio.ensure_future(self._storage.acquire(host, free)))
        if self.loses_answer:
            self.loses_answer = False
            raise StorageUnavailableError("the answer is lost")
        return leases


class MemberStorage(SharedStorage):
    """A handle on a hub that several hosts share.

    Attributes:
        loses_release: The next release is not done.
    """

    def __init__(self, hub: SharedHub) -> None:
        super().__init__(hub)
        self._members = SharedMembers(self)
        self.loses_release = False

    @property
    def members(self) -> SharedMembers:
        """The hosts of the hub."""
        return self._members

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give back, or fail."""
        if self.loses_release:
            self.loses_release = False
            raise StorageUnavailableError("the store does not answer")
        await super().release(leases)
