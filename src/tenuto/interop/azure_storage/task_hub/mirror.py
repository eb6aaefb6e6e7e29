"""Keeps a task hub in Azure Storage up to date with a store: one way, after commits, never in their
way. Reads the store beside its host; whatever becomes of the mirror, the host goes on.

Compares what the hub notes of each instance with how far it is in the store, and writes those that
differ. So it catches up after any pause, follows purges, and does nothing twice.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from tenuto.engine.ports import InstanceMark, Storage
from tenuto.interop.azure_storage.task_hub.mirrored_hub import MirroredHub, Note
from tenuto.interop.azure_storage.task_hub.rows import image_of
from tenuto.model.errors import AzureStorageError, AzureUnavailableError
from tenuto.model.ids import InstanceId

_PAGE: Final = 5_000
_AT_ONCE: Final = 8
"""Instances that are written at the same time."""
_PAUSE_SECONDS: Final = 1.0
"""At least, between two looks, however often the store changes; as long as the last look took."""
_LONGEST_PAUSE_SECONDS: Final = 60.0
_FIRST_BACKOFF_SECONDS: Final = 1.0
_REFUSES_ONE: Final = frozenset({400, 413})
"""What Azure answers to a row that it cannot hold: nothing is wrong with the others."""


class MirrorNews(Struct, frozen=True, kw_only=True):
    """What has become of a mirror.

    Attributes:
        state: It is up to date; it cannot write now and will try again; one instance was left out,
            because Azure Storage cannot hold it.
        text: The same in words.
        written: Instances that were written in this look.
        purged: Instances that were taken out in this look.
    """

    state: Literal["up to date", "behind", "left out"]
    text: str
    written: int = 0
    purged: int = 0


class Mirror:
    """Brings a hub up to date.

    Args:
        storage: The store, open.
        hub: The hub, prepared.
        name: The name of the hub.
        told: Called when something changes.
    """

    def __init__(
        self,
        storage: Storage,
        hub: MirroredHub,
        name: str,
        told: Callable[[MirrorNews], None],
    ) -> None:
        self._storage = storage
        self._hub = hub
        self._name = name
        self._told = told
        self._notes: dict[InstanceId, Note] | None = None
        self._left_out: dict[InstanceId, str] = {}

    async def follow(self, secret: str) -> None:
        """Go on until canceled, whatever becomes of Azure Storage meanwhile.

        Args:
            secret: Of the store.

        Raises:
            TaskHubError: the hub is none of this store's.
            AzureStorageError: Azure Storage refuses what it is asked for.
            StorageError: the store cannot be read.
        """
        changed = asyncio.Event()
        self._storage.on_change(changed.set)
        backoff = _FIRST_BACKOFF_SECONDS
        is_prepared = False
        while True:
            changed.clear()
            began = asyncio.get_running_loop().time()
            try:
                if not is_prepared:
                    await self._hub.prepare(secret)
                    is_prepared = True
                await self.look()
            except AzureUnavailableError as error:
                pause = backoff * random.uniform(0.5, 1)  # noqa: S311 - no secret
                self._told(
                    MirrorNews(state="behind", text=f"behind: {error}; next try in {pause:.0f} s")
                )
                await asyncio.sleep(pause)
                backoff = min(2 * backoff, _LONGEST_PAUSE_SECONDS)
            else:
                backoff = _FIRST_BACKOFF_SECONDS
                took = asyncio.get_running_loop().time() - began
                await asyncio.sleep(max(_PAUSE_SECONDS, took))
                await changed.wait()

    @property
    def left_out(self) -> int:
        """How many instances Azure Storage cannot hold as they are."""
        return len(self._left_out)

    async def look(self) -> MirrorNews:
        """Write what has changed since the last look.

        Raises:
            AzureUnavailableError: Azure Storage is away; what was written is noted.
            AzureStorageError: it refuses what it is asked for.
            StorageError: the store cannot be read.
        """
        is_first = self._notes is None
        if self._notes is None:
            self._notes = await self._hub.notes()
        written, seen = await self._write_changed(self._notes)
        gone = [one for one in self._notes if one not in seen]
        for instance_id in gone:
            await self._hub.purge(instance_id)
            del self._notes[instance_id]
        news = MirrorNews(
            state="up to date",
            text=f"up to date: {written:,} written, {len(gone):,} purged",
            written=written,
            purged=len(gone),
        )
        if is_first or written or gone:
            self._told(news)
        return news

    async def _write_changed(self, notes: dict[InstanceId, Note]) -> tuple[int, set[InstanceId]]:
        """Instances that were written, and all that there are."""
        seen: set[InstanceId] = set()
        written = 0
        after: int | None = None
        while page := await self._storage.marks(after, _PAGE):
            after = page[-1].iid
            seen.update(one.instance_id for one in page)
            stale = [one for one in page if self._is_stale(one, notes)]
            for start in range(0, len(stale), _AT_ONCE):
                some = stale[start : start + _AT_ONCE]
                outcomes = await asyncio.gather(
                    *(self._write(one, notes) for one in some), return_exceptions=True
                )
                for outcome in outcomes:
                    if isinstance(outcome, BaseException):
                        raise outcome
                    written += outcome
        return written, seen

    def _is_stale(self, one: InstanceMark, notes: dict[InstanceId, Note]) -> bool:
        note = notes.get(one.instance_id)
        is_noted = note is not None and note.mark == one.mark
        return not is_noted and self._left_out.get(one.instance_id) != one.mark

    async def _write(self, one: InstanceMark, notes: dict[InstanceId, Note]) -> bool:
        """Bring one instance up to date; whether it was written."""
        for loaded in await self._storage.load_instances([one.iid]):
            # It may have gone on since it was marked: then it is written again in the next look.
            image = image_of(loaded.record, loaded.turns, self._name)
            before = notes.get(one.instance_id)
            try:
                notes[one.instance_id] = await self._hub.write(image, one.mark, before)
            except AzureUnavailableError:
                raise
            except AzureStorageError as error:
                if error.status not in _REFUSES_ONE:
                    raise
                self._left_out[one.instance_id] = one.mark
                text = f"instance {one.instance_id!r} was left out: {error}"
                self._told(MirrorNews(state="left out", text=text))
                return False
            self._left_out.pop(one.instance_id, None)
            return True
        return False
