"""When timers are due: zones, clocks that are put on and back, time spans."""

import sys
from datetime import UTC, datetime, timedelta
from types import FrameType
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.model.errors import InputError
from tenuto.model.ncrontab import Ncrontab
from tenuto.model.timer_schedule import ClockSchedule, IntervalSchedule, parse_schedule
from tenuto.model.timing import LATEST, to_datetime, to_microseconds

HOUR = 3_600_000_000


def following(text: str, zone: str, after: str, count: int) -> list[str]:
    """The next moments, as clocks in the zone show them, with their offset."""
    schedule, moment, found = parse_schedule(text, zone), at(after), list[str]()
    for _ in range(count):
        following = schedule.next_after(moment)
        assert following is not None
        assert following > moment
        moment = following
        found.append(f"{to_datetime(moment).astimezone(ZoneInfo(zone)):%m-%d %H:%M %z}")
    return found


def at(text: str) -> int:
    return to_microseconds(datetime.fromisoformat(text))


# --- the clocks are put on -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        (
            "Europe/Berlin",
            "2026-03-28T00:00Z",
            ["03-28 02:30 +0100", "03-29 03:00 +0200", "03-30 02:30 +0200"],
        ),
        (
            "America/New_York",
            "2026-03-07T05:00Z",
            ["03-07 02:30 -0500", "03-08 03:00 -0400", "03-09 02:30 -0400"],
        ),
    ],
)
def test_a_time_that_is_skipped_comes_once_after_the_gap(
    zone: str, after: str, expected: list[str]
) -> None:
    assert following("0 30 2 * * *", zone, after, 3) == expected
    assert following("0 */10 2 * * *", zone, expected_day(after), 2)[0] == expected[1]


def expected_day(after: str) -> str:
    """An hour before the clocks are put on."""
    return (datetime.fromisoformat(after) + timedelta(days=1)).isoformat()


def test_several_that_are_skipped_come_together_with_what_is_due_then() -> None:
    found = following("0 0,30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00Z", 3)
    assert found == ["03-29 03:00 +0200", "03-29 03:30 +0200", "03-30 02:00 +0200"]


def test_any_hour_does_not_wait_in_spring() -> None:
    found = following("0 30 * * * *", "Europe/Berlin", "2026-03-29T00:00Z", 3)
    assert found == ["03-29 01:30 +0100", "03-29 03:30 +0200", "03-29 04:30 +0200"]


# --- the clocks are put back ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        (
            "Europe/Berlin",
            "2026-10-24T00:00Z",
            ["10-24 02:30 +0200", "10-25 02:30 +0200", "10-26 02:30 +0100"],
        ),
        (
            "America/New_York",
            "2026-10-31T05:00Z",
            ["10-31 01:30 -0400", "11-01 01:30 -0400", "11-02 01:30 -0500"],
        ),
    ],
)
def test_a_time_that_is_shown_twice_comes_the_first_time(
    zone: str, after: str, expected: list[str]
) -> None:
    assert following(f"0 30 {expected[0][6:8]} * * *", zone, after, 3) == expected


def test_from_between_the_two_times_it_is_shown() -> None:
    found = following("0 10,50 2 * * *", "Europe/Berlin", "2026-10-25T01:20Z", 2)
    assert found == ["10-26 02:10 +0100", "10-26 02:50 +0100"]


def test_what_is_shown_first_right_after_the_clocks_went_back() -> None:
    found = following("0 59,0,1 2,3 * * *", "Europe/Berlin", "2026-10-25T01:30Z", 3)
    assert found == ["10-25 03:00 +0100", "10-25 03:01 +0100", "10-25 03:59 +0100"]


def test_each_second_of_an_hour_that_is_shown_twice_is_passed_over_at_once() -> None:
    schedule, looked_at = parse_schedule("* * 1,2 * * *", "Europe/Berlin"), 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal looked_at
        looked_at += event == "call" and frame.f_code.co_name == "next_local"

    sys.setprofile(count)
    try:
        found = schedule.next_after(at("2026-10-25T01:00:00Z"))
    finally:
        sys.setprofile(None)
    assert found == at("2026-10-26T00:00Z")
    assert looked_at == 2


def test_any_hour_goes_on_by_the_time_that_passes() -> None:
    found = following("0 */30 * * * *", "Europe/Berlin", "2026-10-24T23:45Z", 6)
    assert found == [
        "10-25 02:00 +0200",
        "10-25 02:30 +0200",
        "10-25 02:00 +0100",
        "10-25 02:30 +0100",
        "10-25 03:00 +0100",
        "10-25 03:30 +0100",
    ]


def test_a_day_that_clocks_show_the_end_of_twice() -> None:
    # In Beirut the clocks go back at midnight.
    found = following("0 15 * 24 10 *", "Asia/Beirut", "2026-10-24T20:50Z", 2)
    assert found == ["10-24 23:15 +0200", "10-24 00:15 +0300"]


def test_moments_that_lie_years_apart() -> None:
    found = following("0 0 */12 29 2 *", "Europe/Berlin", "2026-01-01T00:00Z", 3)
    assert found == ["02-29 00:00 +0100", "02-29 12:00 +0100", "02-29 00:00 +0100"]


# --- against every second of the hours around a change -------------------------------------------

CHANGES = [
    ("Europe/Berlin", "2026-03-29T01:00:00+00:00"),
    ("Europe/Berlin", "2026-10-25T01:00:00+00:00"),
    ("America/New_York", "2026-03-08T07:00:00+00:00"),
    ("America/New_York", "2026-11-01T06:00:00+00:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00+00:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00+00:00"),
    ("Asia/Beirut", "2026-03-28T22:00:00+00:00"),
    ("Asia/Beirut", "2026-10-24T21:00:00+00:00"),
    ("Africa/Casablanca", "2026-02-15T02:00:00+00:00"),
    ("Pacific/Apia", "2011-12-30T10:00:00+00:00"),
    ("Africa/Monrovia", "1972-01-07T00:44:30+00:00"),
]


def oracle(crontab: Ncrontab, zone: ZoneInfo, first: datetime, seconds: int) -> list[datetime]:
    """All moments of some hours, found by looking at each second's clock."""
    found = []
    for number in range(seconds):
        moment = first + timedelta(seconds=number)
        local = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        before = (moment - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
        if crontab.has_any_hour:
            is_due = fits(crontab, local)
        else:
            skipped = max(0, int((local - before).total_seconds()) - 1)
            shown = [local - timedelta(seconds=back) for back in range(skipped + 1)]
            is_second_time = moment.astimezone(zone).fold == 1
            is_due = not is_second_time and any(fits(crontab, one) for one in shown)
        if is_due:
            found.append(moment)
    return found


def fits(crontab: Ncrontab, local: datetime) -> bool:
    return (
        local.second in crontab.seconds
        and local.minute in crontab.minutes
        and local.hour in crontab.hours
        and local.day in crontab.days
        and local.month in crontab.months
        and local.isoweekday() % 7 in crontab.weekdays
    )


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(CHANGES),
    st.sampled_from(["0", "*/20", "7,59"]),
    st.sampled_from(["0", "30", "*/15", "59", "0-10", "44"]),
    st.sampled_from(["*", "*/2", "0", "1", "2", "3", "23", "0-4", "2,3", "9-11"]),
    st.sampled_from(["*", "*", "25,29", "24/7", "1,8"]),
)
def test_all_moments_around_a_change_are_those_that_clocks_show(
    change: tuple[str, str], seconds: str, minutes: str, hours: str, days: str
) -> None:
    name, moment = change
    schedule = parse_schedule(f"{seconds} {minutes} {hours} {days} * *", name)
    assert isinstance(schedule, ClockSchedule)
    first = datetime.fromisoformat(moment) - timedelta(minutes=90)
    expected = oracle(schedule.crontab, schedule.zone, first, 3 * 3600)
    found, last = [], first - timedelta(microseconds=1)
    while (due := schedule.next_after(to_microseconds(last))) is not None:
        last = to_datetime(due)
        if last >= first + timedelta(hours=3):
            break
        found.append(last)
    assert found == expected


# --- time spans ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:00:01", timedelta(seconds=1)),
        ("00:05:00", timedelta(minutes=5)),
        ("01:30", timedelta(hours=1, minutes=30)),
        ("23:59:59", timedelta(hours=23, minutes=59, seconds=59)),
        ("1.00:00:00", timedelta(days=1)),
        ("10.12:30:05", timedelta(days=10, hours=12, minutes=30, seconds=5)),
        ("25:00:00", timedelta(days=25)),
        ("24:01:02", timedelta(days=24, hours=1, minutes=2)),
        (" 00:01:00 ", timedelta(minutes=1)),
    ],
)
def test_what_time_spans_mean(text: str, expected: timedelta) -> None:
    schedule = parse_schedule(text)
    assert isinstance(schedule, IntervalSchedule)
    assert timedelta(microseconds=schedule.length) == expected


def test_a_span_stays_in_step_with_when_it_was_due() -> None:
    schedule = parse_schedule("01:00:00")
    assert schedule.next_after(500) == 500 + HOUR
    assert schedule.next_after(500, since=500) == 500 + HOUR
    assert schedule.next_after(3 * HOUR + 17, since=500) == 3 * HOUR + 500
    assert schedule.next_after(3 * HOUR + 500, since=500) == 4 * HOUR + 500
    assert schedule.next_after(500, since=3 * HOUR) == 500 + HOUR


@pytest.mark.parametrize(
    ("text", "zone", "reason"),
    [
        ("00:00:00", None, "is no time span; write 'hh:mm:ss'"),
        ("00:60:00", None, "is no time span"),
        ("00:00:60", None, "is no time span"),
        ("1.24:00:00", None, "is no time span"),
        ("24:24:00", None, "is no time span"),
        ("1:2:3:4", None, "is no time span"),
        ("-00:05:00", None, "is no time span"),
        ("00:05:00", "Europe/Berln", "zone 'Europe/Berln' is not a known time zone"),
        ("0 * * * * *", "Europe/Berln", "zone 'Europe/Berln' is not a known time zone"),
        ("0 * * * * *", "", "zone '' is not a known time zone"),
        ("0 * * * * *", "../etc", "is not a known time zone"),
        ("0 * * * *x *", "UTC", "month '*x' is not allowed"),
        (5, None, "a schedule is a text such as '0 */5 * * * *', got 5"),
        ("0 * * * * *", 5, "a zone is a name such as 'Europe/Berlin', got 5"),
    ],
)
def test_what_is_refused(text: str, zone: str | None, reason: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_schedule(text, zone)
    assert reason in str(raised.value)


def test_a_zone_means_nothing_to_a_span() -> None:
    assert parse_schedule("00:05:00", "Asia/Tokyo") == parse_schedule("00:05:00")


def test_what_comes_more_than_once_a_minute() -> None:
    frequent = {"* * * * * *": True, "0,30 * * * * *": True, "0 * * * * *": False}
    frequent |= {"* * * * *": False, "00:00:59": True, "00:01:00": False}
    for text, expected in frequent.items():
        assert parse_schedule(text).is_frequent is expected


def test_the_end_of_the_calendar() -> None:
    for text in ("0 0 0 1 1 *", "0 * * * * *", "00:01:00"):
        for zone in [None] if ":" in text else [None, "Asia/Tokyo", "America/New_York"]:
            assert parse_schedule(text, zone).next_after(LATEST) is None
    assert parse_schedule("0 0 0 1 1 *").next_after(at("9998-01-01T00:00Z")) == at(
        "9999-01-01T00:00Z"
    )


def test_without_a_zone_it_is_utc() -> None:
    found = parse_schedule("0 30 2 * * *").next_after(at("2026-03-29T00:00Z"))
    assert found == to_microseconds(datetime(2026, 3, 29, 2, 30, tzinfo=UTC))
