from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto import schedule

BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "after", "expected"),
    [
        ("fri", "2026-11-21T00:00", "2026-11-27T16:00"),
        ("FRIDAY", "2026-11-27T15:59:59", "2026-11-27T16:00"),
        ("Fri", "2026-11-27T16:00", "2026-12-04T16:00"),
        ("sun", "2026-03-28T00:00", "2026-03-29T15:00"),
    ],
)
def test_weekday(day: str, after: str, expected: str) -> None:
    assert schedule.next_weekday(day, "17:00", tz=BERLIN, after=utc(after)) == utc(expected)


@pytest.mark.parametrize(
    ("day", "after", "expected"),
    [
        (1, "2026-11-21T00:00", "2026-12-01T08:00"),
        (31, "2026-02-01T00:00", "2026-02-28T08:00"),
        (31, "2026-02-28T08:00", "2026-03-31T08:00"),
        (29, "2028-02-01T00:00", "2028-02-29T08:00"),
        (-1, "2028-02-01T00:00", "2028-02-29T08:00"),
        (-31, "2026-02-01T09:00", "2026-03-01T08:00"),
        (-2, "2026-12-31T00:00", "2027-01-30T08:00"),
    ],
)
def test_month_day(day: int, after: str, expected: str) -> None:
    assert schedule.next_month_day(day, "08:00", tz="UTC", after=utc(after)) == utc(expected)


def test_month_end() -> None:
    assert schedule.next_month_end("18:00", tz="UTC", after=utc("2028-02-01")) == utc(
        "2028-02-29T18:00"
    )


def test_the_answer_is_in_utc_and_later_than_after_in_any_zone() -> None:
    after = datetime(2026, 6, 1, 9, 30, tzinfo=ZoneInfo("Asia/Tokyo"))

    answer = schedule.next_time("09:30:05", tz="Asia/Tokyo", after=after)

    assert answer == after + timedelta(seconds=5)
    assert answer.tzinfo is UTC


def test_a_skipped_time_moves_to_the_end_of_the_gap() -> None:
    answer = schedule.next_time("02:30", tz=BERLIN, after=utc("2026-03-28T12:00"))

    assert answer == utc("2026-03-29T01:00")  # the clocks go from 02:00 to 03:00
    assert schedule.next_time("02:30", tz=BERLIN, after=answer) == utc("2026-03-30T00:30")


def test_an_ambiguous_time_means_its_first_occurrence_once() -> None:
    answer = schedule.next_time("02:30", tz=BERLIN, after=utc("2026-10-24T12:00"))

    assert answer == utc("2026-10-25T00:30")
    assert schedule.next_time("02:30", tz=BERLIN, after=answer) == utc("2026-10-26T01:30")


def test_a_skipped_day_moves_to_the_first_instant_of_the_next() -> None:
    answer = schedule.next_time("12:00", tz="Pacific/Apia", after=utc("2011-12-30T00:00"))

    assert answer == utc("2011-12-30T10:00")  # 31 December 00:00; the 30th never was
    following = schedule.next_time("12:00", tz="Pacific/Apia", after=answer)
    assert following == utc("2011-12-30T22:00")


def test_a_gap_at_midnight_counts_for_the_day_it_skips() -> None:
    # In Beirut the clocks go from 00:00 to 01:00.
    answer = schedule.next_weekday("sun", "00:15", tz="Asia/Beirut", after=utc("2026-03-27"))

    assert answer == utc("2026-03-28T22:00")


@pytest.mark.parametrize("text", ["", "9", "24:00", "12:60", "12:00:60", "1:2", "12:00 ", "-1:00"])
def test_bad_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time of day; write 'HH:MM'"):
        schedule.next_time(text, tz=BERLIN, after=utc("2026-01-01"))


@pytest.mark.parametrize("name", ["Mars/Base", "", "Europe", "../etc/passwd", "a\x00b"])
def test_unknown_zones_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a known time zone"):
        schedule.next_time("09:00", tz=name, after=utc("2026-01-01"))


def test_naive_moments_are_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone; use an aware datetime"):
        schedule.next_time("09:00", tz=BERLIN, after=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("name", ["", "f", "fr", "frid", "freitag", "1"])
def test_unknown_weekdays_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a day of the week; use mon"):
        schedule.next_weekday(name, "09:00", tz=BERLIN, after=utc("2026-01-01"))


@pytest.mark.parametrize("day", [0, 32, -32])
def test_impossible_days_of_the_month_are_refused(day: int) -> None:
    with pytest.raises(ValueError, match="is not a day of the month; use 1 to 31"):
        schedule.next_month_day(day, "09:00", tz=BERLIN, after=utc("2026-01-01"))


@pytest.mark.parametrize("after", [datetime.max, datetime.min])  # noqa: DTZ901
@pytest.mark.parametrize(
    "ask", [schedule.next_time, schedule.next_month_end], ids=["time", "month"]
)
def test_the_ends_of_the_calendar_are_refused(ask: Callable[..., Any], after: datetime) -> None:
    with pytest.raises(ValueError, match="of the calendar, the years 1 to 9999"):
        ask("09:00", tz=BERLIN, after=after.replace(tzinfo=UTC))


# --------------------------------------------------------- the same by brute force, in minutes

ZONES = [
    "UTC",
    BERLIN,
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
]


def by_brute_force(
    wanted: Callable[[date], bool], hour: int, minute: int, zone: ZoneInfo, after: datetime
) -> datetime:
    """Watch the clock on the wall minute by minute, beginning two days early.

    A local minute is shown when the wall shows it for the first time, or jumps over it.
    """
    shown = after.astimezone(UTC).replace(second=0, microsecond=0) - timedelta(days=2)
    latest = shown.astimezone(zone).replace(tzinfo=None)
    while True:
        shown += timedelta(minutes=1)
        wall = shown.astimezone(zone).replace(tzinfo=None)
        missed = latest + timedelta(minutes=1)
        while missed <= wall:  # not before seen, so no second occurrence
            is_time = (missed.hour, missed.minute) == (hour, minute)
            if is_time and wanted(missed.date()) and shown > after:
                return shown
            missed += timedelta(minutes=1)
        latest = max(latest, wall)


# Around changes of the clocks and at any other time; offsets are whole minutes since 1972.
near_changes = st.sampled_from(
    [utc(f"{year}-{month}-01") for year in (2011, 2017, 2026) for month in ("03", "10", "11", "12")]
).flatmap(
    lambda start: st.datetimes(
        start.replace(tzinfo=None) - timedelta(days=3),
        start.replace(tzinfo=None) + timedelta(days=31),
        timezones=st.just(UTC),
    )
)
any_time = st.datetimes(datetime(1975, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
hours = st.sampled_from([0, 0, 1, 2, 2, 3, 12, 23]) | st.integers(0, 23)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ZONES),
    near_changes | any_time,
    hours,
    st.integers(0, 59),
    st.integers(0, 7),
)
def test_answers_agree_with_watching_the_clock(
    name: str, after: datetime, hour: int, minute: int, day: int
) -> None:
    zone, at = ZoneInfo(name), f"{hour:02}:{minute:02}"

    if day == 7:
        answer = schedule.next_time(at, tz=name, after=after)
        expected = by_brute_force(lambda _: True, hour, minute, zone, after)
    else:
        weekday = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[day]
        answer = schedule.next_weekday(weekday, at, tz=name, after=after)
        expected = by_brute_force(lambda one: one.weekday() == day, hour, minute, zone, after)

    assert answer == expected


@settings(deadline=None)
@given(
    st.sampled_from(ZONES),
    near_changes | any_time,
    st.sampled_from([*range(-31, 0), *range(1, 32)]),
)
def test_month_days_come_once_a_month_and_strictly_later(
    name: str, after: datetime, day: int
) -> None:
    first = schedule.next_month_day(day, "12:00", tz=name, after=after)
    second = schedule.next_month_day(day, "12:00", tz=name, after=first)

    assert after < first < second
    assert timedelta(days=27) < second - first < timedelta(days=33)
    assert first <= after + timedelta(days=33)
