"""The command line as a whole: help, misspellings, exit codes, one clear error each."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tenuto.cli.command import dead_letters, instances, run_command_line, tenuto
from tenuto.cli.group import GuessingGroup, LazyCommand
from tenuto.model.errors import (
    ConnectionFailedError,
    ForbiddenError,
    InstanceNotFoundError,
    InvalidInstanceIdError,
    LimitError,
    StorageOwnedError,
    UnauthorizedError,
)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run_command_line(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_lists_every_command_without_importing_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--help")
    assert (code, err) == (0, "")
    for name in ("start", "run", "instances", "dead-letters", "doctor", "config", "new"):
        assert f"\n  {name} " in out
    assert "..." not in out.partition("Commands:")[2], "no line is cut"
    code, out, _ = run(capsys, "instances", "-h")
    assert code == 0
    for name in ("list", "show", "history", "watch", "start", "raise-event", "purge"):
        assert f"\n  {name} " in out


def test_help_loads_neither_the_commands_nor_what_draws() -> None:
    script = (
        "import sys\n"
        "from tenuto.cli.command import run_command_line\n"
        "run_command_line(['--help'])\n"
        "lazy = ('rich', 'httpx2', 'starlette', 'tenuto.cli.running.run', "
        "'tenuto.cli.instances.looking', 'tenuto.cli.picture.view')\n"
        "print([name for name in lazy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("group", [tenuto, instances, dead_letters])
def test_every_listed_command_exists_and_has_help(group: GuessingGroup) -> None:
    for name, stub in group.commands.items():
        command = stub.load() if isinstance(stub, LazyCommand) else stub
        assert command.name == name
        assert command.help


def test_python_m_tenuto_is_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tenuto", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "tenuto 0.1.0\n")


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["instances"], ["dead-letters"]):
        code, out, err = run(capsys, *arguments)
        assert (code, err) == (2, "")
        assert out.startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "no command 'rnu'; did you mean 'run'?"),
        (["zzz"], "no command 'zzz'; there are start, serve-on-demand, run, instances"),
        (["instances", "sohw"], "no command 'sohw'; did you mean 'show'?"),
        (["run", "x.py", "--inptu", "1"], "No such option"),
        (["run", "x.py", "--inptu", "1"], "--input"),
        (["--vresion"], "--version"),
        (["run"], "Missing argument 'TARGET'"),
        (["run", "x.py", "y.py"], "unexpected extra argument"),
        (["run", "x.py", "--input", "nope"], "is not JSON"),
        (["instances", "list", "--status", "gone"], "'gone' is not one of"),
        (["instances", "list", "--limit", "0"], "--limit"),
        (["instances", "list", "--since", "gone"], "is no moment"),
        (["completion"], "Choose from: bash, zsh, fish"),
    ],
)
def test_bad_input_is_refused_whole_by_one_clear_error(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    first, second = err.splitlines()
    assert first.startswith("error: ")
    assert second.startswith("see `")
    assert second.endswith("--help`")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInstanceIdError("a/b", "no"), 2),
        (LimitError("too long"), 2),
        (InstanceNotFoundError("trip-1"), 2),
        (ConnectionFailedError("nobody answers"), 2),
        (StorageOwnedError("owned by somebody"), 1),
    ],
)
def test_each_error_of_ours_is_one_message_with_its_code(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: int,
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(tenuto, "main", fail)
    found, out, err = run(capsys)
    assert (found, out) == (code, "")
    assert err == f"error {getattr(error, 'code', '')}: {error}\n"


@pytest.mark.parametrize("error", [UnauthorizedError("no key"), ForbiddenError("too low a role")])
def test_who_needs_a_key_is_told_how_to_give_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(tenuto, "main", fail)
    _, _, err = run(capsys)
    assert str(error) in err
    assert "--key" in err
    assert "TENUTO_HTTP_KEY" in err


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, click.Abort])
def test_an_interruption_ends_quietly(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    interruption: type[BaseException],
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise interruption

    monkeypatch.setattr(tenuto, "main", fail)
    assert run(capsys) == (130, "", "")


def test_a_defect_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tenuto, "main", fail)
    with pytest.raises(ZeroDivisionError):
        run_command_line([])


def closed_standard_output() -> None:
    os.close(1)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX streams")
def test_a_closed_standard_output_is_no_defect() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tenuto", "config"],
        stderr=subprocess.PIPE,
        preexec_fn=closed_standard_output,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize("arguments", [["--help"], ["config"], ["config", "--json"]])
def test_a_full_disk_is_one_clear_error(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tenuto", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.stderr == b"error: cannot write: No space left on device\n"
    assert done.returncode == 1


def test_a_reader_that_goes_away_is_no_defect() -> None:
    script = (
        "import sys\n"
        "from tenuto.cli.command import run_command_line\n"
        "sys.stdin.read()\n"
        "sys.exit(run_command_line(['--help']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(b"")
    assert process.returncode != 0
    assert err == b""
