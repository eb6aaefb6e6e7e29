"""When a timer is due: NCRONTAB in a time zone, or a time span.

Owns what daylight saving means to a schedule. Reads no clock; its one source beside the arguments
is the time zone database of the machine.

How clocks that are put on or back are read
    * Hours that are written out (``0 30 2 * * *``) are what a clock shows. A time that is skipped
      in spring comes at the first moment after the gap; several that are skipped come together,
      once. A time that is shown twice in autumn comes the first time alone.
    * With ``*`` in the hours (``0 */15 * * * *``) the schedule goes on by the time that passes: in
      spring it does not wait, in autumn it does not pause; times shown twice come twice.
    * A time span knows no clock.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from tenuto.model.errors import InputError
from tenuto.model.ncrontab import Ncrontab, parse_ncrontab
from tenuto.model.timing import LATEST, MICROSECONDS, Microseconds

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - what clocks show, without a zone
_UTC_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_SPAN: Final = re.compile(
    r"(?:(?P<days>[0-9]{1,5})\.)?(?P<first>[0-9]{1,5}):(?P<second>[0-9]{1,2})"
    r"(?::(?P<third>[0-9]{1,2}))?",
    re.ASCII,
)
_HOURS: Final = 24


class ClockSchedule(Struct, frozen=True, kw_only=True):
    """Due at times of clocks in a zone.

    Attributes:
        crontab: The times.
        zone: Where the clocks are.
    """

    crontab: Ncrontab
    zone: ZoneInfo

    @property
    def is_frequent(self) -> bool:
        """Whether it may come more than once a minute."""
        return len(self.crontab.seconds) > 1

    def next_after(
        self, moment: Microseconds, since: Microseconds | None = None
    ) -> Microseconds | None:
        """The first moment later than this one; None when the calendar ends before it.

        Args:
            moment: From when on.
            since: Means nothing here.
        """
        del since
        second = moment // MICROSECONDS
        try:
            if self.crontab.has_any_hour:
                found = self._next_passing(second)
            else:
                found = self._next_shown(second)
        except OverflowError:  # the end of the calendar, in a zone that is ahead of it
            return None
        return None if found is None else found * MICROSECONDS

    # Below, moments are whole seconds since 1970 UTC. Offsets never change within a second.

    def _next_shown(self, second: int) -> int | None:
        """By what clocks show: each time once, when it is shown first.

        The later a time on the clocks, the later the moment that it is first shown, so the search
        may begin at what they show now.
        """
        local = self._local(second, self._offset(second))
        while (found := self.crontab.next_local(local)) is not None:
            moment = self._first_shown(found)
            if moment > second:
                return moment
            # It was shown before the clocks went back, and so was all up to that.
            change = self._change(moment, second)
            local = max(found, self._local(change - 1, self._offset(moment)))
        return None

    def _first_shown(self, local: datetime) -> int:
        """The moment a time is first shown; of one that is skipped, the first after the gap."""
        moment = _seconds(local.replace(tzinfo=self.zone) - _UTC_EPOCH)
        if self._local(moment, self._offset(moment)) == local:
            return moment
        # Read by the rules of before the gap it is late, by those of after it early.
        early = _seconds(local.replace(tzinfo=self.zone, fold=1) - _UTC_EPOCH)
        return self._change(early, moment)

    def _next_passing(self, second: int) -> int | None:
        """By the time that passes: each moment at which clocks show what fits.

        As long as the offset stays, the next time on the calendar is the next moment. So it goes
        from change to change; a time that clocks show again after one is less than a day away.
        """
        moment, offset = second, self._offset(second)
        while (found := self.crontab.next_local(self._local(moment, offset))) is not None:
            due = _seconds(found - _EPOCH) - offset
            until = min(due, moment + _DAY)
            if self._offset(until) != offset:
                # The second before, as the clocks of after the change would have shown it.
                moment = self._change(moment, until) - 1
                offset = self._offset(moment + 1)
            elif until == due:
                return due
            else:
                # Whatever the clocks do in between, they show nothing there that fits.
                moment = max(until, due - 2 * _DAY)
                offset = self._offset(moment)
        return None

    def _change(self, early: int, late: int) -> int:
        """The first second between the two that has the offset of the second one."""
        offset = self._offset(late)
        while late - early > 1:
            middle = (early + late) // 2
            if self._offset(middle) == offset:
                late = middle
            else:
                early = middle
        return late

    def _offset(self, second: int) -> int:
        moment = _UTC_EPOCH + timedelta(seconds=second)
        offset = moment.astimezone(self.zone).utcoffset()
        assert offset is not None, "a zone has an offset at each moment"
        return _seconds(offset)

    @staticmethod
    def _local(second: int, offset: int) -> datetime:
        return _EPOCH + timedelta(seconds=second + offset)


class IntervalSchedule(Struct, frozen=True, kw_only=True):
    """Due again and again after a span of time.

    Attributes:
        length: The span, from 1 second.
    """

    length: Microseconds

    @property
    def is_frequent(self) -> bool:
        """Whether it comes more than once a minute."""
        return self.length < _MINUTE * MICROSECONDS

    def next_after(
        self, moment: Microseconds, since: Microseconds | None = None
    ) -> Microseconds | None:
        """The first moment later than this one; None when the calendar ends before it.

        Args:
            moment: From when on.
            since: When it was due before: it stays in step with that. By default ``moment``.
        """
        since = moment if since is None else min(since, moment)
        found = since + ((moment - since) // self.length + 1) * self.length
        return found if found <= LATEST else None


TimerSchedule: TypeAlias = ClockSchedule | IntervalSchedule
"""When a timer is due."""


def parse_schedule(text: str, zone: str | None = None) -> TimerSchedule:
    """Read a schedule.

    Args:
        text: NCRONTAB with six fields, or five (at second 0); or a time span, ``hh:mm:ss`` or
            ``d.hh:mm:ss``. As in Azure, ``25:00:00`` is a span of 25 days, not of 25 hours.
        zone: The name of the time zone, such as ``Europe/Berlin``; None for UTC. Means nothing to a
            time span, but an app may have one for all its schedules.

    Raises:
        InputError: the schedule or the zone is none; says what is allowed.

    Example:
        >>> parse_schedule("00:05:00").next_after(0)
        300000000
    """
    if not isinstance(text, str):
        raise InputError(f"a schedule is a text such as '0 */5 * * * *', got {text!r}")
    if zone is not None and not isinstance(zone, str):
        raise InputError(f"a zone is a name such as 'Europe/Berlin', got {zone!r}")
    found = _zone("UTC" if zone is None else zone)
    if ":" in text:
        return IntervalSchedule(length=_span(text) * MICROSECONDS)
    return ClockSchedule(crontab=parse_ncrontab(text), zone=found)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(
            f"zone {name!r} is not a known time zone; use a name such as 'Europe/Berlin' or 'UTC'"
        ) from None


def _span(text: str) -> int:
    """The seconds of a time span, as .NET reads it."""
    found = _SPAN.fullmatch(text.strip())
    if found is not None:
        numbers = [int(one) for one in found.group("first", "second")]
        numbers.append(int(found["third"] or 0))
        days = found["days"]
        if days is None and numbers[0] >= _HOURS:
            numbers = [*numbers, 0]
        else:
            numbers = [int(days or 0), *numbers]
        day, hour, minute, second = numbers
        if hour < _HOURS and minute < _MINUTE and second < _MINUTE and any(numbers):
            return day * _DAY + hour * _HOUR + minute * _MINUTE + second
    raise InputError(
        f"schedule {text!r} is no time span; write 'hh:mm:ss', or 'd.hh:mm:ss' for more than 23 "
        "hours, from 00:00:01"
    )


def _seconds(length: timedelta) -> int:
    return length // _SECOND
