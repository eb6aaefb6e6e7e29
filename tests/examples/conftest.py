"""Runs an example on virtual time, in a folder of its own.

Each test runs twice, with live sessions and with everything replayed after each commit; at its end
all histories must obey the invariants and replay to the same decisions.
"""

from pathlib import Path

import pytest

from tests.integration.conftest import mode, open_host, unreplayable

__all__ = ["mode", "open_host", "unreplayable"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the example, empty at first."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def answers_that_get_lost(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Who writes a file for the first time fails afterwards, as when the power goes just then.

    Gives the names of these files.
    """
    lost: set[str] = set()
    write_text = Path.write_text

    def write_and_fail(self: Path, data: str, encoding: str | None = None) -> int:
        written = write_text(self, data, encoding)
        if self.name not in lost:
            lost.add(self.name)
            raise OSError("the power went")
        return written

    monkeypatch.setattr(Path, "write_text", write_and_fail)
    return lost
