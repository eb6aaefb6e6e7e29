"""How a run is shown while it goes: a live picture, plain lines, one document."""

import json
from io import StringIO

import pytest
from msgspec import structs
from rich.console import Console

from tenuto.cli.picture.view import (
    DocumentView,
    Heading,
    LiveView,
    PlainView,
    ending_lines,
    view_for,
)
from tenuto.insight.steps import run_of
from tenuto.model.events import TaskCompleted, TaskScheduled
from tenuto.model.failure import FailureDetails
from tenuto.model.status import RuntimeStatus
from tests.support.runs import activities, at, completed, opening, record, running, turn

HEADING = Heading(
    storage="sqlite:///tenuto.db",
    is_default_storage=True,
    instance_id="trip-1",
    since=None,
)
CALL = opening(TaskScheduled(1, "book"))
DONE = completed(CALL, turn(2, TaskCompleted(1)))
FAILED = run_of(
    record(
        RuntimeStatus.FAILED,
        ended=4,
        failure=FailureDetails("ActivityError", "x", None, FailureDetails("SoldOut", "no seat")),
    ),
    [],
)


def screen(width: int = 80, height: int = 10, *, colour: bool = True) -> Console:
    return Console(
        file=StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system="standard" if colour else None,
        legacy_windows=False,
        _environ={},
    )


def written(output: Console) -> str:
    assert isinstance(output.file, StringIO)
    return output.file.getvalue()


def test_the_heading_names_store_and_instance() -> None:
    assert HEADING.lines() == [
        "store     sqlite:///tenuto.db (the default; --storage chooses another)",
        "instance  trip-1",
    ]
    chosen = structs.replace(HEADING, is_default_storage=False, since=at(0))
    store, instance = chosen.lines()
    assert store == "store     sqlite:///tenuto.db"
    assert instance.startswith("instance  trip-1 (there since 20")


# --- live --------------------------------------------------------------------------------------


def test_a_live_picture_moves_and_leaves_a_still_one_with_the_result() -> None:
    output = screen()
    view = LiveView(output)
    assert view.frame_seconds is not None
    view.begin(HEADING)
    view.show(running(CALL), at(1))
    moving = written(output)
    assert "book" in moving
    assert "Ctrl-C" in moving
    view.end(DONE, at(4))
    still = written(output)[len(moving) :]
    assert "✔" in still
    assert "completed in 4.0 s" in still
    assert '"done"' in still
    assert "\x1b[?25l" in moving, "the cursor is hidden while the picture moves"
    assert "\x1b[?25h" in still


def test_a_live_picture_never_grows_over_the_screen() -> None:
    output = screen(height=8)
    view = LiveView(output)
    view.begin(HEADING)
    before = len(written(output))
    run = activities(200, done=0)
    for index, step in enumerate(run.steps):
        step.name = f"step_{index}"
    view.show(run, at(1))
    frame = written(output)[before:]
    assert frame.count("\n") < 8
    assert "more lines" in frame
    view.pause()


def test_a_narrow_screen_has_no_bars() -> None:
    pictures = {}
    for width in (60, 100):
        output = screen(width=width)
        LiveView(output).end(DONE, at(4))
        pictures[width] = written(output)
    assert "━" in pictures[100]
    assert "━" not in pictures[60]


def test_a_picture_that_was_paused_stays_away() -> None:
    output = screen()
    view = LiveView(output)
    view.begin(HEADING)
    view.pause()
    before = written(output)
    view.show(running(CALL), at(1))
    view.pause()
    assert written(output) == before


def test_a_failure_is_shown_with_its_causes_instead_of_a_result() -> None:
    output = screen(colour=False)
    LiveView(output).end(FAILED, at(4))
    assert "failed after 4.0 s" in written(output)
    assert "SoldOut: no seat\n  led to ActivityError: x" in written(output)
    assert "null" not in written(output)


# --- plain and JSON ----------------------------------------------------------------------------


def test_plain_lines_end_with_the_result_on_one_line() -> None:
    said: list[str] = []
    view = PlainView(said.append)
    assert view.frame_seconds is None
    view.begin(HEADING)
    view.show(running(CALL), at(1))
    view.pause()
    view.end(DONE, at(4))
    assert said[2:] == [
        "        0 ms  started    book#1",
        "       2.0 s  completed  book#1  (2.0 s)",
        "completed in 4.0 s",
        '"done"',
    ]
    assert "\x1b" not in "".join(said)


def test_plain_lines_of_a_failure_have_no_result() -> None:
    said: list[str] = []
    PlainView(said.append).end(FAILED, at(4))
    assert said == ["failed after 4.0 s", "  SoldOut: no seat", "  led to ActivityError: x"]


def test_json_is_one_document_at_the_end() -> None:
    output = StringIO()
    view = DocumentView(output)
    view.begin(HEADING)
    view.show(running(CALL), at(1))
    view.pause()
    assert output.getvalue() == ""
    view.end(DONE, at(4))
    assert json.loads(output.getvalue())["output"] == "done"


@pytest.mark.parametrize(
    ("status", "output", "lines"),
    [
        (RuntimeStatus.COMPLETED, "1", ["completed in 4.0 s"]),
        (RuntimeStatus.TERMINATED, '"too late"', ["terminated after 4.0 s: too late"]),
        (RuntimeStatus.TERMINATED, '{"by":"Ada"}', ['terminated after 4.0 s: {"by":"Ada"}']),
        (RuntimeStatus.TERMINATED, None, ["terminated after 4.0 s"]),
        (RuntimeStatus.TERMINATED, '""', ["terminated after 4.0 s"]),
        (RuntimeStatus.TERMINATED, '" "', ["terminated after 4.0 s"]),
        (RuntimeStatus.FAILED, None, ["failed after 4.0 s"]),
    ],
)
def test_an_ending_says_how_and_after_how_long(
    status: RuntimeStatus, output: str | None, lines: list[str]
) -> None:
    assert ending_lines(record(status, ended=4, output=output)) == lines


def test_what_has_not_ended_has_no_ending() -> None:
    assert ending_lines(record()) == []


def test_without_a_terminal_there_is_no_live_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    output = StringIO()
    monkeypatch.setattr("sys.stdout", output)
    assert isinstance(view_for(json=False, output=output), PlainView)
    assert isinstance(view_for(json=True, output=output), DocumentView)
    monkeypatch.setattr(output, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(view_for(json=False, output=output), PlainView)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(view_for(json=False, output=output), LiveView)
