"""A word from a thread to a loop, also when there is no memory for it yet.

Whoever says it has noted that it was said, and says it to nobody else. Were it lost, all that waits
for it would wait for ever. So a thread, which can wait, says it again until it has been taken in.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

_PAUSE_SECONDS: Final = 0.05
"""Real time: memory comes back when somebody lets go of it."""


def call_from_thread(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Have a loop call this soon; never to be called on the loop.

    Raises:
        RuntimeError: the loop is closed.
    """
    while True:
        try:
            loop.call_soon_threadsafe(callback)
        except MemoryError:
            time.sleep(_PAUSE_SECONDS)
        else:
            return
