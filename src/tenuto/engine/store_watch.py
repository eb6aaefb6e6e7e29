"""One look at the store for all in this process who wait for what other processes do.

Owns when it is looked: soon after somebody begins to wait and whenever the store says that another
process has written, else ever more rarely. One question is about all instances that are followed,
and one about all answers that are awaited, however many wait. Must never keep the store busy: what
takes long is done less often. Asks for nothing while nobody waits (``waiting_costs_nothing``).
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeVar

from tenuto.engine.ports import Standing
from tenuto.engine.rows import Answer
from tenuto.model.errors import StorageError, StorageUnavailableError, TenutoError
from tenuto.model.ids import InstanceId, MessageId

T = TypeVar("T")

_LEAST_SECONDS: Final = 0.005
_MOST_SECONDS: Final = 1.0
_SHARE: Final = 4.0
"""Between two looks at least so many times as long as one takes."""
_AWAY_SECONDS: Final = 0.25
_PATIENCE_SECONDS: Final = 30.0
"""So long the store may be away before those who wait are told."""
_AT_ONCE: Final = 500


class WatchedStore(Protocol):
    """What is looked at."""

    async def standings(self, instance_ids: Sequence[InstanceId]) -> list[Standing]: ...
    async def answers(self, message_ids: Sequence[MessageId]) -> list[Answer]: ...
    def on_change(self, callback: Callable[[], None]) -> None: ...


class Follower(Protocol):
    """Whoever wants to know how an instance stands."""

    def seen(self, standing: Standing | None) -> None:
        """It stands so; None when there is none of that id. Told again although nothing changed."""

    def failed(self, error: TenutoError) -> None:
        """The store cannot be read; nothing more is told."""


class StoreWatch:
    """Looks at a store on behalf of many. Everything happens on one loop.

    Args:
        storage: What is looked at.
    """

    def __init__(self, storage: WatchedStore) -> None:
        self._storage = storage
        self._followers: dict[InstanceId, list[Follower]] = {}
        self._asked: dict[MessageId, asyncio.Future[Answer]] = {}
        self._changes: list[Callable[[], None]] = []
        self._stirred = asyncio.Event()
        self._stirred_at = 0.0
        self._away_since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._hears = False
        self._gone: TenutoError | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._asked) + sum(map(len, self._followers.values()))

    def stir(self) -> None:
        """Something may have happened: look soon."""
        self._stirred_at = time.monotonic()
        self._stirred.set()

    def follow(self, instance_id: InstanceId, follower: Follower) -> None:
        """Tell somebody how an instance stands, from a look that begins after this."""
        if self._gone is not None:
            follower.failed(self._gone)
            return
        self._followers.setdefault(instance_id, []).append(follower)
        self._begin()

    def leave(self, instance_id: InstanceId, follower: Follower) -> None:
        """Tell it nothing more."""
        followers = self._followers.get(instance_id, [])
        if follower in followers:
            followers.remove(follower)
            if not followers:
                del self._followers[instance_id]

    async def until(
        self, instance_id: InstanceId, has_come: Callable[[Standing | None], bool]
    ) -> Standing | None:
        """How an instance stands once that is what somebody waits for.

        Raises:
            StorageError: the store cannot be read.
        """
        waiter = _Waiter(has_come)
        self.follow(instance_id, waiter)
        try:
            return await waiter.future
        finally:
            self.leave(instance_id, waiter)

    async def answer(self, message_id: MessageId, seconds: float) -> Answer | None:
        """What became of a message that awaits an answer; None when that is open for so long.

        Raises:
            StorageError: the store cannot be read.
        """
        if self._gone is not None:
            raise self._gone
        future = self._asked.setdefault(message_id, asyncio.get_running_loop().create_future())
        self._begin()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    return await future
        finally:
            self._asked.pop(message_id, None)
        return None

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back when another process has written."""
        self._changes.append(callback)
        self._hear()

    def forget(self, callback: Callable[[], None]) -> None:
        """Call it back no more."""
        if callback in self._changes:
            self._changes.remove(callback)

    def close(self, error: TenutoError) -> None:
        """Look no more: whoever waits gets this error."""
        self._gone = error
        self._changes.clear()
        self._fail(error)
        if self._task is not None:
            self._task.cancel()

    # --- looking ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.stir()
        self._hear()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="tenuto-watch")

    def _hear(self) -> None:
        if not self._hears:
            self._hears = True
            self._storage.on_change(self._has_changed)

    def _has_changed(self) -> None:
        self.stir()
        for callback in list(self._changes):
            callback()

    async def _run(self) -> None:
        try:
            while self._followers or self._asked:
                began = time.monotonic()
                self._stirred.clear()
                await self._look()
                took = time.monotonic() - began
                await asyncio.sleep(max(_LEAST_SECONDS, _SHARE * took))
                await self._pause()
        except Exception as error:  # a loop in the background: nobody else would tell of it
            self._fail(StorageError(f"waiting ended by a bug, please report it: {error!r}"))
            raise
        finally:
            self._task = None

    async def _pause(self) -> None:
        """Until something happens, or for half as long as nothing has."""
        calm = time.monotonic() - self._stirred_at
        pause = min(_MOST_SECONDS, calm / 2) * random.uniform(0.8, 1.2)  # noqa: S311
        if self._away_since is not None:
            pause = _AWAY_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stirred.wait()

    async def _look(self) -> None:
        try:
            await self._look_at_instances()
            await self._look_at_answers()
        except StorageUnavailableError as error:
            now = time.monotonic()
            self._away_since = self._away_since or now
            if now - self._away_since > _PATIENCE_SECONDS:
                self._fail(error)
        except StorageError as error:
            self._fail(error)
        else:
            self._away_since = None

    async def _look_at_instances(self) -> None:
        # Who comes while the store is read may have come for what was not there yet.
        followed = {name: tuple(some) for name, some in self._followers.items()}
        for names in _bites(list(followed)):
            standings = await self._storage.standings(names)
            found = {one.record.instance_id: one for one in standings}
            for name in names:
                for follower in followed[name]:
                    if follower in self._followers.get(name, ()):
                        follower.seen(found.get(name))

    async def _look_at_answers(self) -> None:
        for keys in _bites(list(self._asked)):
            for answer in await self._storage.answers(keys):
                future = self._asked.get(answer.message_id)
                if future is not None and not future.done():
                    future.set_result(answer)

    def _fail(self, error: TenutoError) -> None:
        self._away_since = None
        followers, self._followers = self._followers, {}
        for follower in [one for some in followers.values() for one in some]:
            follower.failed(error)
        asked, self._asked = self._asked, {}
        for future in asked.values():
            if not future.done():
                future.set_exception(error)


class _Waiter:
    """Waits until an instance stands in some way."""

    def __init__(self, has_come: Callable[[Standing | None], bool]) -> None:
        self.future: asyncio.Future[Standing | None] = asyncio.get_running_loop().create_future()
        self._has_come = has_come

    def seen(self, standing: Standing | None) -> None:
        if not self.future.done() and self._has_come(standing):
            self.future.set_result(standing)

    def failed(self, error: TenutoError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def _bites(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield keys[start : start + _AT_ONCE]
