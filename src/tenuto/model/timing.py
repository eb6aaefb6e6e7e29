"""Times as integers of microseconds since 1970 UTC, and back."""

from datetime import UTC, datetime, timedelta
from typing import Final

MICROSECONDS: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999, after which there is no datetime."""
_UNIT: Final = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """The integer for an aware datetime."""
    return (moment - _EPOCH) // _UNIT


def to_datetime(microseconds: int) -> datetime:
    """The aware UTC datetime for an integer."""
    return _EPOCH + timedelta(microseconds=microseconds)


def span(duration: timedelta) -> int:
    """A duration in microseconds."""
    return duration // _UNIT
