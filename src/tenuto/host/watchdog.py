"""The watchdog: tells of a turn that does not end.

Turns run on the host's loop, one after the other. An orchestrator that computes for long, waits
without ``await``, or refuses to end when its session is discarded holds up every other instance,
and nobody on that loop can say so. A thread can: it looks at the engine a few times a second at
most, and costs the engine one attribute per turn. It never touches what it looks at.
"""

import logging
import sys
import threading
import time
import traceback
import weakref
from typing import Final, NamedTuple

from tenuto.engine.engine import Engine

_LOGGER: Final = logging.getLogger("tenuto.host")
_STACK_ENTRIES: Final = 12
_PATIENCE_SECONDS: Final = 1.0
"""How long a host that stops waits for the thread, which may be writing a line."""


class _Turn(NamedTuple):
    """One turn of one instance, or the closing of its session after that turn."""

    iid: int
    generation: int
    number: int
    instance_id: str
    name: str


class Watchdog:
    """Watches the turns of an engine from a thread of its own; made on the loop's thread.

    Args:
        engine: Watched for as long as it exists.
        seconds: How long a turn may take before the log says so, once a turn; 0 for never.
    """

    def __init__(self, engine: Engine, seconds: float) -> None:
        self._engine = weakref.ref(engine)
        self._seconds = seconds
        self._watched_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tenuto-watchdog", daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        if self._seconds:
            self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_SECONDS)

    def _watch(self) -> None:
        pause = min(self._seconds / 4, 1.0)
        seen: _Turn | None = None
        since = time.monotonic()
        is_told = False
        while not self._stopped.wait(pause) and self._engine() is not None:
            now = time.monotonic()
            turn = self._current_turn()
            if turn is None or turn != seen:
                seen, since, is_told = turn, now, False
            elif not is_told and now - since >= self._seconds:
                is_told = self._tell(turn, now - since)

    def _current_turn(self) -> _Turn | None:
        # Only values are kept: were this thread the last to hold a session, it would be freed here.
        engine = self._engine()
        resident = None if engine is None else engine.busy_with
        if resident is None:
            return None
        state = resident.state
        return _Turn(state.iid, state.generation, state.next_turn, state.instance_id, state.name)

    def _tell(self, turn: _Turn, seconds: float) -> bool:
        frame = sys._current_frames().get(self._watched_thread)  # noqa: SLF001 - made for this
        if frame is None or self._current_turn() != turn:
            return False
        stack = traceback.format_stack(frame)[-_STACK_ENTRIES:]
        _LOGGER.warning(
            "instance %r (%s) has kept this host busy for %.1f seconds; all other instances wait. "
            "Move work that blocks or takes long into an activity. It is at:\n%s",
            turn.instance_id,
            turn.name,
            seconds,
            "".join(stack),
        )
        return True
