"""How times, durations and foreign text are written for people. Pure."""

import os
from collections.abc import Callable
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Final, Literal

from tenuto.model import lines
from tenuto.model.explanation import Held
from tenuto.model.failure import FailureDetails
from tenuto.model.failure_chain import (
    OWN_ERRORS,
    is_passed_on,
    own_text,
    parts_of,
    place_text,
    raised_on_the_way,
)
from tenuto.model.hold import Hold
from tenuto.model.timing import MICROSECONDS, to_datetime

# Foreign text is written for people here as it is in logs.
one_line: Final = lines.one_line
unbroken: Final = lines.unbroken
visible: Final = lines.visible

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_KIB: Final = 1024


def duration(microseconds: int, *, least_unit: Literal["ms", "s"] = "ms") -> str:
    """A length of time with two digits that matter: ``412 ms``, ``3.2 s``, ``2 d 04 h``."""
    microseconds = max(microseconds, 0)
    if microseconds < MICROSECONDS and least_unit == "ms":
        return f"{microseconds // 1000} ms"
    seconds = microseconds // MICROSECONDS
    if seconds < _MINUTE:
        return f"{microseconds // (MICROSECONDS // 10) / 10:.1f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min {seconds % _MINUTE:02} s"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE:02} min"
    return f"{seconds // _DAY} d {seconds % _DAY // _HOUR:02} h"


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < _KIB or unit == "GiB":
            break
        amount /= _KIB
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def moment(microseconds: int) -> str:
    """A time in the zone of this machine, which it names."""
    return f"{clock_time(microseconds)} {zone(microseconds)}"


def clock_time(microseconds: int) -> str:
    """The same where the zone is said elsewhere, such as above a column."""
    return f"{local(microseconds):%Y-%m-%d %H:%M:%S}"


def zone(microseconds: int) -> str:
    """The zone of this machine at a time, as short as it has a name."""
    return f"{local(microseconds):%Z}"


def utc_moment(microseconds: int) -> str:
    """The same in UTC, for whoever reads it in another zone."""
    return f"{to_datetime(microseconds):%Y-%m-%d %H:%M:%SZ}"


def held_since(hold: Hold | Held, at: Callable[[int], str] = moment) -> str:
    """Since when an instance is held, and why; ``at`` writes a moment."""
    tried = "" if hold.tried is None else f", tried again {at(hold.tried)}"
    return f"since {at(hold.since)}{tried} ({hold.reason}): {unbroken(hold.message)}"


def local(microseconds: int) -> datetime:
    """A time as an aware datetime in the zone of this machine."""
    return to_datetime(microseconds).astimezone()


def iso(microseconds: int) -> str:
    """A time for machines: ISO 8601 in UTC."""
    return f"{to_datetime(microseconds):%Y-%m-%dT%H:%M:%S.%fZ}"


def failure_text(failure: FailureDetails) -> str:
    """The root cause, and how it got here, on one line."""
    return one_line(failure.summary)


def failure_lines(failure: FailureDetails) -> list[str]:
    """The root cause, where it was raised, what it led to; its traceback, or the nearest one; then
    the same of what was being handled when it was raised.
    """
    lines: list[str] = []
    omitted = 0
    for part in parts_of(failure):
        if omitted:
            lines.append(f"while handling {omitted} others, which are not kept")
        first, *others = _lines_of(part)
        lines += [f"while handling {first}" if lines else first, *others]
        omitted = part[-1].omitted
    return lines


def _lines_of(part: list[FailureDetails]) -> list[str]:
    root, outermost = part[-1], part[0]
    place = place_text(part)
    lines = [one_line(own_text(root)) + (f" ({place})" if place else ""), *_notes(root)]
    ways, omitted = raised_on_the_way(part)
    led_to = [[f"led to {one_line(own_text(one))}", *_notes(one)] for one in ways]
    if omitted:
        led_to.insert((len(led_to) + 1) // 2, [f"led to {omitted} others, which are not kept"])
    lines += chain.from_iterable(led_to)
    stacks = [one.stack_trace for one in part if one.stack_trace]
    users, ours = _frames(visible(stacks[-1] if stacks else ""))
    # An error that we raise ourselves says what is wrong; where we found it out says nothing.
    is_refusal = root.error_type.startswith(OWN_ERRORS)
    lines += users or ([] if is_refusal else ours)
    if outermost is root or is_passed_on(outermost):
        return lines
    # It may be a mistake in the code that passed the rest on.
    last, _ours = _frames(visible(outermost.stack_trace or ""))
    name = outermost.error_type.removeprefix(OWN_ERRORS)
    return [*lines, f"{one_line(name)} was raised here:", *last] if last else lines


def _notes(failure: FailureDetails) -> list[str]:
    return [f"note: {one_line(note)}" for note in failure.notes]


def _frames(stack: str) -> tuple[list[str], list[str]]:
    """The lines of a traceback that show code: those of users, and those of ours."""
    frames: list[list[str]] = []
    for line in stack.splitlines():
        if line.startswith('  File "'):
            frames.append([line])
        elif line.startswith("    ") and frames:
            frames[-1].append(line)
    sides: tuple[list[str], list[str]] = ([], [])
    for frame in frames:
        sides[frame[0].startswith(f'  File "{_OURS}')].extend(frame)
    return sides


_OURS: Final = f"{Path(__file__).parent.parent}{os.sep}"
