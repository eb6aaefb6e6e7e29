"""Changing code under running instances, as people see it: commands, the server's line, HTTP."""

import json
import os
import re
import shutil
import signal
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tenuto.cli.command import run_command_line
from tests.support.ports import held_port
from tests.support.terminal import Command, on_terminal, tenuto

if sys.platform == "win32":
    pytest.skip("signals and terminals of POSIX", allow_module_level=True)

# Each starts half a dozen processes.
pytestmark = pytest.mark.timeout(180)

GOOD = """
from datetime import timedelta
from pathlib import Path
from tenuto import App, Context

app = App()


@app.activity
def book(city: str) -> str:
    with Path("booked").open("a") as file:
        file.write(city)
    return city


@app.orchestrator(version="7")
async def trip(ctx: Context, city: str) -> str:
    booked = await ctx.call_activity(book, city)
    await ctx.wait_for_external_event("paid")
    return booked


@app.orchestrator
async def nap(ctx: Context) -> None:
    await ctx.create_timer(timedelta(hours=3))
"""
BAD = GOOD.replace("call_activity(book, city)", "call_activity('buy', city)")
NO_NAP = GOOD.replace("async def nap(", "async def snooze(")
GUARDED = GOOD.replace("    booked =", "    import random; random.random()\n    booked =")
OTHER_TYPE = GOOD.replace("-> str:\n    with", "-> dict:\n    with")
MISFITS = {
    "decisions": (BAD, ["TaskScheduled #1 'book'"], ["TaskScheduled #1 'buy' at "]),
    "not_served": (
        GOOD.replace("async def trip(", "async def tour("),
        ["orchestrator 'trip'"],
        ["no orchestrator of that name; registered: nap, tour"],
    ),
    "guard": (GUARDED, ["TaskScheduled #1 'book'"], ["random.random() inside an orchestrator"]),
    "payload": (
        OTHER_TYPE,
        ["the result of 'book': \"Oslo\""],
        ["result of book: value at $ does not fit"],
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "travel.py").write_text(GOOD)
    return tmp_path


def url_of(command: Command) -> str:
    command.until("listening ")
    return str(re.findall(r"listening +(\S+) ", command.out)[-1])


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    """The standard output of a command."""
    done = tenuto(folder, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


Here = Callable[..., str]


@pytest.fixture
def here(begun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """A command that loads no app, without a process of its own; its standard output or error."""
    monkeypatch.chdir(begun)
    for name in [name for name in os.environ if name.startswith("TENUTO_")]:
        monkeypatch.delenv(name)

    def run_here(*arguments: str, code: int = 0) -> str:
        found = run_command_line(list(arguments))
        captured = capsys.readouterr()
        assert found == code, captured.out + captured.err
        return captured.err if code else captured.out

    return run_here


def begin(folder: Path, url: str) -> None:
    """Two trips that wait for an event, and a nap."""
    for name in ("trip/trip-1", "trip/trip-2", "nap/nap-1"):
        where = f"{url}/runtime/webhooks/durabletask/orchestrators/{name}"
        body = b'"Oslo"' if name.startswith("trip") else None
        urllib.request.urlopen(urllib.request.Request(where, body, method="POST")).close()
    while not (folder / "booked").exists() or (folder / "booked").read_text() != "OsloOslo":
        time.sleep(0.01)


@pytest.fixture(scope="module")
def begun_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in which instances wait, and whose host has stopped."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "travel.py").write_text(GOOD)
    with Command(folder, "start", "travel.py", "--port", "0") as command:
        begin(folder, url_of(command))
        command.send(signal.SIGTERM)
        command.end()
    return folder


@pytest.fixture
def begun(begun_once: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it."""
    folder = tmp_path / "copy"
    shutil.copytree(begun_once, folder)
    yield folder
    assert (folder / "booked").read_text() == "OsloOslo", "no activity ran again"


def get(url: str) -> Any:  # noqa: ANN401 - JSON
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def test_check_replay_beside_a_running_host_runs_nothing_and_names_all(folder: Path) -> None:
    (folder / "bad.py").write_text(BAD)
    with Command(folder, "start", "travel.py", "--port", "0") as command:
        begin(folder, url_of(command))
        assert run(folder, "check-replay", "travel.py").endswith("all 3 would go on\n")
        lines = run(folder, "check-replay", "bad.py", code=1).splitlines()
        place = re.escape(str(folder / "bad.py"))
        assert lines[:3] == [
            "nap: 1 would go on",
            "trip (version 7): 2 would be held",
            "  reason     decisions",
        ]
        assert lines[3] == "  recorded   TaskScheduled #1 'book'"
        assert re.fullmatch(
            rf"  produced   TaskScheduled #1 'buy' at {place}:\d+ in trip", lines[4]
        )
        assert lines[5:] == ["  instances  trip-1, trip-2", "2 of 3 instances would be held"]
        few = run(folder, "check-replay", "bad.py", "--limit", "1", code=1)
        assert "  instances  trip-1 and 1 more\n" in few
        document = json.loads(run(folder, "check-replay", "bad.py", "--json", code=1))
        assert (document["fits"], document["goesOn"], document["held"]) == (False, 1, 2)
        (misfit,) = document["orchestrators"][1]["misfits"]
        assert misfit["reason"] == "decisions"
        assert misfit["instanceIds"] == ["trip-1", "trip-2"]
        assert misfit["recorded"] == "TaskScheduled #1 'book'"
        command.send(signal.SIGTERM)
        command.end()
    assert (folder / "booked").read_text() == "OsloOslo"


def test_the_input_of_check_replay_is_refused_whole(begun: Path) -> None:
    (begun / "empty").mkdir()
    (begun / "damaged.db").write_bytes(b"no store" * 100)
    for arguments, said in (
        (["nothing.py"], "there is no file 'nothing.py'"),
        (["travel.py", "--storage", "sqlite:///none.db"], "there is no store at"),
        (["travel.py", "--storage", "sqlite:///damaged.db"], "error TN-1602"),
        (["travel.py", "--histories", "nowhere"], "does not exist"),
        (["travel.py", "--histories", "empty"], "there are no histories in 'empty'"),
        (
            ["travel.py", "--histories", "empty", "--storage", "sqlite:///tenuto.db"],
            "give --storage or --histories, not both",
        ),
    ):
        done = tenuto(begun, "check-replay", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr


def test_export_writes_what_the_check_reads(begun: Path, here: Here) -> None:
    (begun / "bad.py").write_text(BAD)
    assert here("instances", "export", "--to", "all") == "3 files in all\n"
    names = sorted(path.name for path in (begun / "all").iterdir())
    assert names == ["nap-1.history.json", "trip-1.history.json", "trip-2.history.json"]
    assert run(begun, "check-replay", "travel.py", "--histories", "all").endswith("would go on\n")
    report = run(begun, "check-replay", "bad.py", "--histories", "all", code=1)
    assert report == run(begun, "check-replay", "bad.py", code=1)
    one = "all/trip-2.history.json"
    assert "1 of 1" in run(begun, "check-replay", "bad.py", "--histories", one, code=1)

    for number, (filters, count) in enumerate(
        [
            (["--name", "nap"], "1 file"),
            (["--prefix", "trip-"], "2 files"),
            (["--status", "completed"], "0 files"),
            (["--held"], "0 files"),
            (["--limit", "2"], "2 files"),
            (["--since", "1h"], "3 files"),
            (["trip-2"], "1 file"),
        ]
    ):
        folder = f"some-{number}"
        out = here("instances", "export", "--to", folder, *filters)
        assert out == f"{count} in {folder}\n"
    assert [path.name for path in (begun / "some-6").iterdir()] == ["trip-2.history.json"]
    here("instances", "export", "nobody", "--to", "x", code=2)
    here("instances", "export", "trip-1", "--held", "--to", "x", code=2)


def test_no_export_leaves_older_histories_among_its_own(begun: Path, here: Here) -> None:
    here("instances", "export", "--to", "here")
    before = sorted((begun / "here").iterdir())
    for filters in ([], ["--name", "nap"], ["--limit", "1"], ["--held"]):
        said = here("instances", "export", "--to", "here", *filters, code=2)
        assert "'here' has 3 histories of an earlier export" in said
        assert "name another folder, or empty this one" in said
    assert sorted((begun / "here").iterdir()) == before
    (begun / "above" / "below").mkdir(parents=True)
    before[0].rename(begun / "above" / "below" / before[0].name)
    assert "1 history" in here("instances", "export", "--to", "above", code=2)
    out = here("instances", "export", "trip-1", "--to", "here")
    assert out == "1 file in here\n", "who names instances adds to what is there, or renews it"
    (begun / "notes").mkdir()
    (begun / "notes" / "README.md").touch()
    assert here("instances", "export", "--to", "notes") == "3 files in notes\n"


def test_the_doctor_tells_whom_the_code_would_hold(begun: Path) -> None:
    (begun / "bad.py").write_text(BAD)
    with Command(begun, "start", "travel.py", "--port", "0") as command:
        url = url_of(command)
        sound = run(begun, "doctor", "--app", "travel.py")
        assert "code\n  ok     travel.py: all 3 would go on\n" in sound
        ill = run(begun, "doctor", "--app", "bad.py", code=1)
        found = re.search(r"code\n  WRONG  (.*)\n", ill)
        assert found is not None
        assert re.fullmatch(
            r"bad.py would hold 2 of trip \(decisions\): recorded TaskScheduled #1 'book', "
            r"produced TaskScheduled #1 'buy' at .*: trip-1, trip-2",
            found[1],
        )
        document = json.loads(run(begun, "doctor", "--app", "bad.py", "--json", code=1))
        assert document["replay"]["held"] == 2
        assert not document["healthy"]
        assert json.loads(run(begun, "doctor", "--json"))["replay"] is None
        over_http = run(begun, "doctor", "--app", "bad.py", "--url", url)
        assert "cannot be replayed against bad.py from here" in over_http
        command.send(signal.SIGTERM)
        command.end()


def test_a_reload_says_what_it_goes_on_with_and_whom_it_holds(begun: Path) -> None:
    store = "sqlite:///tenuto.db"
    words = ["start", "travel.py", "--reload", "--storage", store]
    with held_port() as port, Command(begun, *words, "--port", str(port)) as command:
        command.until("goes on with 3 instances: 1 waits for timers, 2 for events\n")
        save(begun / "travel.py", BAD)
        command.until(
            "goes on with 1 instance: 1 waits for timers; 2 are held, their code has changed "
            f"(tenuto instances list --held --storage {store})\n"
        )
        listed = json.loads(run(begun, "instances", "list", "--held", "--json"))
        assert {one["instanceId"] for one in listed} == {"trip-1", "trip-2"}
        assert "decisions" in run(begun, "instances", "list", "--held")
        over_http = get(f"{url_of(command)}/admin/instances?held=true")
        assert json.dumps(over_http).count('"reason": "decisions"') == 2
        save(begun / "travel.py", NO_NAP)
        command.until(
            "goes on with 2 instances: 2 wait for events; 1 is held, it names a function that is "
            "not here"
        )
        save(begun / "travel.py", GOOD)
        while command.out.count("goes on with 3 instances: 1 waits for timers, 2 for events") < 2:
            command.until("goes on with 3")
        assert run(begun, "instances", "list", "--held") == ""
        command.send(signal.SIGINT)
        assert command.end() == 0


def save(file: Path, text: str) -> None:
    """Write a file in one piece: seen half written, it would count as two changes."""
    whole = file.with_suffix(".new")
    whole.write_text(text)
    whole.replace(file)


def test_for_machines_the_line_is_one_of_the_log(begun: Path) -> None:
    (begun / "travel.py").write_text(BAD)
    with Command(begun, "start", "travel.py", "--port", "0", "--log-format", "json") as command:
        command.until("goes on with")
        lines = [json.loads(line) for line in command.err.splitlines() + command.out.splitlines()]
        (line,) = [one for one in lines if "goes on with" in one["message"]]
        assert line["extra"] == {
            "waits": {"timers": 1},
            "held": {"decisions": 2},
            "has_more": False,
        }
        command.send(signal.SIGTERM)
        command.end()


@pytest.mark.parametrize("reason", MISFITS)
def test_both_sides_of_each_misfit_are_shown_in_every_place(begun: Path, reason: str) -> None:
    code, recorded, produced = MISFITS[reason]
    (begun / "travel.py").write_text(code)
    with Command(begun, "start", "travel.py", "--port", "0") as command:
        url = url_of(command)
        command.until("goes on with")
        status = get(f"{url}/admin/instances/trip-1")
        foreign = get(f"{url}/runtime/webhooks/durabletask/instances/trip-1?showExplanation=true")
        assert foreign["runtimeStatus"] == "Running"
        fact = foreign["explanation"]["facts"][0]
        shown = json.loads(run(begun, "instances", "show", "trip-1", "--json"))
        for sides in (status["hold"], fact, shown["hold"], shown["explanation"]["facts"][0]):
            assert sides["reason"] == reason
            assert sides["recorded"].startswith(recorded[0])
            assert sides["produced"].startswith(produced[0])
        for columns in ("110", "50"):
            _, text = on_terminal(
                begun, "instances", "show", "trip-1", env={"COLUMNS": columns, "NO_COLOR": "1"}
            )
            text = re.sub(r"\x1b\[[0-9;]*m", "", text.replace("\r", ""))
            rows = text.split("\n")
            assert max(map(len, rows)) <= int(columns)
            joined = " ".join(text.split())
            assert f"recorded {recorded[0]}" in joined
            assert f"produced {produced[0]}" in joined
            assert joined.index("recorded ") < joined.index("produced ")
        command.send(signal.SIGTERM)
        command.end()


@pytest.mark.parametrize("turn", ["[{", '{"a": 1}'])
def test_a_damaged_history_is_named_and_hides_no_other(begun: Path, turn: str) -> None:
    with sqlite3.connect(begun / "tenuto.db") as store:
        store.execute(
            "UPDATE history SET events = ? WHERE turn = 0 AND iid = "
            "(SELECT iid FROM instance WHERE instance_id = 'trip-1')",
            [turn],
        )
    store.close()
    report = run(begun, "check-replay", "travel.py", code=1)
    assert "  reason     unreadable\n" in report
    assert report.endswith("  instances  trip-1\n1 of 3 instances would be held\n")
    assert "what is stored of trip-1 cannot be read" in run(begun, "doctor", code=1)
    with Command(begun, "start", "travel.py", "--port", "0") as command:
        command.until("goes on with 2 instances: 1 waits for timers, 1 for events")
        command.send(signal.SIGTERM)
        command.end()
    assert "never retrieved" not in command.err
