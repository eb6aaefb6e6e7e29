"""What an app hangs onto its life and its invocations, and the module its packages ask for."""

import json
from collections.abc import Iterator

import pytest

from tenuto.interop.workers.protocol import Datum, Failed, Loaded, Result
from tests.interop.node.node_worker import copied_app, loaded_worker
from tests.interop.node.scripted_host import ScriptedHost
from tests.support.worker_client import WorkerClient

App = tuple[WorkerClient, Loaded]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = copied_app("hooked", tmp_path_factory.mktemp("hooked"))
    with loaded_worker(folder) as loaded:
        yield loaded


def called(app: App, function: str, text: str) -> Result | Failed:
    worker, loaded = app
    facts = next(one for one in loaded.functions if one.name == function)
    return worker.activity(function, str(facts.trigger["name"]), text)


def value(app: App, function: str, text: str) -> Datum | None:
    answer = called(app, function, text)
    assert isinstance(answer, Result), answer
    return answer.value


def told(app: App, function: str, text: str) -> object:
    datum = value(app, function, text)
    assert datum is not None
    return json.loads(datum.json or "null")


@pytest.mark.parametrize(
    ("function", "given", "result"),
    [
        ("echo", "as it is", "as it is"),
        ("echo", "change", "changed"),
        ("echo", "replace", "replaced replace"),
        ("echo", "result", "another result"),
        ("thrower", "mend", "mended"),
    ],
)
def test_hooks_replace_inputs_handler_result_and_error(
    app: App, function: str, given: str, result: str
) -> None:
    assert value(app, function, given) == Datum(string=result)


@pytest.mark.parametrize(
    ("function", "given", "kind", "message"),
    [
        ("echo", "break", "TypeError", "broken by a hook"),
        ("thrower", "x", "Error", "thrown"),
        ("echo", "forbidden", "ReadOnlyError", "hookData"),
    ],
)
def test_an_error_that_hooks_leave_is_the_functions(
    app: App, function: str, given: str, kind: str, message: str
) -> None:
    answer = called(app, function, given)

    assert isinstance(answer, Failed)
    assert answer.error_type == kind
    assert message in answer.message


def test_hooks_run_in_their_order_and_share_their_data(app: App) -> None:
    told(app, "said", "")
    first = told(app, "counted", "")
    second = told(app, "counted", "")

    assert isinstance(first, int)
    assert second == first + 1
    assert told(app, "said", "") == [
        "after said",
        *2 * ["before counted", "after counted"],
        "before said",
    ]


def test_log_hooks_change_level_and_text(app: App) -> None:
    app[0].logs.clear()

    value(app, "logger", "twist")

    [log] = app[0].logs
    assert (log.level, log.text) == ("warning", "user twisted in logger")


def test_a_log_hook_that_fails_is_said_and_loses_nothing(app: App) -> None:
    app[0].logs.clear()

    value(app, "logger", "trip")

    said = [(log.level, log.text.split("\n", maxsplit=1)[0]) for log in app[0].logs]
    assert said == [
        ("error", "A log hook has failed: Error: tripped"),
        ("information", "trip"),
    ]


def test_a_log_hook_is_not_asked_about_what_it_says_itself(app: App) -> None:
    app[0].logs.clear()

    value(app, "logger", "again")

    assert [(log.level, log.text) for log in app[0].logs] == [
        ("debug", "again and again"),
        ("information", "again"),
    ]


def test_a_level_that_is_none_is_information(app: App) -> None:
    app[0].logs.clear()

    value(app, "system", "text")

    assert [(log.level, log.text, log.is_user) for log in app[0].logs] == [
        ("information", "text", False)
    ]


def test_the_core_module_is_there(app: App) -> None:
    answer = told(app, "core", "x")

    assert isinstance(answer, dict)
    assert answer.keys() == {"version", "hostVersion", "name"}
    assert answer["name"] == "@azure/functions"


@pytest.mark.parametrize(
    ("what", "name", "message"),
    [
        ("hook", "RangeError", 'Unrecognized hook "unheard"'),
        ("late", "Error", 'The function "late" comes too late'),
        ("dispose", "Error", "A function stays when its app has started."),
    ],
)
def test_what_the_core_module_refuses_is_marked_as_the_platforms(
    app: App, what: str, name: str, message: str
) -> None:
    answer = told(app, "core", what)

    assert isinstance(answer, dict)
    assert answer["name"] == name
    assert answer["isAzureFunctionsSystemError"] is True
    assert answer["message"].startswith(message)


def test_a_function_that_was_taken_back_is_not_there(app: App) -> None:
    names = [one.name for one in app[1].functions]

    assert "kept" in names
    assert "gone" not in names


@pytest.mark.parametrize("replays", [False, True])
def test_hooks_run_around_each_turn(app: App, replays: bool) -> None:
    told(app, "said", "")

    ran = ScriptedHost(*app, replays=replays).run("orchestrator", "x")

    turn = ["before orchestrator", "after orchestrator"]
    assert ran.value == ["x", 1, ["after said", *turn, "before echo", "after echo", turn[0]]]


@pytest.mark.parametrize("replays", [False, True])
def test_a_turn_that_fails_goes_past_the_hooks(app: App, replays: bool) -> None:
    assert ScriptedHost(*app, replays=replays).run("failing").error == "thrown"


@pytest.mark.parametrize("replays", [False, True])
def test_what_is_logged_in_a_turn_is_never_called_late(app: App, replays: bool) -> None:
    """Also by hooks, in the turns of an executor that was there before, and for held events."""
    app[0].logs.clear()
    host = ScriptedHost(*app, replays=replays, events=[("Go", "1")])

    turns = len(host.run("logging").turns)
    value(app, "echo", "when all of it was said")

    told = [log for log in app[0].logs if log.function == "logging"]
    said = [log.text.split(" of ")[0] for log in told if log.text != "too late"]
    assert turns >= 3
    assert said.count("before") == said.count("after") == turns
    warnings = [log.text for log in told if log.level == "warning"]
    late = [log.text for log in told if log.text == "too late"]
    assert len(warnings) == len(late), warnings


def test_the_end_has_its_hook(app: App, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = copied_app("hooked", tmp_path_factory.mktemp("ending"))
    with loaded_worker(folder) as (worker, _):
        assert worker.stop() == (0, "terminated true\n", "")
