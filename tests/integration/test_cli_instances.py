"""``tenuto instances``: starts, steers, deletes and watches, on a store and on a running host."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenuto.cli.command import run_command_line
from tenuto.cli.instances.steering import controls
from tests.support.terminal import TENUTO, Command, Terminal, environment, tenuto

if sys.platform == "win32":
    pytest.skip("signals and terminals of POSIX", allow_module_level=True)

KEY = "0123456789abcdef-admin"
APP = """
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal
from tenuto import App, Context

app = App()


@app.activity
def book(city: str) -> str:
    return f"booked {city}"


@app.orchestrator
async def quick(ctx: Context, city: str) -> str:
    return await ctx.call_activity(book, city)


@app.orchestrator
async def trip(ctx: Context, city: str) -> str:
    booked = await ctx.call_activity(book, city)
    ctx.set_custom_status({"step": "waits"})
    return f"{booked}, {await ctx.wait_for_external_event('Approved', str)}"


@app.orchestrator
async def parent(ctx: Context, city: str) -> str:
    return await ctx.call_sub_orchestrator(trip.options(instance_id="child"), city)


@dataclass
class Shipping:
    way: Literal["ship", "train"]
    parcels: int
    fragile: bool = False


@app.orchestrator
async def asks(ctx: Context) -> list[object]:
    is_sure = await ctx.ask("Ship it?")
    how = await ctx.ask("How?", Shipping)
    day = await ctx.ask("When?", date)
    return [is_sure, how.way, how.parcels, day.isoformat()]


@app.orchestrator
async def asks_twice(ctx: Context) -> list[bool]:
    return list(await ctx.task_all([ctx.ask("A?"), ctx.ask("B?")]))


@app.orchestrator
async def asks_briefly(ctx: Context) -> None:
    try:
        await ctx.ask("Now?", timeout=timedelta(milliseconds=1))
    except TimeoutError:
        ctx.set_custom_status("late")
    await ctx.ask("Then?")


@app.orchestrator
async def fails(ctx: Context) -> None:
    raise LookupError("no seat")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "travel.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TENUTO_")]:
        monkeypatch.delenv(name)
    return tmp_path


class Served:
    """A running host: the options that lead to it, by its store or by HTTP."""

    def __init__(self, command: Command, url: str) -> None:
        self.command = command
        self.url = url


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    with Command(folder, "start", "travel.py", "--port", "0") as command:
        yield Served(command, _url_of(command))
        command.send(signal.SIGTERM)
        assert command.end() in {0, 128 + signal.SIGTERM}


def _url_of(command: Command) -> str:
    command.until("listening")
    found = re.search(r"http://127\.0\.0\.1:\d+(?= )", command.out.partition("listening")[2])
    assert found
    return found[0]


@pytest.fixture(params=["store", "host"])
def place(request: pytest.FixtureRequest, served: Served) -> list[str]:
    return [] if request.param == "store" else ["--url", served.url]


def instances(
    capsys: pytest.CaptureFixture[str], *arguments: str, code: int | None = 0
) -> tuple[str, str]:
    """Run one; ``code`` None stands for any that is an error's."""
    found = run_command_line(["instances", *arguments])
    captured = capsys.readouterr()
    assert found == code or (code is None and found), captured.err
    return captured.out, captured.err


def status(capsys: pytest.CaptureFixture[str], instance_id: str, *place: str) -> dict[str, Any]:
    out, _ = instances(capsys, "show", instance_id, "--json", *place)
    document: dict[str, Any] = json.loads(out)
    return document


def watched(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return tenuto(folder, "instances", "watch", *arguments)


# --- with a host -------------------------------------------------------------------------------


def test_an_instance_is_started_told_and_watched_to_its_end(
    capsys: pytest.CaptureFixture[str], folder: Path, place: list[str]
) -> None:
    out, err = instances(
        capsys, "start", "trip", "--input", '"Oslo"', "--id", "t-1", "--tag", "of=Ada", *place
    )
    assert (out, err) == ("t-1\n", "")
    out, _ = instances(capsys, "raise-event", "t-1", "approved", "--data", '"yes"', *place)
    assert out.startswith("event 'approved' was handed to ")
    done = watched(folder, "t-1", *place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == '"booked Oslo, yes"'
    assert status(capsys, "t-1", *place)["tags"] == {"of": "Ada"}
    out, _ = instances(capsys, "list", *place)
    assert "t-1" in out
    out, _ = instances(capsys, "history", "t-1", "--json", *place)
    assert json.loads(out)[1]["name"] == "trip"


def test_a_started_instance_can_be_waited_for(
    capsys: pytest.CaptureFixture[str], place: list[str]
) -> None:
    out, _ = instances(capsys, "start", "quick", "--input", '"Oslo"', "--wait", *place)
    assert out.splitlines()[-1] == '"booked Oslo"'
    out, _ = instances(capsys, "start", "fails", "--wait", *place, code=1)
    assert "LookupError: no seat" in out
    out, _ = instances(capsys, "start", "quick", "--input", '"Oslo"', "--wait", "--json", *place)
    assert json.loads(out)["output"] == "booked Oslo"


def test_an_instance_is_suspended_resumed_terminated_and_run_again(
    capsys: pytest.CaptureFixture[str], folder: Path, place: list[str]
) -> None:
    instances(capsys, "start", "trip", "--input", '"Oslo"', "--id", "t-1", *place)
    out, _ = instances(capsys, "suspend", "t-1", "--reason", "audit", "--json", *place)
    assert json.loads(out)["hostRuns"] is True
    until_status(capsys, "t-1", "Suspended", place)
    _, err = instances(capsys, "suspend", "t-1", *place, code=2)
    assert err == "error TN-1204: instance 't-1' is Suspended, so it cannot suspend\n"
    instances(capsys, "resume", "t-1", *place)
    until_status(capsys, "t-1", "Running", place)
    instances(capsys, "terminate", "t-1", "--reason", "too late", *place)
    done = watched(folder, "t-1", *place)
    assert done.returncode == 1
    assert re.fullmatch(r"terminated after .*: too late", done.stdout.splitlines()[-1])
    _, err = instances(capsys, "raise-event", "t-1", "approved", *place, code=2)
    assert err.startswith("error TN-1203: ")
    out, _ = instances(capsys, "restart", "t-1", "--same-id", *place)
    assert out == "t-1\n"
    out, _ = instances(capsys, "restart", "t-1", *place)
    assert re.fullmatch(r"[0-9a-f]{32}\n", out)
    assert status(capsys, out.strip(), *place)["input"] == "Oslo"


def until_status(
    capsys: pytest.CaptureFixture[str], instance_id: str, wanted: str, place: list[str]
) -> None:
    """Wait until it is so; the test's own timeout ends a wait in vain."""
    while status(capsys, instance_id, *place)["runtimeStatus"] != wanted:
        pass


def test_what_has_ended_is_purged_by_id_or_by_filter(
    capsys: pytest.CaptureFixture[str], place: list[str]
) -> None:
    for number in range(3):
        instances(
            capsys, "start", "quick", "--input", '"Oslo"', "--id", f"q-{number}", "--wait", *place
        )
    instances(capsys, "start", "trip", "--input", '"Oslo"', "--id", "t-1", *place)
    assert instances(capsys, "purge", "q-0", *place)[0] == "purged 1 instance\n"
    _, err = instances(capsys, "purge", "q-1", "t-1", *place, code=2)
    assert "has not ended" in err
    out, _ = instances(capsys, "purge", "--older-than", "1d", "--yes", *place)
    assert out == "purged 0 instances\n"
    _, err = instances(capsys, "purge", "--status", "completed", *place, code=2)
    assert "2 instances would be deleted" in err
    out, _ = instances(capsys, "purge", "--older-than", "0s", "--yes", "--json", *place)
    assert json.loads(out) == {"purged": 2}
    out, _ = instances(capsys, "purge", "t-1", "--force", *place)
    assert out == "purged 1 instance\n"
    assert json.loads(instances(capsys, "list", "--json", *place)[0]) == []


def test_a_child_is_drawn_below_its_parent_and_watched_with_it(
    capsys: pytest.CaptureFixture[str], folder: Path, place: list[str]
) -> None:
    instances(capsys, "start", "parent", "--input", '"Oslo"', "--id", "p-1", *place)
    with Command(folder, "instances", "watch", "p-1", *place) as watching:
        watching.until("event 'Approved'")
        out, _ = instances(capsys, "show", "p-1", *place)
        assert "event 'Approved'" in out
        instances(capsys, "raise-event", "child", "Approved", "--data", '"yes"', *place)
        assert watching.end() == 0, watching.err
        assert watching.out.splitlines()[-1] == '"booked Oslo, yes"'


def test_a_watch_ends_quietly_at_ctrl_c_and_with_an_error_at_a_purge(
    capsys: pytest.CaptureFixture[str], folder: Path, place: list[str]
) -> None:
    instances(capsys, "start", "trip", "--input", '"Oslo"', "--id", "t-1", *place)
    with Command(folder, "instances", "watch", "t-1", *place) as watching:
        watching.until("waiting")
        watching.send(signal.SIGINT)
        assert watching.end() == 130
        assert watching.err == ""
    with Command(folder, "instances", "watch", "t-1", "--json", *place) as watching:
        watching.until('"Running"')
        instances(capsys, "purge", "t-1", "--force", *place)
        assert watching.end() == 2
        assert watching.err.startswith("error TN-1202: instance 't-1' does not exist")


@pytest.mark.parametrize("as_json", [False, True])
def test_the_whole_list_is_watched_line_by_line(
    capsys: pytest.CaptureFixture[str], folder: Path, place: list[str], as_json: bool
) -> None:
    instances(capsys, "start", "quick", "--input", '"Oslo"', "--id", "before", "--wait", *place)
    options = ["--json"] if as_json else []
    with Command(folder, "instances", "watch", *options, *place) as watching:
        watching.until("watching ")
        with Command(
            folder, "instances", "start", "trip", "--input", '"Rome"', "--id", "r-1", *place
        ) as starting:
            assert starting.end() == 0
        watching.until('"waits"')
        instances(capsys, "terminate", "r-1", *place)
        watching.until("Terminated")
        watching.send(signal.SIGINT)
        assert watching.end() == 130
        lines = watching.out.splitlines()
    assert all("before" not in line for line in lines)
    if as_json:
        last = json.loads(lines[-1])
        assert (last["instanceId"], last["runtimeStatus"]) == ("r-1", "Terminated")
    else:
        assert re.search(r"\d\d:\d\d:\d\d  Terminated   r-1  trip", lines[-1])


def test_a_watch_goes_on_when_its_host_comes_back(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    with Command(folder, "start", "travel.py", "--port", "0") as first:
        url = _url_of(first)
        place = ["--url", url]
        instances(capsys, "start", "trip", "--input", '"Oslo"', "--id", "t-1", *place)
        watching = Command(folder, "instances", "watch", "t-1", *place)
        listing = Command(folder, "instances", "watch", *place)
        with watching, listing:
            watching.until("waiting")
            listing.until("watching ")
            first.send(signal.SIGTERM)
            first.end()
            watching.until("waiting for it to come back")
            listing.until("has gone away; waiting for it to come back")
            with Command(folder, "start", "travel.py", "--port", url.rpartition(":")[2]) as second:
                second.until("listening")
                instances(capsys, "raise-event", "t-1", "Approved", "--data", '"yes"', *place)
                assert watching.end() == 0, watching.err
                listing.until("Completed")
                second.send(signal.SIGTERM)
                second.end()


def test_a_run_of_an_instance_that_another_host_has_looks_on(
    capsys: pytest.CaptureFixture[str], folder: Path, served: Served
) -> None:
    instances(capsys, "start", "trip", "--input", '"Oslo"', "--id", "t-1")
    with Command(folder, "run", "travel.py:trip", "--id", "t-1") as run:
        run.until("waiting")
        assert "another host runs on this store" in run.err
        instances(capsys, "raise-event", "t-1", "Approved", "--data", '"yes"')
        assert run.end() == 0
        assert run.out.splitlines()[-1] == '"booked Oslo, yes"'
    done = tenuto(folder, "run", "travel.py:trip", "--id", "t-2")
    assert done.returncode == 1
    assert done.stderr.startswith("error TN-1604: ")
    done = tenuto(folder, "run", "travel.py:quick", "--id", "t-1")
    assert done.returncode == 2
    assert "runs 'trip', not 'quick'" in done.stderr


# --- keys and addresses ------------------------------------------------------------------------


@pytest.fixture
def locked(folder: Path) -> Iterator[str]:
    (folder / "tenuto.toml").write_text(
        f'[http.keys.all]\nkey = "{KEY}"\nrole = "admin"\n'
        '[http.keys.look]\nkey = "look-look-look-look"\nrole = "read"\n'
    )
    with Command(folder, "start", "travel.py", "--port", "0") as command:
        yield _url_of(command)
        command.send(signal.SIGTERM)
        command.end()


def test_a_key_opens_a_host_by_option_or_by_variable(
    capsys: pytest.CaptureFixture[str], locked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["list"], ["watch"], ["watch", "t-1"], ["purge", "t-1"]):
        _, err = instances(capsys, *arguments, "--url", locked, code=2)
        assert "error TN-1701: " in err
    _, err = instances(capsys, "list", "--url", locked, "--key", "nope-nope-nope-nope", code=2)
    assert "error TN-1701: " in err
    assert "nope" not in err
    _, err = instances(
        capsys, "start", "quick", "--url", locked, "--key", "look-look-look-look", code=2
    )
    assert "error TN-1702: " in err
    instances(capsys, "list", "--url", locked, "--key", KEY)
    monkeypatch.setenv("TENUTO_HTTP_KEY", KEY)
    instances(capsys, "list", "--url", locked)
    instances(capsys, "list")  # the variable is no unknown setting


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "--url", "http://127.0.0.1:9"], "error TN-1706: cannot reach http://127.0.0.1:9"),
        (["watch", "x", "--url", "http://127.0.0.1:9"], "error TN-1706: cannot reach"),
        (["watch", "--url", "http://127.0.0.1:9"], "error TN-1706: cannot reach"),
        (["list", "--url", "127.0.0.1"], "error TN-1104: "),
        (["list", "--url", "http://x", "--storage", "sqlite://"], "--storage or --url, not both"),
        (["list", "--key", "x"], "--key opens a host"),
        (["list", "--storage", "sqlite:///gone.db"], "error TN-1104: there is no store"),
        (["start", " "], "error TN-1100: an orchestrator needs a name"),
        (["start", "x", "--id", "a/b"], "error TN-1101: "),
        (["start", "x", "--input", "{"], "is not JSON"),
        (["start", "x", "--tag", "a"], "is no label; write key=value"),
        (["start", "x", "--tag", "a=1", "--tag", "a=2"], "label 'a' is given twice"),
        (["raise-event", "x", ""], "error TN-1100: an event needs a name"),
        (["terminate", "a/b"], "error TN-1101: "),
        (["purge"], "name instances by id, or by --status"),
        (["purge", "x", "--older-than", "1d"], "name instances by id, or by --status"),
        (["purge", "--older-than", "soon"], "is no length of time"),
        (["purge", "--older-than", "999999999999w"], "is no length of time"),
        (["purge", "--status", "Running"], "terminate them first, or purge them with force"),
    ],
)
def test_bad_input_is_refused_whole(
    capsys: pytest.CaptureFixture[str], folder: Path, arguments: list[str], message: str
) -> None:
    _, err = instances(capsys, *arguments, code=2)
    assert message in err
    assert "Traceback" not in err
    assert sorted(one.name for one in folder.iterdir()) == ["travel.py"], "nothing was made"


def test_another_program_behind_the_port_is_named_as_such(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
        assert found
        for arguments in (["list"], ["watch"], ["watch", "x"], ["start", "x"]):
            _, err = instances(capsys, *arguments, "--url", found[0], code=2)
            assert "error TN-1710: " in err
    finally:
        server.kill()
        server.communicate()


# --- without a host ----------------------------------------------------------------------------


@pytest.fixture
def store(folder: Path) -> Path:
    """With one instance that has ended and one that has not."""
    assert tenuto(folder, "run", "travel.py:quick", "--input", '"x"', "--id", "q-1").returncode == 0
    return folder


def test_without_a_host_requests_are_kept_and_carried_out_by_the_next(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    out, err = instances(capsys, "start", "trip", "--input", '"Oslo"', "--id", "t-1")
    assert out == "t-1\n"
    assert err == "the start is kept in the store; it happens when a host runs on it\n"
    _, err = instances(capsys, "raise-event", "t-1", "Approved", "--data", '"yes"')
    assert err == "it is kept in the store; it happens when a host runs on it\n"
    out, _ = instances(capsys, "suspend", "t-1", "--json")
    assert json.loads(out)["hostRuns"] is False
    instances(capsys, "raise-event", "t-1", "Ignored")
    done = tenuto(store, "run", "travel.py:quick", "--input", '"x"')
    assert done.returncode == 0
    assert status(capsys, "t-1")["runtimeStatus"] == "Suspended"


def test_an_id_that_must_give_way_is_refused_at_once_without_a_host(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    for arguments in (["start", "quick", "--id", "q-1"], ["restart", "q-1", "--same-id"]):
        _, err = instances(capsys, *arguments, code=2)
        assert err.startswith("error TN-1204: instance 'q-1' has ended (Completed)")
    _, err = instances(capsys, "restart", "nobody", code=2)
    assert err.startswith("error TN-1202: ")


def test_without_a_host_the_store_is_purged_all_the_same(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    instances(capsys, "start", "trip", "--id", "t-1")
    _, err = instances(capsys, "purge", "t-1", "--force", code=2)
    assert "only a host can end it" in err
    assert instances(capsys, "purge", "--older-than", "0s", "--yes")[0] == "purged 1 instance\n"
    found = json.loads(instances(capsys, "list", "--json")[0])
    assert [one["instanceId"] for one in found] == ["t-1"]
    done = tenuto(store, "run", "travel.py:quick", "--input", '"x"', "--id", "q-1")
    assert done.returncode == 0, "the store is as good as before"


def test_a_purge_asks_on_a_terminal(store: Path) -> None:
    for answer, code, said in (("n", 1, "nothing was deleted"), ("y", 0, "purged 1 instance")):
        master, slave = os.openpty()
        process = subprocess.Popen(
            [*TENUTO, "instances", "purge", "--status", "Completed"],
            cwd=store,
            env=environment(),
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.write(master, f"{answer}\n".encode())
        out, err = process.communicate()
        os.close(slave)
        os.close(master)
        assert process.returncode == code
        assert "Delete 1 instance from store sqlite:///tenuto.db?" in err
        assert said in out + err


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("start", "quick", "--id"), "'--id'"),
        (("start", "quick", "--tag", "key=value", "--tag"), "'--tag'"),
        (("start",), "'NAME'"),
        (("raise-event", "x"), "'EVENT'"),
        *(((verb, "x", "--reason"), "'--reason'") for verb in ("terminate", *controls)),
        (("list", "--name"), "'--name'"),
        (("list", "--prefix"), "'--prefix'"),
        (("show",), "'INSTANCE_ID'"),
        (("purge", "x"), "'[INSTANCE_IDS]...'"),
    ],
)
def test_bad_input_is_refused_whole_an_argument_that_is_not_utf8(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], option: str
) -> None:
    bad = "half=\udcff"  # as Python hands on the byte FF
    assert run_command_line(["instances", *arguments, bad]) == 2
    error = capsys.readouterr().err
    assert f"Invalid value for {option}: " in error
    assert "\\udcff' is not UTF-8" in error
    assert not (folder / "tenuto.db").exists()


def test_bad_input_is_refused_whole_a_dead_letter_that_is_not_utf8(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("redrive", "purge"):
        assert run_command_line(["dead-letters", command, "\udcff"]) == 2
        assert "is not UTF-8" in capsys.readouterr().err
    assert list(folder.glob("*.db")) == []


# --- questions ---------------------------------------------------------------------------------


def test_a_question_is_shown_and_answered(
    capsys: pytest.CaptureFixture[str], folder: Path, place: list[str]
) -> None:
    instances(capsys, "start", "asks", "--id", "q-1", *place)
    with Command(folder, "instances", "watch", "q-1", *place) as watching:
        watching.until("question 'Ship it?'")
        out, _ = instances(capsys, "show", "q-1", *place)
        assert re.search(r"waits for a person to answer 'Ship it\?' at http\S+/callbacks/q-1/", out)
        assert "tenuto instances answer q-1 ANSWER" in out
        _, err = instances(capsys, "answer", "q-1", "perhaps", *place, code=2)
        assert "Choose one of the answers: true, false. Answer with one of: true, false" in err
        out, _ = instances(capsys, "answer", "q-1", "yes", "--by", "ada", *place)
        assert out == "Ship it? Your answer: Yes\n"
        watching.until("question 'How?'")
        _, err = instances(capsys, "answer", "q-1", *place, code=2)
        assert "How? Answer with way=ship|train parcels=INTEGER fragile=true|false" in err
        for wrong, text in (
            (["way"], "'way' is no NAME=VALUE"),
            (["way=road", "parcels=1"], "way: Choose one of the answers: "),
            (["way=ship", "parcels=many"], "parcels: Enter a whole number."),
            (["--data", '{"way": "road"}'], "$.way does not fit"),
            (["way=ship", "--data", "{}"], "the answer or --data, not both"),
            (["way=ship", "--question", "Why?"], "does not ask 'Why?' now; it asks "),
        ):
            _, err = instances(capsys, "answer", "q-1", *wrong, *place, code=None)
            assert text in err
        out, _ = instances(capsys, "answer", "q-1", "way=Ship", "parcels=3", *place)
        assert "Way: Ship; Parcels: 3" in out
        watching.until("question 'When?'")
        out, _ = instances(
            capsys, "answer", "q-1", "2026-05-03", "--question", "When?", "--json", *place
        )
        given = {"instanceId": "q-1", "question": "When?", "answer": "2026-05-03"}
        assert json.loads(out) == given
        assert watching.end() == 0, watching.err
        assert watching.out.splitlines()[-1] == '[true,"ship",3,"2026-05-03"]'
    _, err = instances(capsys, "answer", "q-1", "yes", *place, code=None)
    assert re.search(r"'When\?' was answered on .+: Your answer: 2026-05-03", err)
    _, err = instances(capsys, "answer", "q-1", "yes", "--question", "Ship it?", *place, code=None)
    assert re.search(r"'Ship it\?' was answered on .+ by ada: Your answer: Yes", err)
    _, err = instances(capsys, "answer", "nobody", "yes", *place, code=None)
    assert "'nobody'" in err
    assert "asks" not in err


def test_a_terminal_asks_for_the_answer(
    capsys: pytest.CaptureFixture[str], folder: Path, place: list[str]
) -> None:
    instances(capsys, "start", "asks", "--id", "q-2", *place)
    with Command(folder, "instances", "watch", "q-2", *place) as watching:
        watching.until("question 'Ship it?'")
        with Terminal(folder, "instances", "answer", "q-2", *place) as asking:
            asking.until("Your answer")
            asking.type("no")
            assert asking.end() == 0
        watching.until("question 'How?'")
        with Terminal(folder, "instances", "answer", "q-2", *place) as asking:
            asking.until("Way")
            asking.type("Ship")
            asking.until("Parcels")
            asking.type("2")
            asking.until("Fragile")
            asking.type("y")
            assert asking.end() == 0
        watching.until("question 'When?'")
    instances(capsys, "terminate", "q-2", *place)


def test_what_becomes_of_an_answer_is_said(
    capsys: pytest.CaptureFixture[str], folder: Path, place: list[str]
) -> None:
    instances(capsys, "start", "asks", "--id", "q-4", *place)
    with Command(folder, "instances", "watch", "q-4", *place) as watching:
        watching.until("question 'Ship it?'")
        instances(capsys, "suspend", "q-4", *place)
        while status(capsys, "q-4", *place)["runtimeStatus"] != "Suspended":
            time.sleep(0.01)
        _, err = instances(capsys, "answer", "q-4", "yes", *place)
        assert "the answer is kept; the instance goes on with it when it is resumed" in err
        instances(capsys, "resume", "q-4", *place)
        watching.until("question 'How?'")
        _, err = instances(capsys, "answer", "q-4", "way=ship", "colour=red", *place, code=None)
        assert "'colour=red' is no NAME=VALUE of this question. Answer with way=" in err
        instances(capsys, "terminate", "q-4", *place)
        watching.end()
    _, err = instances(capsys, "answer", "q-4", "way=ship", *place, code=None)
    assert "'How?' is not asked any more: it was withdrawn without an answer" in err


def test_an_answer_that_comes_too_late_and_one_without_a_host_are_told_so(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    with Command(folder, "start", "travel.py", "--port", "0") as host:
        host.until("listening")
        instances(capsys, "start", "asks_briefly", "--id", "q-5")
        while status(capsys, "q-5")["customStatus"] != "late":
            time.sleep(0.01)
        _, err = instances(capsys, "answer", "q-5", "yes", "--question", "Now?", code=None)
        assert re.search(r"'Now\?' could be answered until .*; it is too late now", err)
    _, err = instances(capsys, "answer", "q-5", "yes")
    assert "the answer was handed to the store; it counts when a host runs on it" in err
    with Command(folder, "start", "travel.py", "--port", "0") as host:
        host.until("listening")
        while status(capsys, "q-5")["runtimeStatus"] != "Completed":
            time.sleep(0.01)


def test_of_several_questions_one_must_be_named(
    capsys: pytest.CaptureFixture[str], folder: Path, place: list[str]
) -> None:
    instances(capsys, "start", "asks_twice", "--id", "q-3", *place)
    with Command(folder, "instances", "watch", "q-3", *place) as watching:
        watching.until("question 'B?'")
        _, err = instances(capsys, "answer", "q-3", "yes", *place, code=2)
        assert "say which one with --question: 1 ('A?'), " in err
        instances(capsys, "answer", "q-3", "yes", "--question", "1", *place)
        instances(capsys, "answer", "q-3", "no", *place)
        assert watching.end() == 0
        assert watching.out.splitlines()[-1] == "[true,false]"
