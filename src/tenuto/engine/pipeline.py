"""The commit pipeline: one commit in flight, the next batch forms meanwhile.

Nothing leaves before its batch is durable (``durable_before_visible``). A batch that the store
could not take is sent again, to the letter, until the store takes it or says that it already has
(ENGINE rule 15). Each batch is fenced for the partitions that it touches (rule 39). Must never
drop or reorder a batch.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from tenuto.engine.batch import Batch
from tenuto.engine.callers import Callers
from tenuto.engine.ports import Clock, Observer, Storage
from tenuto.engine.resident import Home
from tenuto.engine.rows import CommitBatch, CommitResult, Lease
from tenuto.engine.usage import UsageMeter
from tenuto.model.errors import (
    FencedError,
    RowsRefusedError,
    StorageError,
    StorageUnavailableError,
)
from tenuto.model.ids import AnyMessageId, MessageId
from tenuto.model.messages import Start
from tenuto.model.timing import Microseconds

Write = Callable[[Batch], Awaitable[None]]

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_MEMORY_TRIES = 3
"""So often memory may run out before the heaviest instance of the batch is taken for the cause."""

_RESERVE_BYTES = 33 * 1024 * 1024
"""Asked for and never touched, so that it costs no memory: let go when memory runs out, it leaves
enough to ask the store and to take the batch back. So long that the C library gives it pages of its
own (over 32 MiB)."""

_LEFT_BYTES = 12 * 1024 * 1024
"""What the reserve leaves to others, or is not taken: a process that has all of its memory in
reserve starts no thread for activities, so that nobody gets on."""


class CommitPipeline:
    """Owns the batch in the making, the leases and their commit number; writes batch after batch.

    Args:
        storage: Where batches go.
        clock: Times the pauses between tries.
        observer: Told of commits and failures.
        on_committed: Called with each batch once it is durable, in order.
        on_refused: Called with a batch of which the store can never hold some rows, and with what
            writes another one before any other.
        on_fenced: Called with a batch that was not written, since these partitions of it are
            another host's.
        on_lost: Called once when this host turns out not to be the owner any more.

    Attributes:
        batch: What is in the making.
        leases: By partition, those that commits are fenced with.
        outlives_all: Whether it goes on when all partitions are another host's: it may get others.
        meter: Says what the turns of a batch have used; None where nothing measures.
        used_up: Messages whose consumption has landed since somebody has begun to read inboxes;
            None while nobody does.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        observer: Observer,
        on_committed: Callable[[Batch, CommitResult], None],
        on_refused: Callable[[Batch, RowsRefusedError, Write], Awaitable[None]],
        on_fenced: Callable[[Batch, Collection[int]], Awaitable[None]],
        on_lost: Callable[[StorageError], None],
    ) -> None:
        self.batch: Batch = Batch()
        self.unavailable: StorageError | None = None
        self.unavailable_since: Microseconds | None = None
        self._failed_tries = 0
        self.committing_since: Microseconds | None = None
        self.is_pausing: bool = False
        self._storage = storage
        self._clock = clock
        self._observer = observer
        self._on_committed = on_committed
        self._on_refused = on_refused
        self._on_fenced = on_fenced
        self._on_lost = on_lost
        self.leases: dict[int, Lease] = {}
        self.outlives_all: bool = False
        self.meter: UsageMeter | None = None
        self.used_up: set[MessageId] | None = None
        self._owner = ""
        self._number = 0
        self._in_flight: Batch | None = None
        self._unwritten: Batch | None = None
        self._wake: asyncio.Event = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_committing = False
        self._waiting: list[asyncio.Future[None]] = []
        self._reserve: bytes | None = None
        self.on_no_memory: Callable[[], None] = _nobody_hears
        self.on_starving: Callable[[], None] = _nobody_hears
        self.heaviest_held: Callable[[], int | None] = _nobody_hears

    @property
    def is_idle(self) -> bool:
        """Whether everything is durable."""
        return not self._is_committing and self.batch.is_empty

    def start(self, owner: str) -> None:
        """Begin to commit, as this owner."""
        self.begin_as(owner)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="tenuto-commits")
        self.keep_reserve()

    def begin_as(self, owner: str) -> None:
        """The commits that follow are this owner's, from its first on."""
        self._owner = owner
        self._number = 0

    def is_used_up(self, message_id: MessageId) -> bool:
        """Whether a message is used up by a batch that is not known to have landed, or has lately.

        Its row may still be seen by who reads the inbox.
        """
        return self.is_using_up(message_id) or (
            self.used_up is not None and message_id in self.used_up
        )

    def is_using_up(self, message_id: MessageId) -> bool:
        """Whether a message is used up by a batch that is not known to have landed."""
        return message_id in self.batch.consumed or (
            self._in_flight is not None and message_id in self._in_flight.consumed
        )

    @property
    def unwritten(self) -> list[Batch]:
        """What is not known to be durable, and never will be once committing has stopped."""
        return [self.batch] if self._unwritten is None else [self._unwritten, self.batch]

    def kick(self) -> None:
        """There is something to write."""
        if not self._wake.is_set() and not self.batch.is_empty:
            self._wake.set()

    def begin_another(self) -> Batch:
        """Another batch is in the making from now on; returns the one that was."""
        before, self.batch = self.batch, Batch()
        self._tell()
        return before

    async def flush(self) -> None:
        """Wait until everything is durable."""
        while not self.is_idle and self.is_running:
            await self._next()

    async def passed(self) -> None:
        """Wait until what has been decided by now is durable, or was taken back.

        What is decided meanwhile is not waited for: on a busy host there is always more.
        """
        decided = [batch for batch in self.unwritten if not batch.is_empty]
        while self.is_running and any(
            batch is self.batch or batch is self._unwritten for batch in decided
        ):
            await self._next()

    @property
    def is_running(self) -> bool:
        """Whether batches are written: it has begun, and has not ended."""
        return self._task is not None and not self._task.done()

    async def _next(self) -> None:
        """Wait for the end of a batch."""
        self.kick()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
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
                    self._unwritten = batch
                    await self._write(batch)
                    self._unwritten = None
                    self._is_committing = False
                    if self._waiting:
                        self._tell()
        except StorageError as error:
            self._end(error)
        except Exception as error:
            self._end(StorageError(f"commits ended by a bug, please report it: {error!r}"))
            raise
        finally:
            self._tell()

    def _end(self, error: StorageError) -> None:
        self._is_committing = False
        self.unavailable = error
        self._on_lost(error)

    def _tell(self) -> None:
        waiters, self._waiting = self._waiting, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def let_go(self, home: Home, callers: Callers) -> None:
        """A partition is not ours any more: what is in flight of it may land, to no effect.

        Who has asked for that hears what became of the batch, and so whether it was done. Starts
        can be asked for again in any case.
        """
        self.leases.pop(home.number, None)
        flying = self._in_flight
        if flying is not None:
            for resident, turn in flying.turns:
                if resident.home is home:
                    for message in turn.inbox.taken:
                        if not isinstance(message, Start):
                            _answer_with(flying, message.message_id, callers)
            kept = [one for one in flying.turns if one[0].home is not home]
            if len(kept) < len(flying.turns):
                flying.turns = kept
                # Its rows are in there still: sent another time, it must be fenced for them.
                flying.held.add(home.number)
        self.kick()

    async def _write(self, batch: Batch) -> None:
        try:
            refusal = batch.refusal or await self._written(batch)
        except FencedError as error:
            lost = error.partitions & self.leases.keys()
            is_left = self.outlives_all or lost != self.leases.keys() or not self.leases
            if not error.partitions or not is_left:
                raise
            await self._on_fenced(batch, error.partitions)
            return
        if refusal is not None:
            # What was to be written may be what there is too little memory for.
            await self._on_refused(batch, refusal.with_traceback(None), self._write)

    async def _written(self, batch: Batch) -> RowsRefusedError | None:
        number = self._number + 1
        began = self._clock.now()
        request = batch.to_commit(uuid.uuid4().hex, self._owner, number, self.leases)
        if self.meter is not None and batch.turns:
            request.usage, request.usage_without = self.meter.of_batch(batch, began)
        self._observer.crash_point("before_commit")
        self.committing_since = began
        self._in_flight = batch
        try:
            result = await self._commit(request, batch)
        except RowsRefusedError as error:
            self.recovered()
            return error
        finally:
            self._in_flight = self.committing_since = None
        self._number = number
        for partition in batch.released:
            self.leases.pop(partition, None)  # it may have been let go of meanwhile
        if self.used_up is not None:
            self.used_up.update(batch.consumed)
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
                landed = await self._storage.landed(request) if attempt else None
                if landed is not None:
                    result = landed
                elif is_too_heavy and (refusal := self._too_heavy(batch)) is not None:
                    raise refusal
                else:
                    result = await self._send(request)
            except (StorageUnavailableError, MemoryError) as error:
                attempt += 1
                if self.failed(error, attempt).out_of_memory and attempt > _MEMORY_TRIES:
                    is_too_heavy = True
                    self._reserve = None
                    if self._too_heavy(batch) is None:
                        self.on_starving()  # it is none of these that takes it
                await self._pause(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self.recovered()
                return result

    async def _send(self, request: CommitBatch) -> CommitResult:
        """Commit; a refusal by the fence may be that of a batch which has landed before."""
        try:
            return await self._storage.commit(request)
        except FencedError as error:
            fenced = error
        landed = await self._storage.landed(request)
        if landed is None:
            raise fenced
        return landed

    def failed(
        self, error: StorageUnavailableError | MemoryError, attempt: int
    ) -> StorageUnavailableError:
        """The store could not be used, for the so many-th time; it is tried again."""
        if isinstance(error, MemoryError):
            error = StorageUnavailableError(
                "memory ran out on the way to the store", out_of_memory=True
            )
        if error.out_of_memory:
            self.on_no_memory()
        if self.unavailable is None:
            self.unavailable_since = self._clock.now()
        self.unavailable = error
        self._failed_tries = attempt
        self._observer.storage_failed(error, attempt)
        return error

    def recovered(self) -> None:
        """The store answers again."""
        if self.unavailable is not None:
            self.keep_reserve()
            self.unavailable = self.unavailable_since = None
            self._observer.storage_recovered(self._failed_tries)

    def let_reserve_go(self) -> None:
        """Memory has run out: what is left of it shall do for getting on."""
        self._reserve = None

    def keep_reserve(self) -> None:
        """Keep some memory for when it runs out, if there is enough; not once it has ended."""
        if self._reserve is None and self._task is not None:
            with suppress(MemoryError):
                bytes(_RESERVE_BYTES + _LEFT_BYTES)  # not kept: it shows that so much is there
                self._reserve = bytes(_RESERVE_BYTES)

    def _too_heavy(self, batch: Batch) -> RowsRefusedError | None:
        """Who takes the memory that there is too little of, also in the batch in the making."""
        found = batch.too_heavy() or self.batch.too_heavy()
        if found is None and (iid := self.heaviest_held()) is not None:
            found = Batch.refusal_for_memory(iid)
        return found

    async def _pause(self, seconds: float) -> None:
        self.is_pausing = True
        over = asyncio.Event()
        handle = self._clock.call_later(round(seconds * 1_000_000), over.set)
        try:
            await over.wait()
        finally:
            handle.cancel()
            self.is_pausing = False


def _answer_with(batch: Batch, message_id: AnyMessageId, callers: Callers) -> None:
    caller = callers.take(message_id)
    if caller is not None:
        batch.answered[message_id] = caller, None


def _nobody_hears() -> None:
    """Who wants to be told that memory ran out takes the place of this."""
