"""A host's sign of life, from a thread of its own, with a connection and a loop of its own.

So no user code that holds the host's loop up makes its partitions another host's. But a loop that
has not answered for long is no owner: then nothing is renewed, and others take over. With each
sign of life comes the roster: who else lives, and who has what.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVarTuple

import msgspec

from tenuto.engine.member_ports import (
    Census,
    HostLoad,
    KnownHost,
    KnownPlace,
    Member,
    MemberFacts,
    Place,
    Roster,
)
from tenuto.model.errors import StorageError, StorageLostError, StorageVersionError
from tenuto.storage.postgres.address import Address
from tenuto.storage.postgres.connection import Connection, Session, patience_within
from tenuto.storage.postgres.failing import Failing
from tenuto.storage.sharing import Sharing

_LOGGER: Final = logging.getLogger("tenuto.host")
_BEAT: Final = 0.3
"""Of a lease: after so long it is renewed."""

_FORGET_EVERY: Final = 100
_LOOK_BACK_EVERY: Final = 20
_A_MOMENT: Final = 0.02
Given = TypeVarTuple("Given")
_MEMBERS: Final = msgspec.json.Decoder(list[Member])
_PLACES: Final = msgspec.json.Decoder(list[Place])
_KNOWN_HOSTS: Final = msgspec.json.Decoder(list[KnownHost])
_KNOWN_PLACES: Final = msgspec.json.Decoder(list[KnownPlace])


class Renewal:
    """Renews the leases of a host's owners, and its membership.

    Args:
        address: Of the store.
        sharing: How long a lease holds, and when a host is taken for blocked.

    Attributes:
        heard: Called on the host's loop with each new roster.
        load: Asked on the host's loop how busy it is.
        is_leaving: The host gives away what it has.
        life: The hub's: another one in its place is not it.
        lost: Called on the host's loop when the hub is not there any more.
        look_back: Called there now and then: whether the hub has what it had acknowledged.
    """

    def __init__(self, address: Address, sharing: Sharing) -> None:
        self._address = address
        self._lease = sharing.lease_seconds
        self._beat = sharing.lease_seconds * _BEAT
        self._blocked = sharing.blocked_seconds
        self._owners: frozenset[str] = frozenset()
        self._member: MemberFacts | None = None
        self._thread: threading.Thread | None = None
        self._host: asyncio.AbstractEventLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._is_stopping = False
        self._asked_at: float | None = None
        self._load = HostLoad()
        self._beats = 0
        self._store = f"the store {address.url!r}" + (
            " by storage_direct" if address.direct_dsn else ""
        )
        self._failing = Failing(
            f"signs of life of this host do not reach {self._store}",
            f"signs of life of this host reach {self._store} again",
            _LOGGER,
        )
        self.heard: Callable[[Roster], None] | None = None
        self.load: Callable[[], HostLoad] = HostLoad
        self.is_leaving: bool = False
        self.life: str | None = None
        self.lost: Callable[[StorageError], None] | None = None
        self.look_back: Callable[[], None] | None = None

    @property
    def failure(self) -> StorageError | None:
        """Why no sign of life reaches the store; None while they do."""
        return self._failing.error

    @property
    def owners(self) -> frozenset[str]:
        """Whose leases are renewed."""
        return self._owners

    def renew_for(self, owner: str) -> None:
        """Renew the leases of this owner, too."""
        self._owners |= {owner}
        self._begin()

    def live_as(self, member: MemberFacts) -> None:
        """The host is this member of the hub."""
        self._member = member
        self._begin()

    def look(self) -> None:
        """Have a sign of life and a roster soon; from the host's loop."""
        loop, wake = self._loop, self._wake
        if loop is not None and wake is not None:
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(wake.set)

    def _begin(self) -> None:
        if self._thread is None:
            self._host = asyncio.get_running_loop()
            self._is_stopping = False
            self._thread = threading.Thread(target=self._run, name="tenuto-leases", daemon=True)
            self._thread.start()

    def give_up(self) -> None:
        """The host cannot go on, though its process lives: others take over what it had."""
        self._is_stopping = True
        self.look()

    async def stop(self) -> None:
        """Renew nothing any more."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self.give_up()
        await asyncio.get_running_loop().run_in_executor(None, thread.join, self._lease)

    def _run(self) -> None:
        asyncio.run(self._renew())

    async def _renew(self) -> None:
        self._loop = asyncio.get_running_loop()
        wake = self._wake = asyncio.Event()
        connection = Connection(self._address, "leases", patience_within(self._lease))
        try:
            while not self._is_stopping:
                pause = self._beat
                if self._host_answers():
                    try:
                        roster = await connection.do(self._once, "renew leases in")
                    except (StorageLostError, StorageVersionError) as error:
                        self._failing.failed(error)
                        self._on_host(self.lost, error)
                    except StorageError as error:
                        pause = self._beat / 3
                        self._failing.failed(error)
                    except Exception:  # a host without this thread would lose all, again and again
                        _LOGGER.exception("leases were not renewed for a reason nobody knew of")
                        pause = self._beat / 3
                    else:
                        self._failing.works()
                        self._tell(roster)
                        pause = min(pause, self._until_a_lease_ends(roster))
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await wake.wait()
                wake.clear()
        finally:
            # Whoever comes next need not wait for the leases; they are not given back either.
            with suppress(StorageError):
                await connection.do(self._end, "end leases in")
            await connection.close()

    async def _end(self, session: Session) -> None:
        if self._owners:
            await session.run("end_leases", owners=list(self._owners))
        if self._member is not None:
            await session.run("leave", member=self._member.member)

    async def _once(self, session: Session) -> Roster | None:
        member = self._member
        found = await session.row(
            "live_on",
            owners=list(self._owners),
            member=None if member is None else member.member,
            is_leaving=self.is_leaving,
            load=msgspec.json.encode(self._load).decode(),
            seconds=self._lease,
        )
        if found is None or found["incarnation"] != self.life:
            raise StorageLostError(
                f"{self._store} has another hub where this host's was: it was dropped, and made "
                "anew or restored; start the host anew"
            )
        if member is None:
            return None
        if found["member"] is None:  # it was taken for dead, for long, and lives
            await session.run("join", **joining(member, self._lease))
        self._beats += 1
        if not self._beats % _LOOK_BACK_EVERY:
            self._on_host(self.look_back)
        if not self._beats % _FORGET_EVERY:
            await session.run("forget_members")
        return await roster_of(session)

    def _until_a_lease_ends(self, roster: Roster | None) -> float:
        """Seconds until something is free that has a host, unless that gives a sign of life."""
        if roster is None:
            return self._beat
        lasting = (one.ends_in for one in roster.places if one.owner not in self._owners)
        ends = min((one for one in lasting if one is not None and one > 0), default=self._beat)
        return ends + _A_MOMENT

    def _host_answers(self) -> bool:
        """Ask the host's loop; whether it has answered lately."""
        host = self._host
        if host is None or host.is_closed():
            return False
        assert self._loop is not None
        now = self._loop.time()
        asked_at = self._asked_at
        if asked_at is None:
            self._asked_at = now
            host.call_soon_threadsafe(self._answer)
        return asked_at is None or now - asked_at < self._blocked

    def _answer(self) -> None:
        self._asked_at = None
        self._load = self.load()

    def _tell(self, roster: Roster | None) -> None:
        if roster is not None:
            self._on_host(self.heard, roster)

    def _on_host(self, call: Callable[[*Given], None] | None, *given: *Given) -> None:
        host = self._host
        if call is not None and host is not None and not host.is_closed():
            host.call_soon_threadsafe(call, *given)


def joining(member: MemberFacts, seconds: float) -> dict[str, object]:
    """What a host says of itself, as arguments of a statement."""
    return {**msgspec.structs.asdict(member), "seconds": seconds}


async def roster_of(session: Session) -> Roster:
    """Who is there now, and who has what."""
    row = await session.row("roster")
    assert row is not None, "it has no condition"
    return Roster(_MEMBERS.decode(row["members"] or "[]"), _PLACES.decode(row["places"] or "[]"))


async def census_of(session: Session) -> Census:
    """Who is there now, who was lately, and who has what."""
    row = await session.row("census")
    assert row is not None, "it has no condition"
    hosts = _KNOWN_HOSTS.decode(row["hosts"] or "[]")
    return Census(at=row["at"], hosts=hosts, places=_KNOWN_PLACES.decode(row["places"] or "[]"))
