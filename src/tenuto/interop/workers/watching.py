"""Workers that hang, grow or do not end are found by looking at each of them once a second."""

import asyncio
import itertools
import logging
from typing import Final, Protocol

from tenuto.interop.workers.errands import CallErrand, TurnErrand
from tenuto.interop.workers.link import Out, WorkerLink
from tenuto.interop.workers.options import PoolOptions
from tenuto.interop.workers.protocol import Cancel, Failed
from tenuto.model.timing import MICROSECONDS, Microseconds

_LOGGER: Final = logging.getLogger("tenuto.worker")
_LOOK_SECONDS: Final = 1.0
_PATIENCE: Final[Microseconds] = 5 * MICROSECONDS
"""A loop that is held up for longer is told of."""
_MOST_NAMED: Final = 5


class Watched(Protocol):
    """What is looked at: the pool."""

    @property
    def now(self) -> Microseconds:
        """Real time that passes."""

    @property
    def links(self) -> list[WorkerLink]:
        """All workers that are there."""

    @property
    def is_serving(self) -> bool:
        """Whether a worker is there, or was a moment ago."""

    def is_replaced(self, link: WorkerLink) -> bool:
        """Whether it is given nothing more."""

    def replace(self, link: WorkerLink, reason: str) -> None:
        """It is given nothing more, and goes when what runs there is done."""

    def end_hung(self, link: WorkerLink, hung: Out | None, reason: str) -> None:
        """End it; this is to blame (None: what is over), and nothing else that is out there."""

    def give_back_waiting(self) -> None:
        """There is no worker now: turns that wait for one are offered again later."""

    def look_at_suspects(self, now: Microseconds) -> None:
        """See whether the one that is looked at goes on for too long."""

    def resize(self) -> None:
        """See how many workers there should be."""


class Watch:
    """Looks at the workers of a pool.

    Args:
        pool: Whose.
        options: What they may use.
    """

    def __init__(self, pool: Watched, options: PoolOptions) -> None:
        self._pool = pool
        self._options = options
        self._longest: Microseconds = int(options.turn_seconds * MICROSECONDS)
        self._next: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from now on."""
        self._next = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def end(self) -> None:
        """Look no more."""
        if self._next is not None:
            self._next.cancel()

    def _look(self) -> None:
        self.begin()
        pool = self._pool
        now = pool.now
        for link in pool.links:
            self._look_at(link, now)
        pool.look_at_suspects(now)
        pool.resize()
        if not pool.is_serving:
            pool.give_back_waiting()

    def _look_at(self, link: WorkerLink, now: Microseconds) -> None:
        if self._has_too_much(link):
            return
        if all(out.errand.is_over for out in link.out.values()):
            # What nobody waits for any more may run for ever.
            if self._pool.is_replaced(link) or link.out:
                link.kill("what still ran there had been given up")
            return
        if self._has_hung(link, now):
            return
        link.ping(now)
        self._look_at_calls(link, now)

    def _has_hung(self, link: WorkerLink, now: Microseconds) -> bool:
        """Whether it was ended for a turn that does not end, or for a loop that nothing frees.

        A call may hold its worker's loop up for as long as it may run. A turn that was sent since
        then has not begun.
        """
        silent = link.silent_since
        seconds = self._options.turn_seconds
        oldest = link.oldest_turn
        if oldest is not None and (silent is None or oldest.since <= silent):
            if now - oldest.since > self._longest:
                reason = f"a turn took longer than {seconds:g} s"
                if silent is not None and _runs_calls(link, silent):
                    link.kill(reason)  # or one of these holds it up: none is blamed yet
                else:
                    self._pool.end_hung(link, oldest, reason)
                return True
        elif silent is not None and now - silent > self._longest and not _runs_calls(link, silent):
            link.kill(f"its loop was held up for {seconds:g} s")
            return True
        if silent is not None and now - silent > _PATIENCE and not link.is_silence_told:
            link.is_silence_told = True
            _LOGGER.warning(
                "the worker process %d has not answered for %d s: its loop is held up, and all "
                "that it runs waits; out there are %s",
                link.worker.pid,
                (now - silent) // MICROSECONDS,
                _what_is_out(link),
            )
        return False

    def _has_too_much(self, link: WorkerLink) -> bool:
        """Whether it was ended for its memory. Up to twice its bound it may finish what it does."""
        most = self._options.memory_bytes
        if most is None:
            return False
        size = link.resident_bytes
        if size > 2 * most:
            link.kill(
                f"it used more than twice the {most >> 20} MiB that it may (workers.memory_bytes)"
            )
        elif size > most and not link.is_retiring:
            self._pool.replace(link, f"it uses more than {most >> 20} MiB")
        return size > 2 * most

    def _look_at_calls(self, link: WorkerLink, now: Microseconds) -> None:
        for number, out in list(link.out.items()):
            errand = out.errand
            if not isinstance(errand, CallErrand) or errand.timeout is None or errand.is_over:
                continue
            if now - out.since <= errand.timeout:
                continue
            seconds = errand.timeout / MICROSECONDS
            text = f"{errand.function!r} ran longer than {seconds:g} s (functionTimeout)"
            link.tell(Cancel(id=number))
            errand.end(Failed(0, "TimeoutError", text))
            if link.silent_since is not None and now - link.silent_since > _PATIENCE:
                self._pool.end_hung(link, None, text)
                return
            self._pool.replace(link, text)


def _runs_calls(link: WorkerLink, silent: Microseconds) -> bool:
    """Whether a call can have begun before the loop fell silent."""
    return any(
        isinstance(one.errand, CallErrand) and one.since <= silent for one in link.out.values()
    )


def _what_is_out(link: WorkerLink) -> str:
    calls = {
        repr(one.errand.function)
        for one in link.out.values()
        if isinstance(one.errand, CallErrand) and not one.errand.is_over
    }
    names = list(itertools.islice(sorted(calls), _MOST_NAMED))
    oldest = link.oldest_turn
    if oldest is not None and isinstance(oldest.errand, TurnErrand):
        request = oldest.errand.request
        names.append(f"a turn of {request.name!r} (instance {request.instance_id})")
    return ", ".join(names) or "calls that nobody waits for"
