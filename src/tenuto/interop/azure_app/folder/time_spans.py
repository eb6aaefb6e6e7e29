"""Lengths of time as .NET writes them: ``00:05:00``, ``1.12:00:00``, ``00:00:00.5``."""

import re
from datetime import timedelta
from typing import Final

_SPAN: Final = re.compile(
    r"(?:(?P<days>\d{1,7})\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})"
    r"(?::(?P<seconds>\d{1,2})(?:\.(?P<fraction>\d{1,7}))?)?"
)
_PARTS: Final = (("hours", 24), ("minutes", 60), ("seconds", 60))


def time_span(value: object) -> timedelta | None:
    """What a text means; None for ``-1``, which is no end.

    Raises:
        ValueError: it is none, or not longer than nothing; says what was expected.
    """
    if str(value).strip() == "-1":
        return None
    match = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            "expected a length of time such as 00:10:00 (hours:minutes:seconds), or -1"
        )
    given = {name: int(match[name] or 0) for name, _limit in _PARTS}
    for name, limit in _PARTS:
        if given[name] >= limit:
            raise ValueError(
                f"expected fewer than {limit} {name}; a day more is written 1.00:00:00"
            )
    fraction = int((match["fraction"] or "").ljust(7, "0")[:6] or 0)
    span = timedelta(days=int(match["days"] or 0), microseconds=fraction, **given)
    if not span:
        raise ValueError("expected a length of time that is longer than nothing")
    return span
