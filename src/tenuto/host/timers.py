"""Runs the functions of a host's programs that schedules start.

Owns when they run: one call of the clock, at the nearest moment. A timer belongs to the partition
that its name is hashed to, and runs on the host that owns that partition, on no other: before a run
begins it is noted in the store, which refuses the note of who is no owner any more (``one_owner``).
Never runs a function twice at once; a moment that comes meanwhile is passed over.
A function that has failed is run again when its program wants that: the pause before it is no part
of a run, is given up when the host stops, and then leaves the moment to the next host.

Keeps what is known of a timer as a note (``model.timer_state``), written before and after each run.
A host that dies in between, or before the second note, has the moment run again by the next one: at
least once. Timers that come more than once a minute, and those that do not want it, keep no note.
"""

import asyncio
from collections.abc import Coroutine, Generator, Iterable
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import structs

from tenuto.client.causes import client_of_host
from tenuto.client.client import Client
from tenuto.engine.engine import Engine
from tenuto.engine.ports import TimerHandle
from tenuto.engine.program import TimerFire, TimerFunction, TimerRetry
from tenuto.engine.rows import Lease
from tenuto.functions.user_calls import failure_apart, flush_output
from tenuto.messaging.listening import failure_text
from tenuto.model.errors import FencedError, InputError, RegistrationError, StorageError
from tenuto.model.ids import InstanceId
from tenuto.model.lines import one_line
from tenuto.model.timer_schedule import TimerSchedule, parse_schedule
from tenuto.model.timer_state import (
    KEY,
    TimerState,
    decode_state,
    encode_state,
    new_state,
    next_moment,
    taken_up,
)
from tenuto.model.timing import MICROSECONDS, Microseconds, to_datetime

_LATE: Final = 60 * MICROSECONDS
"""A moment that is run later than this was missed: the machine was asleep, or the store away."""
_AGAIN: Final = 5 * MICROSECONDS
"""Until a store that did not answer is asked again."""
_END_SECONDS: Final = 1.0
_NEVER: Final = 1 << 62


class Timer:
    """A function with its schedule, and how it stands on this host.

    Attributes:
        keeps_state: Whether a note is kept of it.
        key: Of that note.
        state: What is known of it; None while it is not ours, or has not been read.
        lease: Of its partition, when we took it up; None when it is not ours.
        moment: What it is to be run for next; None for nothing.
        due: When something is to be done about it; ``_NEVER`` while it runs, or is not ours.
        task: What is done about it now.
        has_started: It was taken up before in this life of the host.
        is_missed: ``moment`` had passed when it was taken up.
        pause: Ends the pause before a further attempt; None when there is none.
        asked: How often somebody has asked to have it run, and it was not yet.
    """

    def __init__(self, function: TimerFunction, schedule: TimerSchedule) -> None:
        self.function = function
        self.schedule = schedule
        self.keeps_state: bool = function.keeps_state and not schedule.is_frequent
        self.key: str = KEY + function.name
        self.state: TimerState | None = None
        self.lease: Lease | None = None
        self.moment: Microseconds | None = None
        self.due: Microseconds = _NEVER
        self.task: asyncio.Task[None] | None = None
        self.has_started = False
        self.is_missed = False
        self.pause: asyncio.Future[None] | None = None
        self.asked = 0

    @property
    def name(self) -> str:
        """Its function's name."""
        return self.function.name

    def wait_for(self, moment: Microseconds | None) -> None:
        """Have it run for a moment, when that comes."""
        self.moment = moment
        self.due = _NEVER if moment is None else moment


def timers_of(functions: Iterable[TimerFunction]) -> list[Timer]:
    """The timers of a program, with their schedules read.

    Raises:
        RegistrationError: a schedule or zone is none, or two timers have the same name.
    """
    found: dict[str, Timer] = {}
    for one in functions:
        try:
            schedule = parse_schedule(one.schedule, one.zone)
        except InputError as error:
            raise RegistrationError(f"timer {one.name!r} cannot be run: {error}") from None
        if one.name in found:
            raise RegistrationError(
                f"two timers of this host are named {one.name!r}; what is known of their runs is "
                "kept by name, so rename one of them"
            )
        found[one.name] = Timer(one, schedule)
    return list(found.values())


def timer_lines(functions: Iterable[TimerFunction], now: Microseconds) -> list[str]:
    """For people: each timer with its schedule and its next moment, as clocks in its zone show it.

    Args:
        functions: The timers of a program.
        now: The present.
    """
    lines = []
    for one in functions:
        following = parse_schedule(one.schedule, one.zone).next_after(now)
        zone = "" if one.zone is None else f" {one.zone}"
        when = "no next time" if following is None else f"next {_shown(following, one)}"
        lines.append(f"{one.name} ({one.schedule}{zone}), {when}")
    return lines


def _shown(moment: Microseconds, function: TimerFunction) -> str:
    if function.zone is None:
        return f"{to_datetime(moment):%Y-%m-%d %H:%M:%SZ}"
    return f"{to_datetime(moment).astimezone(ZoneInfo(function.zone)):%Y-%m-%d %H:%M:%S%z}"


class HostTimers:
    """The timers of a running host.

    Args:
        timers: What ``timers_of`` gives.
        engine: Knows which partitions are ours, the clock and the store.
        client: What functions of an app are given.
    """

    def __init__(self, timers: list[Timer], engine: Engine, client: Client) -> None:
        self._timers = timers
        self._engine = engine
        self._clock = engine.clock
        self._client = client
        self._alarm: TimerHandle | None = None
        self._is_stopping = False

    def start(self) -> None:
        """Take up those whose partitions are ours; from now on also those that become ours."""
        if self._timers:
            self._engine.moves.owned.append(self._take_up)
            self._engine.moves.giving.append(self._leave)
            self._take_up()

    @property
    def next(self) -> tuple[Microseconds, str] | None:
        """When the next one is due, and which; None when none is."""
        waiting = [(one.due, one.name) for one in self._timers if one.due < _NEVER]
        return min(waiting, default=None)

    def run_now(self, name: str) -> bool:
        """Run a timer once, beside its schedule, which goes on as it would have.

        What runs of it now is waited for first. Nothing is noted: when the host dies meanwhile,
        nobody runs it again.

        Args:
            name: Of the timer.

        Returns:
            False when there is none of that name, or nothing is begun any more.
        """
        found = next((one for one in self._timers if one.name == name), None)
        if found is None or self._is_stopping:
            return False
        found.asked += 1
        self._begin_asked(found)
        return True

    def _begin_asked(self, timer: Timer) -> None:
        if timer.asked and timer.task is None and not self._is_stopping:
            timer.asked -= 1
            self._do(timer, self._run_asked(timer))

    async def stop(self, seconds: float) -> None:
        """Begin nothing more, and wait for what runs, at most this long."""
        self._end()
        # Real time: a clock of tests may stand still while functions run.
        await self._wait(seconds)
        left = [one for one in self._timers if one.task is not None]
        self._cancel()
        await self._wait(_END_SECONDS)
        for one in left:
            self._engine.observer.problem(
                None,
                f"timer {one.name!r} did not end in {seconds:g} s and was given up; "
                + ("it is run again for the same moment" if one.keeps_state else "it is not noted"),
            )

    async def abandon(self) -> None:
        """Go as a process goes that dies: what runs is given up, and nothing is noted."""
        self._end()
        self._cancel()
        await self._wait(_END_SECONDS)

    def _end(self) -> None:
        self._is_stopping = True
        if self._take_up in self._engine.moves.owned:
            self._engine.moves.owned.remove(self._take_up)
            self._engine.moves.giving.remove(self._leave)
        if self._alarm is not None:
            self._alarm.cancel()
        for one in self._timers:
            _end_pause(one)

    def _cancel(self) -> None:
        for one in self._timers:
            if one.task is not None:
                one.task.cancel()

    async def _wait(self, seconds: float) -> None:
        await _ended(self._timers, seconds)

    # --- whose they are --------------------------------------------------------------------------

    def _take_up(self) -> None:
        """See which are ours. That one is not any more is seen when it is due."""
        for one in self._timers:
            self._look_at(one)
        self._arm()

    def _look_at(self, timer: Timer) -> None:
        """See whether it is ours; one that has just become so is read from the store."""
        if timer.task is not None or self._is_stopping:
            return  # it is looked at when that is over
        lease = self._lease_for(timer)
        if lease is None:
            timer.state = timer.lease = None
            timer.wait_for(None)
        elif lease != timer.lease:
            timer.lease, timer.state = lease, None
            self._do(timer, self._read(timer))

    def _lease_for(self, timer: Timer) -> Lease | None:
        engine = self._engine
        home = engine.partitions.get(engine.number_of(InstanceId(timer.name)))
        if home is None or home.is_closing or engine.gone is not None:
            return None
        return home.lease

    async def _leave(self, partition: int, seconds: float) -> None:
        """Let end what runs for a partition that is given away; nothing of it begins any more."""
        number_of = self._engine.number_of
        leaving = [one for one in self._timers if number_of(InstanceId(one.name)) == partition]
        for one in leaving:
            _end_pause(one)
        await _ended(leaving, seconds)

    async def _read(self, timer: Timer) -> None:
        """Find out how it stands, and when it is to be run."""
        function, now = timer.function, self._clock.now()
        known = await self._noted(timer) if timer.keeps_state else None
        if known is None:
            state = new_state(function.schedule, function.zone, timer.schedule, now)
        else:
            state = taken_up(known, function.schedule, function.zone, timer.schedule, now)
        if timer.keeps_state and state is not known:
            # Else nobody could tell later that its first moment was missed.
            await self._note(timer, state)
        timer.state = state
        timer.is_missed = state.next is not None and state.next < now
        starts = function.runs_on_startup and not timer.has_started and not timer.is_missed
        timer.has_started = True
        timer.wait_for(now if starts else state.next)

    async def _noted(self, timer: Timer) -> TimerState | None:
        with self._busy():
            text = (await self._engine.storage.notes([timer.key])).get(timer.key)
        if text is None:
            return None
        state = decode_state(text)
        if state is None:
            self._engine.observer.problem(
                None,
                f"what the store keeps of timer {timer.name!r} cannot be read, and is made anew: "
                "moments that were missed are not made up for",
            )
        elif state.begun_at is not None:
            began = f"{to_datetime(state.begun_at):%Y-%m-%d %H:%M:%SZ}"
            self._engine.observer.notice(
                f"timer {timer.name!r} had begun at {began} when its host ended; it is run again "
                "for the same moment"
            )
        return state

    async def _note(self, timer: Timer, state: TimerState) -> None:
        assert timer.lease is not None, "it was taken up"
        with self._busy():
            await self._engine.storage.write_note(timer.lease, timer.key, encode_state(state))

    @contextmanager
    def _busy(self) -> Generator[None]:
        """Something is asked of the store: tests do not let time pass meanwhile."""
        self._engine.reads += 1
        try:
            yield
        finally:
            self._engine.reads -= 1

    # --- when they run ---------------------------------------------------------------------------

    def _arm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        due = min((one.due for one in self._timers), default=_NEVER)
        if due < _NEVER and not self._is_stopping:
            self._alarm = self._clock.call_at(due, self._ring)

    def _ring(self) -> None:
        now = self._clock.now()
        for one in self._timers:
            if one.due > now or one.task is not None:
                continue
            if self._lease_for(one) != one.lease:
                self._look_at(one)
            elif one.state is None or one.moment is None:
                self._do(one, self._read(one))
            else:
                self._do(one, self._run(one, one.state, one.moment))
        self._arm()

    def _do(self, timer: Timer, work: Coroutine[Any, Any, None]) -> None:
        """Do something about a timer; one thing at a time for each."""
        timer.due = _NEVER
        context = copy_context()
        context.run(client_of_host.set, self._client)
        self._engine.timers_running += 1
        timer.task = self._engine.loop.create_task(
            self._guarded(timer, work), name=f"timer {timer.name}", context=context
        )

    async def _guarded(self, timer: Timer, work: Coroutine[Any, Any, None]) -> None:
        """Whatever comes of it, the timer goes on, here or where its partition is."""
        try:
            await work
        except FencedError:
            # The engine may not have heard of it yet. As long as it has the lease that was refused
            # here, there is nothing to do.
            timer.wait_for(None)
        except StorageError as error:
            self._engine.observer.problem(
                None, f"timer {timer.name!r} waits for the store, and is tried again soon: {error}"
            )
            timer.due = self._clock.now() + _AGAIN
        except Exception as error:
            # A background loop: whatever is wrong with one, the others go on. It is not tried
            # again, as it may have run already, and would again and again.
            timer.wait_for(None)
            self._engine.observer.problem(
                None,
                f"timer {timer.name!r} is not run any more by this host, for a fault of Tenuto's: "
                f"{type(error).__name__}: {error}",
            )
            raise
        finally:
            timer.task = None
            self._engine.timers_running -= 1
            self._look_at(timer)
            self._begin_asked(timer)
            self._arm()

    async def _run(self, timer: Timer, state: TimerState, due: Microseconds) -> None:
        """Run its function for one moment."""
        now = self._clock.now()
        is_past_due = timer.is_missed or now - due > _LATE
        if timer.keeps_state:
            await self._note(timer, state.begun(due, now))
        timer.is_missed = False
        fire = TimerFire(
            due_at=due,
            is_past_due=is_past_due,
            last=state.last,
            next=next_moment(timer.schedule, due, now),
            updated_at=state.updated_at if timer.keeps_state else None,
            is_startup=due != state.next,
        )
        if not await self._call(timer, fire):
            return
        ended = state.ended(timer.schedule, due, self._clock.now())
        timer.state = ended
        timer.wait_for(ended.next)
        if timer.keeps_state:
            await self._keep(timer, ended)

    async def _run_asked(self, timer: Timer) -> None:
        """Run its function because somebody wants it; its next moment stays what it is."""
        function, now = timer.function, self._clock.now()
        state = timer.state
        if state is None:
            state = new_state(function.schedule, function.zone, timer.schedule, now)
        fire = TimerFire(
            due_at=now,
            is_past_due=False,
            last=state.last,
            next=state.next,
            updated_at=state.updated_at if timer.keeps_state else None,
            is_startup=True,
        )
        try:
            await self._call(timer, fire)
        finally:
            timer.wait_for(timer.moment)

    async def _keep(self, timer: Timer, state: TimerState) -> None:
        """Note that it has run. Until that is done, whoever takes it up has it run again."""
        try:
            await self._note(timer, state)
        except FencedError:
            raise  # it is another host's by now
        except StorageError as error:
            # The note of the next run says so as well.
            self._engine.observer.problem(
                None, f"that timer {timer.name!r} has run could not be noted: {error}"
            )

    async def _call(self, timer: Timer, fire: TimerFire) -> bool:
        """Run its function, and again when it has failed and wants that.

        Returns:
            Whether that is over. If not, whoever takes the timer up begins with the moment anew.
        """
        attempts = 0
        while True:
            pause = timer.function.pause_before(attempts + 1)
            failure = await self._attempt(timer, fire, is_last=pause is None)
            if failure is None or pause is None:
                break
            attempts += 1
            if not await self._wait_before(timer, attempts, pause, failure):
                return False
            fire = structs.replace(fire, retry=TimerRetry(attempts, failure))
        return True

    async def _wait_before(
        self, timer: Timer, attempt: int, pause: Microseconds, failure: BaseException
    ) -> bool:
        """The pause before a further attempt; whether that is to be made."""
        engine, timer.pause = self._engine, self._engine.loop.create_future()
        when = f"in {pause / MICROSECONDS:g} s" if pause else "at once"
        engine.observer.notice(
            f"timer {timer.name!r} failed, and is tried again {when} (retry {attempt}): "
            f"{one_line(failure_text(failure))}"
        )
        handle = self._clock.call_later(pause, lambda: _end_pause(timer))
        # Nothing of it runs: tests let time pass meanwhile.
        engine.timers_running -= 1
        try:
            if not self._is_stopping:
                await timer.pause
        finally:
            engine.timers_running += 1
            timer.pause = None
            handle.cancel()
        if self._is_stopping:
            engine.observer.notice(
                f"timer {timer.name!r} was to be tried again when its host stopped; "
                + ("it is run again for the same moment" if timer.keeps_state else "it is not")
            )
            return False
        return self._lease_for(timer) == timer.lease

    async def _attempt(
        self, timer: Timer, fire: TimerFire, *, is_last: bool
    ) -> BaseException | None:
        """Run its function once; what it has raised."""
        failure = await failure_apart(lambda: timer.function.run(fire))
        flush_output()
        self._engine.observer.timer_ended(timer.name, failure, is_last=is_last)
        return failure


async def _ended(timers: Iterable[Timer], seconds: float) -> None:
    """Wait for what runs of them, at most this long."""
    tasks = [one.task for one in timers if one.task is not None]
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)


def _end_pause(timer: Timer) -> None:
    if timer.pause is not None and not timer.pause.done():
        timer.pause.set_result(None)
