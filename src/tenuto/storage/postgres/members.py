"""The hosts of a hub in PostgreSQL: see ``engine.member_ports``."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from tenuto.engine.member_ports import Census, HostLoad, MemberFacts, Roster
from tenuto.engine.news import EVERYTHING
from tenuto.engine.ports import HostIdentity
from tenuto.engine.rows import Lease
from tenuto.model.errors import SettingsError, StorageError
from tenuto.storage.postgres import owning
from tenuto.storage.postgres.access import Access
from tenuto.storage.postgres.connection import Session
from tenuto.storage.postgres.listening import Listening
from tenuto.storage.postgres.renewal import Renewal, census_of, joining, roster_of

_WAIT_SECONDS: Final = 0.25
_MOST_NAMES: Final = 5


class PostgresMembers:
    """Who is in the hub, and this host among them.

    Args:
        access: To the server.
        renewal: The host's sign of life.
        listening: Tells the others that something has changed.
        seconds: How long a lease holds.
    """

    def __init__(
        self, access: Access, renewal: Renewal, listening: Listening, seconds: float
    ) -> None:
        self._access = access
        self._renewal = renewal
        self._listening = listening
        self._seconds = seconds

    async def join(self, facts: MemberFacts) -> None:
        """Be a member of the hub from now on."""
        seen: dict[str, str] = {}
        while unlike := await self._access.written(lambda session: self._join(session, facts)):
            for row in unlike:
                # One that has died stands there until its lease is over; one that lives goes on.
                if seen.setdefault(row["member"], row["until"]) != row["until"]:
                    raise SettingsError(_conflict(facts, row))
            await asyncio.sleep(_WAIT_SECONDS)
        self._renewal.live_as(facts)
        self._listening.tell(EVERYTHING)

    async def _join(self, session: Session, facts: MemberFacts) -> list[Any]:
        # Crash points: before COMMIT it is no member; after it, it is one that never says a word.
        await session.run("lock_members")
        unlike = await session.rows(
            "unlike_members",
            member=facts.member,
            app_version=facts.app_version,
            orchestrators=list(facts.orchestrators),
        )
        if not unlike:
            await session.run("know_version", app_version=facts.app_version)
            await session.run("join", **joining(facts, self._seconds))
        return unlike

    def on_roster(self, heard: Callable[[Roster], None], load: Callable[[], HostLoad]) -> None:
        """Call back on the host's loop with each new roster."""
        self._renewal.load = load
        self._renewal.heard = heard
        # Not whatever is told: a sign of life is a commit, and hosts would cost the more of them
        # the more the others do.
        self._listening.add(self._renewal.look, lambda written: written.is_about_hosts)

    def look_at_roster(self) -> None:
        """Have a new roster soon."""
        self._renewal.look()

    @property
    def failure(self) -> StorageError | None:
        """Why no sign of life reaches the store."""
        return self._renewal.failure

    def say_leaving(self) -> None:
        """Tell the others that this host gives away what it has."""
        self._renewal.is_leaving = True
        self._renewal.look()

    def give_up(self) -> None:
        """This host cannot go on."""
        self._renewal.give_up()

    async def roster(self) -> Roster:
        """Who is there now."""
        return await self._access.read(roster_of)

    async def census(self) -> Census:
        """The same for people."""
        return await self._access.read(census_of)

    async def outlived(self, lost: Sequence[Lease]) -> None:
        """These were taken from a host that lives."""
        # Crash points: before COMMIT it counts as a death of their owner.
        await self._access.written(
            lambda session: session.run(
                "outlived",
                partitions=[one.partition for one in lost],
                epochs=[one.epoch for one in lost],
            )
        )

    async def acquire_free(self, host: HostIdentity, partitions: Sequence[int]) -> list[Lease]:
        """Own those of these partitions that are free."""

        async def acquire(session: Session) -> list[Lease]:
            return await owning.take(session, host, partitions, self._seconds, only_free=True)

        owned = await self._access.written(acquire)
        if owned:
            self._renewal.renew_for(host.owner)
        return owned


def _conflict(facts: MemberFacts, other: Any) -> str:  # noqa: ANN401 - a row
    mine, theirs = set(facts.orchestrators), set(other["orchestrators"])
    version = f"app version {facts.app_version!r}" if facts.app_version else "the same app version"
    differences = [
        f"{who} {'; '.join(names)}"
        for who, names in (
            ("only the one that starts here knows", _some(mine - theirs)),
            ("only that one knows", _some(theirs - mine)),
        )
        if names
    ]
    return (
        f"another host ({other['description']}) runs on this hub with {version} and other "
        f"orchestrators: {', '.join(differences)}. Hosts of one version must know the same ones. "
        "If this is a new version of the app, say so: App(version=…) or the setting app_version"
    )


def _some(names: set[str]) -> list[str]:
    shown = sorted(names)
    more = len(shown) - _MOST_NAMES
    return [repr(one) for one in shown[:_MOST_NAMES]] + ([f"and {more} more"] if more > 0 else [])
