"""What a host knows of the others on its hub at this moment: for its health and its figures.

Told by its membership; asks nobody.
"""

import asyncio
from collections.abc import Callable

from tenuto.engine.member_ports import Member, Roster
from tenuto.model.errors import StorageError


class Peers:
    """The hosts of a hub as one of them has last heard of them.

    Args:
        me: Its id among them.
        lease_seconds: How long what it serves stays its own without a sign of life.
        failure: Why no sign of life reaches the store, if that is known.
        now: Monotonic seconds.

    Attributes:
        roster: What it has last heard.
    """

    def __init__(
        self,
        me: str,
        lease_seconds: float,
        failure: Callable[[], StorageError | None] = lambda: None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._me = me
        self._now = now or asyncio.get_running_loop().time
        self._heard_at = self._now()
        self.lease_seconds: float = lease_seconds
        self.roster: Roster | None = None
        self.failure: Callable[[], StorageError | None] = failure

    def heard(self, roster: Roster) -> None:
        """A sign of life of ours has reached the store, and this came back."""
        self.roster = roster
        self._heard_at = self._now()

    @property
    def silent_seconds(self) -> float:
        """For how long no sign of life of ours has come back."""
        return self._now() - self._heard_at

    @property
    def hosts(self) -> int:
        """How many hosts live, this one among them."""
        return 1 if self.roster is None else max(1, len(self.roster.members))

    @property
    def free(self) -> int:
        """How many partitions nobody serves."""
        return 0 if self.roster is None else sum(one.is_free for one in self.roster.places)

    @property
    def is_of_older_version(self) -> bool:
        """Whether a host of a newer app version is there."""
        me, others = self._parted()
        return me is not None and any(one.newness > me.newness for one in others)

    @property
    def versions(self) -> str:
        """How this host's app version stands beside those of the others; empty without others."""
        me, others = self._parted()
        if me is None or not others:
            return ""
        newest = max(one.newness for one in others)
        place = "theirs is newer" if newest > me.newness else "this one is the newest now"
        if {one.app_version for one in others} == {me.app_version}:
            place = "the same"
        theirs = ", ".join(sorted({_named(one.app_version) for one in others}))
        return f"version {_named(me.app_version)}; others here run {theirs}; {place}"

    @property
    def is_mixed(self) -> bool:
        """Whether apps with a version meet some without: one of them has forgotten to say it."""
        me, others = self._parted()
        return me is not None and any(
            bool(one.app_version) != bool(me.app_version) for one in others
        )

    def _parted(self) -> tuple[Member | None, list[Member]]:
        members = [] if self.roster is None else self.roster.members
        me = next((one for one in members if one.member == self._me), None)
        return me, [one for one in members if one.member != self._me]


def _named(version: str) -> str:
    return repr(version) if version else "none"
