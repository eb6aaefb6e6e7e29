"""A host's place among the hosts of its hub: joins, takes its share, gives away, leaves.

Each sign of life brings a roster (``HubMembers.on_roster``), and each roster is looked at the same
way: what another host has by now is dropped, what is ours and too much is given away, one partition
at a time, and what is free is taken up to our share (``engine.balance``). There is no other
protocol: a host that has hung, or was away, finds out by its next roster, and takes part again.
So does one that has something and does not know it, since the store's answer was lost: it gives
that back, and it is free for all.

::

    joined ──▶ roster ──▶ lost? drop ──▶ unknown? back ──▶ too much? give one ──▶ too little? take
                 ▲                                                                            │
                 └─────────────────── a few seconds, or soon after a change ◀─────────────────┘
"""

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import suppress
from typing import Any, Final

from tenuto.engine.balance import Change, change_for
from tenuto.engine.engine import Engine
from tenuto.engine.lifecycle import Lifecycle
from tenuto.engine.member_ports import HostLoad, HubMembers, Roster
from tenuto.engine.peers import Peers
from tenuto.engine.rows import Lease
from tenuto.model.errors import StorageError
from tenuto.model.lines import listed_numbers, one_line
from tenuto.model.timing import MICROSECONDS

_PATIENCE_SECONDS: Final = 5.0


class Membership:
    """This host among the others.

    Args:
        engine: Serves partitions.
        lifecycle: Takes and gives them.
        members: The hub, which was joined.
        me: Our own id there.
        drain_seconds: How long activities may run on in a partition that is given away.
        lease_seconds: How long what is ours stays ours without a sign of life.
    """

    def __init__(
        self,
        engine: Engine,
        lifecycle: Lifecycle,
        members: HubMembers,
        me: str,
        drain_seconds: float,
        lease_seconds: float,
    ) -> None:
        self._engine = engine
        self._lifecycle = lifecycle
        self._members = members
        self._drain_seconds = drain_seconds
        self._me = me
        self._lost: list[Lease] = []
        engine.moves.lost.append(self._lost.append)
        self._peers = engine.peers = Peers(me, lease_seconds, lambda: members.failure)
        self._taking: asyncio.Task[None] | None = None
        self._giving: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._is_leaving = False
        self._given: list[int] = []
        self._known: dict[str, bool] = {}
        self._was_mixed = False

    async def start(self) -> None:
        """Take what is free up to our share; we have joined.

        Raises:
            StorageError: the store cannot be asked.
        """
        roster = await self._members.roster()
        self._peers.heard(roster)
        self._known = _names(roster)
        others = [one.description for one in roster.members if one.member != self._me]
        if others:
            engine = self._engine
            engine.observer.moved(
                f"other hosts are there: {'; '.join(others)}; this one gets its share of "
                f"{engine.hub_partitions} partitions; {self._peers.versions}"
            )
            self._warn_of_versions()
        await self._take(change_for(roster, self._me))
        self._members.on_roster(self._heard, lambda: load_of(self._engine))
        self._members.look_at_roster()

    async def stop(self, seconds: float) -> None:
        """Give everything away, each partition once its activities have ended, or after so long."""
        self._is_leaving = True
        if self._peers.roster is None:
            return
        is_alone = len(self._peers.roster.members) == 1
        if not is_alone:
            self._members.say_leaving()
        # What is being taken or given is not left half-way: the store would do it all the same, and
        # nobody would serve what it has made ours.
        await asyncio.gather(self._moved_on(seconds), *([] if is_alone else self._gives(seconds)))
        if not is_alone:
            await asyncio.gather(*self._gives(seconds))  # what came meanwhile
            self._tell_given()

    def give_up(self) -> None:
        """The host cannot go on: others take over what it had, now."""
        self._is_leaving = True
        self._members.give_up()

    async def abandon(self) -> None:
        """Go as a process goes that dies."""
        self._is_leaving = True
        await self._end_moving()

    def _gives(self, seconds: float) -> list[Coroutine[Any, Any, None]]:
        return [self._give(number, seconds) for number in list(self._engine.partitions)]

    async def _moved_on(self, seconds: float) -> None:
        """Wait for the moves that are being made; not for long, if the store does not answer."""
        moving = [one for one in (self._taking, self._giving) if one is not None]
        if moving:
            await asyncio.wait(moving, timeout=seconds + _PATIENCE_SECONDS)
            await self._end_moving()

    async def _end_moving(self) -> None:
        for task in (self._taking, self._giving, self._telling):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    # --- rosters -----------------------------------------------------------------------------

    def _heard(self, roster: Roster) -> None:
        """A new roster has come."""
        if self._engine.gone is not None:
            return
        self._tell_of_others(roster)
        self._peers.heard(roster)
        self._warn_of_versions()
        self._drop_lost(roster)
        if self._is_leaving:
            return
        if self._lost and self._telling is None:
            self._telling = self._engine.loop.create_task(self._tell_outlived())
        if self._taking is None and self._giving is None and (unknown := self._unknown(roster)):
            self._giving = self._begin(self._give_back(unknown))
            return
        change = change_for(roster, self._me)
        if not change.surplus:
            self._tell_given()
        # Apart: what is given away may have to wait for its activities, and the dead wait for
        # nobody.
        if change.take and self._taking is None:
            self._taking = self._begin(self._take(change))
        if change.surplus and self._giving is None and self._engine.partitions:
            self._giving = self._begin(self._give(self._cheapest(), self._drain_seconds))

    def _begin(self, moving: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = self._engine.loop.create_task(moving, name="tenuto-balance")
        task.add_done_callback(self._moved)
        return task

    def _moved(self, task: "asyncio.Task[None]") -> None:
        if task is self._taking:
            self._taking = None
        else:
            self._giving = None
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._engine.observer.problem(None, f"partitions could not be balanced: {error!r}")
        elif not self._is_leaving:
            self._members.look_at_roster()  # there may be more to do

    def _tell_of_others(self, roster: Roster) -> None:
        """Say who has come and who has gone."""
        now = _names(roster)
        for who in sorted(now.keys() - self._known):
            self._engine.observer.moved(f"another host is there: {who}")
        for who in sorted(self._known.keys() - now):
            became = "left" if self._known[who] else "died"
            self._engine.observer.moved(f"a host has {became}: {who}")
        self._known = now

    def _warn_of_versions(self) -> None:
        """Say once, as long as it is so, that somebody has forgotten to name a version."""
        was_mixed, self._was_mixed = self._was_mixed, self._peers.is_mixed
        if self._was_mixed and not was_mixed:
            self._engine.observer.notice(
                f"apps with a version and some without run on this hub ({self._peers.versions}): "
                "partitions go to the newest, whichever that is. Give every host one: "
                "App(version=…) or the setting app_version"
            )

    def _drop_lost(self, roster: Roster) -> None:
        """Let go of what another host has by now, even when nothing of it was to be written."""
        engine = self._engine
        for place in roster.places:
            home = engine.partitions.get(place.partition)
            if home is None or place.epoch < home.lease.epoch:
                continue  # it was taken after the roster was read
            if place.epoch > home.lease.epoch or place.owner != home.lease.owner:
                engine.observer.problem(
                    None,
                    f"partition {place.partition} has gone to another host, since this one gave "
                    "no sign of life for longer than its lease; its instances go on there",
                )
                engine.lose(place.partition)

    def _unknown(self, roster: Roster) -> list[Lease]:
        """What is ours in the store, and nobody serves it: we took it, or wanted to give it back,
        and have not heard that it is so. Nothing moves now, so it is not on its way either.
        """
        return [
            Lease(place.partition, place.owner, place.epoch)
            for place in roster.places
            if place.member == self._me
            and place.owner is not None
            and place.partition not in self._engine.partitions
        ]

    async def _tell_outlived(self) -> None:
        """Tell that we live, who have lost these: their instances have ended no host."""
        lost = list(self._lost)
        try:
            await self._members.outlived(lost)
        except StorageError:
            pass  # with the next roster
        else:
            del self._lost[: len(lost)]
        finally:
            self._telling = None

    # --- moves --------------------------------------------------------------------------------

    async def _give_back(self, unknown: list[Lease]) -> None:
        """Let everybody have it, us too. If it is not ours any more, nothing happens."""
        with suppress(StorageError):  # the next roster shows it again
            await self._engine.storage.release(unknown)

    async def _take(self, change: Change) -> None:
        if not change.take:
            return
        try:
            taken = await self._lifecycle.take_free(change.take)
        except StorageError as error:
            self._engine.observer.problem(
                None, f"partitions could not be taken, tried again soon: {one_line(str(error))}"
            )
            return
        if taken:
            owned = len(self._engine.partitions)
            self._engine.observer.moved(
                f"took {_partitions(taken)}; {owned} of {self._engine.hub_partitions} are "
                "served here now"
            )

    async def _give(self, partition: int, seconds: float) -> None:
        engine = self._engine
        try:
            running = await self._lifecycle.give(partition, seconds)
        except StorageError as error:
            engine.observer.problem(
                None,
                f"partition {partition} could not be given back, and goes to another host when its "
                f"lease ends: {one_line(str(error))}",
            )
            return
        self._given.append(partition)
        if running:
            engine.observer.problem(
                None,
                f"partition {partition} was given away while {running} of its activities ran on, "
                f"after {seconds:g} s; they run again on the host that takes it",
            )

    def _tell_given(self) -> None:
        """Say in one line what was given away, one after another."""
        if self._given:
            engine = self._engine
            engine.observer.moved(
                f"gave {_partitions(self._given)} to other hosts; "
                f"{len(engine.partitions)} of {engine.hub_partitions} are served here now"
            )
            self._given = []

    def _cheapest(self) -> int:
        """The partition that is quickest to give: with the fewest activities, then instances."""

        def cost(number: int) -> tuple[int, int, int]:
            residents = self._engine.partitions[number].residents
            return sum(len(one.works) for one in residents), len(residents), number

        return min(self._engine.partitions, key=cost)


def load_of(engine: Engine) -> HostLoad:
    """How busy a host is at this moment."""
    since = engine.waiting_since
    waited = 0.0 if since is None else max(0, engine.clock.now() - since) / MICROSECONDS
    return HostLoad(
        instances=len(engine.residents),
        activities=engine.running,
        ready=engine.ready,
        waited=round(waited, 3),
        busy=engine.busy_partitions,
    )


def _partitions(numbers: Collection[int]) -> str:
    word = "partition" if len(numbers) == 1 else "partitions"
    return f"{word} {listed_numbers(numbers)}"


def _names(roster: Roster) -> dict[str, bool]:
    """Who is there, and whether it says goodbye: it gives away what it has, or has nothing."""
    having = {place.member for place in roster.places}
    return {one.description: one.is_leaving or one.member not in having for one in roster.members}
