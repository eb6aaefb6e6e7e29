"""``tenuto instances show`` on terminals of all widths."""

from io import StringIO

import pytest
from rich.console import Console

from tenuto.cli import terminal
from tenuto.cli.instances import looking
from tenuto.model.events import TaskCompleted, TaskScheduled
from tests.support.runs import completed, opening, turn


@pytest.mark.parametrize("width", [30, 40, 69, 70, 200])
def test_what_was_done_can_be_read_however_narrow_the_terminal_is(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    def console(**_asked: object) -> Console:
        return Console(file=written, width=width, force_terminal=True, color_system=None)

    written = StringIO()
    monkeypatch.setattr(terminal, "console", console)
    monkeypatch.setattr("sys.stdout", written)
    looking._draw(completed(opening(TaskScheduled(1, "book")), turn(2, TaskCompleted(1))), None)
    lines = written.getvalue().splitlines()
    assert any("book_trip" in line for line in lines)
    assert any("✔ book " in line for line in lines)
    assert any("━" in line for line in lines) == (width >= 70)
