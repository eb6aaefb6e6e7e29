"""What is kept of a timer between its runs, and what follows from it when a host takes it up.

Pure: moments come in, moments go out. A moment that has come and was not run is *missed*; however
many there are, they are made up for by one run, which is about the first of them.
"""

from typing import Final

import msgspec
from msgspec import Struct, structs

from tenuto.model.timer_schedule import TimerSchedule
from tenuto.model.timing import Microseconds


class TimerState(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is known of a timer. Times are microseconds since 1970 UTC.

    Attributes:
        schedule: As it was written when this was.
        zone: As above.
        last: The moment that was run last; None when none ever was.
        next: The moment that is to be run; None when the schedule has none any more.
        updated_at: When this was written.
        begun_at: When a run for ``next`` began that is not known to have ended.
    """

    schedule: str
    zone: str | None = None
    last: Microseconds | None = None
    next: Microseconds | None = None
    updated_at: Microseconds
    begun_at: Microseconds | None = None

    def begun(self, due: Microseconds, now: Microseconds) -> "TimerState":
        """A run has begun."""
        return structs.replace(self, next=due, updated_at=now, begun_at=now)

    def ended(self, schedule: TimerSchedule, due: Microseconds, now: Microseconds) -> "TimerState":
        """The run has ended, however it did: what came meanwhile is passed over."""
        following = next_moment(schedule, due, now)
        return structs.replace(self, last=due, next=following, updated_at=now, begun_at=None)


_decode = msgspec.json.Decoder(TimerState).decode
KEY: Final = "timer/"
"""How the keys of notes about timers begin; the timer's name follows."""


def next_moment(
    schedule: TimerSchedule, due: Microseconds, now: Microseconds
) -> Microseconds | None:
    """The moment after a run for ``due``: never one that has passed already."""
    return schedule.next_after(max(due, now), since=due)


def new_state(
    text: str, zone: str | None, schedule: TimerSchedule, now: Microseconds
) -> TimerState:
    """Of a timer that nothing is known of."""
    following = schedule.next_after(now)
    return TimerState(schedule=text, zone=zone, next=following, updated_at=now)


def taken_up(
    state: TimerState, text: str, zone: str | None, schedule: TimerSchedule, now: Microseconds
) -> TimerState:
    """The state as the code of now reads it.

    When its schedule was changed, the next moment is the first of the new one after the last run
    (as in Azure), so that one which the new schedule already had counts as missed.
    """
    if (state.schedule, state.zone) == (text, zone):
        return state
    since = state.updated_at if state.last is None else state.last
    return TimerState(
        schedule=text,
        zone=zone,
        last=state.last,
        next=schedule.next_after(since),
        updated_at=now,
    )


def encode_state(state: TimerState) -> str:
    """As JSON text."""
    return msgspec.json.encode(state).decode()


def decode_state(text: str) -> TimerState | None:
    """From JSON text; None when it is none of these."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
