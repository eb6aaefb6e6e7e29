"""The retry policy of a function, as ``function.json`` has it: how often it is tried again, when.

Only functions that a timer runs have theirs followed, as in Azure: those behind HTTP and those of
orchestrations are never tried again by it. What is wrong with one is said when an app is loaded.
"""

import random
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from tenuto.interop.azure_app.folder.time_spans import time_span
from tenuto.model.timing import Microseconds, span

FIXED: Final = "fixedDelay"
EXPONENTIAL: Final = "exponentialBackoff"
ENDLESS: Final = -1
_NOTHING: Final = re.compile(r"[0:.]+")
_SPREAD: Final = 0.2
"""Of each growing pause, up or down: those that failed together do not come again together."""
_MOST_DOUBLINGS: Final = 40


class FunctionRetries(Struct, frozen=True, kw_only=True):
    """A retry policy.

    Attributes:
        most: How often a function is tried again; ``ENDLESS`` for ever.
        first: The shortest pause before it is, in microseconds.
        longest: The longest pause; the same as ``first`` when all are equal.
        spread: Gives a factor for a pause that grows; another one for tests.
    """

    most: int
    first: Microseconds
    longest: Microseconds
    spread: Callable[[], float] = lambda: random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - no secret

    def pause_before(self, attempt: int) -> Microseconds | None:
        """The pause before a further attempt, in microseconds; None when there is none.

        Args:
            attempt: Which, from 1.
        """
        if self.most != ENDLESS and attempt > self.most:
            return None
        if attempt == 1 or self.longest == self.first:
            return self.first
        grown = self.first * 2 ** min(attempt - 2, _MOST_DOUBLINGS) * self.spread()
        return min(self.first + int(grown), self.longest)


def retry_policy(said: Mapping[str, Any]) -> FunctionRetries:
    """What a function says of its retries.

    Raises:
        ValueError: it is none; says what was expected.

    Example:
        ``retry_policy({"strategy": "fixedDelay", "maxRetryCount": 3, "delayInterval": "00:01"})``
    """
    strategy = str(said.get("strategy", ""))
    most = said.get("maxRetryCount")
    if not isinstance(most, int) or isinstance(most, bool) or most < ENDLESS:
        raise ValueError(f"maxRetryCount is a whole number, or -1 for ever; got {most!r}")
    if strategy.lower() == FIXED.lower():
        delay = _interval(said, "delayInterval")
        return FunctionRetries(most=most, first=delay, longest=delay)
    if strategy.lower() != EXPONENTIAL.lower():
        raise ValueError(f"strategy is {FIXED} or {EXPONENTIAL}, got {strategy!r}")
    first, longest = _interval(said, "minimumInterval"), _interval(said, "maximumInterval")
    if first > longest:
        raise ValueError("minimumInterval is longer than maximumInterval")
    return FunctionRetries(most=most, first=first, longest=longest)


def _interval(said: Mapping[str, Any], name: str) -> Microseconds:
    value = said.get(name)
    if isinstance(value, str) and _NOTHING.fullmatch(value.strip()):
        return 0
    try:
        found: timedelta | None = time_span(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if found is None:
        raise ValueError(f"{name}: a pause that has no end is none")
    return span(found)
