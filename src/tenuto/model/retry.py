"""Retry policies: when a failed attempt is tried again. Pure arithmetic."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from msgspec import Struct

from tenuto.model.errors import InputError
from tenuto.model.failure import FailureDetails
from tenuto.model.timing import Microseconds, span

_ZERO = timedelta(0)
_LONGEST = timedelta(days=365_000)
"""A thousand years: a due time that every clock and store can still hold."""

_MOST_ATTEMPTS: Final = 2**63 - 1


class RetryFacts(Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """A retry policy as history keeps it, but for its predicate. Durations are microseconds.

    What decides is the policy of the code that runs; this tells readers of a history, and sessions
    that are rebuilt without their program. The attributes are those of ``RetryPolicy``.
    """

    max_attempts: int
    first_interval: Microseconds
    backoff: float = 1.0
    max_interval: Microseconds | None = None
    timeout: Microseconds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and when a failed activity or sub-orchestration is tried again.

    Attributes:
        max_attempts: Attempts in all, the first included; at least 1.
        first_interval: Wait before the second attempt; not negative.
        backoff: Each wait is the one before times this; at least 1.
        max_interval: Longest single wait; None for no cap.
        timeout: Total time from the first attempt after which no new attempt is begun.
        retry_if: Decides from the failure whether to try again. It runs inside the
            orchestrator, so it must be deterministic.

    Example:
        ``RetryPolicy(max_attempts=5, first_interval=timedelta(seconds=1), backoff=2.0)``

    Raises:
        InputError: for a value outside its range.
    """

    max_attempts: int
    first_interval: timedelta = timedelta(seconds=1)
    backoff: float = 1.0
    max_interval: timedelta | None = None
    timeout: timedelta | None = None
    retry_if: Callable[[FailureDetails], bool] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.max_attempts, bool) or not isinstance(self.max_attempts, int):
            raise InputError(f"RetryPolicy.max_attempts must be an int, got {self.max_attempts!r}")
        if self.max_attempts < 1:
            raise InputError(f"RetryPolicy.max_attempts must be >= 1, got {self.max_attempts}")
        for name in ("first_interval", "max_interval", "timeout"):
            value = getattr(self, name)
            if value is None and name != "first_interval":
                continue
            if not isinstance(value, timedelta):
                raise InputError(f"RetryPolicy.{name} must be a timedelta, got {value!r}")
            if value < _ZERO:
                raise InputError(f"RetryPolicy.{name} must not be negative, got {value}")
        if isinstance(self.backoff, bool) or not isinstance(self.backoff, int | float):
            raise InputError(f"RetryPolicy.backoff must be a number, got {self.backoff!r}")
        if not self.backoff >= 1.0:
            raise InputError(f"RetryPolicy.backoff must be >= 1, got {self.backoff!r}")

    @property
    def facts(self) -> RetryFacts:
        """What history keeps of it, within what JSON can hold."""
        return RetryFacts(
            min(self.max_attempts, _MOST_ATTEMPTS),
            _kept(self.first_interval),
            float(min(self.backoff, sys.float_info.max)),
            None if self.max_interval is None else _kept(self.max_interval),
            None if self.timeout is None else _kept(self.timeout),
        )

    def next_delay(
        self, attempt: int, failure: FailureDetails, elapsed: timedelta
    ) -> timedelta | None:
        """How long to wait after the failed ``attempt`` (1-based), or None to give up.

        ``elapsed`` is the time since the first attempt was scheduled.
        """
        if attempt >= self.max_attempts or failure.is_non_retriable:
            return None
        if self.retry_if is not None and not self.retry_if(failure):
            return None
        delay = self._interval(attempt)
        if self.timeout is not None and elapsed + delay >= self.timeout:
            return None
        return delay

    def _interval(self, attempt: int) -> timedelta:
        cap = _LONGEST if self.max_interval is None else min(self.max_interval, _LONGEST)
        try:
            delay = self.first_interval * self.backoff ** (attempt - 1)
        except OverflowError:
            return cap
        return min(delay, cap)


def _kept(duration: timedelta) -> Microseconds:
    return span(min(duration, _LONGEST))
