"""Tells a Ctrl-C from a KeyboardInterrupt that user code raised.

What user code raises is a failure of that user code, ``KeyboardInterrupt`` included: else one
orchestrator would end the host at each of its starts. A Ctrl-C that falls into a turn must still
end the program. The first one seldom gets here: ``asyncio.Runner`` cancels its main task instead
and servers ask themselves to stop. The second one is raised for real, by the signal's handler.
"""

import dis
import functools
import sys
from typing import Final

_SIGNALS: Final = sys.modules["signal"]
"""asyncio has loaded it. Not imported, because no room down here may handle signals."""
_RAISING: Final = frozenset(
    dis.opmap[name] for name in ("RAISE_VARARGS", "RERAISE") if name in dis.opmap
)


def is_from_keyboard(error: BaseException) -> bool:
    """Whether a signal raised it, in the middle of whatever ran then.

    A handler written in Python stands in its traceback. Python's default handler is written in C
    and does not: there the interrupted line raised nothing.
    """
    link = error.__traceback__
    if not isinstance(error, KeyboardInterrupt) or link is None:
        return False
    while link.tb_next is not None:
        link = link.tb_next
    code = link.tb_frame.f_code
    handler = _SIGNALS.getsignal(_SIGNALS.SIGINT)
    if handler is _SIGNALS.default_int_handler:
        return not error.args and code.co_code[link.tb_lasti] not in _RAISING
    while isinstance(handler, functools.partial):  # as asyncio.Runner's is
        handler = handler.func
    return getattr(handler, "__code__", None) is code
