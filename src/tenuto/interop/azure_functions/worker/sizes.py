"""What is surely too long for the host is not sent to it: it would hold up its loop to read it.

The host says its limits when the app is loaded. It counts to the letter; here only what is too long
however it is counted fails, with the host's own words.
"""

from __future__ import annotations

import json
from typing import Any

from .pipe import Message

_ACTIVITY = (0, 1)
_CHILD = (2, 3)
_CONTINUE = 4
_MOST_CHARACTERS = 32_768


class Sizes:
    """The host's limits; none until it has said some."""

    def __init__(self) -> None:
        self._most: int | None = None
        self._words = ""

    def hear(self, message: Message) -> None:
        """The host says its limits."""
        self._words = message["payloadWords"]
        self._most = message["payloadBytes"]

    def are_surely_kept(self, text: bytes) -> bool:
        """Whether a message is too short for anything in it to be too long."""
        return self._most is None or len(text) <= self._most

    def failed_turn(self, asked: Message, answer: Message) -> Message | None:
        """The failure in the place of a turn's answer that has something too long in it."""
        instance = asked["invocation"].rpartition("/")[0]
        whose = f"orchestrator {asked['function']!r} (instance {instance!r})"
        found: list[tuple[Any, str]] = [
            (answer.get("output"), "the result"),
            (answer.get("customStatus"), "the custom status"),
        ]
        for action in answer.get("actions") or ():
            kind, given, name = (action.get(one) for one in ("actionType", "input", "functionName"))
            if kind in _ACTIVITY:
                found.append((given, f"the input of activity {name!r}"))
            elif kind in _CHILD:
                found.append((given, f"the input of orchestrator {name!r}"))
            elif kind == _CONTINUE:
                found.append((given, "the input of continue_as_new"))
        return self._first_failed((value, f"{whose}: {what}") for value, what in found)

    def failed_activity(self, asked: Message, answer: Message) -> Message | None:
        """The failure in the place of an activity's result that is too long."""
        value = answer.get("value") or {}
        text = next(iter(value.values()), None)
        return self._first_failed([(text, f"the result of activity {asked['function']!r}")])

    def _first_failed(self, found: Any) -> Message | None:
        assert self._most is not None
        for value, what in found:
            if value is None:
                continue
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            size = len(text.encode("utf-8", "replace"))
            if size > self._most:
                return {
                    "type": "failed",
                    "errorType": "LimitError",
                    "message": f"{what} takes {size:,} bytes; {self._words}",
                    "stack": "",
                }
        return None


def cut(text: str) -> str:
    """As much of a text of user code as anybody reads, an error's or a log line's."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    left = len(text) - _MOST_CHARACTERS
    return f"{text[:_MOST_CHARACTERS]}… ({left:,} characters more)"
