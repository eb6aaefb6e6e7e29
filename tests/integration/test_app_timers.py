"""Functions that a schedule starts, on real hosts and real stores, in virtual time."""

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx2
import pytest

from tenuto import App, Client, Context, RegistrationError, Settings, SyncClient, TimerInfo
from tenuto.engine.program import TimerFire
from tenuto.engine.rows import Lease
from tenuto.host.host import Host
from tenuto.host.programs import program_of
from tenuto.host.server import Server
from tenuto.host.timers import timer_lines
from tenuto.http.options import HttpSettings
from tenuto.model.errors import StorageLostError, StorageUnavailableError
from tenuto.model.timing import to_microseconds
from tenuto.storage.sqlite import SqliteStorage
from tenuto.telemetry.log_observer import LogObserver
from tenuto.telemetry.metrics import MetricsObserver
from tenuto.testing import TestHost
from tenuto.testing.clock import VirtualClock
from tenuto.testing.driver import EngineDriver
from tests.support.foreign_program import ForeignProgram
from tests.support.waiting import until

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Noted:
    """An app with one timer, and what it was told."""

    def __init__(
        self,
        schedule: str = "0 0 9 * * *",
        *,
        zone: str | None = None,
        run_on_startup: bool = False,
        catch_up: bool = True,
    ) -> None:
        self.app = App()
        self.told: list[TimerInfo] = []
        self.then: Callable[[TimerInfo], None] = lambda _timer: None

        @self.app.timer(
            schedule, zone=zone, run_on_startup=run_on_startup, catch_up=catch_up, name="noted"
        )
        async def noted(timer: TimerInfo) -> None:
            self.told.append(timer)
            self.then(timer)

    @property
    def due(self) -> list[str]:
        return [f"{one.due_at:%m-%d %H:%M}" for one in self.told]

    @property
    def missed(self) -> list[bool]:
        return [one.is_past_due for one in self.told]


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'timers.db'}"


# --- moments -------------------------------------------------------------------------------------


async def test_three_days_have_a_daily_timer_run_three_times() -> None:
    noted = Noted()
    async with TestHost(noted.app, start=NOON) as host:
        await host.advance(3 * DAY)
        assert noted.due == ["11-30 09:00", "12-01 09:00", "12-02 09:00"]
        assert not any(noted.missed)
        assert host.problems == []


async def test_what_a_run_is_told() -> None:
    noted = Noted()
    async with TestHost(noted.app, start=NOON) as host:
        await host.advance(2 * DAY)
    first, second = noted.told
    nine = datetime(2026, 11, 30, 9, tzinfo=UTC)
    assert first == TimerInfo(name="noted", due_at=nine, next=nine + DAY, updated_at=NOON)
    assert second == TimerInfo(
        name="noted", due_at=nine + DAY, last=nine, next=nine + 2 * DAY, updated_at=nine
    )


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(("month", "day"), [(3, 6), (3, 27), (10, 23), (10, 30)])
async def test_each_night_of_a_change_of_clocks_has_one_run(
    zone: str, month: int, day: int
) -> None:
    noted = Noted("0 30 2 * * *", zone=zone)
    hourly = Noted("0 0 * * * *", zone=zone)
    start = datetime(2026, month, day, 12, tzinfo=ZoneInfo(zone))
    async with TestHost(noted.app, start=start) as host:
        await host.advance(4 * DAY)
    async with TestHost(hourly.app, start=start) as host:
        await host.advance(4 * DAY)
    days = [one.due_at.astimezone(ZoneInfo(zone)).day for one in noted.told]
    assert len(days) == len(set(days)) == 4
    gaps = {b.due_at - a.due_at for a, b in zip(hourly.told, hourly.told[1:], strict=False)}
    assert gaps == {HOUR}


async def test_a_time_span_counts_from_the_start_on() -> None:
    noted = Noted("00:20:00")
    async with TestHost(noted.app, start=NOON) as host:
        await host.advance(HOUR)
        assert noted.due == ["11-29 12:20", "11-29 12:40", "11-29 13:00"]


async def test_several_timers_each_at_its_own_moments() -> None:
    app, order = App(), list[str]()

    @app.timer("0 */10 * * * *")
    def every_ten_minutes() -> None:
        order.append("ten")

    @app.timer("0 */15 * * * *")
    async def every_quarter() -> None:
        order.append("quarter")

    async with TestHost(app, start=NOON) as host:
        await host.advance(timedelta(minutes=29))
        assert order == ["ten", "quarter", "ten"]
        await host.advance(MINUTE)
        assert sorted(order[3:]) == ["quarter", "ten"]


# --- runs that take long, fail, are many ---------------------------------------------------------


async def test_moments_that_come_while_it_runs_are_passed_over() -> None:
    app, told = App(), list[datetime]()
    go_on, running = asyncio.Event(), 0

    @app.timer("0 */10 * * * *")
    async def slow(timer: TimerInfo) -> None:
        nonlocal running
        told.append(timer.due_at)
        running += 1
        assert running == 1
        await go_on.wait()
        running -= 1

    async with TestHost(app, start=NOON) as host:
        await host.advance(timedelta(minutes=35), with_activities=False)
        assert told == [NOON + 10 * MINUTE]
        go_on.set()
        await host.idle()
        assert told == [NOON + 10 * MINUTE]
        await host.advance(15 * MINUTE)
        assert told == [NOON + 10 * MINUTE, NOON + 40 * MINUTE, NOON + 50 * MINUTE]


@pytest.mark.parametrize("error", [ValueError("no paper"), SystemExit(3), KeyboardInterrupt()])
async def test_what_it_raises_is_logged_and_the_schedule_goes_on(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    noted, in_thread = Noted("0 0 * * * *"), 0

    def fail(_timer: TimerInfo) -> None:
        raise error

    noted.then = fail

    @noted.app.timer("0 30 * * * *")
    def threaded() -> None:
        nonlocal in_thread
        in_thread += 1
        raise error

    async with TestHost(noted.app, start=NOON) as host:
        await host.advance(2 * HOUR)
        assert noted.due == ["11-29 13:00", "11-29 14:00"]
        assert in_thread == 2
        names = [name for name, _ in host.observer.timers]
        assert names == ["threaded", "noted", "threaded", "noted"]
    lines = [line for line in caplog.records if "timer 'noted' failed" in line.getMessage()]
    assert len(lines) == 2
    assert type(error).__name__ in lines[0].getMessage()
    assert lines[0].exc_info is not None
    assert "Its schedule goes on." in lines[0].getMessage()


async def test_one_that_cancels_itself_has_failed() -> None:
    app, runs = App(), 0

    @app.timer("0 0 * * * *")
    async def cancels() -> None:
        nonlocal runs
        runs += 1
        raise asyncio.CancelledError

    async with TestHost(app, start=NOON) as host:
        await host.advance(2 * HOUR)
        assert runs == 2


# --- what fills the parameters -------------------------------------------------------------------


async def test_async_ones_start_orchestrations_with_the_hosts_client() -> None:
    app = App()

    @app.orchestrator
    async def report(ctx: Context, day: str) -> str:
        return f"report of {day}"

    @app.timer("0 0 9 * * *")
    async def every_morning(timer: TimerInfo, *, client: Client, prefix: str = "report") -> None:
        day = f"{timer.due_at:%Y-%m-%d}"
        await client.start(report, day, instance_id=f"{prefix}-{day}")

    async with TestHost(app, start=NOON) as host:
        await host.advance(2 * DAY)
        for day in ("2026-11-30", "2026-12-01"):
            status = await host.client.get_status(f"report-{day}")
            assert status is not None
            assert status.output == f"report of {day}"


async def test_sync_ones_run_in_threads_with_a_client_that_blocks() -> None:
    app, threads = App(), list[str]()

    @app.orchestrator
    async def report(ctx: Context) -> str:
        return "done"

    @app.timer("0 0 * * * *")
    def every_hour(client: SyncClient, timer: TimerInfo) -> None:
        threads.append(threading.current_thread().name)
        client.start(report, instance_id=f"report-{timer.due_at:%H}").result()

    async with TestHost(app, start=NOON) as host:
        await host.advance(2 * HOUR)
        assert threads == ["tenuto-timer-every_hour"] * 2
        assert (await host.client.get_status("report-14")) is not None
        assert host.observer.timers == [("every_hour", None)] * 2


def refused(schedule: str, function: Callable[..., object], **options: object) -> str:
    with pytest.raises(RegistrationError) as raised:
        App().timer(schedule, **options)(function)  # type: ignore[arg-type]
    text = str(raised.value)
    assert f"{__file__}:" in text
    return text


def test_what_is_refused_where_it_is_decorated() -> None:
    def plain() -> None: ...

    async def takes_unknown(number: int) -> None: ...

    def takes_client(client: Client) -> None: ...

    async def takes_sync_client(client: SyncClient) -> None: ...

    async def takes_two(one: TimerInfo, two: TimerInfo) -> None: ...

    async def by_place(timer: TimerInfo, /) -> None: ...

    async def unresolved(timer: "TimerInf") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    async def any_number(*args: TimerInfo) -> None: ...

    def generates() -> object:
        yield

    async def generates_async() -> AsyncIterator[int]:
        yield 1

    assert "minute '61' is not allowed; it is 0 to 59" in refused("0 61 * * * *", plain)
    assert "timer 'plain' (" in refused("0 61 * * * *", plain)
    assert "never comes" in refused("0 0 0 31 2 *", plain)
    assert "not a known time zone" in refused("0 0 0 * * *", plain, zone="Berlin")
    assert "a time span, which knows no zone; got 'UTC'" in refused("00:05:00", plain, zone="UTC")
    assert "its name must be a str" in refused("0 0 0 * * *", plain, name="")
    every = "0 * * * * *"
    assert "'number' is nothing that a timer can give" in refused(every, takes_unknown)
    assert "take a SyncClient, or use async def" in refused(every, takes_client)
    assert "would block the host's loop; take a Client" in refused(every, takes_sync_client)
    assert "'one', 'two' are all what the function is told; take it once" in refused(
        every, takes_two
    )
    assert "cannot be given by name; remove the `/`" in refused(every, by_place)
    assert "an annotation cannot be resolved" in refused(every, unresolved)
    assert "it takes *args, which nothing fills" in refused(every, any_number)
    assert "it is a generator" in refused(every, generates)
    assert "async generator" in refused(every, generates_async)
    with pytest.raises(RegistrationError, match="lambda"):
        App().timer(every)(lambda: None)


def test_a_name_is_given_once() -> None:
    app = App()

    def tick() -> None: ...

    assert app.timer("0 * * * * *")(tick) is tick
    with pytest.raises(RegistrationError, match="a timer named 'tick' is registered already"):
        app.timer("0 * * * * *")(tick)
    app.timer("0 * * * * *", name="tock")(tick)
    assert [one.name for one in program_of(app).timers] == ["tick", "tock"]


def test_lines_for_people() -> None:
    app = App()

    @app.timer("0 30 9 * * MON-FRI", zone="Europe/Berlin")
    def morning() -> None: ...

    @app.timer("00:05:00")
    def often() -> None: ...

    assert timer_lines(program_of(app).timers, to_microseconds(NOON)) == [
        "morning (0 30 9 * * MON-FRI Europe/Berlin), next 2026-11-30 09:30:00+0100",
        "often (00:05:00), next 2026-11-29 12:05:00Z",
    ]


# --- hosts come and go ---------------------------------------------------------------------------


async def run_until(app: App, store: str, start: datetime, end: datetime) -> None:
    """A host, from its start to its end."""
    async with TestHost(app, start=start, storage=store) as host:
        await host.advance(end)


async def test_a_host_that_was_down_makes_up_for_what_it_missed_once(store: str) -> None:
    noted = Noted()
    await run_until(noted.app, store, NOON, NOON + DAY)
    assert noted.due == ["11-30 09:00"]
    await run_until(noted.app, store, NOON + 4 * DAY, NOON + 5 * DAY)
    # One run for the first of three missed mornings, then the schedule goes on.
    assert noted.due == ["11-30 09:00", "12-01 09:00", "12-04 09:00"]
    assert noted.missed == [False, True, False]
    late = noted.told[1]
    assert late.next == datetime(2026, 12, 4, 9, tzinfo=UTC)
    assert late.last == datetime(2026, 11, 30, 9, tzinfo=UTC)


async def test_the_first_moment_of_all_is_made_up_for_too(store: str) -> None:
    noted = Noted()
    await run_until(noted.app, store, NOON, NOON + HOUR)
    await run_until(noted.app, store, NOON + DAY, NOON + DAY + HOUR)
    assert noted.due == ["11-30 09:00"]
    assert noted.missed == [True]


async def test_a_restart_between_two_moments_changes_nothing(store: str) -> None:
    noted = Noted("01:00:00")
    for hours in range(4):
        start = NOON + hours * timedelta(minutes=40)
        await run_until(noted.app, store, start, start + timedelta(minutes=40))
    assert noted.due == ["11-29 13:00", "11-29 14:00"]
    assert noted.missed == [False, False]


@pytest.mark.parametrize(
    ("schedule", "catch_up"), [("0 0 * * * *", False), ("0,30 0 * * * *", True), ("00:00:50", True)]
)
async def test_those_without_a_note_forget_what_was_missed(
    store: str, schedule: str, catch_up: bool
) -> None:
    noted = Noted(schedule, catch_up=catch_up)
    await run_until(noted.app, store, NOON, NOON + timedelta(seconds=10))
    await run_until(noted.app, store, NOON + DAY + MINUTE, NOON + DAY + MINUTE)
    assert noted.told == []
    storage = SqliteStorage(store.removeprefix("sqlite:///"))
    await storage.open()
    assert await storage.notes(["timer/noted"]) == {}
    await storage.close()


async def test_a_changed_schedule_goes_on_from_the_last_run(store: str) -> None:
    await run_until(Noted().app, store, NOON, NOON + DAY)  # runs at 9 o'clock
    rarer = Noted("0 0 18 * * *")
    await run_until(rarer.app, store, NOON + DAY, NOON + DAY + 8 * HOUR)
    assert (rarer.due, rarer.missed) == (["11-30 18:00"], [False])
    oftener = Noted("0 0 */3 * * *")
    await run_until(oftener.app, store, NOON + 2 * DAY, NOON + 2 * DAY + HOUR)
    assert (oftener.due, oftener.missed) == (["11-30 21:00"], [True])


async def test_a_run_at_each_start(store: str) -> None:
    noted = Noted(run_on_startup=True)
    await run_until(noted.app, store, NOON, NOON + HOUR)
    await run_until(noted.app, store, NOON + HOUR, NOON + 2 * HOUR)
    assert noted.due == ["11-29 12:00", "11-29 13:00"]
    assert noted.missed == [False, False]
    # One that makes up for a moment is not followed by a second one.
    await run_until(noted.app, store, NOON + DAY, NOON + DAY + HOUR)
    assert noted.due[2:] == ["11-30 09:00"]
    assert noted.missed[2:] == [True]


async def test_a_crash_while_it_runs_has_it_run_again(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    app, told, forever = App(), list[TimerInfo](), asyncio.Event()

    @app.timer("0 0 * * * *")
    async def hangs(timer: TimerInfo) -> None:
        told.append(timer)
        if len(told) == 1:
            await forever.wait()

    async with TestHost(app, start=NOON, storage=store) as host:
        await host.advance(HOUR + MINUTE, with_activities=False)
        assert len(told) == 1
        await host.crash()
        await host.idle()
        assert [one.due_at for one in told] == [NOON + HOUR] * 2
        assert [one.is_past_due for one in told] == [False, True]
        assert (
            "timer 'hangs' had begun at 2026-11-29 13:00:00Z when its host ended; it is run again"
        ) in caplog.text
        await host.advance(HOUR)
        assert told[2].due_at == NOON + 2 * HOUR


class ForgetfulStore(SqliteStorage):
    """Does not take the note that a run has ended, once."""

    is_deaf = True

    async def write_note(self, lease: Lease, key: str, text: str) -> None:
        if self.is_deaf and '"last"' in text and "begunAt" not in text:
            self.is_deaf = False
            raise StorageUnavailableError("the disk is away")
        await super().write_note(lease, key, text)


async def test_at_least_once_a_crash_between_the_run_and_its_note(tmp_path: Path) -> None:
    noted = Noted("0 0 * * * *")
    storage = ForgetfulStore(tmp_path / "forgetful.db")
    async with TestHost(noted.app, start=NOON, storage=storage) as host:
        await host.advance(HOUR)
        assert noted.due == ["11-29 13:00"]
        await host.crash()
        await host.advance(MINUTE)
        assert noted.due == ["11-29 13:00", "11-29 13:00"]
        assert any("could not be noted: the disk is away" in text for _, text in host.problems)


async def test_a_note_that_was_not_taken_is_made_good_by_the_next(tmp_path: Path) -> None:
    noted = Noted("0 0 * * * *")
    storage = ForgetfulStore(tmp_path / "forgetful.db")
    async with TestHost(noted.app, start=NOON, storage=storage) as host:
        await host.advance(2 * HOUR)
        await host.restart()
        await host.advance(MINUTE)
        assert noted.due == ["11-29 13:00", "11-29 14:00"]


class AwayStore(SqliteStorage):
    """Takes no notes as long as it is away."""

    is_away = False

    async def write_note(self, lease: Lease, key: str, text: str) -> None:
        if self.is_away:
            raise StorageUnavailableError("the disk is away")
        await super().write_note(lease, key, text)


async def test_nothing_runs_that_could_not_be_noted_before(tmp_path: Path) -> None:
    noted = Noted("0 0 * * * *", run_on_startup=True)
    storage = AwayStore(tmp_path / "away.db")
    storage.is_away = True
    async with TestHost(noted.app, start=NOON, storage=storage) as host:
        await host.advance(MINUTE)
        assert noted.due == []
        storage.is_away = False
        await host.advance(MINUTE)
        assert noted.due == ["11-29 12:01"]
        storage.is_away = True
        await host.advance(NOON + HOUR + 2 * MINUTE)
        assert len(noted.due) == 1
        storage.is_away = False
        await host.advance(MINUTE)
        assert noted.due[1:] == ["11-29 13:00"]
        assert noted.missed == [False, True]
        assert any("timer 'noted' waits for the store" in text for _, text in host.problems)


class FaultyStore(SqliteStorage):
    """Answers what no store may answer, for one of the timers."""

    async def notes(self, keys: Sequence[str]) -> dict[str, str]:
        if "timer/noted" in keys:
            raise RuntimeError("not so")
        return await super().notes(keys)


async def test_a_fault_of_one_is_told_and_leaves_the_others(tmp_path: Path) -> None:
    noted, others = Noted("0 0 * * * *"), 0
    faults = list[dict[str, object]]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: faults.append(fault))

    @noted.app.timer("0 30 * * * *")
    async def other() -> None:
        nonlocal others
        others += 1

    storage = FaultyStore(tmp_path / "faulty.db")
    async with TestHost(noted.app, start=NOON, storage=storage) as host:
        await host.advance(2 * HOUR)
        assert (others, noted.due) == (2, [])
        ((_, text),) = host.problems
        assert text == (
            "timer 'noted' is not run any more by this host, for a fault of Tenuto's: "
            "RuntimeError: not so"
        )
    gc.collect()
    assert [repr(fault["exception"]) for fault in faults] == ["RuntimeError('not so')"]


async def test_a_note_that_nobody_can_read_is_made_anew(store: str) -> None:
    noted = Noted()
    await run_until(noted.app, store, NOON, NOON + DAY)
    async with TestHost(noted.app, start=NOON + DAY, storage=store) as host:
        lease = host.host.engine.partitions[
            host.host.engine.number_of("noted")  # type: ignore[arg-type]
        ].lease
        await host.host.engine.storage.write_note(lease, "timer/noted", "{")
        await host.restart()
        await host.advance(DAY)
        assert noted.due == ["11-30 09:00", "12-01 09:00"]
        assert any("'noted' cannot be read, and is made anew" in text for _, text in host.problems)


async def test_a_host_that_stops_waits_for_runs_and_begins_none(tmp_path: Path) -> None:
    app, began, ended, go_on = App(), list[datetime](), list[datetime](), asyncio.Event()

    @app.timer("* * * * * *")
    async def works(timer: TimerInfo) -> None:
        began.append(timer.due_at)
        await go_on.wait()
        ended.append(timer.due_at)

    host = Host(app, f"sqlite:///{tmp_path / 'real.db'}")
    await host.start()
    await until(lambda: len(began) == 1)
    stopping = asyncio.create_task(host.stop())
    done, _ = await asyncio.wait([stopping], timeout=0.2)
    assert not done
    go_on.set()
    await stopping
    assert began == ended
    assert len(began) == 1


async def test_what_ends_while_a_host_stops_does_not_begin_again(store: str) -> None:
    app, clock = App(), VirtualClock(NOON)
    gates = {"long": asyncio.Event(), "short": asyncio.Event()}
    began = list[str]()

    def add(name: str) -> None:
        @app.timer("0 * * * * *", name=name)
        async def waits() -> None:
            began.append(name)
            await gates[name].wait()

    for name in gates:
        add(name)
    host = Host(app, store, clock=clock)
    await host.start()
    clock.drive(EngineDriver(host.engine))
    await clock.advance(MINUTE, with_activities=False)
    assert sorted(began) == ["long", "short"]
    stopping = asyncio.create_task(host.stop())
    gates["short"].set()
    await clock.advance(5 * MINUTE, with_activities=False)
    assert not stopping.done()
    assert sorted(began) == ["long", "short"]
    gates["long"].set()
    await stopping


async def test_time_stands_still_while_one_runs_in_a_thread() -> None:
    app, ends, work = App(), list[datetime](), threading.Event()

    async with TestHost(app, start=NOON) as host:

        @app.timer("0 0 * * * *")
        def computes() -> None:
            work.wait(0.05)  # as long as some work takes
            ends.append(host.clock.current_time)

        await host.restart()
        await host.advance(3 * HOUR)
        assert ends == [NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_does_not_end_in_time_is_given_up_by_name_and_run_again(
    store: str, is_async: bool
) -> None:
    app, told = App(), list[datetime]()
    never, never_in_thread = asyncio.Event(), threading.Event()

    async def hangs(timer: TimerInfo) -> None:
        told.append(timer.due_at)
        if len(told) == 1:
            await never.wait()

    def hangs_in_thread(timer: TimerInfo) -> None:
        told.append(timer.due_at)
        if len(told) == 1:
            never_in_thread.wait(20)

    app.timer("0 0 * * * *", name="hangs")(hangs if is_async else hangs_in_thread)
    settings = Settings(drain_seconds=0.05)
    async with TestHost(app, start=NOON, storage=store, settings=settings) as host:
        await host.advance(HOUR, with_activities=False)
        await until(lambda: len(told) == 1)
        await host.restart()
        never_in_thread.set()
        assert any(
            "timer 'hangs' did not end in 0.05 s and was given up; it is run again" in text
            for _, text in host.problems
        )
        await host.idle()
        assert told == [NOON + HOUR] * 2


# --- programs of other kinds ---------------------------------------------------------------------


class ForeignTimer:
    """A function of another kind of program."""

    runs_on_startup = False
    keeps_state = True

    def __init__(self, name: str, schedule: str, zone: str | None = None) -> None:
        self.name = name
        self.schedule = schedule
        self.zone = zone
        self.fires: list[TimerFire] = []
        self.failures = 0
        self.pauses: list[int] = []

    def pause_before(self, attempt: int) -> int | None:
        return self.pauses[attempt - 1] if attempt <= len(self.pauses) else None

    async def run(self, fire: TimerFire) -> None:
        self.fires.append(fire)
        if self.failures:
            self.failures -= 1
            raise ValueError(f"failed with {self.failures} left")


def failing(failures: int, *pauses: timedelta, keeps_state: bool = True) -> ForeignTimer:
    """One that is due each hour, and wants to be tried again after these pauses."""
    timer = ForeignTimer("tick", "0 0 * * * *")
    timer.failures, timer.keeps_state = failures, keeps_state
    timer.pauses = [pause // timedelta(microseconds=1) for pause in pauses]
    return timer


async def hosted(timer: ForeignTimer, store: str, start: datetime) -> tuple[Host, VirtualClock]:
    """A host that runs it."""
    clock = VirtualClock(start)
    host = Host([ForeignProgram({}, timers=[timer])], store, clock=clock)
    await host.start()
    clock.drive(EngineDriver(host.engine))
    return host, clock


def attempts(timer: ForeignTimer) -> list[tuple[int, int, str]]:
    """Of each run: the hour for which it is, which further attempt it is, and why."""
    noon = to_microseconds(NOON)
    return [
        (
            (one.due_at - noon) // 3_600_000_000,
            0 if one.retry is None else one.retry.count,
            "" if one.retry is None else str(one.retry.failure),
        )
        for one in timer.fires
    ]


async def test_one_that_failed_is_tried_again_for_the_same_moment(store: str) -> None:
    timer = failing(2, timedelta(minutes=1), timedelta(minutes=90))
    host, clock = await hosted(timer, store, NOON)
    await clock.advance(HOUR)
    assert attempts(timer) == [(1, 0, "")]
    await clock.advance(timedelta(minutes=1))
    assert attempts(timer)[1:] == [(1, 1, "failed with 1 left")]
    # The moments that come while it waits are passed over.
    await clock.advance(timedelta(minutes=90))
    assert attempts(timer)[2:] == [(1, 2, "failed with 0 left")]
    await clock.advance(HOUR)
    assert attempts(timer)[3:] == [(3, 0, "")]
    await host.stop()


async def test_after_the_last_attempt_the_schedule_goes_on(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    timer = failing(5, timedelta(0))
    host, clock = await hosted(timer, store, NOON)
    await clock.advance(2 * HOUR)
    assert [one[:2] for one in attempts(timer)] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    await host.stop()
    # Where it has failed is told at the last attempt; before that, what has.
    lines = [one for one in caplog.records if "timer 'tick' failed" in one.getMessage()]
    assert [bool(one.exc_info) for one in lines] == [False, True, False, True]
    assert "is tried again at once (retry 1): " in lines[0].getMessage()


@pytest.mark.parametrize("keeps_state", [True, False])
async def test_a_host_that_stops_gives_the_pause_up_and_the_next_begins_anew(
    store: str, keeps_state: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    timer = failing(1, timedelta(minutes=30), keeps_state=keeps_state)
    host, clock = await hosted(timer, store, NOON)
    await clock.advance(HOUR)
    await host.stop()
    assert "timer 'tick' failed, and is tried again in 1800 s (retry 1): " in caplog.text
    words = "it is run again for the same moment" if keeps_state else "it is not"
    assert f"was to be tried again when its host stopped; {words}" in caplog.text
    host, clock = await hosted(timer, store, NOON + HOUR + timedelta(minutes=1))
    await clock.advance(HOUR)
    await host.stop()
    again = [(1, 0, "")] if keeps_state else []
    assert attempts(timer) == [(1, 0, ""), *again, (2, 0, "")]


async def test_one_that_fails_while_its_host_stops_is_not_waited_for(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    timer = failing(1, timedelta(minutes=30))
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(fire: TimerFire) -> None:
        begun.set()
        await goes_on.wait()
        await ForeignTimer.run(timer, fire)

    timer.run = slow  # type: ignore[method-assign]
    host, clock = await hosted(timer, store, NOON)
    advancing = asyncio.create_task(clock.advance(HOUR))
    await begun.wait()
    stopping = asyncio.create_task(host.stop())
    await asyncio.sleep(0)
    goes_on.set()
    await stopping
    advancing.cancel()
    assert "was to be tried again when its host stopped" in caplog.text
    assert "did not end" not in caplog.text
    assert [one[:2] for one in attempts(timer)] == [(1, 0)]


async def test_who_no_longer_owns_it_after_the_pause_leaves_it_to_others(store: str) -> None:
    timer = failing(1, timedelta(minutes=30))
    host, clock = await hosted(timer, store, NOON)
    await clock.advance(HOUR)
    owned = dict(host.engine.partitions)
    host.engine.partitions.clear()
    await clock.advance(timedelta(minutes=30))
    assert [one[:2] for one in attempts(timer)] == [(1, 0)]
    host.engine.partitions.update(owned)
    await host.stop()


async def test_timers_of_another_program_run_beside_those_of_an_app(store: str) -> None:
    noted = Noted("0 0 * * * *")
    # An app may have one zone for all its schedules.
    foreign = ForeignTimer("tick", "00:10:00", "Europe/Berlin")
    clock = VirtualClock(NOON)
    host = Host([noted.app, ForeignProgram({}, timers=[foreign])], store, clock=clock)
    await host.start()
    clock.drive(EngineDriver(host.engine))
    await clock.advance(HOUR)
    await host.stop()
    noon = to_microseconds(NOON)
    minutes = [(one.due_at - noon) // 60_000_000 for one in foreign.fires]
    assert minutes == [10, 20, 30, 40, 50, 60]
    first, second = foreign.fires[:2]
    assert (first.last, second.last) == (None, first.due_at)
    assert first.next == second.due_at
    assert noted.due == ["11-29 13:00"]


@pytest.mark.parametrize(
    ("timers", "reason"),
    [
        ([ForeignTimer("tick", "0 0 25 * * *")], "timer 'tick' cannot be run: schedule '0 0 25"),
        ([ForeignTimer("tick", "", None)], "timer 'tick' cannot be run: schedule '' has 0 fields"),
        ([ForeignTimer("noted", "0 0 0 * * *")], "two timers of this host are named 'noted'"),
    ],
)
async def test_wrong_ones_are_refused_before_the_store_is_opened(
    timers: list[ForeignTimer], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "never.db"
    host = Host([Noted().app, ForeignProgram({}, timers=timers)], f"sqlite:///{path}")
    with pytest.raises(RegistrationError) as raised:
        await host.start()
    assert reason in str(raised.value)
    assert not path.exists()


async def test_a_host_that_has_lost_its_store_runs_nothing_more(tmp_path: Path) -> None:
    noted = Noted("0 0 * * * *")
    async with TestHost(noted.app, start=NOON, storage=f"sqlite:///{tmp_path / 'lost.db'}") as host:
        await host.advance(HOUR)
        host.host.engine.abandon(StorageLostError("the file is gone"))
        await host.advance(3 * HOUR)
        assert noted.due == ["11-29 13:00"]


def test_a_script_for_one_orchestration_runs_none(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    noted = Noted("* * * * * *", run_on_startup=True)

    @noted.app.orchestrator
    async def waits(ctx: Context) -> str:
        await ctx.create_timer(timedelta(seconds=1.2))
        return "done"

    assert noted.app.run(waits, storage=store) == "done"
    assert noted.told == []
    assert capsys.readouterr().err == ""


async def test_they_are_listed_with_the_functions_and_counted() -> None:
    app = Noted("0 30 9 * * *", zone="Europe/Berlin").app

    @app.timer("0 0 * * * *")
    async def fails() -> None:
        raise ValueError("no paper")

    metrics = MetricsObserver(LogObserver(), version="0")
    clock = VirtualClock(NOON)
    settings = Settings(storage="sqlite://", http=HttpSettings(port=0))
    async with Server(app, settings=settings, clock=clock, observer=metrics) as server:
        clock.drive(EngineDriver(server.host.engine))
        await clock.advance(DAY)
        async with httpx2.AsyncClient() as http:
            found = (await http.get(f"{server.url}/admin/functions")).json()["timers"]
    assert found == [
        {
            "name": "noted",
            "schedule": "0 30 9 * * *",
            "zone": "Europe/Berlin",
            "runOnStartup": False,
        },
        {"name": "fails", "schedule": "0 0 * * * *", "zone": None, "runOnStartup": False},
    ]
    text = metrics.render().decode()
    assert 'tenuto_timers_total{outcome="completed",timer="noted"} 1.0' in text
    assert 'tenuto_timers_total{outcome="failed",timer="fails"} 24.0' in text
