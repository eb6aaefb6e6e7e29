"""The timestamps of a history, read once each and fast.

The package reads each with a parser for any date that a person may write, which takes more time
than all else that it does in a turn. The contract has one form; it is read here, to the very same
value, and any other form is left to the package's parser.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any

_SAMPLE = "2020-01-02T03:04:05.6789012Z"
_LONGEST = len("2020-01-02T03:04:05.678901")
# A turn's events have one timestamp, and a replay reads those of all turns again.
_MOST_KEPT = 4096


def read_timestamps_fast() -> bool:
    """Have the package read timestamps fast, if it gets the same values; whether it does."""
    module: Any = importlib.import_module("azure.durable_functions.models.history.HistoryEvent")
    original = getattr(module, "dt_parse", None)
    if original is None:
        return False
    expected = original(_SAMPLE)
    fast = lru_cache(maxsize=_MOST_KEPT)(_reader(original, expected.tzinfo))
    found = fast(_SAMPLE)
    if (found, type(found.tzinfo)) != (expected, type(expected.tzinfo)):
        return False
    module.dt_parse = fast
    return True


def _reader(original: Callable[[str], datetime], zone: tzinfo) -> Callable[[str], datetime]:
    def read(text: str) -> datetime:
        # Microseconds with any number of further digits, which are dropped; in UTC.
        if len(text) > _LONGEST and text[_LONGEST - 7] == "." and text[-1] == "Z":
            with suppress(ValueError):
                return datetime.fromisoformat(text[:_LONGEST]).replace(tzinfo=zone)
        return original(text)

    return read
