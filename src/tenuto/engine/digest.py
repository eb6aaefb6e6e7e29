"""How much batches have changed, for listeners who need no more than that.

A listener to the list is told of each instance; on a busy host that is thousands of updates a
second, made for somebody who may only want to know that it is time to look again. A digest counts
the rows of a batch, and a listener who reads slowly gets the sum. Pure but for who waits.
"""

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Self

from msgspec import Struct

from tenuto.engine.batch import Batch
from tenuto.engine.update import Update
from tenuto.model.status import InstanceRecord, RuntimeStatus


class Digest(Struct, frozen=True, kw_only=True):
    """How many instances' rows were written, each counted once for each commit.

    Attributes:
        changed: All of them, those that were purged included.
        ended: Those that have ended with it, or before.
        failed: Those of them that failed.
        held: Those that are held.
        purged: Those that are no more.
        elsewhere: Something may have changed at other hosts, too.
    """

    changed: int = 0
    ended: int = 0
    failed: int = 0
    held: int = 0
    purged: int = 0
    elsewhere: bool = False

    def __add__(self, other: "Digest") -> "Digest":
        return Digest(
            changed=self.changed + other.changed,
            ended=self.ended + other.ended,
            failed=self.failed + other.failed,
            held=self.held + other.held,
            purged=self.purged + other.purged,
            elsewhere=self.elsewhere or other.elsewhere,
        )


NOTHING = Digest()


def digest_of(batch: Batch, refused: AbstractSet[int]) -> Digest:
    """What a batch has changed; ``refused`` are the instances whose rows were left out of it."""
    ended = failed = held = changed = 0
    for iid, row in (batch.updates | batch.instances | batch.replaced).items():
        if iid in refused:
            continue
        changed += 1
        ended += row.status.is_finished
        failed += row.status is RuntimeStatus.FAILED
        held += row.hold is not None
    purged = len(batch.purged)
    return Digest(changed=changed + purged, ended=ended, failed=failed, held=held, purged=purged)


def digest_of_updates(updates: Sequence[Update]) -> Digest:
    """The same of updates."""
    rows = [update.record for update in updates if update.record is not None]
    return Digest(
        changed=len(updates),
        ended=sum(row.status.is_finished for row in rows),
        failed=sum(row.status is RuntimeStatus.FAILED for row in rows),
        held=sum(row.hold is not None for row in rows),
        purged=sum(update.is_purged for update in updates),
    )


def digest_of_row(record: InstanceRecord) -> Digest:
    """What an instance changes that another process has inserted."""
    return Digest(changed=1, held=int(record.hold is not None))


class DigestSubscription:
    """The digests of one listener: an async iterator. Made by ``UpdateFeed``.

    Each is the sum of what came since the last one. The iterator ends after ``close``, and when the
    host stops.
    """

    def __init__(self, forget: Callable[["DigestSubscription"], None]) -> None:
        self._forget = forget
        self._sum = NOTHING
        self._is_ended = False
        self._stirred = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Digest:
        await self._stirred.wait()
        if self._is_ended:
            raise StopAsyncIteration
        self._stirred.clear()
        found, self._sum = self._sum, NOTHING
        return found

    def add(self, digest: Digest) -> None:
        """So much has changed besides."""
        self._sum += digest
        self._stirred.set()

    def close(self) -> None:
        """Listen no more."""
        self._forget(self)
        self.end()

    def end(self) -> None:
        """Nothing more comes."""
        self._is_ended = True
        self._stirred.set()
