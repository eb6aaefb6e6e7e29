"""Events of the contract: what a package is told, as the JSON that goes to it.

Of the contract's events only those are made that a package reads. Each has the keys that one of the
packages insists on: ``Version`` at the start (Python), ``Result`` with every completion, ``Reason``
and ``Details`` as texts with every failure (JavaScript), and a time that ends in Z.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Raw

from tenuto.interop.contract.failures import failure_parts
from tenuto.model.errors import InputError
from tenuto.model.facts import InstanceFacts
from tenuto.model.failure import FailureDetails
from tenuto.model.timing import Microseconds, to_datetime, to_microseconds

STARTED: Final = 0
TASK_COMPLETED: Final = 5
TASK_FAILED: Final = 6
CHILD_COMPLETED: Final = 8
CHILD_FAILED: Final = 9
TIMER_FIRED: Final = 11
TURN: Final = 12
EVENT_SENT: Final = 14
EVENT_RAISED: Final = 15

_MOMENT: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_DIGITS: Final = 6
_ZONE: Final = len("+00:00")
_encode: Final = msgspec.json.Encoder().encode


class EventWriter:
    """Writes the events of one turn.

    Args:
        timestamp: The turn's time.
    """

    __slots__ = ("_time",)

    def __init__(self, timestamp: Microseconds) -> None:
        self._time = moment_text(timestamp)

    def turn(self) -> Raw:
        """A turn begins."""
        return self._event(TURN)

    def started(self, facts: InstanceFacts, version: str | None) -> Raw:
        """The execution begins."""
        return self._event(
            STARTED,
            Name=facts.name,
            Version=version or "",
            Input=facts.input,
            Tags=None,
            ParentInstance=None,
            OrchestrationInstance={
                "InstanceId": facts.instance_id,
                "ExecutionId": facts.execution_id,
            },
        )

    def completed(self, kind: int, number: int, result: str | None) -> Raw:
        """An activity or a child has returned; ``result`` is JSON text."""
        return self._event(kind, TaskScheduledId=number, Result=result)

    def failed(
        self, kind: int, number: int, reason: str, details: str, failure: FailureDetails | None
    ) -> Raw:
        """An activity or a child has failed; ``failure`` where the package is to see its parts."""
        more: dict[str, Any] = {"TaskScheduledId": number, "Reason": reason, "Details": details}
        if failure is not None:
            more["FailureDetails"] = failure_parts(failure)
        return self._event(kind, **more)

    def fired(self, number: int, fire_at: Microseconds) -> Raw:
        """A timer came due."""
        return self._event(TIMER_FIRED, TimerId=number, FireAt=moment_text(fire_at))

    def sent(self, number: int, name: str, instance_id: str, text: str) -> Raw:
        """A request to an entity was sent: the package waits for an event of the id in it."""
        return self._event(EVENT_SENT, number, InstanceId=instance_id, Name=name, Input=text)

    def raised(self, name: str, text: str | None) -> Raw:
        """An event came; ``text`` is JSON text."""
        return self._event(EVENT_RAISED, Name=name, Input=text)

    def _event(self, kind: int, number: int = -1, **more: Any) -> Raw:
        event = {"EventType": kind, "EventId": number, "IsPlayed": False, "Timestamp": self._time}
        return Raw(_encode({**event, **more}))


def as_played(event: Raw) -> Raw:
    """An event of a turn before."""
    return Raw(bytes(event).replace(b'"IsPlayed":false', b'"IsPlayed":true', 1))


def moment_text(moment: Microseconds) -> str:
    """A time as the contract writes it: ``2026-11-29T21:20:00.0000000Z``."""
    return f"{to_datetime(moment).isoformat(timespec='microseconds')[:-_ZONE]}0Z"


def moment_of(text: str | None) -> Microseconds:
    """The time that a package means, to the microsecond.

    Raises:
        InputError: it is none.
    """
    if text is None:
        raise InputError(
            "a timer needs a time such as 2026-11-29T21:20:00Z, got none: look at the date that it "
            "was given (in JavaScript an Invalid Date is none)"
        )
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise InputError(f"a timer needs a time such as 2026-11-29T21:20:00Z, got {text!r}")
    base, fraction, zone = found.groups()
    digits = (fraction or "")[:_DIGITS].ljust(_DIGITS, "0")
    offset = "+00:00" if zone in {None, "Z"} else zone
    try:
        return to_microseconds(datetime.fromisoformat(f"{base}.{digits}{offset}").astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise InputError(f"a timer cannot be set to {text!r}: {error}") from None
