"""Bringing instances of a partition into memory: many at a time, with what has arrived for them.

Mass wake-up and recovery go through here in chunks (ENGINE rule 27). A message waits here until
its instance is loaded, and is then delivered once, whichever way it came.
"""

import asyncio
from collections.abc import Callable

from tenuto.engine.ports import LoadedInstance, Storage
from tenuto.engine.resident import Residents
from tenuto.engine.state import InstanceState
from tenuto.model.errors import StorageError, StorageUnavailableError
from tenuto.model.ids import InstanceId
from tenuto.model.messages import Message

CHUNK = 500

_PAUSE_SECONDS = 0.2
_TRIES_WITHOUT_MEMORY = 25


class Loader:
    """Loads instances by number or id.

    Args:
        storage: Where they are read.
        residents: Who is in memory; what is read of somebody who leaves meanwhile is read again.
        on_loaded: Called with each loaded instance and the messages that waited for it.
        on_missing: Called with an instance id (or number) that is not in the store, and the
            messages that waited for it.
        on_damaged: Called with the number and id of an instance that could be read but not
            understood; without the id when it could not even be read.
        on_no_memory: Called once when there is too little memory to load a single instance.
        is_congested: While true, the next chunk waits: the host has enough to do.
        on_failed: Called when the store cannot be read for good.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each a thing that may come of it
        self,
        storage: Storage,
        residents: Residents,
        on_loaded: Callable[[LoadedInstance, list[Message]], None],
        on_missing: Callable[[InstanceId | int, list[Message]], None],
        on_damaged: Callable[[int, InstanceId | None, list[Message], Exception], None],
        on_no_memory: Callable[[], None],
        is_congested: Callable[[], bool],
        on_failed: Callable[[StorageError], None],
    ) -> None:
        self._storage = storage
        self._residents = residents
        self._on_loaded = on_loaded
        self._on_missing = on_missing
        self._on_damaged = on_damaged
        self._on_no_memory = on_no_memory
        self._is_congested = is_congested
        self._on_failed = on_failed
        self._by_iid: dict[int, list[Message]] = {}
        self._by_id: dict[InstanceId, list[Message]] = {}
        self._chunk = CHUNK
        self._without_memory = 0
        self._charged_for: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being loaded."""
        return self._task is None

    def want(self, iid: int, message: Message | None = None) -> None:
        """Load this instance; the message is for it."""
        waiting = self._by_iid.setdefault(iid, [])
        if message is not None:
            waiting.append(message)
        self._begin()

    def want_named(self, instance_id: InstanceId, message: Message | None = None) -> None:
        """Load the instance of this id; the message is for it."""
        waiting = self._by_id.setdefault(instance_id, [])
        if message is not None:
            waiting.append(message)
        self._begin()

    def take(self, state: InstanceState) -> list[Message]:
        """Take out what waits here for an instance that is in memory now, in its order."""
        waiting = self._by_iid.get(state.iid, [])
        messages = waiting + self._by_id.pop(state.instance_id, [])
        waiting.clear()
        return messages

    def close(self) -> "asyncio.Task[None] | None":
        """Load nothing more; what waits here is durable or will be derived again.

        Returns the task that may not have ended yet.
        """
        self._is_closed = True
        self._by_iid.clear()
        self._by_id.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        return task

    async def stop(self) -> None:
        """The same, to its end."""
        task = self.close()
        if task is not None:
            await asyncio.wait([task])

    def _begin(self) -> None:
        if self._is_closed:
            self._by_iid.clear()
            self._by_id.clear()
        elif self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="tenuto-loader")

    async def _run(self) -> None:
        try:
            while self._by_iid or self._by_id:
                await asyncio.sleep(0)
                try:
                    await self._load_chunk()
                except StorageUnavailableError:
                    await asyncio.sleep(_PAUSE_SECONDS)
                while self._is_congested():  # noqa: ASYNC110 - turns come and go by themselves
                    await asyncio.sleep(0.001)
        except StorageError as error:
            self._on_failed(error)
        finally:
            self._task = None

    async def _load_chunk(self) -> None:
        await self._resolve_names()
        iids = list(self._by_iid)[: self._chunk]
        if not iids:
            return
        try:
            await self._load(iids)
        except (MemoryError, StorageUnavailableError) as error:
            if isinstance(error, StorageUnavailableError) and not error.out_of_memory:
                raise
            # Fewer fit; one that does not fit by itself must not stop the others.
            if len(iids) == 1 and self._without_memory < _TRIES_WITHOUT_MEMORY:
                if iids[0] != self._charged_for:
                    self._charged_for = iids[0]
                    self._on_no_memory()
                self._without_memory += 1
                await asyncio.sleep(_PAUSE_SECONDS)
            elif len(iids) == 1:
                self._without_memory = 0
                self._chunk = CHUNK
                self._on_damaged(iids[0], None, self._by_iid.pop(iids[0], []), error)
            else:
                self._chunk = max(len(iids) // 8, 1)
        else:
            self._without_memory = 0
            self._chunk = min(self._chunk * 2, CHUNK)

    async def _load(self, iids: list[int]) -> None:
        with self._residents.departures() as departed:
            loaded = {one.record.iid: one for one in await self._storage.load_instances(iids)}
        for iid in iids:
            messages = self._by_iid.pop(iid, [])
            if iid not in loaded:
                self._on_missing(iid, messages)
                continue
            if loaded[iid].record.instance_id in departed:
                self._by_iid[iid] = messages
                continue
            try:
                self._on_loaded(loaded[iid], messages)
            except MemoryError:
                self._by_iid[iid] = messages
                raise
            except Exception as error:  # noqa: BLE001 - one that is damaged must not stop the others
                self._on_damaged(iid, loaded[iid].record.instance_id, messages, error)

    async def _resolve_names(self) -> None:
        names = list(self._by_id)[:CHUNK]
        if not names:
            return
        with self._residents.departures() as departed:
            records = {record.instance_id: record for record in await self._storage.find(names)}
        for name in names:
            messages = self._by_id.pop(name, [])
            record = records.get(name)
            if record is None and name in departed:
                self._by_id[name] = messages
            elif record is None:
                self._on_missing(name, messages)
            else:
                self._by_iid.setdefault(record.iid, []).extend(messages)
