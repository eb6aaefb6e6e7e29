"""Activities for worker processes, which find them here by module and name.

What they do to the world stands in files: their memory is not the test's.
"""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from tenuto import ActivityContext, App, current_activity
from tenuto.functions.worker_messages import Began, Channel, Ended, ToHost
from tenuto.model.events import TaskCompleted

app = App()

_LOGGER = logging.getLogger("shop.prices")


class SoldOutError(Exception):
    """Raised in a worker."""


@app.activity(cpu_bound=True)
def add(left: int, right: int = 10) -> int:
    return left + right


@app.activity(cpu_bound=True)
def where() -> tuple[int, int, str]:
    """This process, its session, and the thread."""
    return os.getpid(), os.getsid(0), threading.current_thread().name


@app.activity(cpu_bound=True)
def facts(context: ActivityContext) -> list[object]:
    assert current_activity() is context
    return [context.name, context.instance_id, context.attempt, context.idempotency_key]


@app.activity(cpu_bound=True)
def fail() -> None:
    try:
        os.environ["SEAT 7"]
    except KeyError as error:
        raise SoldOutError("no seats") from error


@app.activity(cpu_bound=True)
def long_text(size: int) -> str:
    return "x" * size


@app.activity(cpu_bound=True)
def end_with(code: int) -> None:
    os._exit(code)


@app.activity(cpu_bound=True)
def kill_itself(number: int = 9) -> None:
    os.kill(os.getpid(), number)


@app.activity(cpu_bound=True)
def crash_once(ledger: str) -> int:
    """Dies at its first attempt; gives the number of the one that does not."""
    with Path(ledger).open("a", encoding="utf-8") as file:
        file.write(f"{current_activity().attempt}\n")
    if current_activity().attempt == 1:
        os._exit(9)
    return current_activity().attempt


@app.activity(cpu_bound=True)
def compute_for_ever(pid_file: str) -> None:
    """Never ends, and has started a process of its own that does not either."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    _tell(pid_file, f"{os.getpid()} {child.pid}")
    while True:
        pass


@app.activity(cpu_bound=True)
def compute_until_told(pid_file: str) -> str:
    _tell(pid_file, str(os.getpid()))
    token = current_activity().cancellation
    while not token.requested:
        time.sleep(0.001)
    try:
        token.raise_if_requested()
    except asyncio.CancelledError:
        return "stopped"
    raise AssertionError


@app.activity(cpu_bound=True)
def wait_for(begun: str, gate: str) -> int:
    _tell(begun, str(os.getpid()))
    while not Path(gate).exists():
        time.sleep(0.001)
    return os.getpid()


@app.activity(cpu_bound=True)
def leave_a_child_with_the_line(pid_file: str) -> None:
    """Dies with a fork alive that holds the line to the host open."""
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    _tell(pid_file, str(child))
    os._exit(4)


@app.activity(cpu_bound=True)
def say(text: str) -> None:
    print(text)  # noqa: T201 - that it is seen is under test
    print(text, file=sys.stderr)  # noqa: T201 - as above


@app.activity(cpu_bound=True)
def log() -> None:
    current_activity().logger.info("charging %s", "Ada")
    _LOGGER.debug("not wanted")
    _LOGGER.warning("half \udc80 a character", extra={"price": 7, "who": object, "big": 1 << 80})
    try:
        fail.function()
    except SoldOutError:
        _LOGGER.exception("went wrong", stack_info=True)


@app.activity(cpu_bound=True)
def debug() -> None:
    breakpoint()  # noqa: T100 - what it answers is under test


@app.activity(cpu_bound=True)
def ignore_signals() -> str:
    """Is told to go as a whole service is, and stays."""
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    return "still here"


@app.activity(cpu_bound=True)
def start_one_that_interrupts_itself() -> int:
    """The exit code of a process that sends itself what Ctrl-C sends."""
    program = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    return subprocess.run(
        [sys.executable, "-c", program], stderr=subprocess.DEVNULL, check=False
    ).returncode


@app.activity(cpu_bound=True)
def leave_a_thread() -> int:
    """Leaves a thread that Python waits for at its end."""
    threading.Thread(target=time.sleep, args=(600,)).start()
    return os.getpid()


def plain(left: int) -> int:
    return left + 1


app.activity(name="undecorated", cpu_bound=True)(plain)


def _tell(path: str, text: str) -> None:
    """Write it so that nobody sees half of it."""
    Path(f"{path}.new").write_text(text, encoding="utf-8")
    Path(f"{path}.new").rename(path)


# --- what is left behind -------------------------------------------------------------------------


def line_to_the_host() -> int:
    """The descriptor of this worker's line: the one socket that it has."""
    return min(int(one.name) for one in open_files(os.getpid()) if is_socket(one))


def open_files(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/fd").iterdir())


def is_socket(descriptor: Path) -> bool:
    try:
        return str(descriptor.readlink()).startswith("socket:")
    except FileNotFoundError:  # closed since the others were listed, or that which listed them
        return False


@app.activity(cpu_bound=True)
def return_twice(pid_file: str) -> str:
    """Forks, and returns in both processes; in the copy after a while."""
    original = os.getpid()
    child = os.fork()
    if child == 0:
        while not Path(f"{pid_file}.go").exists():
            time.sleep(0.001)
        _LOGGER.warning("of the copy")
        return "copy"
    _tell(pid_file, f"{original} {child}")
    return "original"


@app.activity(cpu_bound=True)
def return_twice_unseen(pid_file: str) -> str:
    """The same with a fork that Python is not told of, as libraries in C make it."""
    original = os.getpid()
    child = int(ctypes.PyDLL(None).fork())
    if child == 0:
        while not Path(f"{pid_file}.go").exists():
            time.sleep(0.001)
        return "copy"
    _tell(pid_file, f"{original} {child}")
    return "original"


@app.activity(cpu_bound=True)
def answer_for_the_next() -> str:
    """Says what an earlier attempt would say, before it answers itself."""
    line = socket.socket(fileno=os.dup(line_to_the_host()))
    channel: Channel[ToHost] = Channel(line, ToHost)  # type: ignore[arg-type]  # a union
    channel.send(Began(0))
    channel.send(Ended(0, TaskCompleted(1, '"wrong"')))
    line.detach()
    return "right"


@app.activity(cpu_bound=True)
def write_to_the_line(text: str) -> None:
    """Writes to the wrong place, and goes on for ever."""
    os.write(line_to_the_host(), text.encode("latin-1"))
    time.sleep(600)


@app.activity(cpu_bound=True)
def close_everything() -> str:
    """As programs do that become daemons."""
    threading.Thread(target=time.sleep, args=(600,)).start()
    os.closerange(3, 256)
    return "done"


@app.activity(cpu_bound=True)
def sockets_of_a_command() -> list[str]:
    """Starts a command that gets every descriptor that may be inherited."""
    pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ)
    # Linux lets the parent go on while it still closes what is not inherited, and renames last.
    while Path(f"/proc/{pid}/comm").read_text(encoding="utf-8") != "sleep\n":
        time.sleep(0.001)
    held = [one.name for one in open_files(pid) if int(one.name) > 2 and is_socket(one)]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return held


@app.activity(cpu_bound=True)
def log_later(gate: str) -> None:
    """Leaves a thread that logs during the next attempt."""

    def log_at_the_gate() -> None:
        while not Path(gate).exists():
            time.sleep(0.001)
        _LOGGER.warning("late")
        Path(f"{gate}.passed").touch()

    threading.Thread(target=log_at_the_gate, daemon=True).start()


@app.activity(cpu_bound=True)
def pass_the_gate(gate: str) -> str:
    Path(gate).touch()
    while not Path(f"{gate}.passed").exists():
        time.sleep(0.001)
    _LOGGER.warning("in time")
    return "passed"


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise SystemExit(9)


@app.activity(cpu_bound=True)
def raise_the_unspeakable() -> None:
    sys.stdout = None
    raise UnspeakableError
