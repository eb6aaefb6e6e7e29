"""What a function that a schedule starts is told."""

from datetime import datetime

from msgspec import Struct

from tenuto.engine.program import TimerFire
from tenuto.model.timing import Microseconds, to_datetime


class TimerInfo(Struct, frozen=True, kw_only=True):
    """Why a function of ``@app.timer`` runs. All times are aware, in UTC.

    Attributes:
        name: The function's name.
        due_at: The moment on the schedule that it runs for. A second run for the same moment, after
            a host has died, has the same: use it to recognise what was done already.
        is_past_due: Whether that moment was missed: no host was there to run it.
        last: The moment that was run before; None when none ever was.
        next: The moment after this one; None when there is none.
        updated_at: When that was last written to the store; None when it never was.

    Example:
        ::

            @app.timer("0 30 9 * * MON-FRI", zone="Europe/Berlin")
            async def report(timer: TimerInfo, client: Client) -> None:
                day = timer.due_at.date().isoformat()
                await client.start(write_report, day, instance_id=f"report-{day}")
    """

    name: str
    due_at: datetime
    is_past_due: bool = False
    last: datetime | None = None
    next: datetime | None = None
    updated_at: datetime | None = None

    @classmethod
    def of(cls, name: str, fire: TimerFire) -> "TimerInfo":
        """The same as a program is told it, in microseconds."""
        return cls(
            name=name,
            due_at=to_datetime(fire.due_at),
            is_past_due=fire.is_past_due,
            last=_moment(fire.last),
            next=_moment(fire.next),
            updated_at=_moment(fire.updated_at),
        )


def _moment(microseconds: Microseconds | None) -> datetime | None:
    return None if microseconds is None else to_datetime(microseconds)
