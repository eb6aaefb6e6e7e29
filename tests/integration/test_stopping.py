"""``drain_seconds`` is a promise: a process that is told to stop names what is left, and ends."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tenuto import App, Context, Host, Settings
from tests.support.terminal import Command, Program, environment, tenuto
from tests.support.waiting import until

if sys.platform == "win32":
    pytest.skip("signals of POSIX", allow_module_level=True)

APP = """
import asyncio, atexit, multiprocessing, queue, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tenuto import App, Context

app = App()
stopped = threading.Event()


def begun(name):
    Path(f"{name}.begun").touch()


@app.activity
async def stubborn() -> None:
    begun("stubborn")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


@app.activity
async def in_a_thread() -> None:
    begun("in_a_thread")
    await asyncio.to_thread(time.sleep, 3600)


@app.activity
def asleep() -> None:
    begun("asleep")
    time.sleep(3600)


@app.activity
def leaves_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(3600,), name="left-over", daemon=False).start()
    begun("leaves_a_thread")


@app.activity(cpu_bound=True)
def computes() -> None:
    threading.Thread(target=time.sleep, args=(3600,), daemon=False).start()
    begun("computes")


@app.activity
async def blocks() -> None:
    begun("blocks")
    time.sleep(3600)


@app.activity
async def blocks_when_cancelled() -> None:
    begun("blocks_when_cancelled")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        time.sleep(3600)


@app.activity
async def leaves_a_task_that_blocks() -> None:
    async def stay() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            time.sleep(3600)

    app.kept = asyncio.create_task(stay(), name="forgotten")
    await asyncio.sleep(0)
    begun("leaves_a_task_that_blocks")


@app.activity
def registers_its_end() -> None:
    atexit.register(time.sleep, 3600)
    ThreadPoolExecutor().submit(time.sleep, 0)
    begun("registers_its_end")


@app.activity
def leaves_a_pool() -> None:
    app.pool = ThreadPoolExecutor(1, "pool")
    app.pool.submit(time.sleep, 3600)
    begun("leaves_a_pool")


@app.activity
def leaves_work_in_a_pool() -> None:
    def copy_forever() -> None:
        time.sleep(3600)

    app.pool = ThreadPoolExecutor(1, "pool")
    app.pool.submit(copy_forever)
    begun("leaves_work_in_a_pool")


@app.activity
def registers_what_waits() -> None:
    def say_goodbye() -> None:
        time.sleep(3600)

    atexit.register(say_goodbye)
    begun("registers_what_waits")


@app.activity
async def calls_in_an_executor() -> None:
    asyncio.get_running_loop().run_in_executor(None, queue.Queue().get)
    begun("calls_in_an_executor")


@app.activity
def leaves_processes() -> None:
    secret = [sys.executable, "-c", "import time; time.sleep(3600)  # secret"]
    commands = ["sleep", "3600"], secret
    app.children = [*map(subprocess.Popen, commands), other_process(False)]
    Path("children").write_text(" ".join(str(one.pid) for one in app.children))
    subprocess.run(["true"], check=True)
    begun("leaves_processes")


@app.activity
def leaves_a_daemon() -> None:
    app.child = other_process(True)
    begun("leaves_a_daemon")


@app.activity
async def leaves_a_process_and_blocks() -> None:
    app.child = subprocess.Popen(["sleep", "3600"])
    Path("children").write_text(str(app.child.pid))
    begun("leaves_a_process_and_blocks")
    time.sleep(3600)


def other_process(daemon):
    child = multiprocessing.get_context("fork").Process(
        target=time.sleep, args=(3600,), name="copier", daemon=daemon
    )
    child.start()
    return child


@app.activity
async def exits_beside() -> str:
    async def leave() -> None:
        raise SystemExit(7)

    asyncio.get_running_loop().call_soon(exit, 8)
    begun("exits_beside")
    try:
        await asyncio.create_task(leave())
    except SystemExit:
        await asyncio.sleep(0.01)
        return "goes on"


@app.activity
async def spawns() -> None:
    async def stay() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    app.kept = asyncio.create_task(stay(), name="forgotten")
    await asyncio.sleep(0)
    begun("spawns")


def orchestrate(activity):
    @app.orchestrator(name="call_" + activity.name)
    async def call(ctx: Context) -> object:
        return await ctx.call_activity(activity)


for one in list(app.activities.values()):
    orchestrate(one)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "travel.py").write_text(APP)
    (tmp_path / "tenuto.toml").write_text('drain_seconds = 0.2\nstorage = "sqlite:///s.db"\n')
    return tmp_path


def until_there(file: Path, command: Command) -> None:
    """A program says how far it has come by a file: one that blocks has no other way."""
    deadline = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < deadline, command.err
        time.sleep(0.01)


def begin(folder: Path, command: Command, *names: str) -> None:
    command.until("listening ")
    for name in names:
        started = tenuto(folder, "instances", "start", f"call_{name}", "--id", name)
        assert started.returncode == 0, started.stderr
        until_there(folder / f"{name}.begun", command)


def stop_in_time(command: Command) -> None:
    began = time.monotonic()
    command.send(signal.SIGTERM)
    assert command.process.wait(30) == 0
    assert time.monotonic() - began < 12  # generous: other programs may have the processors


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stubborn", r"activity 'stubborn' of instance 'stubborn', .*travel.py:\d+ in stubborn"),
        ("asleep", r"activity 'asleep' of instance 'asleep', .*travel.py:\d+ in asleep"),
        ("in_a_thread", r"'tenuto-blocking-1' does not end and is left: in a call of time\.sleep"),
        ("calls_in_an_executor", r"'tenuto-blocking-1' does .*queue.py:\d+ in get"),
        (
            "leaves_a_thread",
            r"thread 'left-over' does not end .*threading.py:\d+ in run, which called time.sleep",
        ),
        ("computes", r"host stopped"),
        ("spawns", r"task 'forgotten' does not end .*travel.py:\d+ in stay"),
        (
            "registers_its_end",
            r"at the end of the program does not end, and is left: in a function of C",
        ),
        ("registers_what_waits", r"program does not end, and is left: .*:\d+ in say_goodbye"),
        (
            "leaves_a_pool",
            r"'pool_0' does not end and is left: .*thread.py:\d+ in _worker.*called time.sleep",
        ),
        ("leaves_work_in_a_pool", r"'pool_0' does not end .* left: \S*travel.py:\d+ in copy_fo"),
    ],
)
def test_after_a_signal_the_process_ends_and_says_what_it_has_left(
    folder: Path, name: str, said: str
) -> None:
    with Command(folder, "start", "travel.py", "--port", "0") as command:
        begin(folder, command, name)
        stop_in_time(command)
        assert re.search(said, command.err), command.err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("blocks", r"activity 'blocks' of instance 'blocks' blocks .*travel.py:\d+ in blocks;"),
        (
            "blocks_when_cancelled",
            r"'blocks_when_cancelled' blocks .*travel.py:\d+ in blocks_when_cancelled;",
        ),
        ("leaves_a_task_that_blocks", r"stay blocks this host's loop, .*travel.py:\d+ in .*stay;"),
    ],
)
def test_a_process_whose_loop_is_blocked_ends_too(folder: Path, name: str, said: str) -> None:
    with Command(folder, "start", "travel.py", "--port", "0") as command:
        command.until("listening ")
        started = tenuto(folder, "instances", "start", f"call_{name}", "--id", name)
        assert started.returncode == 0, started.stderr
        until_there(folder / f"{name}.begun", command)
        began = time.monotonic()
        command.send(signal.SIGTERM)
        code = command.process.wait(30)
        assert time.monotonic() - began < 15
        assert code == 128 + signal.SIGTERM
        assert re.search(said, command.err), command.err


@pytest.fixture
def children(folder: Path) -> Iterator[Path]:
    """Where an activity writes down its child processes, which are ended with the test."""
    file = folder / "children"
    yield file
    for pid in file.read_text().split() if file.exists() else []:
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="only there children can be found")
def test_child_processes_that_go_on_are_named_and_not_ended(folder: Path, children: Path) -> None:
    with Command(folder, "start", "travel.py", "--port", "0") as command:
        begin(folder, command, "leaves_processes")
        stop_in_time(command)
    first, second, third = children.read_text().split()
    said = rf"3 child .* program: {first} \(sleep 3600\), {second} \(\S+\), {third} \(copier\)\n"
    assert re.search(said, command.err), command.err
    assert "secret" not in command.err
    for pid in (first, second, third):
        os.kill(int(pid), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only there children can be found")
def test_they_are_named_too_when_the_process_has_to_be_ended(folder: Path, children: Path) -> None:
    with Command(folder, "run", "travel.py:call_leaves_a_process_and_blocks") as command:
        until_there(folder / "leaves_a_process_and_blocks.begun", command)
        command.send(signal.SIGTERM)
        assert command.process.wait(30) == 128 + signal.SIGTERM
    said = f"1 child process goes on without this program: {children.read_text()} (sleep 3600)"
    assert said in command.err


def test_children_that_end_with_the_program_are_not_named(folder: Path) -> None:
    with Command(folder, "start", "travel.py", "--port", "0") as command:
        begin(folder, command, "leaves_a_daemon", "computes")
        stop_in_time(command)
        assert "child process" not in command.err


def test_a_process_whose_loop_is_blocked_names_the_other_work_that_it_leaves(folder: Path) -> None:
    with Command(folder, "start", "travel.py", "--port", "0") as command:
        command.until("listening ")
        for name in ("asleep", "blocks"):
            started = tenuto(folder, "instances", "start", f"call_{name}", "--id", name)
            assert started.returncode == 0, started.stderr
            deadline = time.monotonic() + 30
            while not (folder / f"{name}.begun").exists():
                assert time.monotonic() < deadline, command.err
                time.sleep(0.01)
        command.send(signal.SIGTERM)
        assert command.process.wait(30) == 128 + signal.SIGTERM
        assert "blocks this host's loop" in command.err
        for name in ("asleep", "blocks"):
            left = rf"activity '{name}' of instance '{name}'.* is left: .*travel.py:\d+ in {name}"
            assert re.search(left, command.err), command.err


@pytest.mark.parametrize("name", ["blocks", "blocks_when_cancelled", "stubborn", "asleep"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_ends_too_and_says_how_to_go_on(
    folder: Path, name: str, number: signal.Signals
) -> None:
    with Command(folder, "run", f"travel.py:call_{name}", "--id", "r") as command:
        until_there(folder / f"{name}.begun", command)
        command.send(number)
        assert command.process.wait(30) == 128 + number
        assert re.search(
            rf"activity '{name}' of instance 'r'.*travel.py:\d+ in {name}", command.err
        )
        assert "run travel.py:call_" in command.err


STUCK = """
import asyncio, atexit, sys, threading, time
from pathlib import Path
from tenuto import App, Context

app = App()


@app.activity
async def blocks() -> None:
    Path("begun").touch()
    time.sleep(3600)


@app.activity
async def stubborn() -> None:
    Path("begun").touch()
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


@app.activity
def leaves_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(3600,), name="left-over", daemon=False).start()
    Path("begun").touch()
    time.sleep(3600)


@app.activity
async def ends() -> None:
    Path("begun").touch()
    await asyncio.sleep(0.3)
    Path("ended").touch()


@app.orchestrator
async def trip(ctx: Context) -> None:
    await ctx.call_activity(sys.argv[1])
    await ctx.create_timer(__import__("datetime").timedelta(hours=1))


try:
    app.run(trip, storage="sqlite:///s.db", instance_id="t")
finally:
    print("tidied up")
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("blocks", r"'blocks' of instance 't' blocks this host's loop, .*trip.py:\d+ in blocks"),
        ("stubborn", r"activity 'stubborn' of instance 't', .* is left: .*trip.py:\d+ in stubborn"),
        ("leaves_a_thread", r"thread 'left-over' does not end and is left"),
        ("ends", r"up to 1 s for 1 running activity \(Ctrl-C again: at once\)"),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_script_that_is_told_to_stop_drains_and_ends(
    tmp_path: Path, name: str, said: str, number: signal.Signals
) -> None:
    (tmp_path / "trip.py").write_text(STUCK)
    env = environment(TENUTO_DRAIN_SECONDS="1")
    with Program(tmp_path, sys.executable, "trip.py", name, env=env) as program:
        deadline = time.monotonic() + 30
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < deadline, program.err
            time.sleep(0.01)
        program.send(number)
        code = program.process.wait(30)
        assert code in ({128 + number} if number is signal.SIGTERM else {128 + number, -number})
        assert re.search(said, program.err), program.err
        if name != "blocks":
            assert "tidied up" in program.out
            assert "goes on when a host runs on it" in program.err
        assert (tmp_path / "ended").exists() is (name == "ends")


def test_an_exit_beside_an_activity_does_not_end_the_host(folder: Path) -> None:
    with Command(folder, "start", "travel.py", "--port", "0") as command:
        begin(folder, command, "exits_beside")
        command.until("raised SystemExit")
        waited = tenuto(folder, "instances", "watch", "exits_beside")
        assert "goes on" in waited.stdout + waited.stderr
        stop_in_time(command)


LOCKING = """
import ctypes, time
from pathlib import Path
import tenuto.host.deadline
from tenuto import App, Context

tenuto.host.deadline._LONGEST_SECONDS = tenuto.host.deadline._WITHOUT_LOCK_SECONDS = 0.5
app = App()


@app.activity
def keeps_the_lock() -> None:
    Path("begun").touch()
    while not Path("stopping").exists():
        time.sleep(0.01)
    ctypes.PyDLL(None).sleep(3600)


@app.orchestrator
async def trip(ctx: Context) -> None:
    await ctx.call_activity(keeps_the_lock)
"""


def test_c_code_that_keeps_pythons_lock_does_not_keep_a_process_that_stops(tmp_path: Path) -> None:
    (tmp_path / "travel.py").write_text(LOCKING)
    (tmp_path / "tenuto.toml").write_text("drain_seconds = 5\n")
    with Command(tmp_path, "run", "travel.py:trip") as command:
        until_there(tmp_path / "begun", command)
        command.send(signal.SIGTERM)
        command.until("stopping; up to 5 s")
        (tmp_path / "stopping").touch()
        assert command.process.wait(60) == 1
        assert re.search(r'travel.py", line \d+ in keeps_the_lock', command.err), command.err


SCRIPT = """
import asyncio, signal, sys, time
from tenuto import App, Context

app = App()


@app.activity
async def waits() -> None:
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
    await asyncio.sleep(0)


@app.activity
def asks_to_stop() -> None:
    signal.raise_signal(signal.SIGTERM)
    time.sleep(0.1)


@app.orchestrator
async def trip(ctx: Context) -> str:
    await ctx.call_activity(waits)
    if len(sys.argv) > 1:
        await ctx.call_activity(asks_to_stop)
        await ctx.create_timer(__import__("datetime").timedelta(hours=1))
    return "done"


if len(sys.argv) > 1:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(5))
if __name__ == "__main__":
    print(app.run(trip, storage="sqlite://"))
"""


@pytest.mark.parametrize(("argument", "code", "out"), [((), 0, "done\n"), (("stop",), 5, "")])
def test_a_script_ends_too_and_obeys_handlers_of_its_own(
    tmp_path: Path, argument: tuple[str, ...], code: int, out: str
) -> None:
    (tmp_path / "trip.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "trip.py", *argument],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (code, out), done.stderr
    assert "thread 'tenuto-blocking-1' does not end and is left" in done.stderr


async def test_a_host_in_somebody_elses_program_stops_and_names_what_it_leaves(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.functions.activities._STOP_SECONDS", 0.01)
    app = App()
    gate = asyncio.Event()
    sync_gate = threading.Event()
    running: list[Callable[[], None]] = []

    @app.activity
    async def stubborn() -> None:
        running.append(gate.set)
        while not gate.is_set():
            with suppress(asyncio.CancelledError):
                await gate.wait()

    @app.activity
    def asleep() -> None:
        running.append(sync_gate.set)
        sync_gate.wait()

    @app.orchestrator
    async def both(ctx: Context) -> None:
        await asyncio.gather(ctx.call_activity(stubborn), ctx.call_activity(asleep))

    async with Host(app, "sqlite://", settings=Settings(drain_seconds=0.01)) as host:
        await host.client.start(both)
        await until(lambda: len(running) == 2)
    named = [one.getMessage() for one in caplog.records if "is left" in one.getMessage()]
    assert len(named) == 2
    for name in ("stubborn", "asleep"):
        (message,) = [one for one in named if f"activity {name!r} of instance" in one]
        assert f"{__file__}:" in message
    for let_go in running:
        let_go()
