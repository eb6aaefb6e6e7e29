"""The watchdog: tells of a turn that does not end, and of whatever else blocks the host's loop.

Turns, async activities and HTTP handlers run on the host's loop, one after the other. One that
computes for long, waits without ``await``, or refuses to end when its session is discarded holds
up all others, and nobody on that loop can say so. A thread can: it looks at engine and loop a few
times a second at most, costs the engine one attribute per turn, and leaves a loop that rests in
peace. It never touches what it looks at. While a debugger has stopped the program it is quiet.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
import weakref
from types import FrameType
from typing import Final, NamedTuple

from tenuto.engine.engine import Engine
from tenuto.host.loop_watch import Incident, LoopWatch, debugger_at, incident_at
from tenuto.model.ids import InstanceId

_LOGGER: Final = logging.getLogger("tenuto.host")
_STACK_ENTRIES: Final = 12
_LONGEST_PAUSE_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 1.0
"""How long a host that stops waits for the thread, which may be writing a line."""


class _Turn(NamedTuple):
    """One turn of one instance, or the closing of its session after that turn."""

    iid: int
    generation: int
    number: int
    instance_id: InstanceId
    name: str


class Watchdog:
    """Watches the turns of an engine and the running loop; made on the loop's thread.

    Args:
        engine: Watched for as long as it exists.
        turn_seconds: How long a turn may take before the log says so, once a turn; 0 for never.
        loop_seconds: How long anything else may block the loop before the log says so, once each
            time; 0 for never.
    """

    def __init__(self, engine: Engine, turn_seconds: float, loop_seconds: float = 0.0) -> None:
        self._engine = weakref.ref(engine)
        self._turn_seconds = turn_seconds
        self._loop_seconds = loop_seconds
        self._loop_watch = LoopWatch(asyncio.get_running_loop()) if loop_seconds else None
        self._watched_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tenuto-watchdog", daemon=True)
        self._turn: _Turn | None = None
        self._turn_since = 0.0
        self._is_turn_told = False
        self._incident: Incident | None = None
        self._is_debugger_told = False

    def start(self) -> None:
        """Watch from now on."""
        if self._turn_seconds or self._loop_seconds:
            self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_SECONDS)

    def _watch(self) -> None:
        shortest = min(one for one in (self._turn_seconds, self._loop_seconds) if one)
        pause = calm = min(shortest, _LONGEST_PAUSE_SECONDS)
        while not self._stopped.wait(pause) and self._engine() is not None:
            try:
                self._look()
            except RuntimeError:  # the loop is closed
                return
            pause = min(shortest / 4, calm) if self._is_suspicious else calm

    @property
    def _is_suspicious(self) -> bool:
        """Whether something has begun that may turn out to take long."""
        watch = self._loop_watch
        return self._turn is not None or (watch is not None and watch.is_asked)

    def _look(self) -> None:
        watch = self._loop_watch
        if watch is not None:
            self._end_incident(watch)
        frame = self._frame()
        if frame is None:
            return
        stopped_at = debugger_at(frame)
        is_resting = watch is None or watch.is_resting(frame)
        # Held for longer, it would keep alive what it knows, which would then be freed here.
        del frame
        if stopped_at is not None:
            self._leave_alone(stopped_at)
            return
        if self._turn_seconds:
            self._look_at_turn()
        if watch is None:
            return
        if is_resting:
            # Asked, it would go round at once: only the machine is short of time for it.
            watch.start_anew()
        elif watch.is_asked:
            self._look_at_loop(watch)
        else:
            watch.ask()

    def _frame(self) -> FrameType | None:
        """The innermost frame of the watched thread."""
        return sys._current_frames().get(self._watched_thread)  # noqa: SLF001 - made for this

    def _leave_alone(self, stopped_at: str) -> None:
        """Somebody looks at the program, which stands still meanwhile: count anew afterwards."""
        self._turn = None
        if self._loop_watch is not None:
            self._loop_watch.start_anew()
        if not self._is_debugger_told:
            self._is_debugger_told = True
            _LOGGER.info(
                "a debugger is at %s; this host stands still while it waits there, and nothing "
                "more is said about that",
                stopped_at,
            )

    # --- turns ----------------------------------------------------------------------------------

    def _look_at_turn(self) -> None:
        now = time.monotonic()
        turn = self._current_turn()
        if turn is None or turn != self._turn:
            self._turn, self._turn_since, self._is_turn_told = turn, now, False
        elif not self._is_turn_told and now - self._turn_since >= self._turn_seconds:
            self._is_turn_told = self._tell(turn, now - self._turn_since)

    def _current_turn(self) -> _Turn | None:
        # Only values are kept: were this thread the last to hold a session, it would be freed here.
        engine = self._engine()
        resident = None if engine is None else engine.busy_with
        if resident is None:
            return None
        state = resident.state
        facts = state.facts
        return _Turn(state.iid, facts.generation, state.next_turn, facts.instance_id, facts.name)

    def _tell(self, turn: _Turn, seconds: float) -> bool:
        frame = self._frame()
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

    # --- the loop -------------------------------------------------------------------------------

    def _look_at_loop(self, watch: LoopWatch) -> None:
        # A turn has a setting of its own.
        is_due = watch.seconds_blocked >= self._loop_seconds and self._incident is None
        if not is_due or self._current_turn() is not None or (frame := self._frame()) is None:
            return
        is_resting, incident = watch.is_resting(frame), incident_at(frame)
        del frame
        if is_resting:
            return
        seconds = watch.seconds_blocked
        if not seconds:  # it has ended meanwhile
            return
        self._incident = incident
        _LOGGER.warning(
            "%s has blocked this host's loop for %.1f seconds; everything else waits. Let it "
            "`await`, or move what blocks into asyncio.to_thread(...) or an activity that is a "
            "plain `def`. It is at %s",
            incident.what,
            seconds,
            incident.place,
        )

    def _end_incident(self, watch: LoopWatch) -> None:
        seconds = watch.take_answer()
        incident = self._incident
        if seconds is not None and incident is not None:
            self._incident = None
            _LOGGER.warning(
                "the loop of this host goes on; %s blocked it for %.1f seconds",
                incident.what,
                seconds,
            )
