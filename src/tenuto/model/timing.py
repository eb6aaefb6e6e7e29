"""Times as integers of microseconds since 1970 UTC, and back."""

from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

Microseconds: TypeAlias = int
"""A moment since 1970 UTC, or a span of time, in whole microseconds; an alias, since sums and
differences of them are plain integers to a type checker.
"""

MICROSECONDS: Final[Microseconds] = 1_000_000
"""A second."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final[Microseconds] = 253_402_300_799_999_999
"""The last microsecond of the year 9999, after which there is no datetime."""
_UNIT: Final = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> Microseconds:
    """The integer for an aware datetime."""
    return (moment - _EPOCH) // _UNIT


def to_datetime(microseconds: Microseconds) -> datetime:
    """The aware UTC datetime for an integer."""
    return _EPOCH + timedelta(microseconds=microseconds)


def span(duration: timedelta) -> Microseconds:
    """A duration in microseconds."""
    return duration // _UNIT
