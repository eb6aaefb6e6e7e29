"""The workers of one program: who gets what, and what becomes of it when one goes away.

::

    asked ──▶ the least busy worker ──▶ answered
      │            │
      │            └─ gone: the worker died, was ended, hung ─┐
      │                                                       ├─ alone when it died ─▶ blamed
      └─ waits: no worker                                     └─ one of several ─▶ suspected

A worker that dies is no fault of an instance: what was out with it is offered again. What makes
workers die must be found out all the same, and held, without disturbing the others. So whatever
ran there when a worker died is *suspected*, and runs from then on in workers kept for that, in
groups that are halved (``quarantine``); who was alone with a worker that died is *blamed*: a turn
is given back as one that has killed, which the engine counts durably (ENGINE rule 32); an activity
fails after it has killed ``most_deaths`` workers and one more. Whoever is answered is cleared.
Turns run in the order in which they were sent: of those only the oldest can have run. A call for a
request or a schedule is never offered again: it fails with the worker that it was sent to.

Turns of one session go to the worker that keeps its executor. New workers are started with growing
delay. While work waits there may be more of them (``growth``); one that is not needed any more is
given nothing more, and ends once it has answered. Everything here runs on the host's loop but the
starting and the reaping of processes.
"""

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Literal

from msgspec import structs

from tenuto.engine.runner_figures import PoolFacts, WorkerFacts
from tenuto.interop.workers.errands import (
    AnyErrand,
    CallErrand,
    TurnAnswer,
    TurnErrand,
    TurnRequest,
)
from tenuto.interop.workers.growth import Growth
from tenuto.interop.workers.homes import Homes
from tenuto.interop.workers.launching import Launch, StartedWorker
from tenuto.interop.workers.link import Out, WorkerLink, now
from tenuto.interop.workers.options import PoolOptions
from tenuto.interop.workers.protocol import Cancel, Failed, Forget, Turned
from tenuto.interop.workers.quarantine import Quarantine, halves
from tenuto.interop.workers.watching import Watch
from tenuto.model.timing import MICROSECONDS, Microseconds

_LOGGER: Final = logging.getLogger("tenuto.worker")

_FIRST_DELAY: Final[Microseconds] = 100_000
_LONGEST_DELAY: Final[Microseconds] = 30 * MICROSECONDS
_PATIENCE: Final[Microseconds] = 5 * MICROSECONDS
"""So long without a worker, and what it serves is said not to be here now."""
_REMEMBERED: Final[Microseconds] = 60 * MICROSECONDS
"""So long after a call has failed for the workers that it killed, others of its function run apart
from the rest from the beginning."""


class WorkerPool:
    """The worker processes of one program.

    Args:
        launch: How each is started.
        options: What they may use.
    """

    def __init__(self, launch: Launch, options: PoolOptions) -> None:
        self._launch = launch
        self._options = options
        self._links: list[WorkerLink] = []
        self._retired: set[WorkerLink] = set()
        self._homes = Homes()
        self._turns: dict[int, TurnErrand] = {}
        self._waiting: deque[AnyErrand] = deque()
        self._numbers = itertools.count(1)
        self._keys = itertools.count(1)
        self._suspects: set[str] = set()
        self._killers: dict[str, Microseconds] = {}
        self._quarantine = Quarantine(self)
        self._watch = Watch(self, options)
        self._growth = Growth(options.bounds)
        self._early_deaths = 0
        self._starting = 0
        self._down_since: Microseconds | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._appeared: list[Callable[[], None]] = []
        self._is_draining = False
        self._is_stopping = False
        self._stopped = asyncio.Event()

    # --- what it is ------------------------------------------------------------------------------

    @property
    def is_serving(self) -> bool:
        """Whether a worker is there, or was a moment ago."""
        down = self._down_since
        return down is None or self.now - down < _PATIENCE

    def on_served(self, appeared: Callable[[], None]) -> None:
        """Call back when workers have come after there were none."""
        self._appeared.append(appeared)

    @property
    def pids(self) -> list[int]:
        """Of the processes that are there."""
        return [one.worker.pid for one in self._links]

    def workers(self) -> list[WorkerFacts]:
        """The processes that are there, for people."""
        launch = self._launch
        return [
            WorkerFacts(
                program=launch.root,
                name=launch.what,
                state=self._state_of(link),
                running=len(link.out),
                pid=link.worker.pid,
            )
            for link in self.links
        ]

    def facts(self) -> PoolFacts:
        """How many there are, and may be; those apart for suspects are not counted."""
        bounds = self._options.bounds
        return PoolFacts(
            program=self._launch.root,
            name=self._launch.what,
            workers=len(self._links),
            starting=self._starting,
            least=bounds.least,
            most=bounds.most,
        )

    def _state_of(self, link: WorkerLink) -> Literal["ready", "alone", "leaving", "silent"]:
        if link.is_retiring:
            return "leaving"
        if link.is_silence_told:
            return "silent"
        return "alone" if link in self._quarantine.links else "ready"

    def new_key(self) -> int:
        """A key for a session."""
        return next(self._keys)

    # --- its life --------------------------------------------------------------------------------

    def start(self, first: StartedWorker | None) -> None:
        """Begin, with a worker that was started to see what the app has, if there is one."""
        self._down_since = self.now
        if first is not None:
            self._starting += 1
            self._spawn(self._adopt(first))
        self._fill()
        self._watch.begin()

    async def drain(self, seconds: float) -> bool:
        """Begin no more calls, and wait for what is out; False when something still is.

        Turns go on: what an activity has come to is taken in, and stays.
        """
        self._is_draining = True
        self._waiting += self._quarantine.take_calls()
        until = asyncio.get_running_loop().time() + seconds
        while any(not out.errand.is_over for one in self.links for out in one.out.values()):
            if asyncio.get_running_loop().time() >= until:
                return False
            await asyncio.sleep(0.01)
        return True

    async def stop(self) -> None:
        """End all workers; what is out is abandoned."""
        self._is_stopping = True
        self._stopped.set()
        self._watch.end()
        links = self.links
        for link in links:
            link.out.clear()
            link.stop()
        if links:
            ends = (asyncio.to_thread(_end_words, one.worker) for one in links)
            await asyncio.gather(*ends)
        for link in links:
            link.close()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, step: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fill(self) -> None:
        """Start as many as are missing."""
        while not self._is_stopping and len(self._links) + self._starting < self._growth.wanted:
            self._starting += 1
            self._spawn(self._start_one())

    async def _start_one(self) -> None:
        if self._early_deaths:
            delay = delay_after(self._early_deaths)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), delay / MICROSECONDS)
        if self._is_stopping:
            return
        worker = await self._started()
        if worker is None:
            self._starting -= 1
            self._early_deaths += 1
            self._fill()
            self._flush()
            return
        await self._adopt(worker)

    async def _started(self) -> StartedWorker | None:
        """A worker that has loaded the app; None when there cannot be one, which is told."""
        try:
            return await asyncio.to_thread(
                StartedWorker, self._launch, lambda: not self._is_stopping
            )
        except Exception as error:  # noqa: BLE001 - also of this process: no descriptor, no thread is left
            if self._is_stopping:
                return None
            text = "the %s cannot be started: %s"
            _LOGGER.error(text, self._launch.what, error)  # noqa: TRY400 - the text says it all
            return None

    async def _linked(self, worker: StartedWorker) -> WorkerLink:
        link = await WorkerLink.over(worker, self._gone)
        if self._options.limits is not None:
            link.tell(self._options.limits)
        link.call_answered = self._call_answered
        return link

    async def _adopt(self, worker: StartedWorker) -> None:
        self._starting -= 1
        if self._is_stopping:
            await asyncio.to_thread(worker.kill)
            return
        link = await self._linked(worker)
        if link.is_gone:
            self._fill()
            self._flush()
            return
        self._links.append(link)
        _LOGGER.debug("the %s %d is at work", self._launch.what, worker.pid)
        was_away = self._down_since is not None
        self._down_since = None
        self._flush()
        if was_away:
            for appeared in self._appeared:
                appeared()

    # --- asking ----------------------------------------------------------------------------------

    def take(self, request: TurnRequest, answered: Callable[[TurnAnswer], None]) -> None:
        """Have a turn run; answered once, on the loop."""
        errand = TurnErrand(self, request, answered)
        self._turns[request.key] = errand
        home = self._homes.of(request.key)
        if self._is_stopping:
            self._waiting.append(errand)
        elif request.history is None and home is None:
            self._give_back(errand, "the worker that had its session is gone")
        elif request.instance_id in self._suspects and request.history is not None:
            self._quarantine.add([errand])
        elif home is not None:
            self._send(home, errand)
        else:
            self._place(errand)

    def forget(self, key: int) -> None:
        """A session is closed: its turn is not wanted any more, its executor goes."""
        errand = self._turns.pop(key, None)
        if errand is not None and errand.link is None:
            self._drop(errand)
        self._homes.leave(key)

    def call(self, errand: CallErrand) -> None:
        """Have a function run."""
        killed_at = self._killers.get(errand.function)
        if killed_at is not None and self.now - killed_at < _REMEMBERED:
            self._suspect([errand])
        else:
            self._place(errand)

    def _suspect(self, group: Sequence[CallErrand]) -> None:
        if self._is_draining:
            self._waiting += group
        else:
            self._quarantine.add(group)

    def cancel(self, errand: CallErrand) -> bool:
        """Nobody waits for it any more; True when it had not begun, and never will."""
        if errand.link is None and not errand.is_over:
            errand.is_over = True
            self._drop(errand)
            return True
        errand.is_canceled = True
        link = errand.link
        if link is not None:
            for number, out in link.out.items():
                if out.errand is errand:
                    link.tell(Cancel(id=number))
                    break
        return False

    def _drop(self, errand: AnyErrand) -> None:
        if errand in self._waiting:
            self._waiting.remove(errand)
        else:
            self._quarantine.drop(errand)

    def _place(self, errand: AnyErrand) -> None:
        self._give(errand)
        self._grow()

    def _give(self, errand: AnyErrand) -> None:
        is_over = self._is_stopping or (self._is_draining and not errand.is_turn)
        link = None if is_over else self._least_busy()
        if link is None or (not errand.is_turn and self._is_better_later(link)):
            self._waiting.append(errand)
        else:
            self._send(link, errand)

    def _is_better_later(self, link: WorkerLink) -> bool:
        """Whether even the least busy worker has enough, and another is about to be there."""
        is_growing = self._growth.is_possible and self._starting and not self._early_deaths
        return bool(is_growing) and self._growth.is_full(link)

    def _call_answered(self, duration: Microseconds) -> None:
        self._growth.took(duration)
        if self._waiting:
            self._flush()

    def _grow(self) -> None:
        """See how many workers there should be, and start those that are missing."""
        if self._growth.is_possible and not self._is_stopping and not self._is_draining:
            calls = sum(not one.is_turn for one in self._waiting)
            self._growth.look(self.now, self._links, self._starting, calls)
            self._fill()

    def resize(self) -> None:
        """See how many workers there should be; let one go that is too many."""
        self._grow()
        if len(self._links) > self._growth.wanted and not self._is_draining:
            link = min(self._links, key=lambda one: len(one.out))
            _LOGGER.debug("the %s %d is not needed now", self._launch.what, link.worker.pid)
            if link.has_answered:
                self._early_deaths = 0  # workers can live: the next one need not wait for its start
            self._retire(link)

    @property
    def is_growing(self) -> bool:
        """Whether a worker is about to be there."""
        return self._starting > 0

    def _least_busy(self) -> WorkerLink | None:
        open_links = (one for one in self._links if not one.is_retiring)
        return min(open_links, key=lambda one: len(one.out), default=None)

    def _send(self, link: WorkerLink, errand: AnyErrand) -> None:
        errand.link = link
        link.send(next(self._numbers), errand, self.now)

    def _flush(self) -> None:
        """A worker is there: give out what waits."""
        waiting, self._waiting = self._waiting, deque()
        for errand in waiting:
            self._give(errand)
        self._grow()

    def turn_ended(self, errand: TurnErrand, answer: Turned | Failed) -> Turned | Failed:
        """A turn was answered: note where its session is, and say what is to be told of it."""
        key, link = errand.request.key, errand.link
        assert link is not None
        is_wanted = self._was_out(errand)
        if isinstance(answer, Turned) and answer.difference is not None:
            self._homes.differ(errand.request, answer.difference)
        if isinstance(answer, Turned) and answer.is_kept:
            is_there = is_wanted and link in self._links
            if not (is_there and self._homes.keep(errand.request, link)):
                link.tell(Forget(key=key))
                answer = structs.replace(answer, is_kept=False)
        if link in self._quarantine.links:
            self._suspects.discard(errand.request.instance_id)
        return answer

    def turn_lost(self, errand: TurnErrand) -> None:
        """The worker no longer had its session."""
        self._was_out(errand)

    def _was_out(self, errand: TurnErrand) -> bool:
        """It is not out any more, and its session nowhere; whether it is still wanted."""
        key = errand.request.key
        self._homes.lose(key)
        if self._turns.get(key) is not errand:
            return False
        del self._turns[key]
        return True

    # --- what goes wrong -------------------------------------------------------------------------

    def _give_back(self, errand: TurnErrand, reason: str, *, has_killed: bool = False) -> None:
        self._turns.pop(errand.request.key, None)
        # Not from within: whoever asks is not done yet with what it does.
        asyncio.get_running_loop().call_soon(
            partial(errand.give_back, reason, has_killed=has_killed)
        )

    def _gone(self, link: WorkerLink) -> None:
        outs, link.out = list(link.out.values()), {}
        was_retired = link in self._retired
        self._retired.discard(link)
        is_alone = link in self._quarantine.links
        if link in self._links:
            self._links.remove(link)
        self._homes.without(link)
        if self._is_stopping:
            self._spawn(self._reap(link, is_expected=True))
            return
        self._spawn(self._reap(link, is_expected=was_retired and not outs))
        if not was_retired and not is_alone:
            # Who has answered was no worker that cannot live; what kills it is found out apart.
            self._early_deaths = 0 if link.has_answered else self._early_deaths + 1
        if not self._links and self._down_since is None:
            self._down_since = self.now
        self._quarantine.gone(link)
        self._after_death(link, outs, is_innocent=was_retired)
        self._fill()

    def _after_death(self, link: WorkerLink, outs: list[Out], *, is_innocent: bool) -> None:
        errands = [one.errand for one in outs]
        reason = link.reason or "the process has ended"
        turns = [one for one in errands if isinstance(one, TurnErrand)]
        calls = [one for one in errands if isinstance(one, CallErrand)]
        is_alone = not is_innocent and bool(turns) + len(calls) == 1
        for place, errand in enumerate(turns):
            errand.link = None
            has_run = not place and not is_innocent
            if has_run:
                self._suspects.add(errand.request.instance_id)
            self._give_back(errand, reason, has_killed=has_run and is_alone)
        again = [one for one in calls if self._is_to_be_repeated(one, reason)]
        for call in again:
            call.link = None
            if is_innocent:
                self._place(call)
            elif is_alone:
                self._blame(call, reason)
        if not is_innocent and not is_alone:
            for group in halves(again):
                self._suspect(group)

    def _is_to_be_repeated(self, errand: CallErrand, reason: str) -> bool:
        if errand.is_over:
            return False
        if errand.is_canceled:
            errand.end(Failed(0, "CancelledError", f"{errand.function!r} was canceled"))
            return False
        if not errand.is_repeatable:
            text = (
                f"the worker process that ran {errand.function!r} has gone: {reason}; it is not "
                "run again, as nobody knows how far it came"
            )
            errand.end(Failed(0, "WorkerCrashedError", text))
            return False
        return True

    def _blame(self, errand: CallErrand, reason: str) -> None:
        """It was alone with its worker: it is tried a few times, and then it has failed."""
        errand.deaths += 1
        if errand.deaths <= self._options.most_deaths:
            self._suspect([errand])
            return
        self._killers[errand.function] = self.now
        text = (
            f"{errand.function!r} ended its worker process {errand.deaths} times while it ran "
            f"there alone: {reason}"
        )
        errand.end(Failed(0, "WorkerCrashedError", text))

    async def _reap(self, link: WorkerLink, *, is_expected: bool) -> None:
        """Wait for the process to end, off the loop, and say how it did."""
        words = await asyncio.to_thread(_end_words, link.worker)
        if is_expected:
            return
        _LOGGER.warning(
            "the %s %d is gone: %s; activities and turns that were out with it are offered again",
            self._launch.what,
            link.worker.pid,
            words if link.reason is None else f"it was ended, because {link.reason}",
        )

    def _retire(self, link: WorkerLink) -> None:
        if link in self._links:
            self._links.remove(link)
            self._homes.without(link)
            self.let_go(link)
            self._fill()

    def let_go(self, link: WorkerLink) -> None:
        """Have a worker end, once it has answered what runs there."""
        self._retired.add(link)
        link.stop()

    # --- for those that look after it ------------------------------------------------------------

    @property
    def links(self) -> list[WorkerLink]:
        """All workers that are there."""
        return [*self._links, *self._retired, *self._quarantine.links]

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more begins."""
        return self._is_stopping

    def is_replaced(self, link: WorkerLink) -> bool:
        """Whether it is given nothing more."""
        return link in self._retired

    def replace(self, link: WorkerLink, reason: str) -> None:
        """It is given nothing more, and goes when what runs there is done."""
        _LOGGER.warning("the %s %d is replaced: %s", self._launch.what, link.worker.pid, reason)
        if not link.has_answered:  # its successor may fare no better, and the next one
            self._early_deaths += 1
        self._retire(link)

    def end_hung(self, link: WorkerLink, hung: Out | None, reason: str) -> None:
        """Who has hung is known: nobody else that is out there is suspected."""
        innocent = [out for out in link.out.values() if out is not hung]
        link.out = {number: out for number, out in link.out.items() if out is hung}
        # Whether it was to be replaced does not matter any more.
        self._retired.discard(link)
        link.kill(reason)
        self._after_death(link, innocent, is_innocent=True)

    def give_back_waiting(self) -> None:
        """There is no worker now: turns that wait for one are offered again later."""
        waiting = [one for one in self._waiting if isinstance(one, TurnErrand)]
        for errand in waiting:
            self._waiting.remove(errand)
            self._give_back(errand, "there is no worker now")

    def look_at_suspects(self, now: Microseconds) -> None:
        """See whether the one that is looked at goes on for too long."""
        self._quarantine.look(now)

    @property
    def now(self) -> Microseconds:
        """Real time that passes."""
        return now()

    @property
    def running(self) -> int:
        """Calls that are out with a worker."""
        return sum(not out.errand.is_turn for link in self.links for out in link.out.values())

    @property
    def queued(self) -> int:
        """Calls that wait for a worker."""
        return sum(not one.is_turn for one in self._waiting) + self._quarantine.queued

    def send_alone(self, link: WorkerLink, errand: AnyErrand) -> None:
        """Send what is suspected to the worker that is kept for that."""
        self._send(link, errand)

    async def start_alone(self) -> WorkerLink | None:
        """A worker for suspects; None when there cannot be one."""
        worker = await self._started()
        if worker is None:
            return None
        if self._is_stopping:
            await asyncio.to_thread(worker.kill)
            return None
        return await self._linked(worker)

    def spawn(self, step: Coroutine[Any, Any, None]) -> None:
        """Run a step of the quarantine."""
        self._spawn(step)


def _end_words(worker: StartedWorker) -> str:
    words = worker.exit_words()
    worker.kill()
    return words


def delay_after(early_deaths: int) -> Microseconds:
    """Until the next start, when so many workers one after the other have answered nothing."""
    if not early_deaths:
        return 0
    return min(_FIRST_DELAY << min(early_deaths - 1, 20), _LONGEST_DELAY)
