"""Histories that releases recorded replay with today's code, on every Python, for ever.

A failure here means that instances which wait in somebody's store would be stranded by an upgrade
(``replay_is_pure``). The histories are never edited; the code has to give way.
"""

import json
from pathlib import Path

import pytest

import tenuto
from tests.replay import programs_0_1
from tests.support.pythons import ask, other_pythons
from tests.support.recorded_histories import FOLDER, files, functions_of, replay_file


@pytest.mark.parametrize("path", files(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_replay_is_pure_for_what_a_release_recorded(path: Path) -> None:
    assert replay_file(path) > 0


def test_replay_is_pure_for_what_a_release_recorded_on_every_other_python() -> None:
    for python in other_pythons().values():
        assert ask(python, "recorded_histories.py", [str(path) for path in files()]) == {}


def test_this_release_has_recorded_all_its_programs() -> None:
    release = tenuto.__version__.rpartition(".")[0]
    assert {path.stem for path in (FOLDER / release).glob("*.json")} == set(programs_0_1.SCENARIOS)


def test_the_histories_of_a_release_show_every_function_and_every_kind_of_event() -> None:
    release = tenuto.__version__.rpartition(".")[0]
    paths = list((FOLDER / release).glob("*.json"))
    entries = [entry for path in paths for entry in json.loads(path.read_text())]
    names = {entry["instance"]["name"] for entry in entries}
    assert names == set(functions_of(paths[0]).orchestrators)
    kinds = {event["type"] for entry in entries for turn in entry["turns"] for event in turn}
    assert kinds == {
        "OrchestratorStarted",
        "ExecutionStarted",
        "TaskScheduled",
        "TaskCompleted",
        "TaskFailed",
        "SubOrchestrationInstanceCreated",
        "SubOrchestrationInstanceCompleted",
        "SubOrchestrationInstanceFailed",
        "TimerCreated",
        "TimerFired",
        "TaskCanceled",
        "EventAwaited",
        "EventTaken",
        "EventSent",
        "EventPublished",
        "MessageQueued",
        "TopicAwaited",
        "EventRaised",
        "ExecutionSuspended",
        "ExecutionResumed",
        "ExecutionTerminated",
        "ExecutionCompleted",
        "WebhookOpened",
    }


def test_a_changed_decision_is_noticed(tmp_path: Path) -> None:
    """The check itself can fail: here history is changed, in stores it would be the code."""
    folder = tmp_path / "0.1"
    folder.mkdir()
    text = (FOLDER / "0.1" / "deadlines.json").read_text()
    for old, new, error in (
        ('"name": "square"', '"name": "cube"', tenuto.NonDeterminismError),
        ('"input": "2"', '"input": "3"', AssertionError),
    ):
        path = folder / "deadlines.json"
        path.write_text(text.replace(old, new))
        assert path.read_text() != text
        with pytest.raises(error):
            replay_file(path)
