"""Virtual time: the Clock port for tests.

Time stands still until somebody moves it. It then goes from one due call to the next and lets the
host come to rest in between, so that whatever is due runs and commits at its own time. Must never
read the machine's clock.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Final, Protocol

from tenuto.engine.lifecycle import Lifecycle
from tenuto.engine.reading import Reading
from tenuto.messaging.files import FolderWatch
from tenuto.model.errors import InputError
from tenuto.model.timing import Microseconds, span, to_datetime, to_microseconds

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When virtual time begins, unless a test says otherwise."""


_UPKEEP: Final = (Lifecycle, Reading, FolderWatch)


class Driven(Protocol):
    """What lives on a virtual clock."""

    async def rest(self, *, with_activities: bool = True) -> None:
        """Come to rest: everything that can be done at this moment is done and durable."""

    async def next_wake(self) -> Microseconds | None:
        """The next moment something is due that has not asked the clock for a call yet."""


class VirtualCall:
    """A pending call that can be taken back."""

    __slots__ = ("_callback", "is_upkeep", "when")

    def __init__(
        self, when: Microseconds, callback: Callable[[], None], *, is_upkeep: bool
    ) -> None:
        self.when: Microseconds = when
        self.is_upkeep: bool = is_upkeep
        self._callback: Callable[[], None] | None = callback

    @property
    def is_pending(self) -> bool:
        """Whether the call is still to come."""
        return self._callback is not None

    def cancel(self) -> None:
        """Take the call back; harmless when it has already happened."""
        self._callback = None

    def happen(self) -> None:
        """Make the call, once."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class VirtualClock:
    """A clock that moves only when a test lets it.

    Args:
        start: The first moment (aware); 2026-01-01T00:00Z by default.

    Example:
        ::

            clock = VirtualClock()
            async with Host(app, storage="sqlite://", clock=clock) as host:
                ...

        ``TestHost`` does this and more.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now = _moment(start)
        self._calls: list[tuple[int, int, VirtualCall]] = []
        self._order = 0
        self._driven: Driven | None = None
        self._is_firing = False

    # --- the Clock port ------------------------------------------------------------------------

    def now(self) -> Microseconds:
        """The present, in microseconds since 1970 UTC."""
        return self._now

    def monotonic(self) -> Microseconds:
        """The same: nobody sets a virtual clock, its time passes."""
        return self._now

    def call_at(self, when: Microseconds, callback: Callable[[], None]) -> VirtualCall:
        """Call back on the running loop when ``when`` has come, never before."""
        # The lifecycle looks every few minutes for what is due soon, and some look at folders every
        # second; ``next_wake`` knows better, so time may pass these calls by.
        is_upkeep = isinstance(getattr(callback, "__self__", None), _UPKEEP)
        call = VirtualCall(when, callback, is_upkeep=is_upkeep)
        self._order += 1
        heappush(self._calls, (when, self._order, call))
        if when <= self._now:
            self._fire_soon()
        return call

    def call_later(self, delay: Microseconds, callback: Callable[[], None]) -> VirtualCall:
        """Call back on the running loop after so many microseconds."""
        return self.call_at(self._now + delay, callback)

    # --- for tests -----------------------------------------------------------------------------

    @property
    def current_time(self) -> datetime:
        """The present."""
        return to_datetime(self._now)

    def drive(self, driven: Driven | None) -> None:
        """Tell what lives on this clock: it is let come to rest before time moves on."""
        self._driven = driven

    def forget_calls(self) -> None:
        """Drop all pending calls, as a power cut does."""
        self._calls.clear()

    async def advance(self, to: datetime | timedelta, *, with_activities: bool = True) -> None:
        """Let time pass, from one due call to the next.

        Args:
            to: How long, or until when (aware).
            with_activities: Whether running activities are waited for before each step. Without,
                they go on while time passes: that is how a timeout can strike.

        Raises:
            InputError: for a moment before the present.
        """
        target = self._now + span(to) if isinstance(to, timedelta) else _moment(to)
        if target < self._now:
            raise InputError(f"time does not go back: {to!r} is before {self.current_time}")
        await self._rest(with_activities=with_activities)
        while (step := await self.next_moment()) is not None and step <= target:
            self.jump(step)
            await self._rest(with_activities=with_activities)
        self.jump(target)
        await self._rest(with_activities=with_activities)

    async def next_moment(self) -> Microseconds | None:
        """The next moment at which something is due; None when time brings nothing more.

        Asking the store for what comes after the next upkeep, instead of stopping at each of them,
        is what lets a year pass in one step.
        """
        call = self._next_call(upkeep=False)
        upkeep = self._next_call(upkeep=True)
        if upkeep is None or self._driven is None or (call is not None and call <= upkeep):
            return call
        wake = await self._driven.next_wake()
        if wake is None or call is None:
            return call if wake is None else wake
        return min(call, wake)

    def jump(self, to: Microseconds) -> None:
        """Set the time (microseconds); what is due is called from the loop."""
        self._now = max(self._now, to)
        self._fire_soon()

    # --- pieces --------------------------------------------------------------------------------

    async def _rest(self, *, with_activities: bool) -> None:
        if self._driven is not None:
            await self._driven.rest(with_activities=with_activities)
        else:
            await asyncio.sleep(0)

    def _next_call(self, *, upkeep: bool) -> Microseconds | None:
        while self._calls and not self._calls[0][2].is_pending:
            heappop(self._calls)
        return min(
            (when for when, _, call in self._calls if call.is_pending and call.is_upkeep is upkeep),
            default=None,
        )

    def _fire_soon(self) -> None:
        if not self._is_firing:
            self._is_firing = True
            asyncio.get_running_loop().call_soon(self._fire)

    def _fire(self) -> None:
        self._is_firing = False
        while self._calls and self._calls[0][0] <= self._now:
            heappop(self._calls)[2].happen()


class ClockWire:
    """The clock as one host has it: cut when that host is thrown away, so that nothing of it goes
    on in the time of the next.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._is_cut = False

    def now(self) -> Microseconds:
        """The present, in microseconds since 1970 UTC."""
        return self._clock.now()

    def monotonic(self) -> Microseconds:
        """Time that passes, in microseconds."""
        return self._clock.monotonic()

    def call_at(self, when: Microseconds, callback: Callable[[], None]) -> VirtualCall:
        """Call back when ``when`` has come; never, once the wire is cut."""
        if self._is_cut:
            return VirtualCall(when, callback, is_upkeep=True)
        return self._clock.call_at(when, callback)

    def call_later(self, delay: Microseconds, callback: Callable[[], None]) -> VirtualCall:
        """Call back after so many microseconds; never, once the wire is cut."""
        return self.call_at(self.now() + delay, callback)

    def cut(self) -> None:
        """Drop all pending calls and take no more."""
        self._is_cut = True
        self._clock.forget_calls()


def _moment(value: datetime) -> Microseconds:
    if value.tzinfo is None:
        raise InputError(f"virtual time needs an aware datetime, got {value!r}")
    return to_microseconds(value)
