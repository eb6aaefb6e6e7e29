"""Source lines of running code: shown as long as the file says the same."""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import pytest

from tenuto.functions import source_lines
from tenuto.functions.source_lines import CHANGED, UNREADABLE, SourceFiles, shown_file
from tenuto.model.code_frames import SourceLine

CODE = "NUMBER = 1\n\n\ndef first():\n    return 'é'\n\n\ndef second():\n    return 2\n"

Loaded = Callable[[str], dict[str, CodeType]]


@pytest.fixture
def load(tmp_path: Path) -> Loaded:
    def loaded(text: str) -> dict[str, CodeType]:
        path = tmp_path / "shop.py"
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("shop", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return {name: getattr(module, name).__code__ for name in ("first", "second")}

    return loaded


def change(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    os.utime(path, (1, 1))  # a change within the grain of the clock is seen, too


def test_a_function_is_shown_from_its_first_line_to_its_last(load: Loaded) -> None:
    codes = load(CODE)
    assert SourceFiles().lines(codes["first"], 5) == (
        SourceLine(line=4, text="def first():"),
        SourceLine(line=5, text="    return 'é'"),
    )


def test_of_a_long_function_the_lines_around_are_shown(load: Loaded) -> None:
    body = "".join(f"    x = {number}\n" for number in range(200))
    codes = load(f"def first():\n{body}\n\ndef second():\n    pass\n")
    found = SourceFiles().lines(codes["first"], 100)
    assert not isinstance(found, str)
    assert (found[0].line, found[-1].line) == (80, 120)


def test_where_the_file_was_changed_the_lines_of_what_runs_are_not_those_of_the_file(
    load: Loaded, tmp_path: Path
) -> None:
    codes, files, path = load(CODE), SourceFiles(), tmp_path / "shop.py"
    assert not isinstance(files.lines(codes["second"], 9), str)
    change(path, CODE.replace("return 2", "return 3"))
    assert files.lines(codes["second"], 9) == CHANGED
    assert not isinstance(files.lines(codes["first"], 5), str), "it is the same still"
    change(path, f"\n{CODE}")
    assert files.lines(codes["first"], 5) == CHANGED
    change(path, "def first(:\n")
    assert files.lines(codes["first"], 5) == CHANGED


def test_what_has_no_file_or_a_huge_one_has_no_lines(load: Loaded, tmp_path: Path) -> None:
    files = SourceFiles()
    assert files.lines(compile("x = 1", "<typed in>", "exec"), 1) == UNREADABLE
    codes = load(CODE)
    change(tmp_path / "shop.py", CODE + "#" * 600_000)
    assert files.lines(codes["first"], 5) == "the file is too long to be shown"


def test_few_files_are_kept(load: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_lines, "_MOST_FILES", 0)
    codes, files = load(CODE), SourceFiles()
    assert not isinstance(files.lines(codes["first"], 5), str)
    assert not files._known


def test_a_file_is_named_from_where_its_import_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "site"
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), str(inner)])
    assert shown_file(str(inner / "shop" / "orders.py")) == "shop/orders.py"
    assert shown_file(str(tmp_path / "app.py")) == "app.py"
    assert shown_file("/elsewhere/deep/app.py") == "deep/app.py"
    assert shown_file("<typed in>") == "<typed in>"
