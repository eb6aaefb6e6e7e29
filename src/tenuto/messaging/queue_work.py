"""Which messages of a queue are in hand on this host, and what is to be noted of them. No I/O."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from tenuto.engine.ports import Clock
from tenuto.engine.program import Redelivery
from tenuto.engine.queue_ports import (
    FailedMessage,
    LaterMessage,
    MessageInWork,
    QueueNotes,
    ResumedMessage,
    TakenMessage,
)
from tenuto.model.cuts import cut
from tenuto.model.errors import StorageUnavailableError, TenutoError
from tenuto.model.failure import failure_of
from tenuto.model.timing import Microseconds

_SUSPICIOUS: Final = 2
"""Whoever was in work at so many deaths of hosts runs alone."""
_FEWEST_DEATHS: Final = _SUSPICIOUS + 1
"""So many it takes at least until one is put aside: only who ran alone is known to be the cause."""
_MOST_ERROR: Final = 4_000
_STORE_PAUSE: Final = 1_000_000

Failed = tuple[FailedMessage, str, BaseException]
"""What is to be put aside, its id, and why."""


class QueueWork:
    """The messages of one queue that this host has.

    Args:
        function: That works on them.
        redelivery: What is done with one that has failed.
        most_deaths: After so many deaths of hosts one is put aside, and no fewer than three.
        clock: The host's.

    Attributes:
        done: Numbers of those that are done with, to be noted.
        later: Those that go back, to be noted.
        failed: Those that are put aside, to be noted.
        is_alone: Whether one is in work, or about to be, beside which nothing else may run.
    """

    def __init__(
        self, function: str, redelivery: Redelivery, most_deaths: int, clock: Clock
    ) -> None:
        self._function = function
        self._redelivery = redelivery
        self._most_deaths = max(most_deaths, _FEWEST_DEATHS)
        self._clock = clock
        self._running: dict[int, TakenMessage] = {}
        self._resumed: deque[ResumedMessage] = deque()
        self._suspects: deque[ResumedMessage] = deque()
        self._passed: set[int] = set()
        self.done: list[int] = []
        self.later: list[LaterMessage] = []
        self.failed: list[Failed] = []
        self.is_alone: bool = False

    @property
    def is_noted(self) -> bool:
        """Whether the store knows all."""
        return not (self.done or self.later or self.failed)

    @property
    def has_next(self) -> bool:
        """Whether messages wait that are in work, and on which nobody works."""
        return bool(self._resumed or self._suspects)

    @property
    def has_suspects(self) -> bool:
        """Whether one is to run alone, of which one more death decides."""
        return bool(self._suspects)

    def change_owner(self) -> None:
        """The queue has come or gone: what others have made of its messages is not known here.

        That a message is done with stays true, whoever has it.
        """
        self._resumed.clear()
        self._suspects.clear()
        self.later, self.failed = [], []

    def take_over(self, messages: Iterable[MessageInWork]) -> None:
        """The queue is new to this host, and these were in work."""
        # Those with fewer deaths first: so that the one who causes them does not hold them up.
        for one in sorted(messages, key=_deaths):
            if one.number in self._running or one.number in self.done:
                continue
            deaths = one.deaths + 1
            if deaths >= self._most_deaths:
                error = TenutoError(f"its host ended {deaths} times while it was worked on")
                self._put_aside(one.number, one.message_id, error)
            elif deaths >= _SUSPICIOUS:
                self._suspects.append(ResumedMessage(one.number, one.attempts + 1, deaths))
            else:
                self._resumed.append(ResumedMessage(one.number, one.attempts + 1, deaths))

    def settle(self, messages: Iterable[MessageInWork]) -> None:
        """These are in work, after a write of which nobody knows whether it has landed.

        Those that it has taken were handed to nobody: they come next, by the same attempt. What
        waits to be taken again is taken as it was to be: that is the same, written once or twice.
        """
        known = {*self._running, *self.done, *(one.number for one in self.later)}
        known.update(one.number for one in (*self._resumed, *self._suspects))
        known.update(one.number for one, _, _ in self.failed)
        for one in messages:
            if one.number not in known:
                self._resumed.append(ResumedMessage(one.number, one.attempts, one.deaths))

    def room(self, concurrency: int) -> int:
        """How many messages may be taken now."""
        room = max(0, concurrency - len(self._running))
        is_one_watched = not self._running.keys() <= self._passed
        if is_one_watched and (self.is_alone or self._suspects):
            return 0
        return min(1, room) if self._suspects else room

    def pass_by(self, message: TakenMessage) -> None:
        """It has run alone for a while: others may run beside it, as it may never end."""
        if message.number in self._running:
            self._passed.add(message.number)

    def next_to_resume(self, room: int) -> list[ResumedMessage]:
        """Which of those that are in work, and on which nobody works, come now."""
        if not room:
            return []
        self.is_alone = bool(self._suspects)
        waiting = self._suspects if self.is_alone else self._resumed
        return [waiting.popleft() for _ in range(min(room, len(waiting)))]

    def begin(self, message: TakenMessage) -> bool:
        """A message was taken; whether it is to be run."""
        if message.number in self._running:
            return False
        self._running[message.number] = message
        return True

    def end(self, message: TakenMessage, failure: BaseException | None) -> Microseconds | None:
        """An attempt is over; how long the pause is when there is to be another one."""
        self._running.pop(message.number, None)
        self._passed.discard(message.number)
        if failure is None:
            self.done.append(message.number)
            return None
        if isinstance(failure, StorageUnavailableError):
            # No fault of the message: the store, or the host, is not there now.
            self._put_back(message, _STORE_PAUSE, message.attempts - 1)
            return _STORE_PAUSE
        pause = self._redelivery.pause_before(message.counted + 1)
        if pause is None:
            self._put_aside(message.number, message.message_id, failure)
            return None
        self._put_back(message, pause, message.attempts)
        return pause

    def give_up(self) -> None:
        """The host stops: what runs is for the next one, before others, and had no attempt."""
        for one in self._running.values():
            self.later.append(LaterMessage(one.number, 0, one.attempts - 1))
        self._running.clear()
        self._passed.clear()

    def noting(self) -> None:
        """What is to be noted is on its way."""
        self.done, self.later, self.failed = [], [], []

    def not_noted(self, notes: QueueNotes, failed: list[Failed]) -> None:
        """It has not arrived: it is to be noted still."""
        self.done[:0] = notes.done
        self.later[:0] = notes.later
        self.failed[:0] = failed
        waiting = self._suspects if self.is_alone else self._resumed
        waiting.extendleft(reversed(notes.resume))

    def _put_back(self, message: TakenMessage, pause: Microseconds, attempts: int) -> None:
        self.later.append(LaterMessage(message.number, self._clock.now() + pause, attempts))

    def _put_aside(self, number: int, message_id: str, error: BaseException) -> None:
        found = failure_of(error, with_traceback=False)
        text = cut(f"{found.error_type}: {found.error_message}", _MOST_ERROR, "")
        one = FailedMessage(number, self._function, self._clock.now(), text)
        self.failed.append((one, message_id, error))


def _deaths(message: MessageInWork) -> int:
    return message.deaths
