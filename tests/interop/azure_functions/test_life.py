"""How a worker begins and ends, and what it does beside its work."""

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tenuto.interop.workers.protocol import (
    VERSION,
    Call,
    Datum,
    Forget,
    Hello,
    Load,
    Loaded,
    Ping,
    Pong,
    Refused,
    Result,
    Stop,
)
from tests.interop.azure_functions.conftest import PYTHON, Start, Write
from tests.support.worker_client import WorkerClient

APP = """
import asyncio, logging, multiprocessing, os, subprocess, sys, threading, time
import azure.functions as func
app = func.FunctionApp()
open_now, opened = threading.Event(), threading.Event()

@app.activity_trigger(input_name="value")
def waits(value):
    opened.set()
    open_now.wait(30)
    return "waited"

@app.activity_trigger(input_name="value")
def opens(value):
    opened.wait(30)
    open_now.set()

@app.activity_trigger(input_name="value")
async def blocks(value):
    opened.set()
    open_now.wait(30)
    return "blocked"

@app.activity_trigger(input_name="value")
def says(value): return value

@app.activity_trigger(input_name="value")
def pid(value): return os.getpid()

@app.activity_trigger(input_name="value")
def child(value):
    code = "import os, sys; print(len(os.listdir('/proc/self/fd')), file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, close_fds=False)
    return run.stderr.decode()

def stay(): open(os.environ["FIFO"]).read()

@app.activity_trigger(input_name="value")
def leaves_a_fork(value): multiprocessing.get_context("fork").Process(target=stay).start()

def speak(): logging.warning("from a fork")

@app.activity_trigger(input_name="value")
def forks(value):
    process = multiprocessing.get_context("fork").Process(target=speak)
    process.start()
    process.join()
"""


@pytest.fixture
def root(write: Write) -> Path:
    return write({"function_app.py": APP})


def running(start: Start, root: Path, *, threads: int = 2) -> WorkerClient:
    client = start()
    assert isinstance(client.load(root, threads=threads), Loaded)
    return client


def call(number: int, function: str) -> Call:
    inputs = {"value": Datum(string="1")}
    return Call(id=number, function=function, invocation="i", inputs=inputs)


def test_a_worker_says_what_it_is(start: Start) -> None:
    client = start()
    hello, _ = client.receive()
    assert isinstance(hello, Hello)
    version = subprocess.run([PYTHON, "-V"], capture_output=True, text=True, check=True).stdout
    runtime = version.strip().replace("Python", "python")
    assert hello == Hello(VERSION, "python", runtime, client.process.pid)


def test_a_worker_that_is_asked_to_stop_answers_what_runs(start: Start, root: Path) -> None:
    client = running(start, root)
    client.send(call(1, "waits"))
    client.send(call(2, "opens"))
    client.send(Stop())
    client.send(call(3, "pid"))
    answers = [client.receive()[0] for _ in range(2)]
    assert {one.id for one in answers if isinstance(one, Result)} == {1, 2}
    with pytest.raises(AssertionError, match="has closed the pipe"):
        client.receive()
    assert client.end() == (0, "", "")


def test_a_worker_says_that_it_is_there_while_it_works(start: Start, root: Path) -> None:
    client = running(start, root)
    client.send(call(1, "blocks"))
    client.send(Ping(id=5))
    answer, _ = client.receive()
    assert answer == Pong(id=5)
    client.send(call(2, "opens"))
    answers = [client.receive()[0] for _ in range(2)]
    assert {one.id for one in answers if isinstance(one, Result)} == {1, 2}


def test_a_worker_ends_with_its_pipe_whatever_runs(start: Start, root: Path) -> None:
    client = running(start, root)
    client.send(call(1, "blocks"))
    client.send(Ping(id=1))
    client.receive()
    client._socket.close()
    code, _, err = client.end()
    assert (code, err) == (1, "")


def test_a_worker_whose_host_goes_before_it_loads_ends(start: Start) -> None:
    client = start()
    client.receive()
    client._socket.close()
    assert client.end()[0] == 1


def test_a_worker_that_is_stopped_before_it_has_an_app_ends(start: Start) -> None:
    client = start()
    client.receive()
    client.send(Ping(id=1))
    assert client.receive()[0] == Pong(id=1)
    assert client.stop() == (0, "", "")


def test_a_long_message_comes_in_pieces(start: Start, root: Path) -> None:
    client = running(start, root)
    text = "x" * 1_000_000
    answer = client.activity("says", "value", f'"{text}"')
    assert isinstance(answer, Result)
    assert answer.value == Datum(json=f'"{text}"')


def test_a_host_that_lets_go_of_a_worker_that_stops_has_no_error(start: Start, root: Path) -> None:
    client = running(start, root)
    client.send(call(1, "blocks"))
    client.send(Stop())
    client.send(Ping(id=1))
    client.receive()
    client._socket.close()
    assert client.end() == (0, "", "")


def test_what_is_no_message_ends_the_worker_loudly(start: Start, root: Path) -> None:
    client = running(start, root)
    client._socket.sendall(b"\x00\x00\x00\x01\x00\x00\x00\x00{")
    code, _, err = client.end()
    assert code == 1
    assert "JSONDecodeError" in err


def test_ctrl_c_is_the_hosts_business(start: Start, root: Path) -> None:
    client = running(start, root)
    client.process.send_signal(signal.SIGINT)
    answer = client.activity("pid", "value", "1")
    assert isinstance(answer, Result)
    assert client.stop() == (0, "", "")


def test_several_processes_run_the_same_app(start: Start, root: Path) -> None:
    clients = [running(start, root) for _ in range(2)]
    pids = {str(client.activity("pid", "value", "1")) for client in clients}
    assert len(pids) == 2


def test_processes_that_an_app_starts_have_nothing_of_the_pipe(start: Start, root: Path) -> None:
    client = running(start, root)
    answer = client.activity("child", "value", "1")
    assert isinstance(answer, Result)
    # Standard input, output and error, and the folder that is listed.
    assert answer.value == Datum(json='"4\\n"')
    client.logs.clear()
    answer = client.activity("forks", "value", "1")
    assert isinstance(answer, Result)
    assert client.logs == []
    assert client.stop() == (0, "", "WARNING:root:from a fork\n")


def test_a_fork_that_outlives_the_worker_does_not_hold_its_pipe(
    start: Start, root: Path, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    client = start(FIFO=str(fifo))
    assert isinstance(client.load(root), Loaded)
    assert isinstance(client.activity("leaves_a_fork", "value", "1"), Result)
    client.process.kill()
    with pytest.raises(AssertionError, match="has closed the pipe"):
        client.receive()
    client.process.wait()
    # It was there all the time: it reads what is written now, and ends.
    fifo.write_text("")


def test_a_session_that_was_never_there_can_be_forgotten(start: Start, root: Path) -> None:
    client = running(start, root)
    client.send(Forget(key=9))
    assert isinstance(client.activity("pid", "value", "1"), Result)


def test_a_debugger_can_attach_before_the_app_is_loaded(start: Start, root: Path) -> None:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = start(TENUTO_DEBUGPY=str(port), TENUTO_DEBUGPY_WAIT="1")
    client.receive()
    client.send(Load(root=str(root)))
    with contextlib.closing(connected(port)) as debugger:
        attach(debugger)
        loaded, _ = client.receive()
        assert isinstance(loaded, Loaded)
    assert client.stop()[0] == 0


def connected(port: int) -> socket.socket:
    """A connection to the debugger, which begins to listen at some moment.

    As long as nobody listens, who asks again and again may be given this very port as its own, and
    is connected with itself then.
    """
    while True:
        try:
            found = socket.create_connection(("127.0.0.1", port), timeout=30)
        except ConnectionRefusedError:
            os.sched_yield()
            continue
        if found.getsockname() != found.getpeername():
            return found
        found.close()


def attach(debugger: socket.socket) -> None:
    """What an editor says before the program goes on."""
    said = [
        '{"seq": 1, "type": "request", "command": "initialize", "arguments": {"adapterID": "x"}}',
        '{"seq": 2, "type": "request", "command": "attach", "arguments": {"justMyCode": true}}',
        '{"seq": 3, "type": "request", "command": "configurationDone"}',
    ]
    for text in said[:2]:
        debugger.sendall(f"Content-Length: {len(text)}\r\n\r\n{text}".encode())
    heard = b""
    while b'"initialized"' not in heard:
        heard += debugger.recv(65_536)
    debugger.sendall(f"Content-Length: {len(said[2])}\r\n\r\n{said[2]}".encode())


def test_a_debugger_that_is_not_installed_is_named(start: Start, root: Path) -> None:
    hook = root / ".python_packages/lib/site-packages/debugpy.py"
    hook.parent.mkdir(parents=True)
    hook.write_text("raise ModuleNotFoundError(name='debugpy')")
    client = start(TENUTO_DEBUGPY="5678")
    refused = client.load(root)
    assert isinstance(refused, Refused)
    assert f"run `{PYTHON} -m pip install debugpy`" in refused.message


def test_a_port_that_a_debugger_cannot_have_is_named(start: Start, root: Path) -> None:
    client = start(TENUTO_DEBUGPY="none")
    refused = client.load(root)
    assert isinstance(refused, Refused)
    assert "debugpy cannot listen on port none" in refused.message
