"""One listener of live updates: what it is told, in order, and whether it knows of all before it.

What comes to it is what this host has committed, or how the store says that its instance stands,
while another host has that. Either may be behind the other when a partition moves: what was told is
told no more, and what is missing is filled in, or the listener is told to read anew. Must never
wait for whoever reads.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, Self

from tenuto.engine.ports import Standing
from tenuto.engine.update import BEFORE_FIRST, Update, place, summary
from tenuto.model.errors import TenutoError
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord

_LONGEST_NUMBER: Final = 18


class Feed(Protocol):
    """Where updates come from, as a listener sees it."""

    async def missed_turns(self, instance_id: InstanceId, after: str) -> list[Update]: ...
    def forget(self, listener: "Subscription", *, comes_back: bool) -> None: ...
    def look_again(self, instance_id: InstanceId) -> None: ...


class Subscription:
    """The updates of one listener, in order: an async iterator. Made by ``UpdateFeed``.

    Waiting for the next update may be cancelled at any time; nothing is lost by that. The iterator
    ends after ``close``, and when the host stops.

    Attributes:
        minds_gaps: Whether another host has, or had, the instance: then what is told here of it may
            be known already, or follow on what is not.

    Raises:
        StorageError: what was missed cannot be read from the store; ask again.
    """

    def __init__(
        self,
        feed: Feed,
        instance_id: InstanceId | None,
        queued: int,
        after: str | None = None,
    ) -> None:
        self.instance_id = instance_id
        self._feed = feed
        self._queued = queued
        self._after = after
        self._backlog: deque[Update] = deque()
        self._queue: deque[Update] = deque()
        self._is_behind = False
        self._is_ended = False
        self.minds_gaps: bool = False
        self._last: tuple[int, int] | None = None  # generation and turn, as far as was told
        self._shown: object = None  # of its row, as far as was told
        self._iid: int | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update:
        if self._after is not None and self.instance_id is not None:
            self._catch_up(await self._feed.missed_turns(self.instance_id, self._after))
        while not self._backlog and not self._queue:
            if self._is_ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._backlog:
            return self._backlog.popleft()
        self._is_behind = False
        return self._queue.popleft()

    def at_hand(self) -> list[Update]:
        """All that would come next without waiting."""
        if self._after is not None and self.instance_id is not None:
            return []  # the store has to be read first
        found = [*self._backlog, *self._queue]
        self._backlog.clear()
        self._queue.clear()
        self._is_behind = False
        return found

    def close(self, *, comes_back: bool = True) -> None:
        """Listen no more; what still waits is dropped.

        Args:
            comes_back: Whether what it misses meanwhile is worth keeping for a while.
        """
        self._feed.forget(self, comes_back=comes_back)
        self._backlog.clear()
        self._queue.clear()
        self.end()

    def offer(self, updates: Sequence[Update]) -> None:
        """These come next, if there is room; else the listener must read anew."""
        queue = self._queue
        if self._is_behind or len(queue) + len(updates) > self._queued:
            # The word is not read yet: it stands for what comes until then, too.
            self._is_behind = True
            self._backlog.clear()
            queue.clear()
            last = updates[-1]
            place = Update(
                position=last.position, generation=last.generation, turn=last.turn, is_reset=True
            )
            queue.append(place)
        else:
            queue.extend(updates)
        self._wake()

    def committed(self, update: Update) -> None:
        """The instance was committed by this host."""
        here, last = (update.generation, update.turn), self._last
        if not self.minds_gaps or last is None or update.is_purged:
            self.offer([update])
        elif here < last:
            return  # a look at the store was quicker
        elif here[0] == last[0] or here[1] <= 0:
            between = range(last[1] + 1, here[1]) if here[0] == last[0] else ()
            self.offer([*_turns(update.instance_id, here[0], between), update])
        else:
            self.offer([_reset(here)])
        self._last = here
        if update.record is not None:
            self._shown = _shown(update.record)

    def stands(self, standing: Standing | None, *, is_last: bool) -> None:
        """So stands the instance in the store; another host has it.

        Args:
            standing: None when it is no more.
            is_last: It is this host's by now, which may have told later news.
        """
        last = self._last
        if self._after is not None:
            return  # it will read the store itself, and look again then
        if standing is None:
            if last is not None and self.instance_id is not None:
                self._last = None
                gone = Update(position=place(*last), instance_id=self.instance_id, is_purged=True)
                self.offer([gone])
            return
        record = standing.record
        here, shown = (record.generation, standing.turns - 1), _shown(record)
        is_same = self._iid in {None, record.iid}
        if is_last and last is not None and here < last:
            return
        if last is not None and (here < last or not is_same):
            self.offer([_reset(here)])  # another one has taken its id
        elif last is not None and here > last:
            seen = last[1] if here[0] == last[0] else None
            self.offer(steps(standing, seen, self._queued))
        elif last is not None and shown != self._shown and self._shown is not None:
            self.offer([_newest(standing)])
        self._last, self._shown, self._iid = here, shown, record.iid

    def missed(self, updates: Sequence[Update]) -> None:
        """These came before whatever is offered."""
        self._backlog.extend(updates)

    def end(self) -> None:
        """Nothing more comes."""
        self._is_ended = True
        self._wake()

    def _catch_up(self, missed: list[Update]) -> None:
        after, self._after = self._after, None
        if self._last is None:
            seen = _numbers_in(after or "")
            self._last = (missed[-1].generation, missed[-1].turn) if missed else seen
        if self.instance_id is not None:
            self._feed.look_again(self.instance_id)
        if self._is_behind:
            return
        self._backlog.extend(missed)
        if missed:
            # What was committed while the store was read has been read.
            self._queue = deque(one for one in self._queue if _is_news(one, missed[-1]))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Afar:
    """Tells listeners how an instance stands that another host has.

    Args:
        listeners: Whom; they may come and go.
        stop: Called when it is enough.
        is_last: Whether one look is.
    """

    def __init__(
        self, listeners: Sequence[Subscription], stop: Callable[[], None], *, is_last: bool
    ) -> None:
        self._listeners = listeners
        self._stop = stop
        self._is_last = is_last

    def seen(self, standing: Standing | None) -> None:
        """Whoever listens hears what is new in it."""
        for listener in list(self._listeners):
            listener.stands(standing, is_last=self._is_last)
        if self._is_last:
            self._stop()

    def failed(self, _error: TenutoError) -> None:
        """Nothing more is known: whoever listens comes back, and is told why."""
        for listener in list(self._listeners):
            listener.end()


# --- steps and positions -----------------------------------------------------------------------


def steps(standing: Standing, seen: int | None, most: int) -> list[Update]:
    """The turns after one of the present generation; a reset if that is unknown, or long ago."""
    record, last = standing.record, standing.turns - 1
    if seen is None or seen > last or last - seen > most:
        return [_reset((record.generation, last))]
    updates = _turns(record.instance_id, record.generation, range(seen + 1, last + 1))
    if updates:
        updates[-1] = _newest(standing)
    return updates


def _turns(instance_id: InstanceId, generation: int, turns: Iterable[int]) -> list[Update]:
    return [
        Update(
            position=place(generation, turn),
            instance_id=instance_id,
            generation=generation,
            turn=turn,
        )
        for turn in turns
    ]


def _newest(standing: Standing) -> Update:
    record, turn = standing.record, standing.turns - 1
    return Update(
        position=place(record.generation, turn),
        instance_id=record.instance_id,
        generation=record.generation,
        turn=turn,
        record=summary(record),
        has_ended=record.status.is_finished,
    )


def _reset(here: tuple[int, int]) -> Update:
    return Update(position=place(*here), generation=here[0], turn=here[1], is_reset=True)


def _shown(record: InstanceRecord) -> object:
    """What people see of a row and no turn need have changed."""
    return record.status, record.hold, record.custom_status


def _numbers_in(position: str) -> tuple[int, int] | None:
    generation, _, turn = position.partition(".")
    known = number_in(generation)
    seen = BEFORE_FIRST if turn == str(BEFORE_FIRST) else number_in(turn)
    return None if known is None or seen is None else (known, seen)


def _is_news(update: Update, read: Update) -> bool:
    """Whether an update says more than the last one that was read. A hold is no turn of its own."""
    place, seen = (update.generation, update.turn), (read.generation, read.turn)
    if update.is_purged or place > seen:
        return True
    row, last = update.record, read.record
    return place == seen and row is not None and last is not None and row.hold != last.hold


def turn_in(position: str, generation: int) -> int | None:
    """The turn that a position of this generation names; None for any other text."""
    before, _, after = position.partition(".")
    if before != str(generation):
        return None
    return BEFORE_FIRST if after == str(BEFORE_FIRST) else number_in(after)


def number_in(text: str) -> int | None:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    return int(text) if is_number else None
