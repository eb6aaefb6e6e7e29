"""``make system``: silent when nothing is missing, clear when it cannot help, root or not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("a shell script", allow_module_level=True)

SCRIPT = Path(__file__).parents[2] / "tools" / "system.sh"


class Machine:
    """One whose commands are those in a folder, and whose list of packages is in a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "harp-strings"
        self._commands = folder / "commands"
        self._commands.mkdir()
        for name in ("sh", "cat", "dirname", "mktemp", "rm", "tail", "touch"):
            found = shutil.which(name)
            assert found is not None
            (self._commands / name).symlink_to(found)
        self.has("id", "echo 0")
        self._list = folder / "system.txt"
        self._list.write_text(
            f"# what for\n\nharp {self.file} it is tuned\nshell  sh\nlute lute it is played\n"
        )

    def has(self, command: str, program: str) -> None:
        path = self._commands / command
        path.write_text(f"#!/bin/sh\n{program}\n")
        path.chmod(0o755)

    def run(self, *options: str) -> tuple[int, str, str]:
        environment = {**os.environ, "PATH": str(self._commands), "SYSTEM_LIST": str(self._list)}
        done = subprocess.run(
            [str(SCRIPT), *options], env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_nothing_is_said_when_nothing_is_missing(
    machine: Machine, options: tuple[str, ...]
) -> None:
    machine.file.touch()
    machine.has("lute", "")
    assert machine.run(*options) == (0, "", "")


def test_the_check_says_what_is_missing_what_for_and_what_to_run(machine: Machine) -> None:
    machine.has("lute", "")
    code, out, err = machine.run("--check")
    assert (code, out) == (1, "")
    assert err == (
        "Tests need what is not on this machine:\n  harp: it is tuned\n"
        "Run `make system`, which installs it.\n"
    )


def test_what_is_missing_is_installed_by_root_without_a_question(machine: Machine) -> None:
    machine.has("lute", "")
    machine.has("apt-get", f'echo noise; echo "$1 $DEBIAN_FRONTEND" >&2; touch {machine.file}')
    assert machine.run() == (0, "installing harp\n", "")
    assert machine.run() == (0, "", "")


def test_who_is_not_root_is_told_the_command(machine: Machine) -> None:
    machine.has("apt-get", "exit 7")
    machine.has("id", "echo 1000")
    code, out, err = machine.run()
    assert (code, out) == (1, "")
    assert "  harp: it is tuned\n  lute: it is played\n" in err
    assert "sudo apt-get install --yes --no-install-recommends harp lute\n" in err


def test_without_apt_the_packages_are_named(machine: Machine) -> None:
    code, _, err = machine.run()
    assert code == 1
    assert "There is no apt-get here. Install what this system calls them: harp lute\n" in err


def test_an_installation_that_fails_says_why(machine: Machine) -> None:
    machine.has("apt-get", '[ "$1" = update ] || { echo "E: no space" >&2; exit 100; }')
    code, out, err = machine.run()
    assert (code, out) == (1, "installing harp lute\n")
    assert "E: no space\nThis has failed: apt-get install" in err
    machine.has("apt-get", "")
    code, _, err = machine.run()
    assert code == 1
    assert "still cannot be found" in err
