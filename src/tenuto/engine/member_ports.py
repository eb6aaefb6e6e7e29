"""What an engine needs of a store that several hosts share: who they are, and who has what.

A store that only one host can own has nothing of this.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from tenuto.engine.ports import HostIdentity
from tenuto.engine.rows import Lease
from tenuto.model.errors import StorageError
from tenuto.model.timing import Microseconds


class MemberFacts(Struct, frozen=True, kw_only=True):
    """What a host says of itself when it joins.

    Attributes:
        member: Its id; no other host has ever had it.
        description: For people: machine and process.
        address: Where its HTTP server can be reached; None without one.
        app_version: Of the app that it runs.
        orchestrators: Names of the orchestrators that it can run, sorted.
    """

    member: str
    description: str
    address: str | None
    app_version: str
    orchestrators: Sequence[str]


class HostLoad(Struct, frozen=True, kw_only=True):
    """How busy a host is, in figures for people.

    Attributes:
        instances: In memory.
        activities: That run or wait for room.
        ready: Instances that wait for a turn.
        waited: Since so many seconds the oldest of them.
        busy: Partitions whose instances these are; null where a host of an older version does not
            tell.
    """

    instances: int = 0
    activities: int = 0
    ready: int = 0
    waited: float = 0.0
    busy: int | None = None


class Member(Struct, frozen=True, kw_only=True):
    """A host of a hub that lives.

    Attributes:
        member: Its id.
        description: For people: machine and process.
        address: Where its HTTP server can be reached; None without one.
        app_version: Of the app that it runs.
        newness: Higher when the first host of its app version has joined the hub later.
        joined_at: When it has joined.
        is_leaving: Whether it gives away what it has.
        load: How busy it was a moment ago.
    """

    member: str
    description: str = ""
    address: str | None = None
    app_version: str = ""
    newness: int = 0
    joined_at: Microseconds = 0
    is_leaving: bool = False
    load: HostLoad = HostLoad()


class Place(Struct, frozen=True):
    """Who has a partition.

    Attributes:
        partition: Which.
        epoch: How often it was taken.
        is_free: Whether it may be taken: nobody has it, or whoever had has not renewed its lease.
        ends_in: Seconds until the lease of who has it ends, unless it is renewed; None without one.
        member: The host that has it, or had it last before it died; None when it was given back.
        owner: The name under which that host commits.
    """

    partition: int
    epoch: int
    is_free: bool
    member: str | None = None
    owner: str | None = None
    ends_in: float | None = None


class Roster(Struct, frozen=True):
    """The hosts of a hub that live, and who has which partition, at one moment.

    Attributes:
        members: In the order in which they have joined.
        places: By partition, from 0.
    """

    members: Sequence[Member]
    places: Sequence[Place]


class KnownHost(Member, frozen=True, kw_only=True):
    """A host as people and explanations want to know it; it may have died lately.

    Attributes:
        orchestrators: Names of the orchestrators that it can run.
        heard_at: When it gave its last sign of life.
        lives_until: Until when that holds, or held.
        is_alive: Whether that is still to come.
    """

    orchestrators: Sequence[str] = ()
    heard_at: Microseconds = 0
    lives_until: Microseconds = 0
    is_alive: bool = True

    @property
    def label(self) -> str:
        """Who it is, for people: with its app version where it has one."""
        version = f", app version {self.app_version}" if self.app_version else ""
        return f"{self.description}{version}"


class KnownPlace(Struct, frozen=True, kw_only=True):
    """Who serves a partition, or did last.

    Attributes:
        partition: Which.
        is_free: Whether nobody serves it now.
        member: The host that has it or had it last; None when it was given back.
        description: Of that host, for people; empty when nobody is known.
        until: When its lease ends, or ended, or it was given back; None: nobody ever had it.
    """

    partition: int
    is_free: bool
    member: str | None = None
    description: str = ""
    until: Microseconds | None = None


class Census(Struct, frozen=True, kw_only=True):
    """The hosts of a hub and its partitions at one moment, for people; see ``Roster`` for hosts.

    Attributes:
        at: When, by the store's clock.
        hosts: In the order in which they have joined; those that died a while ago, too.
        places: By partition, from 0.
    """

    at: Microseconds
    hosts: Sequence[KnownHost]
    places: Sequence[KnownPlace]

    @property
    def alive(self) -> list[KnownHost]:
        """The hosts that live."""
        return [one for one in self.hosts if one.is_alive]

    def serving(self, partition: int) -> KnownHost | None:
        """The host that serves a partition now; None when none does."""
        place = self.places[partition]
        if place.is_free:
            return None
        return next((one for one in self.hosts if one.member == place.member), None)

    def knowing(self, orchestrator: str) -> list[KnownHost]:
        """The hosts that live and can run an orchestrator."""
        return [one for one in self.alive if orchestrator in one.orchestrators]


class HubMembers(Protocol):
    """The hosts of a hub, and this one among them."""

    async def join(self, facts: MemberFacts) -> None:
        """Be a member of the hub from now on, until the store is closed or the process ends.

        Raises:
            SettingsError: a living host of the same app version knows other orchestrators.
            StorageError: the store cannot be asked.
        """

    def on_roster(self, heard: Callable[[Roster], None], load: Callable[[], HostLoad]) -> None:
        """Call back on the host's loop with each new roster: every few seconds, and soon after
        another host has joined, left, or given something away.

        Args:
            heard: Is given the roster.
            load: Asked on the host's loop how busy it is.
        """

    def look_at_roster(self) -> None:
        """Have a new roster soon."""

    @property
    def failure(self) -> StorageError | None:
        """Why no sign of life of this host reaches the store; None while they do."""

    def say_leaving(self) -> None:
        """Tell the others that this host gives away what it has."""

    def give_up(self) -> None:
        """This host cannot go on, though its process lives: it is a member no more."""

    async def roster(self) -> Roster:
        """Who is there now; for everybody who has opened the store."""

    async def census(self) -> Census:
        """The same for people: with those who died lately, and since when nobody serves what."""

    async def outlived(self, lost: Sequence[Lease]) -> None:
        """These were taken from a host that lives: that was no death of their owner."""

    async def acquire_free(self, host: HostIdentity, partitions: Sequence[int]) -> list[Lease]:
        """Own those of these partitions that are free, in a new epoch each."""


@runtime_checkable
class TellsOthers(Protocol):
    """A store whose processes tell each other what they have written."""

    @property
    def mute(self) -> StorageError | None:
        """Why that cannot be told now, so that all look for themselves; None while it can."""


@runtime_checkable
class HasMembers(Protocol):
    """A store that several hosts share."""

    @property
    def members(self) -> HubMembers:
        """Its hosts; once it is open."""
