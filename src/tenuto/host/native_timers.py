"""Functions of an app that a schedule starts: what ``@app.timer`` makes of them."""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from tenuto.engine.program import TimerFire
from tenuto.functions.timer_info import TimerInfo
from tenuto.host.native_calls import NativeCall, Offer, native_call
from tenuto.model.errors import InputError
from tenuto.model.timer_schedule import IntervalSchedule, parse_schedule

_OFFER: Final = Offer(
    giver="a timer",
    info=TimerInfo,
    has_payload=False,
    words="none, or any of `timer: TimerInfo` and `client: Client` (`SyncClient` in a `def`), by "
    "their annotations",
)


class NativeTimer(Struct, frozen=True, kw_only=True):
    """A function of this process that a schedule starts.

    Attributes:
        name: Its name; what is known of its last run is kept under it.
        call: The function.
        schedule: NCRONTAB, or a time span.
        zone: The time zone of the schedule; None for UTC.
        runs_on_startup: Whether it also runs each time its host starts.
        keeps_state: Whether a moment that was missed is made up for.
    """

    name: str
    call: NativeCall
    schedule: str
    zone: str | None
    runs_on_startup: bool
    keeps_state: bool

    def pause_before(self, attempt: int) -> None:
        """Never tried again before its next moment: an orchestration that it starts may be."""

    async def run(self, fire: TimerFire) -> None:
        """Call the function; what it raises is raised."""
        await self.call.run(TimerInfo.of(self.name, fire))


def native_timer(
    function: Callable[..., Any],
    name: str,
    *,
    schedule: str,
    zone: str | None,
    run_on_startup: bool,
    catch_up: bool,
) -> NativeTimer:
    """What a decorated function becomes.

    Raises:
        InputError: the schedule or the zone is none, or a parameter cannot be filled.
    """
    call = native_call(function, _OFFER, f"tenuto-timer-{name}")
    if isinstance(parse_schedule(schedule, zone), IntervalSchedule) and zone is not None:
        raise InputError(f"schedule {schedule!r} is a time span, which knows no zone; got {zone!r}")
    return NativeTimer(
        name=name,
        call=call,
        schedule=schedule,
        zone=zone,
        runs_on_startup=run_on_startup,
        keeps_state=catch_up,
    )
