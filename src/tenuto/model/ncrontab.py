"""NCRONTAB: the schedules of Azure Functions, ``{second} {minute} {hour} {day} {month} {weekday}``.

Owns what the fields mean, and the search on a calendar without time zones; what clocks do in spring
and autumn is in ``timer_schedule``. As in NCrontab, a day must fit both the day of the month and
the weekday (classic cron is content with one of them), and ``a/n`` goes on from ``a`` to the end of
the field. Two things are refused that NCrontab takes and reads in a way that nobody expects: ranges
that run backwards, and steps of 0. Every search ends: it looks at as many years as the calendar
needs to come round, and no further.
"""

import calendar
import re
from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, date, datetime, time, timedelta
from typing import Final

from msgspec import Struct

from tenuto.model.errors import InputError

_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_WEEKDAYS: Final = (
    "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
)  # fmt: skip
_SHORTEST_NAME: Final = 3
_LONGEST_TEXT: Final = 1_000
_FIELDS: Final = 6
_HOURS: Final = 24
_LONGEST_MONTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SEARCHED_MONTHS: Final = 12 * 41
"""29 February falls on a given weekday every 28 years; over a century without a leap year, 40."""
_SECOND: Final = timedelta(seconds=1)
_NUMBER: Final = re.compile(r"[0-9]{1,4}", re.ASCII)


class _Field(Struct, frozen=True):
    """A field: what it may hold."""

    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """What may stand there, in words."""
        text = f"{self.lowest} to {self.highest}"
        if self.names is _WEEKDAYS:
            return f"{text} (0 is Sunday), or names such as MON"
        return f"{text}, or names such as JAN" if self.names else text


_SECONDS: Final = _Field("second", 0, 59)
_PLACES: Final = (
    _SECONDS,
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 6, _WEEKDAYS),
)


class Ncrontab(Struct, frozen=True, kw_only=True):
    """A schedule, as the values that each field may have, in order.

    Attributes:
        weekdays: 0 is Sunday.
        has_any_hour: The hours are written with ``*``, or are all of them: such a schedule goes on
            by the time that passes, others by what a clock shows.
    """

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    has_any_hour: bool

    def next_local(self, after: datetime) -> datetime | None:
        """The first time later than this one, both without a zone; None before the year 10,000.

        Example:
            >>> parse_ncrontab("0 30 9 * * MON-FRI").next_local(datetime(2026, 11, 27, 12))
            datetime.datetime(2026, 11, 30, 9, 30)
        """
        if after.replace(microsecond=0) > datetime.max - _SECOND:  # noqa: DTZ901 - without a zone
            return None
        earliest = after.replace(microsecond=0) + _SECOND
        for day in self._days_from(earliest.date()):
            found = self._time_from(earliest.time() if day == earliest.date() else time.min)
            if found is not None:
                return datetime.combine(day, found)
        return None

    def _days_from(self, first: date) -> Iterator[date]:
        begin = first.day
        for number in range(_SEARCHED_MONTHS):
            years, month = divmod(first.month - 1 + number, 12)
            year = first.year + years
            if year > MAXYEAR:
                return
            if month + 1 in self.months:
                yield from self._days_of(year, month + 1, begin)
            begin = 1

    def _days_of(self, year: int, month: int, begin: int) -> Iterator[date]:
        monday, length = calendar.monthrange(year, month)
        for day in self.days:
            # ``monday`` is the weekday of the first of the month, where Monday is 0.
            if begin <= day <= length and (monday + day) % 7 in self.weekdays:
                yield date(year, month, day)

    def _time_from(self, earliest: time) -> time | None:
        for hour in _from(self.hours, earliest.hour):
            if hour > earliest.hour:
                return time(hour, self.minutes[0], self.seconds[0])
            for minute in _from(self.minutes, earliest.minute):
                if minute > earliest.minute:
                    return time(hour, minute, self.seconds[0])
                for second in _from(self.seconds, earliest.second):
                    return time(hour, minute, second)
        return None


def parse_ncrontab(text: str) -> Ncrontab:
    """Read a schedule of six fields, or of five: then the second is 0.

    Raises:
        InputError: it is none, or no day ever fits it; names the field and what is allowed.
    """
    words = text.split() if len(text) <= _LONGEST_TEXT else []
    if len(words) == _FIELDS - 1:
        words.insert(0, "0")
    if len(words) != _FIELDS:
        raise InputError(
            f"schedule {_shown(text)} has {len(text.split())} fields; it takes six, "
            "'{second} {minute} {hour} {day} {month} {weekday}', five without the second, or a "
            "time span such as '00:05:00'"
        )
    try:
        second, minute, hour, day, month, weekday = map(_values, _PLACES, words)
    except InputError as error:
        raise InputError(f"schedule {text!r}: {error}") from None
    if not any(min(day) <= _LONGEST_MONTHS[one - 1] for one in month):
        raise InputError(
            f"schedule {text!r} never comes: no month of {words[4]!r} has a day {min(day)}"
        )
    return Ncrontab(
        seconds=second,
        minutes=minute,
        hours=hour,
        days=day,
        months=month,
        weekdays=weekday,
        has_any_hour="*" in words[2] or len(hour) == _HOURS,
    )


def _values(field: _Field, text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        found.update(_part(field, part))
    return tuple(sorted(found))


def _part(field: _Field, part: str) -> range:
    """The values of ``*``, ``a``, ``a-b``, each also with a step: ``*/n``, ``a/n``, ``a-b/n``."""
    span, has_step, step = part.partition("/")
    every = _step(field, part, step) if has_step else 1
    if span == "*":
        return range(field.lowest, field.highest + 1, every)
    first, has_end, last = span.partition("-")
    low = _value(field, first)
    if has_end:
        high = _value(field, last)
        if low > high:
            raise InputError(
                f"{field.name} {part!r} runs backwards; write the smaller value first, or two "
                f"ranges: '{first}-{field.highest},{field.lowest}-{last}'"
            )
    else:
        high = field.highest if has_step else low
    return range(low, high + 1, every)


def _step(field: _Field, part: str, text: str) -> int:
    if not _NUMBER.fullmatch(text) or not int(text):
        raise InputError(f"{field.name} {part!r}: a step is a number from 1, got {text!r}")
    return int(text)


def _value(field: _Field, text: str) -> int:
    if _NUMBER.fullmatch(text) and field.lowest <= int(text) <= field.highest:
        return int(text)
    if len(text) >= _SHORTEST_NAME:
        for number, name in enumerate(field.names, field.lowest):
            if name.startswith(text.lower()):
                return number
    raise InputError(f"{field.name} {text!r} is not allowed; it is {field.allowed}, or '*'")


def _from(values: Sequence[int], lowest: int) -> Iterator[int]:
    return (one for one in values if one >= lowest)


def _shown(text: str) -> str:
    return repr(text) if len(text) <= _LONGEST_TEXT else f"{text[:40]!r}..."
