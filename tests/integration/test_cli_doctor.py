"""``tenuto doctor`` and ``tenuto dead-letters`` on real stores, with and without a host."""

import asyncio
import json
import os
import re
import signal
import sqlite3
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tenuto import App, Client, Context, Host
from tenuto.cli.command import run_command_line
from tests.support.terminal import Command, tenuto

if sys.platform == "win32":
    pytest.skip("signals and terminals of POSIX", allow_module_level=True)

APP = """
from datetime import timedelta
from tenuto import App, Context

app = App()


@app.orchestrator
async def quick(ctx: Context) -> None: ...


@app.orchestrator
async def trip(ctx: Context) -> str:
    return await ctx.wait_for_external_event("Approved", str)


@app.orchestrator
async def sleeps(ctx: Context) -> None:
    await ctx.create_timer(timedelta(hours=3))
"""

STORE = ("--storage", "sqlite:///tenuto.db")
"""Named, the store takes what the host that runs on it would refuse."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "travel.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TENUTO_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is silent is not waited for as long as people would wait."""
    monkeypatch.setattr("tenuto.cli.doctor._HEALTH_PATIENCE", timedelta(seconds=2))


def command(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    found = run_command_line(list(arguments))
    captured = capsys.readouterr()
    assert found == code, captured.out + captured.err
    return captured.out, captured.err


def ended(folder: Path, name: str) -> str:
    """Run an instance to its end, so that there is a store; its id."""
    assert tenuto(folder, "run", f"travel.py:{name}", "--id", f"{name}-1").returncode == 0
    return f"{name}-1"


def test_a_sound_store_without_a_host_is_healthy(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    ended(folder, "quick")
    before = (folder / "tenuto.db").read_bytes()
    out, _ = command(capsys, "doctor", "--full")
    assert "sound (full check)" in out
    assert "1 Completed" in out
    assert out.endswith("nothing is wrong\n")
    found = json.loads(command(capsys, "doctor", "--json")[0])
    assert found["healthy"] is True
    assert found["store"]["counts"] == {"Completed": 1}
    assert found["versions"]["tenuto"]
    assert (folder / "tenuto.db").read_bytes() == before, "it only reads"


def test_a_store_that_is_not_there_is_wrong_only_when_it_was_named(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    out, _ = command(capsys, "doctor")
    assert "there is no store" in out
    out, _ = command(capsys, "doctor", "--storage", "sqlite:///gone.db", code=1)
    assert "there is no store" in out
    assert [one.name for one in folder.iterdir()] == ["travel.py"]


def test_bad_settings_are_a_finding(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "tenuto.toml").write_text("sotrage = 1")
    out, _ = command(capsys, "doctor", code=1)
    assert "unknown setting sotrage" in out
    assert "did you mean storage?" in out


def test_damage_and_foreign_files_are_told_and_left_alone(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "text.db").write_text("no database at all, but long enough to be looked at" * 99)
    out, _ = command(capsys, "doctor", "--storage", "sqlite:///text.db", code=1)
    assert "TN-1602" in out
    with sqlite3.connect(folder / "other.db") as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    out, _ = command(capsys, "doctor", "--storage", "sqlite:///other.db", code=1)
    assert "is not a Tenuto store" in out
    ended(folder, "quick")
    path = folder / "tenuto.db"
    pages = bytearray(path.read_bytes())
    pages[4096 * 3 : 4096 * 12] = os.urandom(4096 * 9)
    path.write_bytes(pages)
    out, _ = command(capsys, "doctor", code=1)
    assert "damaged" in out or "TN-1602" in out


def test_each_instance_that_waits_says_what_for(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    with Command(folder, "start", "travel.py", "--port", "0") as host:
        host.until("listening")
        for name in ("trip", "sleeps"):
            command(capsys, "instances", "start", name, "--id", f"{name}-1")
        command(capsys, "instances", "start", "elsewhere", "--id", "lost", *STORE)
        while "Suspended" not in command(capsys, "instances", "show", "trip-1")[0]:
            run_command_line(["instances", "suspend", "trip-1"])
            capsys.readouterr()
        out, _ = command(capsys, "doctor", "--app", "travel.py", code=1)
        assert re.search(r"ok     owned by process \d+", out)
        assert "note   trip-1 (trip) suspended since" in out
        assert "-> tenuto instances resume trip-1" in out
        assert "note   sleeps-1 (sleeps) waits for a timer due at" in out
        assert "WRONG  lost (elsewhere) held since" in out
        assert "(not_served): no orchestrator named 'elsewhere' is registered" in out
        assert (
            "WRONG  travel.py would hold 1 of elsewhere (not_served): recorded orchestrator" in out
        )
        assert "2 wrong" in out
        out, err = command(capsys, "doctor", "--limit", "1", "--app", "travel.py", code=1)
        assert "2 more instances" in err
        _, err = command(capsys, "doctor", "--limit", "2", "--app", "travel.py", code=1)
        assert "1 more instance;" in err
        assert "WRONG  lost" in out, "what is wrong is kept"
        host.process.kill()
        host.end()
    out, _ = command(capsys, "doctor", code=1)
    assert "did not say goodbye" in out
    assert "WRONG  lost (elsewhere) held since" in out
    assert "no host runs" in out


def test_the_name_of_an_awaited_event_is_told_without_the_app(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    with Command(folder, "run", "travel.py:trip", "--id", "trip-1") as run:
        run.until("waiting")
        out, _ = command(capsys, "doctor")
        assert "waits for event 'Approved' since" in out
        assert "-> tenuto instances raise-event trip-1 Approved --data JSON" in out
        run.send(signal.SIGINT)
        assert run.end() == 130


def test_a_host_is_examined_over_http(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    with Command(folder, "start", "travel.py", "--port", "0") as host:
        host.until("listening")
        found = re.search(r"listening +(http://\S+)", host.out)
        assert found
        command(capsys, "instances", "start", "trip", "--id", "trip-1", "--url", found[1])
        out, _ = command(capsys, "doctor", "--url", found[1])
        assert f"{found[1]} is well" in out
        assert "trip-1 (trip)" in out
        command(capsys, "dead-letters", "list", "--url", found[1])
        host.send(signal.SIGTERM)
        host.end()
    out, _ = command(capsys, "doctor", "--url", found[1], code=1)
    assert "TN-1706" in out


# --- messages that nobody takes ----------------------------------------------------------------


def test_a_message_that_a_running_host_leaves_lying_is_wrong(
    capsys: pytest.CaptureFixture[str], folder: Path, impatient: None
) -> None:
    ended(folder, "quick")
    with Command(folder, "start", "travel.py", "--port", "0") as host:
        host.until("listening")
        command(capsys, "instances", "start", "trip", "--id", "trip-1")
        while "event" not in command(capsys, "instances", "show", "trip-1")[0]:
            pass
        host.send(signal.SIGSTOP)
        try:
            # Into the store: the host would be waited for.
            place = ("--storage", "sqlite:///tenuto.db")
            command(capsys, "instances", "raise-event", "trip-1", "Approved", *place)
            out, _ = command(capsys, "doctor", code=1)
            assert "1 message lies in its inbox" in out
        finally:
            host.send(signal.SIGCONT)
        host.send(signal.SIGTERM)
        host.end()


def test_a_host_that_is_there_and_does_not_answer_is_named_with_its_process(
    capsys: pytest.CaptureFixture[str], folder: Path, impatient: None
) -> None:
    (folder / "travel.py").write_text(
        APP
        + """
@app.activity
def computes() -> None:
    import ctypes, pathlib
    pathlib.Path("begun").touch()
    ctypes.PyDLL(None).sleep(3600)  # as C code that keeps Python's lock


@app.orchestrator
async def hangs(ctx: Context) -> None:
    await ctx.call_activity(computes)
"""
    )
    with Command(folder, "start", "travel.py", "--port", "0") as host:
        host.until("listening")
        command(capsys, "instances", "start", "hangs", "--storage", "sqlite:///tenuto.db")
        deadline = time.monotonic() + 60
        while not (folder / "begun").exists():
            assert time.monotonic() < deadline, host.err
            time.sleep(0.01)
        out, _ = command(capsys, "doctor", code=1)
        pid = host.process.pid
        assert f"has not answered for 2 s, though its process {pid} is there: it may be" in out
        assert f"`py-spy dump --pid {pid}` shows where" in out
        host.send(signal.SIGKILL)
        host.process.wait(30)


def test_a_host_without_http_that_takes_in_nothing_is_named_with_its_process(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    with Command(folder, "run", "travel.py:trip", "--id", "trip-1") as host:
        host.until("waiting")
        host.send(signal.SIGSTOP)
        try:
            command(capsys, "instances", "raise-event", "trip-1", "Approved", *STORE)
            out, _ = command(capsys, "doctor", *STORE, code=1)
            said = "the host has taken in nothing of what it was sent for 1.5 s, though its process"
            assert f"{said} {host.process.pid} is there" in out
        finally:
            host.send(signal.SIGCONT)
        host.send(signal.SIGKILL)
        host.process.wait(30)


def letters(folder: Path, data: str = "yes") -> str:
    """Make a dead letter for an instance ``later`` that is not there; the letter's id."""
    app = App()

    @app.orchestrator
    async def later(ctx: Context) -> str:
        return await ctx.wait_for_external_event("Approved", str)

    @app.orchestrator
    async def speaks(ctx: Context) -> None:
        ctx.send_event("later", "Approved", data)
        await ctx.create_timer(timedelta(milliseconds=1))

    async def make() -> str:
        async with Host(app, f"sqlite:///{folder}/tenuto.db") as host:
            before = len(await host.client.gateway.dead_letters())
            await (await host.client.start(speaks)).result()
            while len(await host.client.gateway.dead_letters()) == before:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.001)
            return (await host.client.gateway.dead_letters())[0].message_id

    return asyncio.run(make())


def test_a_dead_letter_is_read_driven_again_and_arrives(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """Promise no_silent_drop."""
    (folder / "later.py").write_text(APP.replace("def trip", "def later"))
    letter = letters(folder)
    out, _ = command(capsys, "doctor", code=1)
    assert "1 message that nobody could take" in out
    out, _ = command(capsys, "dead-letters", "list")
    assert out.startswith(f'{letter}\n  for       later\n  event     Approved "yes"\n')
    found: list[dict[str, Any]] = json.loads(command(capsys, "dead-letters", "list", "--json")[0])
    assert (found[0]["id"], found[0]["data"]) == (letter, "yes")
    _, err = command(capsys, "dead-letters", "redrive", letter, code=2)
    assert err.startswith("error TN-1202: instance 'later' does not exist")
    command(capsys, "instances", "start", "later", "--id", "later")
    out, err = command(capsys, "dead-letters", "redrive", letter)
    assert out == "sent to later again\n"
    assert "it happens when a host runs" in err
    done = tenuto(folder, "run", "later.py:later", "--id", "later")
    assert done.stdout.splitlines()[-1] == '"yes"'
    _, err = command(capsys, "dead-letters", "list")
    assert err == "no dead letters\n"
    _, err = command(capsys, "dead-letters", "redrive", letter, code=2)
    assert err == f"error TN-1100: there is no dead letter {letter!r}\n"


def test_dead_letters_are_driven_again_in_the_order_in_which_they_came(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    waits = 'await ctx.wait_for_external_event("Approved", str)'
    (folder / "later.py").write_text(
        APP.replace("def trip", "def later").replace(waits, " + ".join([f"({waits})"] * 4))
    )
    first, second, third, fourth = (letters(folder, data) for data in "1234")
    command(capsys, "instances", "start", "later", "--id", "later")
    named = ("dead-letters", "redrive", second, first)
    _, err = command(capsys, *named, "nobody", code=2)
    assert "there is no dead letter 'nobody'" in err
    out, _ = command(capsys, "dead-letters", "list", "--json")
    assert [one["id"] for one in json.loads(out)] == [fourth, third, second, first]
    out, _ = command(capsys, *named)
    assert out == "sent to later again\n" * 2
    out, _ = command(capsys, "dead-letters", "redrive", "--all", "--json")
    assert [one["id"] for one in json.loads(out)["redriven"]] == [third, fourth]
    done = tenuto(folder, "run", "later.py:later", "--id", "later")
    assert done.stdout.splitlines()[-1] == '"1234"'


def test_of_all_dead_letters_those_that_nobody_can_take_stay_and_are_told(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    letter = letters(folder)
    redrive = ("dead-letters", "redrive", "--all")
    out, err = command(capsys, *redrive, code=1)
    assert (out, err) == ("", f"{letter} stays: instance 'later' does not exist in this store\n")
    out, _ = command(capsys, *redrive, "--json", code=1)
    told = json.loads(out)
    assert (told["redriven"], [one["id"] for one in told["left"]]) == ([], [letter])
    assert command(capsys, "dead-letters", "purge", letter)[0] == "purged 1 dead letter\n"
    assert command(capsys, *redrive) == ("", "no dead letters\n")


def test_a_dead_letter_is_driven_again_beside_a_running_host(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "later.py").write_text(APP.replace("def trip", "def later"))
    letter = letters(folder)
    with Command(folder, "run", "later.py:later", "--id", "later") as run:
        run.until("waiting")
        out, _ = command(capsys, "dead-letters", "redrive", letter, "--json")
        assert json.loads(out)["hostRuns"] is True
        assert run.end() == 0
        assert run.out.splitlines()[-1] == '"yes"'


def test_a_dead_letter_to_an_instance_that_has_ended_stays(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "later.py").write_text(APP.replace("def trip", "def later"))
    letter = letters(folder)
    command(capsys, "instances", "start", "later", "--id", "later")

    async def end() -> None:
        async with Client.open(f"sqlite:///{folder}/tenuto.db") as client:
            await client.terminate("later")

    asyncio.run(end())
    assert tenuto(folder, "run", "later.py:later", "--id", "later").returncode == 1
    _, err = command(capsys, "dead-letters", "redrive", letter, code=2)
    assert err.startswith("error TN-1203: instance 'later' has already ended (Terminated)")
    assert json.loads(command(capsys, "dead-letters", "list", "--json")[0])[0]["id"] == letter


def test_doctor_is_content_with_letters_that_were_acknowledged(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    ended(folder, "quick")
    first = letters(folder)
    out, _ = command(capsys, "doctor", code=1)
    assert "redrive, purge or acknowledge them" in out
    command(capsys, "dead-letters", "acknowledge", code=2)
    command(capsys, "dead-letters", "acknowledge", first, "--all", code=2)
    assert command(capsys, "dead-letters", "acknowledge", "nobody")[0].startswith("acknowledged 0")
    out, _ = command(capsys, "dead-letters", "acknowledge", first)
    assert out == "acknowledged 1 dead letter\n"
    out, _ = command(capsys, "doctor")
    assert "1 message that nobody could take" in out
    assert "all were acknowledged" in out
    (letter,) = json.loads(command(capsys, "dead-letters", "list", "--json")[0])
    assert letter["acknowledgedTime"] is not None
    assert "  seen      20" in command(capsys, "dead-letters", "list")[0]
    letters(folder)
    out, _ = command(capsys, "doctor", code=1)
    assert "2 messages that nobody could take" in out
    assert "1 of them were acknowledged" in out
    found = json.loads(command(capsys, "dead-letters", "acknowledge", "--all", "--json")[0])
    assert found == {"acknowledged": 1}
    command(capsys, "doctor")


def test_doctor_is_content_with_a_host_whose_letters_were_acknowledged(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    letters(folder)
    with Command(folder, "start", "travel.py", "--port", "0") as host:
        host.until("listening")
        (url,) = re.findall(r"listening +(\S+)", host.out)
        out, _ = command(capsys, "doctor", "--url", url, code=1)
        assert "1 message that nobody could take" in out
        command(capsys, "dead-letters", "acknowledge", "--all")
        assert "all were acknowledged" in command(capsys, "doctor", "--url", url)[0]


def test_dead_letters_are_purged_by_id_or_all(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    letter = letters(folder)
    _, err = command(capsys, "dead-letters", "purge", code=2)
    assert "name dead letters by ID, or give --all" in err
    _, err = command(capsys, "dead-letters", "purge", "--all", code=2)
    assert "give --yes" in err
    assert command(capsys, "dead-letters", "purge", "other")[0] == "purged 0 dead letters\n"
    assert command(capsys, "dead-letters", "purge", letter)[0] == "purged 1 dead letter\n"
    letters(folder)
    out, _ = command(capsys, "dead-letters", "purge", "--all", "--yes", "--json")
    assert json.loads(out) == {"purged": 1}


def test_every_instance_that_is_stuck_is_found_however_many_wait(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one whose app is not here is the oldest of them, or the newest: on another page."""
    monkeypatch.setattr("tenuto.cli.doctor._PAGE", 3)
    ended(folder, "quick")
    for number in range(8):
        name = "gone" if number in {0, 7} else "trip"
        command(capsys, "instances", "start", name, "--id", f"i{number}")
    out, err = command(capsys, "doctor", "--app", "travel.py", code=1)
    assert "i0 (gone)" in out
    assert "i7 (gone)" in out
    assert "6 instances looked at; there are more" in err
