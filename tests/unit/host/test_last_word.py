"""The last word of a process: written by a fatal signal, read by the next host, gone otherwise."""

import faulthandler
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto import App, Host, StorageOwnedError
from tenuto.host.last_word import LastWord

CRASH = """
import ctypes, sys
from tenuto.host.last_word import LastWord
word = LastWord(sys.argv[1])
word.keep()
def deadly():
    ctypes.string_at(0)
deadly()
"""


@pytest.fixture(autouse=True)
def no_handler_of_pytest() -> Iterator[None]:
    """Pytest has one of its own, which would be left alone."""
    was_on = faulthandler.is_enabled()
    faulthandler.disable()
    yield
    faulthandler.disable()
    if was_on:
        faulthandler.enable(sys.__stderr__ or sys.stderr)


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'hub.db'}"


def test_a_fatal_signal_leaves_which_it_was_and_where(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    done = subprocess.run([sys.executable, "-c", CRASH, url], check=False, capture_output=True)
    assert done.returncode != 0
    text = LastWord(url).read()
    assert text is not None
    assert "Segmentation fault" in text
    assert "in deadly" in text
    assert len(text.splitlines()) <= 8
    file = tmp_path / "hub.db.crash"
    assert file.stat().st_mode & 0o777 == 0o600
    # The next one leaves its own.
    word = LastWord(url)
    word.keep()
    assert LastWord(url).read() is None
    word.drop()
    assert not file.exists()


def test_a_file_that_is_empty_or_not_there_is_no_word(tmp_path: Path) -> None:
    word = LastWord(url_of(tmp_path))
    assert word.read() is None
    (tmp_path / "hub.db.crash").write_bytes(b" \n")
    assert word.read() is None
    (tmp_path / "hub.db.crash").write_bytes(b"Fatal \xff\n" + b"x\n" * 100_000)
    text = word.read()
    assert text is not None
    assert text.startswith("Fatal")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", ":memory:", "postgres://host/db"])
def test_a_store_that_is_no_file_has_no_word(url: str) -> None:
    word = LastWord(url)
    word.keep()
    assert not faulthandler.is_enabled()
    assert word.read() is None
    word.drop()


def test_a_fault_handler_of_the_program_is_left_alone(tmp_path: Path) -> None:
    with (tmp_path / "own").open("w") as own:
        faulthandler.enable(own)
        word = LastWord(url_of(tmp_path))
        word.keep()
        assert list(tmp_path.glob("*.crash")) == []
        word.drop()
        assert faulthandler.is_enabled()
        faulthandler.disable()


def test_a_folder_that_cannot_be_written_costs_only_the_word(tmp_path: Path) -> None:
    word = LastWord(f"sqlite:///{tmp_path / 'nowhere' / 'hub.db'}")
    word.keep()
    assert not faulthandler.is_enabled()
    word.drop()


async def test_a_host_keeps_one_while_it_runs_and_none_when_it_has_stopped(tmp_path: Path) -> None:
    file = tmp_path / "hub.db.crash"
    for _ in range(2):
        async with Host(App(), url_of(tmp_path)):
            assert faulthandler.is_enabled()
            assert file.stat().st_mode & 0o777 == 0o600
            assert file.stat().st_size == 0
        assert not file.exists()
        assert not faulthandler.is_enabled()


async def test_a_second_host_that_is_refused_leaves_the_first_ones_word(tmp_path: Path) -> None:
    file = tmp_path / "hub.db.crash"
    async with Host(App(), url_of(tmp_path)):
        with pytest.raises(StorageOwnedError):
            await Host(App(), url_of(tmp_path)).start()
        assert file.exists()
        assert faulthandler.is_enabled()
