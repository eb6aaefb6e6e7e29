"""A server that is there on demand, while either of its two processes is killed at any moment."""

import os
import random
import signal
import sys
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from tests.support.json_requests import ask
from tests.support.terminal import Command, tenuto_here

pytestmark = pytest.mark.faults

if sys.platform != "linux":
    pytest.skip("looks at processes as Linux shows them", allow_module_level=True)

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "30"))
APP = """
from datetime import timedelta
from tenuto import App, Context

app = App()


def write(file: str, text: str) -> None:
    with open(file, "a") as written:
        written.write(f"{text}\\n")


@app.activity
def note(name: str) -> None:
    write("notes", name)


@app.orchestrator
async def trip(ctx: Context, name: str) -> str:
    await ctx.create_timer(timedelta(seconds=2))
    await ctx.call_activity(note, name)
    return await ctx.wait_for_external_event("go", str)


@app.queue("orders")
def order(what: str) -> None:
    write("orders", what)
"""


class Sleeping:
    """The server, begun again by whoever looks after it when it is gone."""

    def __init__(self, folder: Path) -> None:
        (folder / "travel.py").write_text(APP)
        (folder / "tenuto.toml").write_text("[on_demand]\nidle_seconds = 0.3\n")
        self.folder = folder
        self.url = "http://127.0.0.1:7207"
        self.command = self._begun()

    def _begun(self) -> Command:
        return Command(self.folder, "serve-on-demand", "travel.py", "--port", "7207").__enter__()

    def kill(self, *, the_small_one: bool) -> None:
        pid = self.command.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not the_small_one:
            for child in children:
                os.kill(int(child), signal.SIGKILL)
            return
        self.command.send(signal.SIGKILL)
        self.command.end()
        self.command.__exit__(None, None, None)
        while True:  # its port is taken until the app's process has ended
            self.command = self._begun()
            time.sleep(1.5)
            if self.command.process.poll() is None:
                return

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        last = time.monotonic() + 60
        while True:
            try:
                status, answer = ask(method, f"{self.url}{path}", body)
            except (URLError, ConnectionError, TimeoutError, ValueError):  # nobody, or no JSON
                status, answer = 503, None
            if status != HTTPStatus.SERVICE_UNAVAILABLE:
                # A conflict: it is there, and the answer to the call before was lost.
                assert status < HTTPStatus.BAD_REQUEST or status == HTTPStatus.CONFLICT, answer
                return answer
            assert time.monotonic() < last
            time.sleep(0.05)


@pytest.mark.timeout(900)
def test_nothing_is_lost_whichever_is_killed(tmp_path: Path) -> None:
    """no_silent_drop"""
    chance = random.Random(3)
    server = Sleeping(tmp_path)
    names = [f"n{number}" for number in range(ROUNDS)]
    mount = "/runtime/webhooks/durabletask"
    for number, name in enumerate(names):
        start = {"name": "trip", "instanceId": name, "input": name}
        server.ask("POST", "/admin/instances", start)
        time.sleep(chance.uniform(0, 2))  # the random moment is the test
        sent = ("queues", "send", "orders", f'"{name}"', "--id", name)
        assert tenuto_here(tmp_path, *sent).returncode == 0
        time.sleep(chance.uniform(0, 1))
        server.kill(the_small_one=number % 3 == 2)
    for name in names:
        server.ask("POST", f"{mount}/instances/{name}/raiseEvent/go", "gone")
    last = time.monotonic() + 60
    while {server.ask("GET", f"{mount}/instances/{n}")["runtimeStatus"] for n in names} != {
        "Completed"
    }:
        assert time.monotonic() < last
        time.sleep(0.2)
    assert sorted(set((tmp_path / "orders").read_text().split())) == sorted(names)
    assert sorted(set((tmp_path / "notes").read_text().split())) == sorted(names)
    server.command.send(signal.SIGTERM)
    assert server.command.end() == 0
    server.command.__exit__(None, None, None)
