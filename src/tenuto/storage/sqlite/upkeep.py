"""Upkeep of a file: see ``engine.upkeep``. Each thing is done with a connection of its own, what is
short in a thread.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event

from tenuto.engine.upkeep import (
    Copy,
    Examination,
    FollowedTo,
    Following,
    RedrivenLetters,
    Told,
)
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.timing import Microseconds
from tenuto.storage.sqlite import backup, copies, dead_letters, restoring
from tenuto.storage.sqlite.examination import examine, waiting_messages
from tenuto.storage.sqlite.following.follower import Follower
from tenuto.storage.sqlite.lock import holder


class SqliteUpkeep:
    """Looks after a file.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def owner(self) -> str | None:
        """The host that owns it now, in words; None when none does."""
        return holder(self._path)

    async def examine(self, now: Microseconds, *, full: bool = False) -> Examination:
        """Look it over without touching it."""
        return await asyncio.to_thread(partial(examine, self._path, now, full=full))

    async def waiting(self) -> list[tuple[int, InstanceId]]:
        """The oldest messages that nobody has taken in: arrival number and instance."""
        return await asyncio.to_thread(waiting_messages, self._path)

    async def redrive_letters(self, message_ids: Sequence[MessageId] | None) -> RedrivenLetters:
        """Send dead letters to their instances again, the oldest first."""
        return await asyncio.to_thread(dead_letters.redrive, self._path, message_ids)

    async def acknowledge_letters(
        self, message_ids: Sequence[MessageId] | None, now: Microseconds
    ) -> int:
        """Note that somebody has seen to these dead letters, or with None to all."""
        return await asyncio.to_thread(dead_letters.acknowledge, self._path, message_ids, now)

    async def drop_letters(self, message_ids: Sequence[MessageId] | None) -> int:
        """Delete these dead letters, or with None all; how many there were."""
        return await asyncio.to_thread(dead_letters.purge, self._path, message_ids)

    def back_up(
        self, target: str, now: Callable[[], Microseconds], *, force: bool, told: Told
    ) -> Copy:
        """Copy it into a file."""
        return backup.back_up(self._path, target, now, force=force, told=told)

    def follow(
        self,
        folder: str,
        now: Callable[[], Microseconds],
        stop: Event,
        told: Callable[[Following], None],
    ) -> FollowedTo:
        """Keep a folder up to date with it."""
        return Follower(self._path, folder, now, told).run(stop)

    def restore(
        self,
        source: str,
        now: Callable[[], Microseconds],
        *,
        force: bool,
        accept_loss: bool,
        told: Told,
    ) -> Copy:
        """Make it out of a copy."""
        return restoring.restore(
            source, self._path, now, force=force, accept_loss=accept_loss, told=told
        )

    def accept_loss(self) -> Microseconds | None:
        """Let a copy be started though its host had not stopped; up to when it reaches."""
        return copies.accept_loss(self._path)

    def seal(self) -> None:
        """Make it a store that is looked at and no more."""
        copies.seal(self._path)
