"""Effects on the world: refused inside orchestrators before they happen."""

import asyncio
import concurrent.futures
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tenuto.model.errors import GuardError
from tenuto.orchestration.context import Context
from tenuto.orchestration.guard import installing as guard
from tenuto.orchestration.guard.audit import REFUSED_EVENTS, audit
from tests.support.guarded import allowed, refusal_of, run_inside

guard.install()


def _run_in_pool() -> object:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(int).result()


EFFECTS: dict[str, Callable[[], object]] = {
    "open": lambda: open("effect", "w"),  # noqa: SIM115, PTH123 - it never opens
    "os.open": lambda: os.open("effect", os.O_CREAT),
    "pathlib": lambda: Path("effect").write_text("x"),
    "os.mkdir": lambda: os.mkdir("effect"),  # noqa: PTH102 - the function itself is meant
    "os.listdir": os.listdir,
    "os.environ": lambda: os.environ.update(TENUTO_TEST_EFFECT="1"),
    "os.chdir": lambda: os.chdir("/"),
    "os.remove": lambda: Path("kept").unlink(),
    "glob": lambda: list(Path().glob("*")),
    "shutil": lambda: shutil.copyfile("kept", "effect"),
    "tempfile": lambda: tempfile.mkdtemp(dir="."),
    "sqlite3": lambda: sqlite3.connect("effect"),
    "socket": socket.socket,
    "socket.getaddrinfo": lambda: socket.getaddrinfo("localhost", 80),
    "urllib": lambda: urllib.request.urlopen("http://127.0.0.1:9/"),
    "subprocess": lambda: subprocess.run(["touch", "effect"], check=False),
    "os.system": lambda: os.system("touch effect"),
    "os.kill": lambda: os.kill(os.getpid(), 0),
    "thread": lambda: threading.Thread(target=Path("effect").touch).start(),
    "pool": _run_in_pool,
    "input": input,
}
if hasattr(os, "fork"):
    EFFECTS["os.fork"] = lambda: os.fork() or os._exit(0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "kept").write_text("as it was")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("effect", EFFECTS)
def test_durable_before_visible_effects_are_refused_before_they_happen(
    effect: str, folder: Path
) -> None:
    failure = refusal_of(lambda _ctx: EFFECTS[effect]())
    assert f"inside an orchestrator, at {__file__}:" in failure.error_message
    assert "ctx." in failure.error_message
    assert [path.name for path in folder.iterdir()] == ["kept"]
    assert "TENUTO_TEST_EFFECT" not in os.environ
    assert Path.cwd() == folder


def test_another_loop_is_refused_before_it_opens_anything() -> None:
    message = refusal_of(lambda _ctx: asyncio.new_event_loop()).error_message
    assert message.startswith("asyncio.new_event_loop() is not available inside an orchestrator")


def test_the_message_names_the_file() -> None:
    message = refusal_of(lambda _ctx: open("plan.txt")).error_message  # noqa: SIM115, PTH123
    assert message.startswith("open('plan.txt') inside an orchestrator, at ")
    assert "do it in an activity: await ctx.call_activity(...)" in message


def test_a_swallowed_effect_fails_the_orchestration_all_the_same() -> None:
    def work(_ctx: Context) -> str:
        try:
            return Path("plan.txt").read_text()
        except GuardError:
            return "no plan"

    assert refusal_of(work).error_message.startswith("open(")


@pytest.mark.parametrize("event", REFUSED_EVENTS)
def test_each_event_is_refused_inside_only(event: str) -> None:
    sys.audit(event, "given")
    message = refusal_of(lambda _ctx: sys.audit(event, "given")).error_message
    assert message.startswith("open('given')" if event == "open" else event)


@pytest.mark.parametrize("event", REFUSED_EVENTS)
def test_the_hook_itself_refuses(event: str) -> None:
    # Called by hand: the interpreter hides its hooks from coverage.
    audit(event, ("given",))
    assert REFUSED_EVENTS[event] in refusal_of(lambda _ctx: audit(event, ("given",))).error_message


def test_events_without_an_effect_are_allowed() -> None:
    def work(_ctx: Context) -> object:
        scope: dict[str, object] = {}
        exec(compile("found = 6 * 7", "<made>", "exec"), scope)
        sys._getframe()
        return [scope["found"], bool(id(scope))]

    assert allowed(work) == "[42,true]"


def test_writing_to_what_is_open_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    allowed(lambda _ctx: print("a line", flush=True))  # noqa: T201 - what it is about
    assert capsys.readouterr().out == "a line\n"


def test_other_threads_may_do_everything_while_an_orchestrator_runs(tmp_path: Path) -> None:
    inside, done = threading.Event(), threading.Event()

    def effect() -> None:
        assert inside.wait(10)
        (tmp_path / "effect").write_text("by a thread")
        other = threading.Thread(target=done.set)
        other.start()
        other.join()

    thread = threading.Thread(target=effect)
    thread.start()

    def work(_ctx: Context) -> bool:
        inside.set()
        return done.wait(10)

    assert allowed(work) == "true"
    thread.join()
    assert (tmp_path / "effect").read_text() == "by a thread"


async def test_other_loops_may_do_everything(tmp_path: Path) -> None:
    (tmp_path / "effect").write_text("by a task")
    assert await asyncio.to_thread((tmp_path / "effect").read_text) == "by a task"


@pytest.mark.skipif(sys.version_info < (3, 13), reason="sleep tells nobody before Python 3.13")
def test_sleep_imported_by_name_is_refused() -> None:
    sleep = vars(time)["sleep"]
    assert "await asyncio.sleep(...)" in refusal_of(lambda _ctx: sleep(0)).error_message


def test_a_refused_effect_leaves_the_session_fit_to_be_closed() -> None:
    ending = run_inside(lambda _ctx: threading.Thread(target=int).start())
    assert "what a thread does cannot be replayed" in str(ending.failure_details)
    assert [one for one in threading.enumerate() if not one.is_alive()] == []


def test_the_source_of_an_error_in_a_finalizer_may_be_read_and_nothing_else() -> None:
    """As the interpreter does, in C and unseen by what measures coverage."""

    class Unraisable:
        try:
            int("no number")
        except ValueError as error:
            exc_traceback = error.__traceback__

    def shows(_ctx: Context, file: str) -> None:
        audit("sys.unraisablehook", (None, Unraisable))
        audit("open", (file, "rb", 0))

    allowed(lambda ctx: shows(ctx, f"/elsewhere/{__file__.rpartition('/')[2]}"))
    message = refusal_of(lambda ctx: shows(ctx, "/etc/passwd")).error_message
    assert "open('/etc/passwd') inside an orchestrator" in message
