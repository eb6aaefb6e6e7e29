"""The replay-safe logger: lines are held until their turn is committed.

A line is put into words at the call, because what it shows may change before it is shown, and
because the words of users' objects are users' code. In replay nobody asks for them, so they may
decide nothing: neither by what they do nor by what they raise.
"""

import logging
from collections.abc import Callable
from typing import Final

from tenuto.model.ids import InstanceId
from tenuto.model.interrupts import is_from_keyboard
from tenuto.orchestration.loop import SessionLoop

_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


class SessionLogger(logging.Logger):
    """A ``logging.Logger`` for one instance; records carry ``instance_id``."""

    def __init__(self, hold: Callable[[logging.LogRecord], None], instance_id: InstanceId) -> None:
        super().__init__("tenuto.orchestration")
        self._hold = hold
        self._instance_id = instance_id

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's name
        """As configured for the logger ``tenuto.orchestration``."""
        return logging.getLogger(self.name).isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        """Hold the record."""
        record.instance_id = self._instance_id
        self._hold(record)


def is_plain(record: logging.LogRecord) -> bool:
    """Whether it can be put into words at any time. Tools that sort lines by text prefer that."""
    args = record.args
    if type(args) is dict:
        args = tuple(args.values())
    return type(record.msg) is str and (
        args is None or (type(args) is tuple and all(type(value) in _PLAIN for value in args))
    )


def put_into_words(record: logging.LogRecord, loop: SessionLoop) -> None:
    """Replace the record's message and arguments by its text; raises only for a Ctrl-C."""
    was_open, loop.is_open = loop.is_open, False
    try:
        text = str.__str__(record.getMessage())
    except BaseException as error:  # whatever the words of users' objects raise
        if is_from_keyboard(error):
            raise
        template = record.msg if type(record.msg) is str else type(record.msg).__name__
        text = f"{template} (its arguments cannot be shown: {type(error).__name__})"
    finally:
        loop.is_open = was_open
    record.msg, record.args = text, None
