"""The commit pipeline: one commit in flight, the next batch forms meanwhile.

Nothing leaves before its batch is durable (``durable_before_visible``). A batch that the store
could not take is sent again, to the letter, until the store takes it or says that it already has
(ENGINE rule 15). Must never drop or reorder a batch.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tenuto.engine.batch import Batch
from tenuto.engine.ports import (
    Clock,
    CommitBatch,
    CommitResult,
    Lease,
    Observer,
    Storage,
)
from tenuto.model.errors import (
    FencedError,
    RowsRefusedError,
    StorageError,
    StorageUnavailableError,
)

Write = Callable[[Batch], Awaitable[None]]

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_MEMORY_TRIES = 3
"""So often memory may run out before the heaviest instance of the batch is taken for the cause."""

_RESERVE_BYTES = 33 * 1024 * 1024
"""Asked for and never touched, so that it costs no memory: let go when memory runs out, it leaves
enough to ask the store and to take the batch back. So long that the C library gives it pages of its
own (over 32 MiB)."""


class CommitPipeline:
    """Owns the batch in the making and the leases; writes batch after batch.

    Args:
        storage: Where batches go.
        clock: Times the pauses between tries.
        observer: Told of commits and failures.
        on_committed: Called with each batch once it is durable, in order.
        on_refused: Called with a batch of which the store can never hold some rows, and with what
            writes another one before any other.
        on_lost: Called once when this host turns out not to be the owner any more.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        observer: Observer,
        on_committed: Callable[[Batch, CommitResult], None],
        on_refused: Callable[[Batch, RowsRefusedError, Write], Awaitable[None]],
        on_lost: Callable[[StorageError], None],
    ) -> None:
        self.batch: Batch = Batch()
        self.unavailable: StorageError | None = None
        self.unavailable_since: int | None = None
        self._failed_tries = 0
        self.committing_since: int | None = None
        self.is_pausing: bool = False
        self._storage = storage
        self._clock = clock
        self._observer = observer
        self._on_committed = on_committed
        self._on_refused = on_refused
        self._on_lost = on_lost
        self._leases: dict[int, Lease] = {}
        self._wake: asyncio.Event = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_committing = False
        self._idle: list[asyncio.Future[None]] = []
        self._reserve: bytes | None = None

    @property
    def is_idle(self) -> bool:
        """Whether everything is durable."""
        return not self._is_committing and self.batch.is_empty

    def start(self, leases: list[Lease]) -> None:
        """Begin to commit for these partitions."""
        self._leases = {lease.partition: lease for lease in leases}
        self._keep_reserve()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="tenuto-commits")

    def kick(self) -> None:
        """There is something to write."""
        if not self._wake.is_set() and not self.batch.is_empty:
            self._wake.set()

    async def flush(self) -> None:
        """Wait until everything is durable."""
        while not self.is_idle and self._task is not None and not self._task.done():
            self.kick()
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            await waiter

    async def stop(self) -> None:
        """Stop committing; what is in the making stays unwritten."""
        task, self._task = self._task, None
        self._reserve = None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while not self.batch.is_empty:
                    batch, self.batch = self.batch, Batch()
                    self._is_committing = True
                    await self._write(batch)
                    self._is_committing = False
                self._tell_idle()
        except StorageError as error:
            self._end(error)
        except Exception as error:
            self._end(StorageError(f"commits ended by a bug, please report it: {error!r}"))
            raise
        finally:
            self._tell_idle()

    def _end(self, error: StorageError) -> None:
        self._is_committing = False
        self.unavailable = error
        self._on_lost(error)

    def _tell_idle(self) -> None:
        waiters, self._idle = self._idle, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _write(self, batch: Batch) -> None:
        refusal = batch.refusal or await self._written(batch)
        if refusal is not None:
            # What was to be written may be what there is too little memory for.
            await self._on_refused(batch, refusal.with_traceback(None), self._write)

    async def _written(self, batch: Batch) -> RowsRefusedError | None:
        fences = [
            Lease(lease.partition, lease.owner, lease.epoch, lease.commit_number + 1)
            for lease in self._leases.values()
        ]
        request = batch.to_commit(uuid.uuid4().hex, fences)
        self._observer.crash_point("before_commit")
        began = self.committing_since = self._clock.now()
        try:
            result = await self._commit(request, batch)
        except RowsRefusedError as error:
            self.recovered()
            return error
        finally:
            self.committing_since = None
        self._leases = {lease.partition: lease for lease in fences}
        self._observer.committed(len(batch.turns), (self._clock.now() - began) / 1_000_000)
        self._observer.crash_point("after_commit")
        self._on_committed(batch, result)
        self._observer.crash_point("after_release")
        return None

    async def _commit(self, request: CommitBatch, batch: Batch) -> CommitResult:
        attempt = 0
        pause = _FIRST_PAUSE
        is_too_heavy = False
        while True:
            try:
                if attempt and await self._has_landed(request):
                    result = await self._answers(request)
                elif is_too_heavy and (refusal := self._too_heavy(batch)) is not None:
                    raise refusal
                else:
                    result = await self._storage.commit(request)
            except (StorageUnavailableError, MemoryError) as error:
                attempt += 1
                if self.failed(error, attempt).out_of_memory and attempt > _MEMORY_TRIES:
                    is_too_heavy = True
                    self._reserve = None
                await self._pause(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except FencedError:
                if not await self._has_landed(request):
                    raise
                return await self._answers(request)
            else:
                self.recovered()
                return result

    def failed(
        self, error: StorageUnavailableError | MemoryError, attempt: int
    ) -> StorageUnavailableError:
        """The store could not be used, for the so many-th time; it is tried again."""
        if isinstance(error, MemoryError):
            error = StorageUnavailableError(
                "memory ran out on the way to the store", out_of_memory=True
            )
        if self.unavailable is None:
            self.unavailable_since = self._clock.now()
        self.unavailable = error
        self._failed_tries = attempt
        self._observer.storage_failed(error, attempt)
        return error

    def recovered(self) -> None:
        """The store answers again."""
        if self.unavailable is not None:
            self._keep_reserve()
            self.unavailable = self.unavailable_since = None
            self._observer.storage_recovered(self._failed_tries)

    def _keep_reserve(self) -> None:
        if self._reserve is None:
            with suppress(MemoryError):
                self._reserve = bytes(_RESERVE_BYTES)

    def _too_heavy(self, batch: Batch) -> RowsRefusedError | None:
        """Who takes the memory that there is too little of, also in the batch in the making."""
        return batch.too_heavy() or self.batch.too_heavy()

    async def _has_landed(self, request: CommitBatch) -> bool:
        """Whether a batch whose commit is in doubt is in the store."""
        wanted = {fence.partition: fence for fence in request.fences}
        for state in await self._storage.commit_states(list(wanted)):
            fence = wanted[state.partition]
            if state.owner != fence.owner or state.epoch != fence.epoch:
                raise FencedError(
                    f"partition {state.partition} now belongs to {state.owner!r}; this host was "
                    "too slow or cut off and has lost it"
                )
            if state.batch_id != request.batch_id:
                return False
        return True

    async def _answers(self, request: CommitBatch) -> CommitResult:
        """The per-row answers of a batch that landed without our hearing of it."""
        wanted = {record.instance_id: record.iid for record in request.instances}
        if not wanted:
            return CommitResult()
        standing = {
            record.instance_id: record.iid for record in await self._storage.find(list(wanted))
        }
        return CommitResult(
            frozenset(iid for name, iid in wanted.items() if standing.get(name) != iid)
        )

    async def _pause(self, seconds: float) -> None:
        self.is_pausing = True
        over = asyncio.Event()
        handle = self._clock.call_later(round(seconds * 1_000_000), over.set)
        try:
            await over.wait()
        finally:
            handle.cancel()
            self.is_pausing = False
