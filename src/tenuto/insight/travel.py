"""Time travel: shows instances as they were after any turn, for people who move to and fro.

Reads histories, goes through them a few milliseconds at a time, and keeps the last few for some
seconds: the next turn asked for is mostly one further. Bounded in the length of a history, in what
is kept and in time. Sessions of the code run in plain callbacks of the loop, and are thrown away.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from msgspec import Struct

from tenuto.engine.engine import Engine
from tenuto.engine.ports import LoadedInstance
from tenuto.insight.dangers import Dangers
from tenuto.insight.fitting import outside_of_tasks
from tenuto.insight.past import PATIENCE_SECONDS, Moment, Past
from tenuto.insight.reading import read_one
from tenuto.insight.turn_words import TurnWords, WordsOfTurns
from tenuto.model.codec import decode_turn
from tenuto.model.errors import InstanceNotFoundError, TenutoError
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.status import InstanceRecord

T = TypeVar("T")

SLICE_SECONDS: Final = 0.003
LONGEST_SECONDS: Final = 20.0
_AT_ONCE: Final = 2
_MOST_ASKED: Final = 32
_LONG_BYTES: Final = 64 * 1024
_MOST_KEPT: Final = 6
_MOST_BYTES: Final = 64 * 1024 * 1024
_KEPT_SECONDS: Final = 30.0


class TurnsInWords(Struct, frozen=True, kw_only=True):
    """Some turns of an execution.

    Attributes:
        generation: Which one.
        turns: In their order.
    """

    generation: int
    turns: list[TurnWords]


class NotThere(Struct, frozen=True, kw_only=True):
    """There is nothing to show of a turn.

    Attributes:
        turns: How many the current execution has.
        reached: The turn that was reached in time; None when there is no such turn.
    """

    turns: int
    reached: int | None = None


class Crowded(Struct, frozen=True):
    """Too many look at once."""


class _Kept:
    """A past that somebody may ask for again."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self.lock = asyncio.Lock()
        self.used = 0.0


async def _in_thread(act: Callable[[], T]) -> T:
    """Do it in a thread, to its end: nobody else may have the past before."""
    done = asyncio.ensure_future(asyncio.to_thread(act))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise


class Travel:
    """Shows what was.

    Args:
        engine: Of the host.
        history_bytes: Longest history that is looked at.
    """

    def __init__(self, engine: Engine, history_bytes: int) -> None:
        self._engine = engine
        self._history_bytes = history_bytes
        self._kept: OrderedDict[ExecutionId, _Kept] = OrderedDict()
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._alone: WeakValueDictionary[InstanceId, asyncio.Lock] = WeakValueDictionary()
        self._asked = 0
        self._dangers = Dangers(engine)
        self._closing: set[asyncio.Task[None]] = set()
        self._left: list[object] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False

    def close(self) -> None:
        """Keep nothing any more, from now on."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        self._engine.loop.call_soon(self._close_all)

    async def moment(
        self, instance_id: InstanceId, turn: int | None = None
    ) -> Moment | NotThere | Crowded:
        """An instance as it was after a turn of its current execution.

        Args:
            instance_id: Which one.
            turn: From 1; None for the last one.

        Raises:
            InstanceNotFoundError: there is no such instance.
            LimitError: its history is too long.
        """
        if self._asked >= _MOST_ASKED:
            return Crowded()
        self._asked += 1
        try:
            # Who asks for the same is answered out of what the one before has found.
            alone = self._alone.setdefault(instance_id, asyncio.Lock())
            async with alone, self._free, self._past(instance_id) as past:
                wanted = past.turns if turn is None else turn
                if not 1 <= wanted <= past.turns:
                    return NotThere(turns=past.turns)
                async with self._trying(past):
                    return await self._looked(past, wanted)
        finally:
            self._asked -= 1

    async def _looked(self, past: Past, wanted: int) -> Moment | NotThere:
        end = time.monotonic() + LONGEST_SECONDS
        while True:
            if past.is_long_next and past.at < wanted and not past.is_closed:
                await _in_thread(past.read_next)
            if await outside_of_tasks(partial(past.go, wanted, SLICE_SECONDS)):
                break
            if time.monotonic() > end:
                return NotThere(turns=past.turns, reached=past.at)
            await asyncio.sleep(SLICE_SECONDS)  # others have their share, too
        # Nobody goes on with it meanwhile; a long one would hold up the loop.
        is_long = past.size > _LONG_BYTES
        run = await _in_thread(past.run) if is_long else past.run()
        places = await _in_thread(past.places)  # which reads files and compiles them
        return await outside_of_tasks(partial(past.moment, run, places))

    @asynccontextmanager
    async def _trying(self, past: Past) -> AsyncIterator[None]:
        """Around what may run its code."""
        if not past.runs_code:
            yield
            return
        async with self._dangers.trying(past.record) as why:
            past.forbid(why)
            try:
                yield
            finally:
                self._take_stock(past)

    def _take_stock(self, past: Past) -> None:
        """What its code has done to this host."""
        record = past.record
        if past.stayed:
            past.stayed = 0
            self._dangers.stays(record.name)
            self._engine.observer.problem(
                record.instance_id,
                "a coroutine refused to end after a look at this instance; it is kept, and its "
                "orchestrator is not looked into any more",
            )
        if past.has_held_up:
            past.has_held_up = False
            self._dangers.has_held_up(record.name, PATIENCE_SECONDS)

    async def turns(self, instance_id: InstanceId, after: int, limit: int) -> TurnsInWords:
        """Turns of the current execution, in words.

        Args:
            instance_id: Which one.
            after: Only later turns than this one; 0 for all.
            limit: So many at most.

        Raises:
            InstanceNotFoundError: there is no such instance.
            LimitError: its history is too long.
        """
        loaded = await self._loaded(instance_id)
        reads = WordsOfTurns(loaded.record.created_at)
        found: list[TurnWords] = []
        end = time.monotonic() + SLICE_SECONDS
        for row in loaded.turns[: after + limit]:
            words = reads.read(decode_turn(row))
            if words.turn > after:
                found.append(words)
            if time.monotonic() > end:
                await asyncio.sleep(SLICE_SECONDS)
                end = time.monotonic() + SLICE_SECONDS
        return TurnsInWords(generation=loaded.record.generation, turns=found)

    # --- what is kept -----------------------------------------------------------------------------

    @asynccontextmanager
    async def _past(self, instance_id: InstanceId) -> AsyncIterator[Past]:
        """The past of an instance, up to date, for one who looks."""
        record = await self._engine.storage.get(instance_id)
        if record is None:
            raise InstanceNotFoundError(instance_id)
        kept = self._kept.get(record.execution_id)
        if kept is None or kept.past.record != record:
            kept = await self._read(instance_id)
        async with kept.lock:
            kept.used = time.monotonic()
            try:
                yield kept.past
            finally:
                kept.used = time.monotonic()
                self._settle(kept)

    async def _read(self, instance_id: InstanceId) -> _Kept:
        loaded = await self._loaded(instance_id)
        key = loaded.record.execution_id
        kept = self._kept.get(key)
        if kept is not None:
            async with kept.lock:
                if kept.past.grown(loaded):
                    return kept
        engine = self._engine
        past = Past(loaded, engine.runner, engine.options.limits, self._forbidden(loaded.record))
        if kept is not None:
            self._drop(key)
        self._kept[key] = fresh = _Kept(past)
        return fresh

    async def _loaded(self, instance_id: InstanceId) -> LoadedInstance:
        """An instance with its history, unless that is too long."""
        return await read_one(self._engine.storage, instance_id, self._history_bytes)

    def _forbidden(self, record: InstanceRecord) -> str:
        """What has hurt a host is not tried for a look at it."""
        if record.hold is not None and record.hold.reason.is_harmful:
            return f"its code is not tried, as that has hurt its host: {record.hold.message}"
        if self._engine.careful is not None:
            return "its code is not tried now: hosts have died, and this one finds out of what"
        return ""

    # --- what is let go of ------------------------------------------------------------------------

    def _settle(self, used: _Kept) -> None:
        """Somebody has looked: keep it for the next look, as far as there is room."""
        key = used.past.record.execution_id
        if self._kept.get(key) is not used or self._is_closed:
            self._throw_away(used.past)
            return
        self._kept.move_to_end(key)
        idle = [one for one, kept in self._kept.items() if not kept.lock.locked()]
        while idle and self._is_too_much():
            self._drop(idle.pop(0))
        if self._sweep is None:
            self._sweep = self._engine.loop.call_later(_KEPT_SECONDS, self._sweep_old)

    def _is_too_much(self) -> bool:
        size = sum(one.past.size for one in self._kept.values())
        return len(self._kept) > _MOST_KEPT or size > _MOST_BYTES

    def _sweep_old(self) -> None:
        self._sweep = None
        limit = time.monotonic() - _KEPT_SECONDS
        for key, kept in list(self._kept.items()):
            if kept.used <= limit and not kept.lock.locked():
                self._drop(key)
        if self._kept:
            self._sweep = self._engine.loop.call_later(_KEPT_SECONDS, self._sweep_old)

    def _drop(self, key: ExecutionId) -> None:
        """Whoever looks at it now throws it away afterwards."""
        kept = self._kept.pop(key)
        if not kept.lock.locked():
            self._throw_away(kept.past)

    def _throw_away(self, past: Past) -> None:
        """End its session, which runs the code once more."""
        if self._is_closed or not past.runs_code:
            self._engine.loop.call_soon(past.close)
            return
        task = self._engine.loop.create_task(self._end(past))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _end(self, past: Past) -> None:
        try:
            async with self._dangers.trying(past.record) as why:
                if not why:
                    await outside_of_tasks(past.close)
                    self._take_stock(past)
        except TenutoError:  # the store cannot note it; the next host would not know
            await outside_of_tasks(past.close)
        self._left += filter(None, [past.leave()])

    def _close_all(self) -> None:
        for key in list(self._kept):
            self._drop(key)
