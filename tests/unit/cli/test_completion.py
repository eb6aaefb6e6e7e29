"""Completion in a shell, by the protocol that the printed script speaks with the command."""

import shutil
import subprocess

import pytest

from tenuto.cli.command import run_command_line, tenuto


def completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> list[str]:
    monkeypatch.setenv("_TENUTO_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    with pytest.raises(SystemExit):
        tenuto.main([], prog_name="tenuto", standalone_mode=False)
    captured = capsys.readouterr()
    assert captured.err == ""
    return [line.partition(",")[2] for line in captured.out.splitlines()]


def test_commands_and_options_are_completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {"run", "start", "instances", "doctor"} <= set(completed(monkeypatch, capsys, "tenuto "))
    assert completed(monkeypatch, capsys, "tenuto ins") == ["instances"]
    assert completed(monkeypatch, capsys, "tenuto instances te") == ["terminate"]
    assert "--older-than" in completed(monkeypatch, capsys, "tenuto instances purge --")
    statuses = completed(monkeypatch, capsys, "tenuto instances list --status Comp")
    assert [word.lower() for word in statuses] == ["completed"]  # click 8.1 spells it as declared
    assert completed(monkeypatch, capsys, "tenuto completion z") == ["zsh"]


@pytest.mark.parametrize("words", ["run tra", "start tra", "doctor --app tra"])
def test_where_an_app_is_named_the_shell_offers_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    monkeypatch.setenv("_TENUTO_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"tenuto {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" "))))
    with pytest.raises(SystemExit):
        tenuto.main([], prog_name="tenuto", standalone_mode=False)
    assert capsys.readouterr().out == "file,tra\n"


def test_a_misspelled_command_in_front_does_not_disturb_the_shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    completed(monkeypatch, capsys, "tenuto inztances li")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed_and_is_one(
    capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    assert run_command_line(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_TENUTO_COMPLETE={shell}_complete" in script
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here to read it; `make system` installs it")
    checked = subprocess.run(
        [program, "-n"], input=script, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["completion", "tcsh"]) == 2
    assert "'tcsh' is not one of" in capsys.readouterr().err
