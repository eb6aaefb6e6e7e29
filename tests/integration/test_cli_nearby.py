"""A folder's commands find the host that runs there, whichever store it has."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tenuto.cli.nearby import drop_old_notes
from tests.support.terminal import Command, Program, tenuto, tenuto_here

if sys.platform == "win32":
    pytest.skip("signals of POSIX", allow_module_level=True)

APP = """
from tenuto import App, Context

app = App()


@app.orchestrator
async def trip(ctx: Context) -> str:
    return await ctx.wait_for_external_event("Approved", str)
"""
OTHER = ("--storage", "sqlite:///other.db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "travel.py").write_text(APP)
    return tmp_path


def serving(folder: Path, *options: str) -> Command:
    host = Command(folder, "start", "travel.py", "--port", "0", *options)
    host.until("listening")
    return host


def test_commands_find_a_host_on_another_store(folder: Path) -> None:
    with serving(folder, *OTHER) as host:
        started = tenuto_here(folder, "instances", "start", "trip", "--id", "t-1")
        assert started.returncode == 0, started.stderr
        assert "store sqlite:///other.db, on which a host of this folder runs" in started.stderr
        listed = tenuto_here(folder, "instances", "list", "--json")
        assert [one["instanceId"] for one in json.loads(listed.stdout)] == ["t-1"]
        assert not (folder / "tenuto.db").exists()
        assert "other.db" in tenuto_here(folder, "doctor").stdout
        assert tenuto_here(folder, "backup", "copy.db").returncode == 0
        assert tenuto_here(folder, "dead-letters", "acknowledge", "--all").returncode == 0
        assert (folder / ".tenuto").stat().st_mode & 0o777 == 0o700
        host.send(signal.SIGTERM)
        assert host.end() == 0
    assert not (folder / ".tenuto").exists()
    gone = tenuto_here(folder, "instances", "list")
    assert "there is no store at" in gone.stderr


def test_what_is_chosen_is_not_overruled(folder: Path) -> None:
    assert tenuto(folder, "run", "travel.py:trip", "--id", "x", "--input", "1").returncode == 2
    with serving(folder), serving(folder, *OTHER):
        assert tenuto_here(folder, "instances", "start", "trip", "--id", "here").returncode == 0
        found = tenuto_here(folder, "instances", "list", *OTHER)
        assert "here" not in found.stdout, "the default store has a host, so it is meant"
    with serving(folder, *OTHER):
        chosen = tenuto_here(
            folder, "instances", "list", env={"TENUTO_STORAGE": "sqlite:///tenuto.db"}
        )
        assert "here" in chosen.stdout
        (folder / "tenuto.toml").write_text('storage = "sqlite:///tenuto.db"')
        assert "here" in tenuto_here(folder, "instances", "list").stdout


def test_several_hosts_are_told_apart_by_the_person(folder: Path) -> None:
    with serving(folder, *OTHER), serving(folder, "--storage", "sqlite:///third.db"):
        refused = tenuto_here(folder, "instances", "list")
        assert refused.returncode == 2
        assert "on sqlite:///other.db, sqlite:///third.db; choose one" in refused.stderr


def test_what_a_killed_host_has_left_is_not_believed(folder: Path) -> None:
    with serving(folder, *OTHER) as host:
        host.send(signal.SIGKILL)
        host.end()
    assert list((folder / ".tenuto").iterdir())
    assert "there is no store at" in tenuto_here(folder, "instances", "list").stderr
    for number, text in enumerate(("{", '{"storage": "postgres://x"}', '{"storage": 5}', "[]")):
        (folder / ".tenuto" / f"{number}.json").write_text(text)
    assert "there is no store at" in tenuto_here(folder, "instances", "list").stderr
    with serving(folder, *OTHER) as host:
        assert tenuto_here(folder, "instances", "list").returncode == 0
        assert len(list((folder / ".tenuto").iterdir())) == 1, "old ones are gone"


def test_the_note_of_another_host_on_a_hub_stays_though_its_password_is_not_known(
    folder: Path,
) -> None:
    notes = folder / ".tenuto"
    notes.mkdir()
    text = '{"storage": "postgresql://postgres@127.0.0.1:1/hub", "url": "http://127.0.0.1:7071"}'
    with Program(folder, "sleep", "60") as gone:
        gone.send(signal.SIGKILL)
        gone.end()
    for pid in (os.getpid(), gone.process.pid):
        (notes / f"{pid}.json").write_text(text)
    drop_old_notes(folder)
    assert [one.stem for one in notes.iterdir()] == [str(os.getpid())]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_note_of_another_user_is_not_believed(folder: Path) -> None:
    with serving(folder, *OTHER):
        (note,) = (folder / ".tenuto").iterdir()
        os.chown(note, 12345, 12345)
        assert "there is no store at" in tenuto_here(folder, "instances", "list").stderr


TYPED = """
from tenuto import App, Context

app = App()


@app.orchestrator
async def trip(ctx: Context, place: str) -> str:
    return await ctx.wait_for_external_event("paid", str)
"""


@pytest.mark.parametrize("options", [(), OTHER])
def test_the_host_of_a_folder_checks_what_is_asked_for_there(
    folder: Path, options: tuple[str, ...]
) -> None:
    (folder / "travel.py").write_text(TYPED)
    with serving(folder, *options):
        for wrong in (["trip", "--input", "5"], ["tripp", "--input", '"x"']):
            refused = tenuto_here(folder, "instances", "start", *wrong)
            assert refused.returncode != 0, refused.stdout
        started = tenuto_here(folder, "instances", "start", "trip", "--id", "c", "--input", '"x"')
        assert started.returncode == 0, started.stderr
        assert tenuto_here(
            folder, "instances", "raise-event", "c", "paid", "--data", "5"
        ).returncode
        assert not json.loads(tenuto_here(folder, "dead-letters", "list", "--json").stdout)
        chosen = options or ("--storage", "sqlite:///tenuto.db")
        kept = tenuto_here(
            folder, "instances", "raise-event", "c", "paid", "--data", '"x"', *chosen
        )
        assert "handed to store" in kept.stdout, "what is named is asked"


def test_a_host_that_asks_for_another_key_is_asked_through_its_store(folder: Path) -> None:
    key = "q7Hd2mXw9LrTz4Vb8NcKe3Ys"
    (folder / "tenuto.toml").write_text(f'[http.keys.ops]\nkey = "{key}"\nrole = "operate"\n')
    with serving(folder):
        start = ("instances", "start", "trip", "--json")
        through_store = json.loads(tenuto_here(folder, *start).stdout)
        assert "store" in through_store
        through_host = json.loads(tenuto_here(folder, *start, "--key", key).stdout)
        assert through_host["host"].startswith("http://127.0.0.1:")


def test_hosts_that_start_together_keep_each_others_notes(folder: Path) -> None:
    commands = [
        Command(folder, "start", "travel.py", "--port", "0", "--storage", f"sqlite:///{name}.db")
        for name in "abcd"
    ]
    for one in commands:
        one.until("listening")
    assert len(list((folder / ".tenuto").glob("*.json"))) == 4
    for one in commands:
        one.send(signal.SIGTERM)
        assert one.end() == 0
