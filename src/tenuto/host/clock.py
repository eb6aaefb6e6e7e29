"""Real time: the Clock port on the host's event loop."""

import asyncio
import time
from collections.abc import Callable

from tenuto.model.timing import Microseconds

_TIME = vars(time)
"""What ``time`` holds. The guard asks at each look into the module itself whether a session runs,
which costs more than the clock; tools that replace its functions are seen here as well."""

_LONGEST_SLEEP = 1.0
"""The wall clock may be set while we wait, so it is looked at once a second at least."""


class _Alarm:
    """A call at a time of the wall clock."""

    __slots__ = ("_callback", "_clock", "_handle", "_when")

    def __init__(
        self, clock: "SystemClock", when: Microseconds, callback: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._when = when
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None
        self.arm()

    def arm(self) -> None:
        delay = (self._when - self._clock.now()) / 1_000_000
        self._handle = asyncio.get_running_loop().call_later(
            min(max(delay, 0.0), _LONGEST_SLEEP), self._ring
        )

    def _ring(self) -> None:
        if self._clock.now() < self._when:
            self.arm()
        else:
            self._handle = None
            self._callback()

    def cancel(self) -> None:
        """Take the call back."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class SystemClock:
    """The machine's clock, in microseconds since 1970 UTC."""

    def now(self) -> Microseconds:
        """The present."""
        now: Microseconds = _TIME["time_ns"]() // 1000
        return now

    def monotonic(self) -> Microseconds:
        """Time of the running loop, which nobody sets."""
        return int(asyncio.get_running_loop().time() * 1_000_000)

    def call_at(self, when: Microseconds, callback: Callable[[], None]) -> _Alarm:
        """Call back on the running loop when ``when`` has come, never before."""
        return _Alarm(self, when, callback)

    def call_later(self, delay: Microseconds, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back on the running loop after so many microseconds of its monotonic clock."""
        return asyncio.get_running_loop().call_later(delay / 1_000_000, callback)
