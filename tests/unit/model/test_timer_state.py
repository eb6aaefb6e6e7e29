"""What is kept of a timer, and what follows from it."""

from datetime import datetime

from tenuto.model.timer_schedule import parse_schedule
from tenuto.model.timer_state import (
    TimerState,
    decode_state,
    encode_state,
    new_state,
    next_moment,
    taken_up,
)
from tenuto.model.timing import to_microseconds


def at(text: str) -> int:
    return to_microseconds(datetime.fromisoformat(text))


DAILY = "0 0 9 * * *"
SCHEDULE = parse_schedule(DAILY)
NOON = at("2026-11-29T12:00Z")


def test_of_a_new_timer_the_next_moment_is_known() -> None:
    state = new_state(DAILY, None, SCHEDULE, NOON)
    expected = TimerState(schedule=DAILY, next=at("2026-11-30T09:00Z"), updated_at=NOON)
    assert state == expected


def test_what_came_while_it_ran_is_passed_over() -> None:
    hourly = parse_schedule("0 0 * * * *")
    due, end = at("2026-11-29T09:00Z"), at("2026-11-29T11:20Z")
    state = new_state("0 0 * * * *", None, hourly, at("2026-11-29T08:30Z"))
    begun = state.begun(due, due + 5)
    assert (begun.next, begun.begun_at, begun.last) == (due, due + 5, None)
    ended = begun.ended(hourly, due, end)
    assert ended == TimerState(
        schedule="0 0 * * * *", last=due, next=at("2026-11-29T12:00Z"), updated_at=end
    )


def test_a_clock_that_was_put_back_has_no_moment_run_twice() -> None:
    due = at("2026-11-29T09:00Z")
    assert next_moment(SCHEDULE, due, due - 3_600_000_000) == at("2026-11-30T09:00Z")


def test_a_time_span_stays_in_step_however_late_it_ran() -> None:
    spans = parse_schedule("01:00:00")
    assert next_moment(spans, at("2026-11-29T09:10Z"), at("2026-11-29T11:20Z")) == at(
        "2026-11-29T12:10Z"
    )


def test_an_unchanged_schedule_goes_on_as_it_was_noted() -> None:
    state = TimerState(schedule=DAILY, next=at("2026-11-20T09:00Z"), updated_at=5, begun_at=7)
    assert taken_up(state, DAILY, None, SCHEDULE, NOON) is state


def test_a_changed_schedule_goes_on_from_the_last_run() -> None:
    last = at("2026-11-29T09:00Z")
    state = TimerState(schedule=DAILY, last=last, next=at("2026-11-30T09:00Z"), updated_at=last + 1)
    hourly = parse_schedule("0 30 * * * *", "Europe/Berlin")
    taken = taken_up(state, "0 30 * * * *", "Europe/Berlin", hourly, NOON)
    assert taken == TimerState(
        schedule="0 30 * * * *",
        zone="Europe/Berlin",
        last=last,
        next=at("2026-11-29T09:30Z"),
        updated_at=NOON,
    )


def test_another_zone_is_another_schedule_also_before_the_first_run() -> None:
    state = new_state(DAILY, None, SCHEDULE, NOON)
    berlin = parse_schedule(DAILY, "Europe/Berlin")
    taken = taken_up(state, DAILY, "Europe/Berlin", berlin, NOON + 60_000_000)
    assert taken.next == at("2026-11-30T08:00Z")
    assert taken.last is None


def test_notes_are_read_as_they_were_written() -> None:
    state = TimerState(schedule=DAILY, zone="UTC", last=1, next=2, updated_at=3, begun_at=4)
    assert decode_state(encode_state(state)) == state
    assert decode_state(encode_state(new_state(DAILY, None, SCHEDULE, 0))) is not None
    for text in ("", "{", "[]", '{"schedule": 1}', "null"):
        assert decode_state(text) is None
