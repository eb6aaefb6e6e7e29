"""The next "Friday at five", safe across daylight saving.

Owns calendar arithmetic in local time. It never reads a clock: the moment to start from is always
given, so an orchestrator passes ``ctx.current_time`` and gets the same answer on every replay. Its
one source beside the arguments is the time zone database of the machine; hosts of one task hub
should carry the same release of it.

How local times become instants
    * A time that the clocks skip (the hour lost in spring) moves to the first instant after the
      gap.
    * A time that the clocks show twice (the hour gained in autumn) means its first occurrence,
      once.
    * The answer is strictly later than ``after``, and is in UTC.
"""

import calendar
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["next_month_day", "next_month_end", "next_time", "next_weekday"]

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_LONGEST_MONTH = 31


def next_time(at: str, *, tz: str, after: datetime) -> datetime:
    """The next time the clocks in a zone show a time of day.

    Args:
        at: The time of day, ``"HH:MM"`` or ``"HH:MM:SS"``, 24 hours.
        tz: The name of a time zone, such as ``"Europe/Berlin"``.
        after: The moment to start from; it must know its own zone.

    Errors:
        ValueError: When an argument makes no sense; the message names it.

    Example:
        >>> next_time("09:30", tz="Europe/Berlin", after=datetime(2026, 11, 21, tzinfo=UTC))
        datetime.datetime(2026, 11, 21, 8, 30, tzinfo=datetime.timezone.utc)
    """
    return _next(_days, at, tz, after)


def next_weekday(day: str, at: str, *, tz: str, after: datetime) -> datetime:
    """The next time the clocks in a zone show a time of day on a day of the week.

    Args:
        day: ``"mon"`` to ``"sun"`` or the full English name, in any case.
        at: The time of day, ``"HH:MM"`` or ``"HH:MM:SS"``, 24 hours.
        tz: The name of a time zone, such as ``"Europe/Berlin"``.
        after: The moment to start from; it must know its own zone.

    Errors:
        ValueError: When an argument makes no sense; the message names it.

    Example:
        >>> next_weekday(
        ...     "fri", "17:00", tz="Europe/Berlin", after=datetime(2026, 11, 21, tzinfo=UTC)
        ... )
        datetime.datetime(2026, 11, 27, 16, 0, tzinfo=datetime.timezone.utc)
    """
    number = _weekday(day)
    return _next(
        lambda start: (one for one in _days(start) if one.weekday() == number), at, tz, after
    )


def next_month_day(day: int, at: str, *, tz: str, after: datetime) -> datetime:
    """The next time the clocks in a zone show a time of day on a day of the month.

    Args:
        day: 1 to 31; a shorter month uses its last day. -1 is the last day, -2 the one before; a
            shorter month uses its first day.
        at: The time of day, ``"HH:MM"`` or ``"HH:MM:SS"``, 24 hours.
        tz: The name of a time zone, such as ``"Europe/Berlin"``.
        after: The moment to start from; it must know its own zone.

    Errors:
        ValueError: When an argument makes no sense; the message names it.

    Example:
        >>> next_month_day(31, "08:00", tz="UTC", after=datetime(2026, 2, 1, tzinfo=UTC))
        datetime.datetime(2026, 2, 28, 8, 0, tzinfo=datetime.timezone.utc)
    """
    if not 1 <= abs(day) <= _LONGEST_MONTH:
        raise ValueError(
            f"day {day!r} is not a day of the month; use 1 to 31, or -1 to -31 from the end"
        )
    return _next(lambda start: _month_days(start, day), at, tz, after)


def next_month_end(at: str, *, tz: str, after: datetime) -> datetime:
    """The next time the clocks in a zone show a time of day on the last day of a month.

    Args:
        at: The time of day, ``"HH:MM"`` or ``"HH:MM:SS"``, 24 hours.
        tz: The name of a time zone, such as ``"Europe/Berlin"``.
        after: The moment to start from; it must know its own zone.

    Errors:
        ValueError: When an argument makes no sense; the message names it.

    Example:
        >>> next_month_end("18:00", tz="UTC", after=datetime(2028, 2, 1, tzinfo=UTC))
        datetime.datetime(2028, 2, 29, 18, 0, tzinfo=datetime.timezone.utc)
    """
    return next_month_day(-1, at, tz=tz, after=after)


def _next(days: Callable[[date], Iterator[date]], at: str, tz: str, after: datetime) -> datetime:
    clock_time, zone = _time(at), _zone(tz)
    if after.utcoffset() is None:
        raise ValueError(
            f"after={after!r} has no time zone; use an aware datetime such as ctx.current_time"
        )
    try:
        # A skipped time can move into the next day, and one zone once skipped a whole day: start
        # two days early.
        start = after.astimezone(zone).date() - timedelta(days=2)
        instants = (_instant(datetime.combine(day, clock_time), zone) for day in days(start))
        return next(instant for instant in instants if instant > after)
    except OverflowError:
        raise ValueError(
            f"after={after!r} is at an end of the calendar, the years 1 to 9999"
        ) from None


def _days(start: date) -> Iterator[date]:
    while True:
        yield start
        start += timedelta(days=1)


def _month_days(start: date, day: int) -> Iterator[date]:
    """The wanted day of each month, beginning with the month of ``start``."""
    while True:
        length = calendar.monthrange(start.year, start.month)[1]
        number = min(day, length) if day > 0 else max(length + 1 + day, 1)
        yield start.replace(day=number)
        start = start.replace(day=length) + timedelta(days=1)


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    """When the clocks of the zone first show a local time, or first show a later one."""
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local:
        return instant
    # A gap. Read with the offset that was in force before it (fold=0), the local time lies after
    # the change of offset; read with the one in force afterwards (fold=1), it lies before. The
    # change is found by halving.
    late = instant
    early = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    offset = late.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            late = middle
        else:
            early = middle
    return late


def _time(text: str) -> time:
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(
            f"at={text!r} is not a time of day; write 'HH:MM' or 'HH:MM:SS', 00:00 to 23:59:59"
        )
    hour, minute, second = found.groups(default="0")
    return time(int(hour), int(minute), int(second))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"tz={name!r} is not a known time zone; use a name such as 'Europe/Berlin' or 'UTC'"
        ) from None


def _weekday(name: str) -> int:
    wanted = name.lower()
    for number, full in enumerate(_WEEKDAYS):
        if wanted in (full, full[:3]):
            return number
    raise ValueError(
        f"day {name!r} is not a day of the week; use mon, tue, wed, thu, fri, sat or sun"
    )
