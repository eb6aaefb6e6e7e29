"""The command line in processes of its own: runs, stops, is killed, goes on, refuses."""

import asyncio
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tenuto import Client
from tests.support.terminal import (
    TENUTO,
    Command,
    Program,
    environment,
    in_background,
    on_terminal,
    tenuto,
    tenuto_here,
)

if sys.platform == "win32":
    pytest.skip("signals and terminals of POSIX", allow_module_level=True)

APP = """
import datetime
import os
import time
from dataclasses import dataclass
from pathlib import Path

from tenuto import App, Context

app = App()


@dataclass
class Trip:
    city: str
    nights: int = 1


@app.activity
def book(city: str) -> str:
    with Path("ledger.txt").open("a") as ledger:
        ledger.write(f"{city}\\\\n")
    print(f"printed about {city}")
    return f"booked {city}"


@app.activity
def wait_for_file(name: str) -> str:
    with Path("ledger.txt").open("a") as ledger:
        ledger.write(f"waiting for {name}\\\\n")
    while not Path(name).exists():
        time.sleep(0.01)
    return name


@app.activity
def sold_out(city: str) -> str:
    raise LookupError(f"no seat to {city}")


@app.orchestrator
async def book_trip(ctx: Context, trip: Trip) -> str:
    ctx.logger.info("booking %s", trip.city)
    return await ctx.call_activity(book, trip.city)


@app.orchestrator
async def book_trips(ctx: Context, cities: list[str]) -> list[str]:
    return [await ctx.call_sub_orchestrator(book_trip, Trip(city)) for city in cities]


@app.orchestrator
async def approval(ctx: Context, city: str) -> str:
    await ctx.call_activity(book, city)
    return await ctx.wait_for_external_event("Approved", str)


@app.orchestrator
async def patient(ctx: Context, name: str) -> str:
    await ctx.call_activity(book, "Oslo")
    return await ctx.call_activity(wait_for_file, name)


@app.orchestrator
async def fails(ctx: Context) -> str:
    return await ctx.call_activity(sold_out, "Mars")


@app.orchestrator
async def looks_at_the_clock(ctx: Context) -> str:
    await ctx.call_activity(book, "Oslo")
    return str(datetime.datetime.now())


@app.orchestrator
async def nothing(ctx: Context) -> None:
    return None


@app.orchestrator
async def leaves_one_behind(ctx: Context) -> str:
    return ctx.start_orchestrator(approval.options(instance_id="behind"), "Rome")
""".replace("\\\\", "\\")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "travel.py").write_text(APP)
    return tmp_path


def ledger(folder: Path) -> list[str]:
    return (folder / "ledger.txt").read_text().splitlines()


def ask(folder: Path, question: Callable[[Client], Awaitable[None]]) -> None:
    """Ask from this process, beside the host that owns the store."""

    async def asking() -> None:
        async with Client.open(f"sqlite:///{folder}/tenuto.db") as client:
            await question(client)

    asyncio.run(asking())


def approve(instance_id: str) -> Callable[[Client], Awaitable[None]]:
    return lambda client: client.raise_event(instance_id, "approved", "yes")


# --- running -----------------------------------------------------------------------------------


def test_a_run_prints_its_store_id_steps_and_result(folder: Path) -> None:
    done = tenuto(folder, "run", "travel.py:book_trips", "--input", '["Oslo","Rome"]')
    assert done.returncode == 0, done.stderr
    store, instance, *lines = done.stdout.splitlines()
    assert store == "store     sqlite:///tenuto.db (the default; --storage chooses another)"
    assert re.fullmatch(r"instance  [0-9a-f]{32}", instance)
    assert lines[-1] == '["booked Oslo","booked Rome"]'
    assert lines[-2].startswith("completed in ")
    assert sum("completed  book_trip#1 > book" in line for line in lines) == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert "booking Oslo" in done.stderr, "what the orchestrator logs is shown"
    assert (folder / "tenuto.db").is_file()


def test_a_run_on_a_terminal_draws_a_tree_and_gives_the_cursor_back(folder: Path) -> None:
    code, written = on_terminal(folder, "run", "travel.py:book_trips", "--input", '["Oslo"]')
    assert code == 0
    assert "└─ " in written
    assert "✔" in written
    assert "━" in written
    assert "\x1b[32m" in written
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert "printed about Oslo" in written
    assert '"booked Oslo"' in written


def test_no_color_and_ascii_terminals_are_respected(folder: Path) -> None:
    arguments = ("run", "travel.py:book_trips", "--input", '["Oslo"]')
    _, plain = on_terminal(folder, *arguments, env={"NO_COLOR": "1"})
    assert "✔" in plain
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", plain)
    _, ascii_only = on_terminal(folder, *arguments, env={"PYTHONIOENCODING": "ascii"})
    assert "`-- + book_trip" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", ascii_only)
    assert ascii_only.isascii()
    _, dumb = on_terminal(folder, *arguments, env={"TERM": "dumb"})
    assert "completed  book_trip#1 > book" in dumb
    assert "\x1b" not in dumb


def test_text_that_the_output_cannot_show_is_spelled_out(folder: Path) -> None:
    done = tenuto(
        folder,
        *("run", "travel.py:book_trip", "--input", '{"city":"Zürich"}'),
        env={"PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == '"booked Z\\xfcrich"'


def test_json_is_the_only_thing_on_standard_output(folder: Path) -> None:
    done = tenuto(
        folder, "run", "travel.py:book_trip", "--input", '{"city":"Oslo"}', "--id", "t", "--json"
    )
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert (document["instanceId"], document["runtimeStatus"]) == ("t", "Completed")
    assert (document["input"], document["output"]) == ({"city": "Oslo"}, "booked Oslo")
    assert "printed about Oslo" in done.stderr


def test_input_may_come_from_a_file(folder: Path) -> None:
    (folder / "trip.json").write_text('{"city": "Oslo"}')
    done = tenuto(folder, "run", "travel:book_trip", "--input", "@trip.json")
    assert done.stdout.splitlines()[-1] == '"booked Oslo"'


def test_a_result_that_is_none_is_null(folder: Path) -> None:
    assert tenuto(folder, "run", "travel.py:nothing").stdout.splitlines()[-1] == "null"


def test_a_failed_run_says_why_and_where(folder: Path) -> None:
    done = tenuto(folder, "run", "travel.py:fails")
    assert done.returncode == 1
    assert "\n  LookupError: no seat to Mars (in activity 'sold_out')\n" in done.stdout
    assert "ActivityError" not in done.stdout
    assert 'raise LookupError(f"no seat to {city}")' in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_replay_is_pure_a_mistake_of_the_orchestrator_shows_in_its_first_run(folder: Path) -> None:
    done = tenuto(folder, "run", "travel.py:looks_at_the_clock")
    assert done.returncode == 1
    assert "GuardError" in done.stdout
    assert "current_time" in done.stdout
    without = {"TENUTO_GUARD_EVERY": "0"}
    assert tenuto(folder, "run", "travel.py:looks_at_the_clock", env=without).returncode == 0


def test_a_terminated_run_has_failed(folder: Path) -> None:
    with Command(folder, "run", "travel.py:approval", "--input", '"Oslo"', "--id", "a") as command:
        command.until("event 'Approved'")
        ask(folder, lambda client: client.terminate("a", "too late"))
        assert command.end() == 1
        assert "terminated after" in command.out
        assert command.out.endswith(": too late\n")


def test_a_question_says_how_it_is_answered(folder: Path) -> None:
    (folder / "asks.py").write_text(
        "from tenuto import App, Context\n"
        "app = App()\n"
        "@app.orchestrator\n"
        "async def inner(ctx: Context) -> bool:\n"
        "    return await ctx.ask('Ship it?')\n"
        "@app.orchestrator\n"
        "async def outer(ctx: Context) -> bool:\n"
        "    return await ctx.call_sub_orchestrator(inner.options(instance_id='child'))\n"
    )
    chosen = ["--storage", "sqlite:///other.db"]
    with Command(folder, "run", "asks.py:outer", *chosen) as command:
        command.until("question 'Ship it?'  http://127.0.0.1:7071/callbacks/child/")
        command.until("--storage sqlite:///other.db")
        (line,) = [line for line in command.err.splitlines() if "instances answer" in line]
        words = shlex.split(line)
        assert words == ["tenuto", "instances", "answer", "child", "ANSWER", *chosen]
        words[words.index("ANSWER")] = "yes"
        assert tenuto(folder, *words[1:]).returncode == 0
        assert command.end() == 0
        assert command.out.splitlines()[-1] == "true"
    with Command(folder, "run", "asks.py:inner", "--storage", "sqlite://") as command:
        command.until("question 'Ship it?'  http")
        assert "instances answer" not in command.err  # no other process gets there


def test_the_settings_of_the_folder_hold(folder: Path) -> None:
    (folder / "tenuto.toml").write_text('storage = "sqlite:///other.db"\n')
    done = tenuto(folder, "run", "travel.py:nothing")
    assert done.stdout.splitlines()[0] == "store     sqlite:///other.db"
    done = tenuto(folder, "run", "travel.py:nothing", "--storage", "sqlite:///third.db")
    assert done.stdout.splitlines()[0] == "store     sqlite:///third.db"
    assert not (folder / "tenuto.db").exists()


def test_what_is_left_running_is_said(folder: Path) -> None:
    done = tenuto(folder, "run", "travel.py:leaves_one_behind")
    assert done.returncode == 0
    assert "not finished, and nobody waits for it: behind" in done.stderr


# --- stopping and going on ---------------------------------------------------------------------


def resume_command(command: Command) -> list[str]:
    """The command that it printed, to be typed as it stands; here by the same Python."""
    (line,) = [line for line in command.err.splitlines() if line.startswith("  ")]
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "tenuto"]
    return words[3:]


def test_ctrl_c_leaves_the_run_resumable_by_the_command_that_it_prints(folder: Path) -> None:
    arguments = (
        "run",
        "travel.py:approval",
        "--input",
        '"Oslo"',
        "--storage",
        "sqlite:///tenuto.db",
    )
    with Command(folder, *arguments) as command:
        command.until("event 'Approved'")
        command.send(signal.SIGINT)
        assert command.end() == 130
        assert "Traceback" not in command.err
        assert "stopped; to go on:" in command.err
        again = resume_command(command)
    instance_id = again[-1]
    assert f"instance  {instance_id}\n" in command.out
    with Command(folder, *again) as resumed:
        resumed.until("event 'Approved'")
        assert "(there since " in resumed.out
        ask(folder, approve(instance_id))
        assert resumed.end() == 0
        assert resumed.out.splitlines()[-1] == '"yes"'
    assert ledger(folder) == ["Oslo"]


def test_ctrl_c_lets_running_activities_end_and_keeps_their_results(folder: Path) -> None:
    with Command(folder, "run", "travel.py:patient", "--input", '"go"', "--id", "p") as command:
        command.until("started    wait_for_file")
        while len(ledger(folder)) < 2:
            command.until("wait_for_file")
        command.send(signal.SIGINT)
        command.until("stopping; up to 10 s for 1 running activity")
        (folder / "go").touch()
        assert command.end() == 130
    done = tenuto(folder, "run", "travel.py:patient", "--id", "p")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, '"go"')
    assert ledger(folder) == ["Oslo", "waiting for go"]


def test_a_second_ctrl_c_stops_at_once(folder: Path) -> None:
    (folder / "tenuto.toml").write_text("drain_seconds = 600\n")
    with Command(folder, "run", "travel.py:patient", "--input", '"go"', "--id", "p") as command:
        command.until("started    wait_for_file")
        command.send(signal.SIGINT)
        command.until("stopping; up to 600 s")
        while command.process.poll() is None:  # one that comes within a moment is no second one
            command.send(signal.SIGINT)
            time.sleep(0.05)
        assert command.end() == 130
        assert resume_command(command) == ["run", "travel.py:patient", "--id", "p"]


def test_sigterm_stops_like_ctrl_c(folder: Path) -> None:
    with Command(folder, "run", "travel.py:approval", "--input", '"Oslo"', "--id", "a") as command:
        command.until("event 'Approved'")
        command.send(signal.SIGTERM)
        assert command.end() == 143
        assert "stopped; to go on:" in command.err


def test_a_stopped_run_in_json_is_a_document_too(folder: Path) -> None:
    arguments = ("run", "travel.py:approval", "--input", '"Oslo"', "--id", "a", "--json")
    with Command(folder, *arguments) as command:
        command.until("printed about Oslo")
        command.send(signal.SIGINT)
        assert command.end() == 130
        assert json.loads(command.out)["runtimeStatus"] == "Running"


def test_what_was_in_memory_cannot_go_on(folder: Path) -> None:
    arguments = ("run", "travel.py:approval", "--input", '"Oslo"', "--storage", "sqlite://")
    with Command(folder, *arguments) as command:
        command.until("event 'Approved'")
        command.send(signal.SIGINT)
        assert command.end() == 130
        assert "nothing is left of it" in command.err


def test_a_killed_run_goes_on_with_the_same_id(folder: Path) -> None:
    arguments = ("run", "travel.py:patient", "--input", '"go"', "--id", "p")
    with Command(folder, *arguments) as command:
        command.until("started    wait_for_file")
        command.send(signal.SIGKILL)
        assert command.end() == -signal.SIGKILL
    (folder / "go").touch()
    done = tenuto(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert "(there since " in done.stdout
    assert done.stdout.splitlines()[-1] == '"go"'
    assert ledger(folder).count("Oslo") == 1, "what had its result is not done again"


def test_the_id_of_a_finished_run_gives_its_result_again(folder: Path) -> None:
    arguments = ("run", "travel.py:book_trip", "--input", '{"city":"Oslo"}')
    first = tenuto(folder, *arguments)
    (instance_id,) = re.findall(r"^instance  (\S+)$", first.stdout, re.MULTILINE)
    again = tenuto(folder, *arguments, "--id", instance_id)
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, '"booked Oslo"')
    assert ledger(folder) == ["Oslo"]
    other = tenuto(folder, *arguments[:-1], '{"city":"Rome"}', "--id", instance_id)
    assert "keeps the input it was started with" in other.stderr
    assert other.stdout.splitlines()[-1] == '"booked Oslo"'


def test_a_run_that_loses_its_store_says_how_to_go_on(folder: Path) -> None:
    """one_owner: somebody else has taken over, so this host's next commit is refused."""
    with Command(folder, "run", "travel.py:approval", "--input", '"Oslo"', "--id", "a") as command:
        command.until("event 'Approved'")
        with sqlite3.connect(folder / "tenuto.db") as connection:
            connection.execute("UPDATE partition SET epoch = epoch + 1, owner = 'other'")
        connection.close()
        ask(folder, approve("a"))
        assert command.end() == 1
        assert "error TN-1605: " in command.err
        assert resume_command(command) == ["run", "travel.py:approval", "--id", "a"]


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["travel.py:book_trap"], "TN-1105: travel.py has no 'book_trap' (did you mean 'book_trip"),
        (["travel.py"], "TN-1105: which orchestrator of travel.py?"),
        (["travel.py:book"], "TN-1105: travel.py:book is an activity"),
        (["notes.py"], "TN-1105: there is no file 'notes.py'"),
        (["notes.txt"], "TN-1105: notes.txt is not a Python file"),
        (["empty.py"], "TN-1105: empty.py holds no app"),
        (["bare.py"], "TN-1105: bare.py has no orchestrator to run"),
        (["travel.py:book_trip"], "TN-1102: book_trip: the input lacks 'trip'"),
        (["travel.py:book_trip", "--input", '{"city":7}'], "TN-1102: argument 'trip' of book_trip"),
        (["travel.py:book_trip", "--input", '"Oslo"'], "TN-1102: argument 'trip' of book_trip"),
        (["travel.py:nothing", "--input", "1"], "TN-1102: nothing: there is an input"),
        (["travel.py:book_trip", "--input", "{"], "is not JSON"),
        (["travel.py:book_trip", "--input", "@gone.json"], "there is no file 'gone.json'"),
        (["travel.py:nothing", "--id", "x" * 257], "TN-1101: instance id 'xxx"),
        (["travel.py:nothing", "--id", "a/b"], "TN-1101: instance id 'a/b' is not allowed"),
        (["travel.py:nothing", "--storage", "mysql://x"], "TN-1104: the store's URL 'mysql://x'"),
        (["travel.py:nothing", "--storage", "sqlite:///no/t.db"], "TN-1104: the store"),
    ],
)
def test_bad_input_is_refused_whole_by_one_clear_error(
    folder: Path, arguments: list[str], message: str
) -> None:
    (folder / "notes.txt").write_text("hello")
    (folder / "empty.py").write_text("")
    (folder / "bare.py").write_text("from tenuto import App\n\napp = App()\n")
    done = tenuto(folder, "run", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error")]) == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(folder.glob("*.db*")), "nothing was made"


def test_too_long_an_input_is_refused_naming_the_setting(folder: Path) -> None:
    done = tenuto(
        folder,
        *("run", "travel.py:approval", "--input", '"Oslo"'),
        env={"TENUTO_LIMITS_PAYLOAD_BYTES": "5"},
    )
    assert done.returncode == 2
    assert "TN-1502: the input of 'approval' takes 6 bytes; the limit is 5" in done.stderr
    assert tenuto_here(folder, "instances", "list").stdout == ""


def test_an_unknown_setting_is_refused(folder: Path) -> None:
    done = tenuto(folder, "run", "travel.py:nothing", env={"TENUTO_HOT_SESION": "1"})
    assert done.returncode == 2
    assert "TN-1104: unknown environment variable TENUTO_HOT_SESION; did you" in done.stderr


def test_an_id_of_another_orchestrator_is_refused(folder: Path) -> None:
    tenuto(folder, "run", "travel.py:nothing", "--id", "n")
    done = tenuto(folder, "run", "travel.py:fails", "--id", "n")
    assert done.returncode == 2
    assert "TN-1100: instance 'n' runs 'nothing', not 'fails'" in done.stderr


def test_an_id_that_is_free_needs_an_input(folder: Path) -> None:
    done = tenuto(folder, "run", "travel.py:approval", "--id", "free")
    assert done.returncode == 2
    assert "TN-1102: approval: the input lacks 'city'" in done.stderr


def test_an_error_inside_the_app_shows_the_users_lines(folder: Path) -> None:
    (folder / "broken.py").write_text("import no_such_thing\n")
    done = tenuto(folder, "run", "broken.py")
    assert done.returncode == 2
    assert "ModuleNotFoundError: No module named 'no_such_thing'" in done.stderr
    assert 'broken.py", line 1, in <module>' in done.stderr
    assert "importlib" not in done.stderr


def test_a_store_of_another_version_is_refused(folder: Path) -> None:
    tenuto(folder, "run", "travel.py:nothing")
    with sqlite3.connect(folder / "tenuto.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for arguments in (["run", "travel.py:nothing"], ["instances", "list"]):
        done = tenuto(folder, *arguments)
        assert done.returncode == 1
        assert "TN-1603" in done.stderr
        assert "schema 99, written by a newer Tenuto" in done.stderr


def test_a_file_that_is_no_store_is_refused_and_left_alone(folder: Path) -> None:
    garbage = os.urandom(5_000)
    (folder / "tenuto.db").write_bytes(garbage)
    for arguments in (["run", "travel.py:nothing"], ["instances", "list"]):
        done = tenuto(folder, *arguments)
        assert done.returncode == 1
        assert "TN-1602: cannot open the store" in done.stderr
    assert (folder / "tenuto.db").read_bytes() == garbage


def test_one_owner_a_second_run_on_the_same_store_is_refused_naming_the_first(
    folder: Path,
) -> None:
    with Command(folder, "run", "travel.py:approval", "--input", '"Oslo"') as command:
        command.until("event 'Approved'")
        done = tenuto(folder, "run", "travel.py:nothing", "--storage", "sqlite:///tenuto.db")
        assert done.returncode == 1
        assert "TN-1604" in done.stderr
        assert f"pid {command.process.pid}" in done.stderr
        _, _, advice = done.stderr.rstrip().partition("To let it run this: ")
        words = shlex.split(advice)
        assert words[-5:-2] == ["instances", "start", "nothing"]
        assert tenuto(folder, *words[-5:]).returncode == 0


# --- instances ---------------------------------------------------------------------------------


def test_instances_can_be_looked_at_while_a_host_owns_the_store(folder: Path) -> None:
    with Command(folder, "run", "travel.py:approval", "--input", '"Oslo"', "--id", "a") as command:
        command.until("event 'Approved'")
        listed = tenuto_here(folder, "instances", "list")
        assert listed.returncode == 0, listed.stderr
        assert re.search(r"^a +approval +● Running", listed.stdout, re.MULTILINE)
        shown = tenuto_here(folder, "instances", "show", "a")
        assert shown.returncode == 0, shown.stderr
        facts = [line.split(maxsplit=1) for line in shown.stdout.splitlines()]
        assert ["status", "Running"] in facts
        assert ["input", '"Oslo"'] in facts
        assert any(
            "waits for" in line and "event 'Approved'" in line for line in shown.stdout.splitlines()
        )
        assert "├─ ✔ book" in shown.stdout
        history = tenuto_here(folder, "instances", "history", "a")
        assert [line[31:].split("  ")[0] for line in history.stdout.splitlines()] == [
            "EVENT",
            "ExecutionStarted",
            "TaskScheduled",
            "TaskCompleted",
            "EventAwaited",
        ]
        ask(folder, approve("a"))
        assert command.end() == 0, "nobody has disturbed it"


def test_instances_can_be_looked_at_without_a_host(folder: Path) -> None:
    tenuto(folder, "run", "travel.py:fails", "--id", "broken-1")
    tenuto(folder, "run", "travel.py:book_trips", "--input", '["Oslo"]', "--id", "trips-1")
    listed = tenuto_here(folder, "instances", "list", "--status", "failed", "--json")
    (one,) = json.loads(listed.stdout)
    assert (one["instanceId"], one["runtimeStatus"]) == ("broken-1", "Failed")
    assert "input" not in one
    names = tenuto_here(folder, "instances", "list", "--name", "book_trip", "--since", "1h").stdout
    assert "book_trip " in names
    assert "broken-1" not in names
    prefix = tenuto_here(folder, "instances", "list", "--prefix", "trips-").stdout.splitlines()
    assert len(prefix) == 2
    first = tenuto_here(folder, "instances", "list", "--limit", "1")
    assert len(first.stdout.splitlines()) == 2
    assert "there are more; --limit shows more than 1" in first.stderr
    shown = tenuto_here(folder, "instances", "show", "broken-1").stdout
    assert "LookupError: no seat to Mars (in activity 'sold_out')" in shown
    assert 'raise LookupError(f"no seat to {city}")' in shown
    document = json.loads(tenuto_here(folder, "instances", "show", "trips-1", "--json").stdout)
    assert document["output"] == ["booked Oslo"]
    assert document["steps"][0]["run"]["steps"][0]["name"] == "book"
    events = json.loads(tenuto_here(folder, "instances", "history", "trips-1", "--json").stdout)
    assert [event["type"] for event in events][:2] == ["OrchestratorStarted", "ExecutionStarted"]


def test_nothing_found_is_said_and_is_no_failure(folder: Path) -> None:
    tenuto(folder, "run", "travel.py:nothing")
    done = tenuto_here(folder, "instances", "list", "--prefix", "zzz")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no such instances\n")
    assert tenuto_here(folder, "instances", "list", "--prefix", "zzz", "--json").stdout == "[]\n"


@pytest.mark.parametrize("command", ["show", "history"])
def test_an_unknown_instance_is_refused(folder: Path, command: str) -> None:
    tenuto(folder, "run", "travel.py:nothing")
    done = tenuto_here(folder, "instances", command, "nobody")
    assert done.returncode == 2
    assert done.stderr == "error TN-1202: instance 'nobody' does not exist in this store\n"
    assert tenuto_here(folder, "instances", command, "a/b").returncode == 2


def test_looking_makes_no_store(folder: Path) -> None:
    done = tenuto_here(folder, "instances", "list")
    assert done.returncode == 2
    assert "TN-1104: there is no store at" in done.stderr
    assert not list(folder.glob("*.db*"))


def test_a_script_that_runs_its_app_says_its_default_store_once(folder: Path) -> None:
    script = folder / "script.py"
    script.write_text(
        "from travel import app, nothing\n"
        "if __name__ == '__main__':\n"
        "    app.run(nothing)\n"
        "    app.run(nothing, storage='sqlite:///other.db')\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "tenuto: the store is sqlite:///tenuto.db (the default)\n"
    assert done.stdout == ""


SCRIPT = """
from travel import app, patient
if __name__ == "__main__":
    app.run(patient, "go", instance_id="p")
"""


def until_it_waits(folder: Path) -> None:
    """Until the second line of the ledger: that of ``wait_for_file``."""
    while not (folder / "ledger.txt").exists() or len(ledger(folder)) < 2:
        time.sleep(0.01)


def test_ctrl_c_in_a_script_says_what_becomes_of_the_instance(folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT)
    with Program(folder, sys.executable, "script.py", env={"TENUTO_DRAIN_SECONDS": "0"}) as running:
        until_it_waits(folder)
        running.send(signal.SIGINT)
        assert running.end() == -signal.SIGINT
        assert "tenuto: stopped; what had begun stays in the store" in running.err
        shown = re.findall("^  File", running.err, re.MULTILINE)
        assert len(shown) == 2, "the caller's line and ours"
    (folder / "go").touch()
    subprocess.run([sys.executable, "script.py"], cwd=folder, env=environment(), check=True)
    assert ledger(folder).count("Oslo") == 1


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_script_in_the_background_is_not_interrupted_and_is_stopped_all_the_same(
    folder: Path, number: signal.Signals, code: int
) -> None:
    (folder / "script.py").write_text(SCRIPT)
    with (
        in_background(),
        Program(folder, sys.executable, "script.py", env={"TENUTO_DRAIN_SECONDS": "0"}) as running,
    ):
        until_it_waits(folder)
        running.send(signal.SIGINT)
        running.send(number)
        assert running.end() == code
    (folder / "go").touch()
    subprocess.run([sys.executable, "script.py"], cwd=folder, env=environment(), check=True)
    assert ledger(folder).count("Oslo") == 1


def test_a_run_in_the_background_is_not_interrupted(folder: Path) -> None:
    arguments = ("run", "travel.py:patient", "--input", '"go"', "--id", "p")
    with in_background(), Command(folder, *arguments) as command:
        until_it_waits(folder)
        command.send(signal.SIGINT)
        (folder / "go").touch()
        assert command.end() == 0
        assert "stopping" not in command.err


def test_a_run_in_the_background_is_stopped_by_sigterm(folder: Path) -> None:
    arguments = ("run", "travel.py:approval", "--input", '"Oslo"', "--id", "a")
    with in_background(), Command(folder, *arguments) as command:
        command.until("event 'Approved'")
        command.send(signal.SIGINT)
        command.send(signal.SIGTERM)
        assert command.end() == 143
        assert "stopped; to go on:" in command.err


def test_help_is_quick(folder: Path) -> None:
    """Not a timed test: it counts what is imported. The rest is tested in tests/unit/cli."""
    done = subprocess.run(
        [TENUTO[0], "-X", "importtime", *TENUTO[1:], "--help"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "tenuto.cli.command" in done.stderr
    assert "rich" not in done.stderr


# --- held --------------------------------------------------------------------------------------


def test_a_run_whose_instance_is_held_ends_and_goes_on_with_code_that_fits(folder: Path) -> None:
    run = ("run", "travel.py:approval", "--id", "a-1")
    with Program(folder, *TENUTO, *run, "--input", '"Oslo"') as running:
        while "waiting" not in running.out:
            time.sleep(0.01)
        running.send(signal.SIGINT)
        running.end()
    ask(folder, approve("a-1"))
    (folder / "travel.py").write_text(
        APP.replace("call_activity(book, city)", "call_activity(sold_out, city)")
    )
    for _ in range(2):  # when it is held, and when it was held before
        done = tenuto(folder, *run)
        assert done.returncode == 1
        assert "TN-1204: instance 'a-1' is held (decisions)" in done.stderr
    (folder / "script.py").write_text(
        "from travel import app, approval\n"
        "if __name__ == '__main__':\n"
        "    app.run(approval, 'Oslo', instance_id='a-1')\n"
    )
    script = subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert script.returncode == 1
    assert "InstanceStateError: instance 'a-1' is held (decisions)" in script.stderr
    (folder / "travel.py").write_text(APP)
    done = tenuto(folder, *run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('"yes"\n')
    assert ledger(folder) == ["Oslo"]
