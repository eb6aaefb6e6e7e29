"""Nobody reads the internal names of Tenuto's own activities; machines keep getting them."""

import json
import logging
from collections.abc import Callable
from io import StringIO

import msgspec
import pytest
from rich.console import Console, RenderableType

from tenuto.cli.instances.documents import run_document
from tenuto.cli.picture.drawing import Sheet, draw
from tenuto.cli.picture.history import event_table, lines_of
from tenuto.cli.picture.items import item_of_run
from tenuto.cli.picture.progress import Progress
from tenuto.functions.activity_context import ActivityContext
from tenuto.insight.explanation import explain
from tenuto.insight.surroundings import Surroundings
from tenuto.model.built_in import HTTP_ACTIVITY, WEBHOOK_ACTIVITY
from tenuto.model.errors import ActivityError, ActivityTimeoutError
from tenuto.model.events import TaskScheduled
from tenuto.model.failure import FailureDetails, failure_of
from tenuto.orchestration.replay import describe
from tenuto.telemetry.text_log import TextFormatter
from tests.support.runs import at, opening, running

FAILURE = FailureDetails("ConnectError", "no route")
INPUTS = {
    HTTP_ACTIVITY: '{"method":"GET","url":"https://me:pw@x.org/a?key=1"}',
    WEBHOOK_ACTIVITY: '"scanned"',
}
PLAIN = {HTTP_ACTIVITY: "HTTP call", WEBHOOK_ACTIVITY: "webhook"}


def _scheduled(name: str) -> TaskScheduled:
    return TaskScheduled(1, name, INPUTS[name])


def _printed(picture: RenderableType) -> str:
    output = Console(file=StringIO(), width=300, color_system=None)
    with output.capture() as captured:
        output.print(picture)
    return captured.get()


def _tree(name: str) -> str:
    run = running(opening(_scheduled(name)))
    return _printed(draw(item_of_run(run), at(5), Sheet()))


def _history(name: str) -> str:
    written = _printed(event_table(lines_of([opening(_scheduled(name))])))
    return written.replace(INPUTS[name], "")


def _sentence(name: str) -> str:
    return explain(
        running(opening(_scheduled(name))), Surroundings(now=at(5), has_host=True)
    ).sentence


def _log(name: str) -> str:
    record = logging.makeLogRecord({"msg": "sent", "instance_id": "t-1", "activity": name})
    return TextFormatter().format(record)


PLACES: dict[str, Callable[[str], str]] = {
    "tree": _tree,
    "lines": lambda name: "\n".join(Progress().lines(running(opening(_scheduled(name))))),
    "history": _history,
    "sentence": _sentence,
    "error": lambda name: str(ActivityError(name, FAILURE)),
    "timeout": lambda name: str(ActivityTimeoutError(name, FAILURE)),
    "failure": lambda name: failure_of(ActivityError(name, FAILURE)).summary,
    "what holds an instance": lambda name: describe(_scheduled(name)),
    "context": lambda name: repr(ActivityContext(name)),
    "log": _log,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", PLAIN)
def test_people_read_plain_words(place: str, name: str) -> None:
    text = PLACES[place](name)
    assert PLAIN[name] in text
    assert "BuiltIn" not in text
    assert "key=1" not in text


def test_the_tree_says_where_a_call_goes() -> None:
    assert "HTTP call  GET https://x.org/a " in _tree(HTTP_ACTIVITY)


@pytest.mark.parametrize("name", PLAIN)
def test_machines_get_the_names_of_history(name: str) -> None:
    run = running(opening(_scheduled(name)))
    document = json.loads(msgspec.json.encode(run_document(run)))
    assert document["steps"][0]["name"] == name
    why = explain(run, Surroundings(now=at(5), has_host=True))
    assert f'"name":"{name}"'.encode() in msgspec.json.encode(why)
    assert ActivityError(name, FAILURE).function == name
