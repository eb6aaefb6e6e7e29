"""What happens with garbage when memory has run out: it is given back soon.

A session that is discarded for want of memory, and the turn that failed, hang together in circles:
futures, tasks, an error and the frames that it came through. A host lets the collector look seldom,
so what was let go of would stay as long as nothing else is made, and the next request, or the next
thread, would find no memory either.
"""

import gc
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final

_SOON_SECONDS: Final = 0.02
"""By then the frames that the error came through have ended."""

_REST_SECONDS: Final = 1.0
"""Between two looks: each goes through everything that is in memory."""


class Shortage:
    """Collects garbage after memory has run out, outside of all turns (ENGINE rule 40).

    Args:
        loop: The host's.
        let_go: Gives back what was kept for this moment; asks for no memory itself.
        keep: Keeps it again, when there is enough.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        let_go: Callable[[], None] = lambda: None,
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._let_go = let_go
        self._keep = keep
        self._is_awake = False
        self._is_noted = False

    def note(self) -> None:
        """Memory has run out, or somebody was let go of for that."""
        self._is_noted = True
        self._let_go()  # else there may be none for anything that is to bring it back
        if not self._is_awake:
            # First: should there be no memory even for this, the next who is short asks again.
            self._loop.call_later(_SOON_SECONDS, self._collect)
            self._is_awake = True

    def _collect(self) -> None:
        self._is_awake = False
        if not self._is_noted:
            self._keep()
            return
        self._is_noted = False
        gc.collect()
        self._loop.call_later(_REST_SECONDS, self._collect)
        self._is_awake = True
