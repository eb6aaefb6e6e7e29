"""``tenuto serve-on-demand``: asleep it costs next to nothing, and nothing that comes is missed."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import httpx2
import pytest

from tests.integration.test_local_callers import PATHS, PROXIED, UNNAMED
from tests.support.json_requests import ask
from tests.support.leftovers import is_running
from tests.support.nginx import nginx
from tests.support.postgres import Postgres
from tests.support.terminal import TENUTO, Command, Program, tenuto, tenuto_here

if sys.platform != "linux":
    pytest.skip("looks at processes as Linux shows them", allow_module_level=True)

APP = """
from datetime import timedelta
from pathlib import Path
from tenuto import App, Context

app = App()


@app.queue("orders")
def order(what: str) -> None:
    Path("orders").write_text(what)


@app.activity
def end() -> None:
    Path("ended").touch()


@app.orchestrator
async def greeting(ctx: Context, name: str) -> str:
    return f"Hello {name}!"


@app.orchestrator
async def waits(ctx: Context, seconds: float) -> str:
    await ctx.create_timer(timedelta(seconds=seconds))
    await ctx.wait_for_external_event("word", str)
    await ctx.call_activity(end)
"""
MOUNT = "/runtime/webhooks/durabletask"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "travel.py").write_text(APP)
    (tmp_path / "tenuto.toml").write_text("[on_demand]\nidle_seconds = 0.3\n")
    return tmp_path


@contextmanager
def on_demand(folder: Path, *options: str) -> Iterator[tuple[Command, str]]:
    """A server that has gone to sleep, and its URL; it ends gracefully."""
    with Command(folder, "serve-on-demand", "travel.py", "--port", "0", *options) as command:
        try:
            until_asleep(command, 1)
            yield command, str(re.findall(r"requests on ([^\s,\"]+)", command.err)[-1])
        finally:
            command.send(signal.SIGTERM)
            assert command.end() == 0


def until_asleep(command: Command, times: int) -> None:
    until(lambda: command.err.count("asleep; ") >= times, command)


def until(condition: object, command: Command) -> None:
    last = time.monotonic() + 30
    assert callable(condition)
    while not condition():
        assert time.monotonic() < last, command.out + command.err
        time.sleep(0.01)


def children_of(command: Command) -> list[int]:
    pid = command.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def app_of(command: Command) -> int:
    """The app's process."""
    until(lambda: children_of(command), command)
    (child,) = children_of(command)
    return child


def test_asleep_it_costs_nothing_and_all_who_call_while_it_wakes_are_answered(
    folder: Path,
) -> None:
    """waiting_costs_nothing"""
    with on_demand(folder, "--log-format", "json") as (command, url):
        assert children_of(command) == []
        proc = Path(f"/proc/{command.process.pid}")
        (resident,) = re.findall(r"VmRSS:\s+(\d+) kB", (proc / "status").read_text())
        assert int(resident) < 30 * 1024
        opened = [str(one.readlink()) for one in (proc / "fd").iterdir()]
        assert not any("tenuto.db" in name for name in opened), opened
        before = processor_ticks(proc)
        time.sleep(1)
        assert processor_ticks(proc) - before <= 2, "of 100 a second"
        starts = f"{url}{MOUNT}/orchestrators/greeting"
        with ThreadPoolExecutor(50) as callers:
            answers = list(callers.map(lambda name: ask("POST", starts, name), map(str, range(50))))
        assert {status for status, _ in answers} == {202}
        assert len({links["id"] for _, links in answers}) == 50
        said = [json.loads(line) for line in command.err.splitlines()]
        (awake,) = [one for one in said if one["message"].startswith("awake after ")]
        assert (awake["level"], awake["extra"]["reason"]) == ("info", "a request")


def processor_ticks(proc: Path) -> int:
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_timer_an_event_and_a_message_wake_it(folder: Path) -> None:
    """durable_before_visible"""
    with on_demand(folder) as (command, url):
        assert ask("POST", f"{url}{MOUNT}/orchestrators/waits/w-1", 2.5)[0] == 202
        until_asleep(command, 2)
        assert "for an instance whose time has come" in command.err
        command.until("ms: an instance whose time has come")
        until_asleep(command, 3)
        tenuto_here(folder, "instances", "list")
        raised = ("instances", "raise-event", "w-1", "word", "--data", '"x"')
        assert tenuto_here(folder, *raised).returncode == 0
        until((folder / "ended").exists, command)
        until_asleep(command, 4)
        assert command.err.count("ms: the store was written to") == 1, "who looks wakes nobody"
        assert tenuto_here(folder, "queues", "send", "orders", '"tea"').returncode == 0
        until((folder / "orders").exists, command)


def test_in_postgresql_it_looks_at_intervals(folder: Path, postgres: Postgres) -> None:
    (folder / "tenuto.toml").write_text("[on_demand]\nidle_seconds = 0.3\nlook_seconds = 1\n")
    storage = ("--storage", postgres.fresh_url())
    with on_demand(folder, *storage) as (command, _):
        assert ", every 1 s to see what others have written" in command.err
        assert tenuto_here(folder, "queues", "send", "orders", '"tea"', *storage).returncode == 0
        until((folder / "orders").exists, command)
        assert "ms: to see what others have written to the store" in command.err


def test_whichever_of_the_two_is_killed_nothing_is_left_and_all_goes_on(folder: Path) -> None:
    """one_owner"""
    (folder / "tenuto.toml").unlink()  # else it would end by itself
    with Command(folder, "serve-on-demand", "travel.py", "--port", "0") as command:
        command.until("listening ")
        os.kill(app_of(command), signal.SIGKILL)
        command.until("the app's process has ended (-9); it is started again in 1 s")
        command.until("awake after")
        (url,) = re.findall(r"listening +(\S+) ", command.out)
        assert ask("GET", f"{url}/admin/info")[0] == 200
        left = app_of(command)
        command.send(signal.SIGKILL)
        command.end()
        last = time.monotonic() + 20
        while is_running(left):
            assert time.monotonic() < last
            time.sleep(0.01)
        assert "host stopped" in command.err, "it was not killed with it, but has ended gracefully"


def test_an_app_that_is_broken_is_told_to_the_log_and_not_to_callers(folder: Path) -> None:
    with on_demand(folder) as (command, url):
        (folder / "travel.py").write_text("import nothing_of_this_name\n")
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as caller:
            caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b"".join(iter(lambda: caller.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: " in answer
        assert b"nothing_of_this_name" not in answer
        assert "nothing_of_this_name" in command.err
        command.until("tried again in 4 s")
        (folder / "travel.py").write_text(APP)
        command.until("ms: the app's files have changed")
        assert ask("GET", f"{url}/healthz")[0] == 200
    (folder / "travel.py").write_text("import nothing_of_this_name\n")
    at_once = tenuto(folder, "serve-on-demand", "travel.py", "--port", "0")
    assert at_once.returncode == 2


def test_who_comes_through_a_proxy_is_not_local_also_to_one_that_sleeps(folder: Path) -> None:
    """The real peer decides: no header from outside makes a caller local."""
    with on_demand(folder) as (command, url):
        marks = [*PROXIED, *(("Host", one) for one in ("flows.example.com", "10.0.0.7:7071"))]
        for method, path in PATHS:
            for name, value in marks:
                headers = {name: value}
                request = urllib.request.Request(f"{url}{path}", headers=headers, method=method)
                with pytest.raises(HTTPError) as refused:
                    urllib.request.urlopen(request, timeout=30)
                assert refused.value.code == 403, (name, path)
                refused.value.close()
        until_asleep(command, 2)
        for sent, status in UNNAMED:
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as caller:
                caller.sendall((sent % "/admin/info").encode())
                answer = b"".join(iter(lambda: caller.recv(4096), b""))
            assert answer.startswith(f"HTTP/1.1 {status} ".encode()), sent
        assert ask("GET", f"{url}/admin/info")[0] == 200


async def test_behind_a_real_nginx_nobody_is_local_to_one_that_sleeps(folder: Path) -> None:
    """The same, of a proxy that leaves as few marks as one can."""
    lines = ("proxy_http_version 1.1;", "proxy_set_header Host flows.example.com;")
    with on_demand(folder) as (_, url):
        async with (
            nginx(folder / "nginx", url, *lines) as address,
            httpx2.AsyncClient(base_url=address, timeout=20) as outside,
        ):
            assert {(await outside.request(*one)).status_code for one in PATHS} == {403}


def test_without_keys_it_does_not_listen_for_others(folder: Path) -> None:
    done = tenuto(folder, "serve-on-demand", "travel.py", "--port", "0", "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "needs keys" in " ".join(done.stderr.split())


def test_a_store_in_memory_would_not_outlive_a_sleep(folder: Path) -> None:
    done = tenuto(folder, "serve-on-demand", "travel.py", "--storage", "sqlite://")
    assert done.returncode == 2
    assert "gone when the app sleeps" in " ".join(done.stderr.split())


HANDED_IN = """
import os, socket, sys

listening = socket.create_server((sys.argv[1], 0))
if listening.fileno() != 3:
    os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
print(listening.getsockname()[1], flush=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@pytest.mark.parametrize("serving", ["start", "serve-on-demand"])
def test_a_socket_of_systemd_is_served_on(folder: Path, serving: str) -> None:
    command = (*TENUTO[1:], serving, "travel.py")
    with Program(folder, sys.executable, "-c", HANDED_IN, "127.0.0.1", *command) as program:
        program.until("listening ")
        port = int(program.out.split()[0])
        assert f"http://127.0.0.1:{port}" in program.out
        assert ask("GET", f"http://127.0.0.1:{port}/admin/info")[0] == 200
        program.send(signal.SIGTERM)
        assert program.end() == 0


def test_where_a_socket_of_systemd_listens_decides_whether_there_must_be_keys(folder: Path) -> None:
    command = [sys.executable, "-c", HANDED_IN, "0.0.0.0", *TENUTO[1:], "start", "travel.py"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 2
    assert "needs keys" in " ".join(done.stderr.split())
