"""``tenuto start`` in a process of its own: ready, reloaded, stopped, refused."""

import json
import re
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.json_requests import ask
from tests.support.leftovers import is_running
from tests.support.ports import held_port
from tests.support.terminal import Command, in_background, tenuto

if sys.platform == "win32":
    pytest.skip("signals of POSIX", allow_module_level=True)

APP = """
from tenuto import App, Context

app = App()


@app.activity
def hello(name: str) -> str:
    return f"Hello {name}!"


@app.orchestrator
async def greeting(ctx: Context, name: str) -> str:
    word = await ctx.wait_for_external_event("word", str)
    return await ctx.call_activity(hello, name) + word
"""
MOUNT = "/runtime/webhooks/durabletask"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "travel.py").write_text(APP)
    return tmp_path


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[Command, str]]:
    """A server on a port that is free, and its URL."""
    with Command(folder, "start", "travel.py", "--port", "0", *options) as command:
        yield command, url_of(command)


def url_of(command: Command) -> str:
    command.until("listening ")
    found = re.findall(r"listening +(\S+) ", command.out)
    return str(found[-1])


def test_a_server_says_what_it_serves_answers_and_stops_gracefully(folder: Path) -> None:
    with serving(folder) as (command, url):
        assert "orchestrators  greeting" in command.out
        assert "store          sqlite:///tenuto.db (the default" in command.out
        assert f"curl -X POST {url}{MOUNT}/orchestrators/greeting" in command.out
        status, links = ask("POST", f"{url}{MOUNT}/orchestrators/greeting/g-1", "Ada")
        assert (status, links["id"]) == (202, "g-1")
        assert links["statusQueryGetUri"].startswith(url)
        command.send(signal.SIGTERM)
        assert command.end() == 0
        assert "stopped" in command.err
        assert "Traceback" not in command.err


def test_the_command_that_it_shows_has_the_key_that_the_server_asks_for(folder: Path) -> None:
    keys = '[http.keys.ops]\nkey = "0123456789abcdef"\nrole = "operate"\n'
    (folder / "tenuto.toml").write_text(keys)
    with serving(folder) as (command, _):
        assert "/orchestrators/greeting -H 'x-functions-key: KEY' -d INPUT" in command.out
        assert "0123456789abcdef" not in command.out + command.err


@pytest.fixture
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the browser of this machine notes what it is to open."""
    opened = folder / "opened"
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    return opened


def test_it_says_where_to_look_and_opens_it_in_the_browser_that_is_set(
    folder: Path, opened: Path
) -> None:
    with serving(folder, "--open") as (command, url):
        command.until("look at it: ")
        assert f"look at it: {url}/\n" in command.out
        while not opened.exists() or not opened.read_text().endswith("\n"):
            time.sleep(0.01)
        assert opened.read_text() == f"{url}/\n"
        with urllib.request.urlopen(f"{url}/") as page:
            assert b"<title>Tenuto</title>" in page.read()
        command.send(signal.SIGTERM)
        assert command.end() == 0


def test_a_machine_without_a_browser_starts_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with serving(folder, "--open") as (command, url):
        command.until("found no browser")
        assert f"open {url}/ in one" in command.err
        assert ask("GET", f"{url}/healthz")[0] == 200


def test_a_server_without_a_dashboard_names_no_place_to_look_at(folder: Path) -> None:
    (folder / "tenuto.toml").write_text("[http]\ndashboard = false\n")
    with serving(folder, "--open") as (command, _):
        command.until("no dashboard to be opened")
        assert "look at it" not in command.out


def test_a_request_to_stop_that_comes_twice_at_once_is_one_request(folder: Path) -> None:
    """As ``timeout`` and others send it: to the process, and to its group."""
    with serving(folder) as (command, _):
        command.send(signal.SIGTERM)
        command.send(signal.SIGINT)
        assert command.end() == 0
        assert "host stopped" in command.err


def test_machines_are_told_what_is_served_and_where(folder: Path) -> None:
    with Command(folder, "start", "travel.py", "--port", "0", "--log-format", "json") as command:
        command.until("listening on")
        lines = [json.loads(line) for line in command.err.splitlines()]
        (told,) = [line["extra"] for line in lines if line["message"].startswith("listening on")]
        assert told["orchestrators"] == ["greeting"]
        assert told["dashboard"] == f"{told['url']}/"
        assert ask("GET", f"{told['url']}/healthz")[0] == 200
        assert command.out == ""


def test_what_was_accepted_goes_on_after_a_kill(folder: Path) -> None:
    """durable_before_visible."""
    with serving(folder) as (command, url):
        ask("POST", f"{url}{MOUNT}/orchestrators/greeting/g-1", "Ada")
        command.send(signal.SIGKILL)
        command.end()
    with serving(folder) as (_, url):
        ask("POST", f"{url}{MOUNT}/instances/g-1/raiseEvent/word", " Welcome.")
        answer: dict[str, Any] = {}
        while answer.get("runtimeStatus") != "Completed":
            _, answer = ask("GET", f"{url}{MOUNT}/instances/g-1")
            time.sleep(0.01)
        assert answer["output"] == "Hello Ada! Welcome."


def save(file: Path, text: str) -> None:
    """Write a file in one piece: seen half written, it would count as two changes."""
    whole = file.with_suffix(".new")
    whole.write_text(text)
    whole.replace(file)


def test_reload_starts_anew_with_the_new_code_and_loses_no_instance(
    folder: Path, opened: Path
) -> None:
    options = ("--reload", "--open")
    with (
        held_port() as port,
        Command(folder, "start", "travel.py", "--port", str(port), *options) as command,
    ):
        url = url_of(command)
        ask("POST", f"{url}{MOUNT}/orchestrators/greeting/g-1", "Ada")
        save(folder / "travel.py", APP.replace("Hello", "Welcome"))
        command.until("travel.py changed; starting anew")
        while command.out.count("listening ") < 2:
            command.until("listening ")
        save(folder / "travel.py", "not python")
        command.until("the server has ended; it starts anew when a file changes")
        assert "TN-1105" in command.err
        save(folder / "travel.py", APP.replace("Hello", "Good morning"))
        while command.out.count("listening ") < 3:
            command.until("listening ")
        (folder / "notes.txt").write_text("of no interest")
        ask("POST", f"{url}{MOUNT}/instances/g-1/raiseEvent/word", " Welcome back.")
        answer: dict[str, Any] = {}
        while answer.get("runtimeStatus") != "Completed":
            _, answer = ask("GET", f"{url}{MOUNT}/instances/g-1")
            time.sleep(0.01)
        assert answer["output"] == "Good morning Ada! Welcome back."
        command.send(signal.SIGINT)
        assert command.end() == 0
        assert command.err.count("starting anew") == 3
        assert opened.read_text() == f"{url}/\n", "a browser that is open goes on by itself"


@pytest.mark.parametrize("options", [[], ["--reload"]])
def test_a_server_in_the_background_is_not_interrupted_and_stops_at_sigterm(
    folder: Path, options: list[str]
) -> None:
    with in_background(), serving(folder, *options) as (command, url):
        assert "SIGTERM stops it)" in command.out
        command.send(signal.SIGINT)
        assert ask("GET", f"{url}/healthz")[0] == 200
        command.send(signal.SIGTERM)
        assert command.end() == 0


def test_a_killed_reloader_leaves_no_server_behind(folder: Path) -> None:
    with serving(folder, "--reload") as (command, url):
        command.send(signal.SIGKILL)
        command.end()
        port = int(url.rpartition(":")[2])
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
            except OSError:
                break
            time.sleep(0.05)


SIGN = """
import os, time
from pathlib import Path
Path("server.new").write_text(str(os.getpid()))
Path("server.new").rename("server")
"""
BLOCKS = (
    APP
    + SIGN
    + """
import asyncio

@app.http("GET", "/block", auth="anonymous")
async def block() -> None:
    Path("blocked").touch()
    time.sleep(3600)
"""
)


@pytest.mark.parametrize(
    ("code", "what"),
    [(SIGN + "time.sleep(3600)\n", "imports"), (SIGN + APP, "waits"), (BLOCKS, "blocks")],
)
def test_a_server_ends_with_the_killed_process_that_reloads_it_whatever_it_does(
    folder: Path, code: str, what: str
) -> None:
    (folder / "travel.py").write_text(code)
    (folder / "tenuto.toml").write_text("drain_seconds = 0.1\n")
    with Command(folder, "start", "travel.py", "--port", "0", "--reload") as command:
        _wait_for(folder / "server")
        if what == "blocks":
            url = url_of(command)
            with pytest.raises(OSError, match="timed out"):
                urllib.request.urlopen(f"{url}/api/block", timeout=0.5)
            _wait_for(folder / "blocked")
        server = int((folder / "server").read_text())
        assert is_running(server)
        command.send(signal.SIGKILL)
        command.end()
        deadline = time.monotonic() + 20
        while is_running(server):
            assert time.monotonic() < deadline, command.err
            time.sleep(0.02)
        assert ("blocks this host's loop" in command.err) is (what == "blocks")


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_taken_port_is_said_clearly(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = tenuto(folder, "start", "travel.py", "--port", port)
    assert done.returncode == 2
    assert f"error TN-1104: cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_store_of_another_host_is_said_clearly(folder: Path) -> None:
    with serving(folder):
        done = tenuto(folder, "start", "travel.py", "--port", "0")
    assert done.returncode == 1
    assert "error TN-1604" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.py"], "TN-1105: there is no file 'gone.py'"),
        (["empty.py"], "TN-1105: empty.py holds no app"),
        (["travel.py", "--host", "0.0.0.0"], "TN-1104: http.host 0.0.0.0 can be reached"),
        (["travel.py", "--port", "70000"], "70000 is not in the range"),
        (["travel.py", "--storage", "mysql://x"], "TN-1104: the store's URL 'mysql://x'"),
        (["travel.py", "--log-format", "xml"], "'xml' is not one of"),
        (["travel.py", "--portt", "1"], "--port"),
    ],
)
def test_bad_input_is_refused_whole_and_nothing_is_made(
    folder: Path, arguments: list[str], message: str
) -> None:
    (folder / "empty.py").write_text("")
    done = tenuto(folder, "start", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("*.db*")), "nothing was made"
