"""What a server has been asked, counted; and what would be said too often, said seldom. Pure.

Routes are counted by their templates, methods by those that HTTP knows: what callers make up does
not make metrics grow.
"""

import logging
from collections.abc import Callable
from typing import Final

from tenuto.telemetry.distribution import Distribution

NO_ROUTE: Final = "none"
"""Of a request that belongs to nothing that is served."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BOUNDS: Final = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 500_000,
                  1_000_000, 5_000_000, 60_000_000)  # fmt: skip
_SELDOM_SECONDS: Final = 10.0

_LOGGER: Final = logging.getLogger("tenuto.http")


class Traffic:
    """Counts of one server.

    Attributes:
        requests: How many were answered, by method, route and status.
        seconds: How long they took, in microseconds, by route.
        refused_keys: Requests without a key, or with a wrong one, where one is needed.
        connections: How many there are.
        begun: How many requests have come, and websockets.
        open: How many of them are being answered; live streams are, until they end.
        refused_connections: How many were closed at once, since their peer had too many.
    """

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        self.seconds: dict[str, Distribution] = {}
        self.refused_keys = 0
        self.connections = 0
        self.begun = 0
        self.open = 0
        self.refused_connections = 0

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            method: Of the request.
            route: The template of its path.
            status: Of the answer.
            seconds: From its head to the end of its answer.
        """
        key = (method if method in _METHODS else "other", route, status)
        self.requests[key] = self.requests.get(key, 0) + 1
        if route not in self.seconds:
            self.seconds[route] = Distribution(_BOUNDS)
        self.seconds[route].add(round(seconds * 1_000_000))


class SeldomWarning:
    """A warning about what may happen thousands of times a second: the first one is said at once,
    then at most one line every ten seconds, with how many there were.

    Args:
        now: The time in seconds, from any beginning.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._said_at: float | None = None
        self._unsaid = 0

    def say(self, text: str) -> None:
        """Say it, or count it."""
        now = self._now()
        if self._said_at is not None and now - self._said_at < _SELDOM_SECONDS:
            self._unsaid += 1
            return
        more = f" (and {self._unsaid:,} more since the last such line)" if self._unsaid else ""
        self._said_at, self._unsaid = now, 0
        _LOGGER.warning("%s%s", text, more)
