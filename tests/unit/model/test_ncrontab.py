"""What the fields of NCRONTAB mean, and what is refused."""

from datetime import date, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tenuto.model.errors import InputError
from tenuto.model.ncrontab import parse_ncrontab

FIRST: Final = datetime.fromisoformat("2000-01-01")
"""Like all times here without a zone: what clocks show."""
LAST: Final = datetime.fromisoformat("2100-01-01")


def following(text: str, after: str, count: int = 3) -> list[str]:
    crontab, moment, found = parse_ncrontab(text), datetime.fromisoformat(after), list[str]()
    for _ in range(count):
        moment = crontab.next_local(moment) or pytest.fail("it has no more")
        found.append(f"{moment:%Y-%m-%d %H:%M:%S}")
    return found


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        # The examples of Azure's own page.
        ("0 5 * * * *", "2026-11-29T10:05:00", ["2026-11-29 11:05:00", "2026-11-29 12:05:00"]),
        ("0 */5 * * * *", "2026-11-29T10:03:00", ["2026-11-29 10:05:00", "2026-11-29 10:10:00"]),
        ("0 0 */2 * * *", "2026-11-29T21:00:00", ["2026-11-29 22:00:00", "2026-11-30 00:00:00"]),
        ("0 0 9-17 * * *", "2026-11-29T16:30:00", ["2026-11-29 17:00:00", "2026-11-30 09:00:00"]),
        ("0 30 9 * * *", "2026-11-29T09:30:00", ["2026-11-30 09:30:00", "2026-12-01 09:30:00"]),
        ("0 30 9 * * 1-5", "2026-11-27T09:30:00", ["2026-11-30 09:30:00", "2026-12-01 09:30:00"]),
        ("0 30 9 * Jan Mon", "2026-11-27T00:00", ["2027-01-04 09:30:00", "2027-01-11 09:30:00"]),
        # Five fields begin with the minute.
        ("30 9 * * *", "2026-11-29T09:30:00", ["2026-11-30 09:30:00", "2026-12-01 09:30:00"]),
        # Both days must fit: Friday the 13th.
        ("0 0 0 13 * FRI", "2026-01-01T00:00", ["2026-02-13 00:00:00", "2026-03-13 00:00:00"]),
        # From a value on to the end of the field.
        ("0 40/10 * * * *", "2026-11-29T10:00", ["2026-11-29 10:40:00", "2026-11-29 10:50:00"]),
        ("0 0 0 20-26/3 * *", "2026-11-21T00:00", ["2026-11-23 00:00:00", "2026-11-26 00:00:00"]),
        ("5,50 0 0 * * *", "2026-11-29T00:00:07", ["2026-11-29 00:00:50", "2026-11-30 00:00:05"]),
        ("0 0 0 31 * *", "2026-01-31T00:00:00", ["2026-03-31 00:00:00", "2026-05-31 00:00:00"]),
        ("0 0 0 1 * 0", "2026-01-01T00:00:00", ["2026-02-01 00:00:00", "2026-03-01 00:00:00"]),
        ("* * * * * *", "2026-12-31T23:59:59.9", ["2027-01-01 00:00:00", "2027-01-01 00:00:01"]),
        ("0 0 0 29 2 *", "2096-02-29T00:00:00", ["2104-02-29 00:00:00", "2108-02-29 00:00:00"]),
        ("0 0 0 29 2 MON", "2072-02-29T00:00", ["2112-02-29 00:00:00", "2140-02-29 00:00:00"]),
        ("0 0 0 * sept,DECEMBER tues", "2026-09-29T00:00", ["2026-12-01 00:00:00"]),
        (" 0\t0  0 30,31 * * ", "2026-02-01T00:00", ["2026-03-30 00:00:00"]),
    ],
)
def test_what_fields_mean(text: str, after: str, expected: list[str]) -> None:
    assert following(text, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has 0 fields"),
        ("* * * *", "has 4 fields"),
        ("* * * * * * *", "has 7 fields"),
        ("* " * 600, "has 600 fields"),
        ("60 * * * * *", "second '60' is not allowed; it is 0 to 59, or '*'"),
        ("0 x * * * *", "minute 'x' is not allowed"),
        ("0 0 24 * * *", "hour '24' is not allowed; it is 0 to 23"),
        ("0 0 -1 * * *", "hour '' is not allowed"),
        ("0 0 0 0 * *", "day of the month '0' is not allowed; it is 1 to 31"),
        ("0 0 0 ? * *", "day of the month '?' is not allowed"),
        ("0 0 0 * 13 *", "month '13' is not allowed; it is 1 to 12, or names such as JAN"),
        ("0 0 0 * ja *", "month 'ja' is not allowed"),
        ("0 0 0 * * 7", "weekday '7' is not allowed; it is 0 to 6 (0 is Sunday), or names"),
        ("0 0 0 * * monkey", "weekday 'monkey' is not allowed"),
        ("0 0 ٣ * * *", "hour '٣' is not allowed"),
        ("0 1,,2 * * * *", "minute '' is not allowed"),
        ("0 */0 * * * *", "minute '*/0': a step is a number from 1, got '0'"),
        ("0 */ * * * *", "a step is a number from 1, got ''"),
        ("0 5/-1 * * * *", "a step is a number from 1, got '-1'"),
        ("0 */99999 * * * *", "a step is a number from 1, got '99999'"),
        ("0 0 0 * * FRI-MON", "runs backwards; write the smaller value first, or two ranges: 'FRI"),
        ("0 0 0 31 2,4,jun *", "never comes: no month of '2,4,jun' has a day 31"),
        ("0 0 0 30 2 *", "never comes: no month of '2' has a day 30"),
    ],
)
def test_what_is_refused_with_field_value_and_what_is_allowed(text: str, reason: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_ncrontab(text)
    assert reason in str(raised.value)
    assert str(raised.value).startswith("schedule ")
    assert len(str(raised.value)) < 400


def test_the_end_of_the_calendar() -> None:
    assert parse_ncrontab("0 0 0 1 1 *").next_local(FIRST.replace(year=9999)) is None
    last = datetime.fromisoformat("9999-12-31T23:59:59.5")
    assert parse_ncrontab("* * * * * *").next_local(last) is None


def test_a_search_for_what_never_comes_ends() -> None:
    never = structs.replace(parse_ncrontab("0 0 0 30 1 *"), months=(2,))
    assert never.next_local(FIRST) is None


def test_whether_the_hours_are_those_that_pass() -> None:
    hours = {"*": True, "*/3": True, "0-23": True, "0/1": True, "3": False, "0-22": False}
    for hour, expected in hours.items():
        assert parse_ncrontab(f"0 0 {hour} * * *").has_any_hour is expected


def test_29_february_is_found_on_each_weekday_from_each_year() -> None:
    for weekday in range(7):
        crontab = parse_ncrontab(f"0 0 0 29 2 {weekday}")
        for year in range(1970, 2400):
            assert crontab.next_local(FIRST.replace(year=year)) is not None


# --- against the calendar, day by day and second by second ---------------------------------------


@st.composite
def fields(draw: st.DrawFn, lowest: int, highest: int) -> tuple[str, frozenset[int]]:
    """A field as text, and what it means, made the long way round."""
    texts, values = [], set[int]()
    for _ in range(draw(st.integers(1, 3))):
        low = draw(st.integers(lowest, highest))
        high = draw(st.integers(low, highest))
        step = draw(st.integers(1, 20))
        text, found = draw(
            st.sampled_from(
                [
                    ("*", range(lowest, highest + 1)),
                    (f"*/{step}", range(lowest, highest + 1, step)),
                    (f"{low}", [low]),
                    (f"{low}/{step}", range(low, highest + 1, step)),
                    (f"{low}-{high}", range(low, high + 1)),
                    (f"{low}-{high}/{step}", range(low, high + 1, step)),
                ]
            )
        )
        texts.append(text)
        values |= set(found)
    return ",".join(texts), frozenset(values)


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(fields(0, 59), fields(0, 59), fields(0, 23)),
    st.datetimes(FIRST, LAST),
)
def test_times_of_a_day_as_counted_second_by_second(
    times: tuple[tuple[str, frozenset[int]], ...], after: datetime
) -> None:
    (seconds, in_seconds), (minutes, in_minutes), (hours, in_hours) = times
    found = parse_ncrontab(f"{seconds} {minutes} {hours} * * *").next_local(after)
    tried = after.replace(microsecond=0)
    while True:
        tried += timedelta(seconds=1)
        if tried.hour not in in_hours:
            tried = tried.replace(minute=59, second=59)
        elif tried.minute not in in_minutes:
            tried = tried.replace(second=59)
        elif tried.second in in_seconds:
            break
    assert found == tried


@settings(max_examples=200, deadline=None)
@given(fields(1, 31), fields(1, 12), fields(0, 6), st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_days_as_counted_day_by_day(
    days: tuple[str, frozenset[int]],
    months: tuple[str, frozenset[int]],
    weekdays: tuple[str, frozenset[int]],
    after: date,
) -> None:
    text = f"0 0 0 {days[0]} {months[0]} {weekdays[0]}"
    try:
        crontab = parse_ncrontab(text)
    except InputError:
        assert not any(_exists(month, day) for month in months[1] for day in days[1])
        return
    tried = after
    while True:
        tried += timedelta(days=1)
        fits = tried.day in days[1] and tried.month in months[1]
        if fits and tried.isoweekday() % 7 in weekdays[1]:
            break
    assert crontab.next_local(datetime.combine(after, datetime.min.time())) == datetime.combine(
        tried, datetime.min.time()
    )


def _exists(month: int, day: int) -> bool:
    try:
        date(2024, month, day)
    except ValueError:
        return False
    return True
