"""Turns of orchestrators: one call into the package each, with a kept executor and without."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tenuto.interop.workers.protocol import Failed, HeldEvent, Lost, Result, Turn, Turned
from tests.interop.node.node_worker import PACKAGES, copied_app, loaded_worker, written_app
from tests.interop.node.scripted_host import YEARS, ScriptedHost
from tests.support.worker_client import WorkerClient, raw

Event = dict[str, Any]


def event(kind: int, second: int = 0, **members: Any) -> Event:
    at = f"2026-01-01T00:00:{second:02}.0000000Z"
    return {"EventType": kind, "EventId": -1, "IsPlayed": False, "Timestamp": at, **members}


def start(given: object = None) -> dict[str, Any]:
    return {
        "input": given,
        "instanceId": "one",
        "parentInstanceId": "parent",
        "upperSchemaVersion": 1,
        "upperSchemaVersionNew": 3,
        "longRunningTimerIntervalDuration": YEARS,
        "maximumShortTimerDuration": YEARS,
        "defaultHttpAsyncRequestSleepTimeMillseconds": 30_000,
    }


FIRST = [event(12), event(0, Name="any", Version="1.5", Input="null")]


def completed(number: int, result: str = "null") -> list[Event]:
    second = number + 1
    return [event(12, second), event(5, second, TaskScheduledId=number, Result=result)]


def begun(worker: WorkerClient, function: str, key: int = 1, given: object = None) -> Turned:
    """The first turn."""
    turned = worker.turn(function, key, events=FIRST, history=FIRST, start=start(given))
    assert isinstance(turned, Turned), turned
    return turned


def actions(turned: Turned) -> list[tuple[int, str, Any]]:
    read = [json.loads(bytes(one)) for one in turned.actions]
    return [(one["actionType"], one["functionName"], one.get("input")) for one in read]


KEYS = range(1, 10)


@pytest.fixture(scope="module")
def shared_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerClient]:
    with loaded_worker(copied_app("turns", tmp_path_factory.mktemp("turns"))) as (worker, _):
        yield worker


@pytest.fixture(scope="module")
def shared_stateless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerClient]:
    app = copied_app("turns", tmp_path_factory.mktemp("turns"))
    with loaded_worker(app, keeps_executors=False) as (worker, _):
        yield worker


@pytest.fixture
def worker(shared_worker: WorkerClient) -> WorkerClient:
    """One that keeps executors, and has none."""
    return cleared(shared_worker)


@pytest.fixture
def stateless(shared_stateless: WorkerClient) -> WorkerClient:
    return cleared(shared_stateless)


@pytest.fixture(params=["kept", "stateless"])
def either(
    request: pytest.FixtureRequest, worker: WorkerClient, stateless: WorkerClient
) -> WorkerClient:
    return worker if request.param == "kept" else stateless


def cleared(worker: WorkerClient) -> WorkerClient:
    for key in KEYS:
        worker.forget(key)
    calls(worker)
    worker.logs.clear()
    return worker


def calls(worker: WorkerClient) -> list[int]:
    """How many events each call into the package went through, since this was asked before."""
    answer = worker.activity("executed", "trigger", None)
    assert isinstance(answer, Result)
    assert answer.value is not None
    return list(json.loads(answer.value.json or ""))


def lost(worker: WorkerClient, function: str, key: int, known: int = 1) -> bool:
    """Whether a turn finds no executor."""
    return isinstance(worker.turn(function, key, events=completed(0), known=known), Lost)


def test_each_turn_is_one_call_into_the_package_over_what_is_new(worker: WorkerClient) -> None:
    first = begun(worker, "twice")
    second = worker.turn("twice", 1, events=completed(0, '"a"'), known=1)
    third = worker.turn("twice", 1, events=completed(1, '"b"'), known=2)

    assert (first.first, actions(first), first.is_kept) == (0, [(0, "echo", 0)], True)
    assert isinstance(second, Turned)
    assert (second.first, actions(second), second.is_kept) == (1, [(0, "echo", 1)], True)
    assert isinstance(third, Turned)
    assert (third.first, third.actions, third.is_kept) == (2, [], False)
    assert (third.is_done, third.output) == (True, '["a","b"]')
    assert calls(worker) == [2, 2, 2]


def test_without_executors_each_turn_is_one_call_over_all_of_the_history(
    stateless: WorkerClient,
) -> None:
    history = [*FIRST]
    first = begun(stateless, "twice")
    history += completed(0, '"a"')
    second = stateless.turn("twice", 1, events=history[2:], history=history, start=start(), known=1)

    assert not first.is_kept
    assert isinstance(second, Turned)
    assert (second.first, actions(second)) == (0, [(0, "echo", 0), (0, "echo", 1)])
    assert not second.is_kept
    assert lost(stateless, "twice", 1, known=2)
    assert calls(stateless) == [2, 4]


def test_an_executor_made_from_history_goes_on_from_there(worker: WorkerClient) -> None:
    history = [*FIRST, *completed(0, '"a"')]

    turned = worker.turn("twice", 9, events=history[2:], history=history, start=start(), known=1)
    last = worker.turn("twice", 9, events=completed(1, '"b"'), known=2)

    assert isinstance(turned, Turned)
    assert turned.is_kept
    assert isinstance(last, Turned)
    assert last.output == '["a","b"]'
    assert calls(worker) == [4, 2]


def test_an_executor_that_is_not_there_is_lost(worker: WorkerClient) -> None:
    begun(worker, "twice", key=1)
    begun(worker, "twice", key=2)
    worker.forget(1)

    assert lost(worker, "twice", 1, known=1)
    assert lost(worker, "twice", 3)
    assert isinstance(worker.turn("twice", 2, events=completed(0), known=1), Turned)
    assert calls(worker) == [2, 2, 2]


def test_an_executor_that_knows_less_than_the_host_is_lost(worker: WorkerClient) -> None:
    begun(worker, "twice")

    assert lost(worker, "twice", 1, known=7)
    assert lost(worker, "twice", 1, known=1)


def test_a_compared_turn_says_where_executor_and_plain_call_part(worker: WorkerClient) -> None:
    begun(worker, "undecided")
    history = [*FIRST, *completed(0)]

    turned = worker.turn(
        "undecided",
        1,
        events=completed(0),
        history=history,
        start=start(),
        known=1,
        is_compared=True,
    )

    assert isinstance(turned, Turned)
    assert turned.difference is not None
    assert turned.difference.startswith('action 1: {"functionName":"echo')
    by_executor, by_call = turned.difference.split(" by the executor, ")
    assert by_executor.removeprefix("action 1: ") != by_call.removesuffix(" by the plain call")
    assert f'"functionName":"{actions(turned)[1][1]}"' in by_call
    assert not turned.is_kept
    assert lost(worker, "undecided", 1, known=2)


def test_a_compared_turn_says_which_actions_one_of_both_has_not(worker: WorkerClient) -> None:
    begun(worker, "more_and_more")
    history = [*FIRST, *completed(0)]
    given = {"history": history, "start": start(), "known": 1, "is_compared": True}

    turned = worker.turn("more_and_more", 1, events=completed(0), **given)

    assert isinstance(turned, Turned)
    assert turned.difference is not None
    assert ": nothing by the executor, {" in turned.difference


def test_a_compared_turn_without_a_difference_keeps_the_new_executor(worker: WorkerClient) -> None:
    begun(worker, "twice")
    history = [*FIRST, *completed(0)]
    given = {"history": history, "start": start(), "known": 1, "is_compared": True}

    turned = worker.turn("twice", 1, events=completed(0), **given)

    assert isinstance(turned, Turned)
    assert (turned.first, turned.difference, turned.is_kept) == (0, None, True)
    assert isinstance(worker.turn("twice", 1, events=completed(1), known=2), Turned)
    # Both ways, and the turn after it.
    assert calls(worker) == [2, 2, 4, 2]


def test_an_executor_that_fails_where_the_plain_call_does_not_is_a_difference(
    worker: WorkerClient,
) -> None:
    begun(worker, "twice")
    given = {"history": [*FIRST, *completed(0)], "start": start(), "is_compared": True}

    turned = worker.turn("twice", 1, events=completed(0, "{no JSON"), known=1, **given)

    assert isinstance(turned, Turned)
    assert turned.difference is not None
    assert turned.difference.startswith('isDone: "Expected property name')
    assert turned.difference.endswith("by the executor, false by the plain call")
    assert not turned.is_kept


def test_a_compared_turn_that_ends_in_an_error_is_compared_too(worker: WorkerClient) -> None:
    begun(worker, "throws", given="text")
    history = [*FIRST, *completed(0)]
    given = {"history": history, "start": start("text"), "known": 1, "is_compared": True}

    turned = worker.turn("throws", 1, events=completed(0), **given)

    assert isinstance(turned, Turned)
    assert (turned.error, turned.difference) == ("only a text", None)


def test_log_lines_of_kept_turns_have_their_invocation_and_tell_of_no_misuse(
    worker: WorkerClient,
) -> None:
    begun(worker, "logs")
    worker.turn("logs", 1, events=completed(0), known=1)
    worker.turn("logs", 1, events=completed(1), known=2)

    assert [(log.level, log.text, log.is_user) for log in worker.logs] == [
        ("information", "begins false turn", True),
        ("warning", "goes on false turn", True),
        ("information", "ends false turn", True),
    ]
    assert {(log.invocation, log.function) for log in worker.logs} == {("turn", "logs")}


def test_each_turn_of_a_kept_executor_has_an_invocation_of_its_own(worker: WorkerClient) -> None:
    begun(worker, "logs")
    events = [raw(one) for one in completed(0)]
    worker.send(Turn(id=99, function="logs", invocation="second", key=1, events=events, known=1))
    worker.receive()

    assert worker.logs[-1].text == "goes on false second"
    assert worker.logs[-1].invocation == "second"


def test_code_that_runs_for_the_first_time_is_no_replay(either: WorkerClient) -> None:
    before = begun(either, "again")
    second = second_turn(either, "again", before, completed(0))
    assert isinstance(second, Turned)
    history = [*FIRST, *completed(0), *completed(1)]
    whole: dict[str, Any] = {"history": history, "start": start()}
    more = {} if second.is_kept else whole

    last = either.turn("again", 1, events=completed(1), known=2, **more)

    assert isinstance(last, Turned)
    assert last.output == "false"


def test_an_older_package_is_told_what_was_played(tmp_path: Path) -> None:
    app = copied_app("turns", tmp_path)
    # The real package, with the number of a version that goes by the marks of events.
    modules = app / "node_modules"
    modules.unlink()
    modules.mkdir()
    for package in PACKAGES.iterdir():
        (modules / package.name).symlink_to(package)
    (modules / "durable-functions").unlink()
    shutil.copytree(PACKAGES / "durable-functions", modules / "durable-functions")
    version = modules / "durable-functions" / "package.json"
    version.write_text(version.read_text().replace('"version": "3.5.0"', '"version": "3.2.0"'))
    history = [*FIRST, *completed(0), *completed(1)]

    with loaded_worker(app, keeps_executors=False) as (worker, loaded):
        assert loaded.packages["durable-functions"] == "3.2.0"
        worker.turn("marks", 1, events=completed(1), history=history, start=start(), known=2)

        assert [log.text for log in worker.logs] == ["true true true true false false"]


def test_what_was_run_before_is_replay_whatever_the_host_marks(stateless: WorkerClient) -> None:
    history = [*FIRST, *completed(0), *completed(1)]
    for one in history:
        one["IsPlayed"] = True

    stateless.turn("logs", 1, events=completed(1), history=history, start=start(), known=2)

    assert [log.text.split()[-2] for log in stateless.logs] == ["true", "true", "false"]


def test_a_compared_turn_is_logged_once(worker: WorkerClient) -> None:
    begun(worker, "logs")
    worker.logs.clear()
    history = [*FIRST, *completed(0)]
    given = {"history": history, "start": start(), "known": 1, "is_compared": True}

    worker.turn("logs", 1, events=completed(0), **given)

    assert [log.text for log in worker.logs] == ["begins true turn", "goes on false turn"]


def test_a_kept_orchestrator_has_the_context_of_a_plain_one(
    worker: WorkerClient,
) -> None:
    begun(worker, "contextual")
    kept = worker.turn("contextual", 1, events=completed(0), known=1)
    history = [*FIRST, *completed(0)]
    plain = worker.turn("contextual", 2, events=history[2:], history=history, start=start())

    assert isinstance(kept, Turned)
    assert isinstance(plain, Turned)
    assert kept.output == plain.output
    assert json.loads(kept.output or "") == {
        "name": "InvocationContext",
        "functionName": "contextual",
        "invocationId": "turn",
        "trigger": "orchestrationTrigger",
        "isRetry": False,
        "extra": "function",
        "instance": "one",
        "parent": "parent",
        "version": "1.5",
        "now": "2026-01-01T00:00:01.000Z",
    }


def second_turn(
    worker: WorkerClient, function: str, before: Turned, events: list[Event], given: object = None
) -> Turned | Failed | Lost:
    """With what is new, and all of the history where no executor has stayed."""
    whole = {"history": [*FIRST, *events], "start": start(given)}
    return worker.turn(function, 1, events=events, known=1, **({} if before.is_kept else whole))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("text", "only a text"),
        ("empty", "RangeError"),
        ("object", '{"code":1}'),
        ("long", 'first\n\n$OutOfProcData$:{"isDone":true}'),
        ("number_as_message", "5"),
        ("object_as_message", '{"a":1}'),
        ("number_as_name", "Error"),
    ],
)
def test_whatever_an_orchestrator_throws_has_a_text(
    either: WorkerClient, given: str, error: str
) -> None:
    before = begun(either, "throws", given=given)
    turned = second_turn(either, "throws", before, completed(0), given=given)

    assert isinstance(turned, Turned)
    assert (turned.error, turned.output, turned.is_done) == (error, None, False)
    assert not turned.is_kept
    assert actions(turned) == ([] if before.is_kept else [(0, "echo", 1)])


def test_an_error_that_throws_when_it_is_asked_is_told_and_holds_up_nobody(
    either: WorkerClient,
) -> None:
    begun(either, "mute")
    events = completed(0)
    failed = either.turn("mute", 1, events=events, history=FIRST + events, start=start())
    assert isinstance(failed, Failed)
    assert failed.message.startswith("An error that cannot say what it is:")
    answer = either.activity("muted", "input", "1")
    assert isinstance(answer, Failed)
    assert answer.message == failed.message
    begun(either, "twice", 2)


def test_a_yield_of_something_else_is_an_error_of_the_orchestrator(worker: WorkerClient) -> None:
    error = begun(worker, "yields_text").error

    assert error is not None
    assert error.startswith("Durable Functions programming constraint violation")


def test_details_of_a_failure_go_through_an_orchestrator(either: WorkerClient) -> None:
    details = {"ErrorType": "OrderError", "ErrorMessage": "gone", "Properties": {"order": 7}}
    failure = {"TaskScheduledId": 0, "Reason": "r", "Details": "d", "FailureDetails": details}
    events = [event(12, 1), event(6, 1, **failure)]
    turned = second_turn(either, "rethrows", begun(either, "rethrows"), events)

    assert isinstance(turned, Turned)
    assert turned.error == "OrderError: gone"
    told = json.loads(turned.failure_details or "")
    assert {name: told[name] for name in details} == details


def test_custom_status_and_an_output_of_null_are_told(either: WorkerClient) -> None:
    assert begun(either, "status").custom_status == '"first"'
    history = [*FIRST, *completed(0), *completed(1)]
    turned = either.turn("status", 2, events=completed(1), history=history, start=start(), known=2)

    assert isinstance(turned, Turned)
    assert (turned.is_done, turned.output, turned.custom_status) == (True, "null", None)


def test_an_output_that_is_no_json_fails_the_turn(either: WorkerClient) -> None:
    failed = second_turn(either, "circular", begun(either, "circular"), completed(0))

    assert isinstance(failed, Failed)
    assert "circular" in failed.message
    assert lost(either, "circular", 1, known=1)


@pytest.mark.parametrize(
    "broken",
    [
        event(5, 1, TaskScheduledId=0, Result="{no JSON"),
        event(6, 1, TaskScheduledId=0, Reason="alone"),
    ],
)
def test_events_that_the_package_cannot_read_fail_the_turn(
    either: WorkerClient, broken: Event
) -> None:
    events = [event(12, 1), broken]

    failed = second_turn(either, "twice", begun(either, "twice"), events)

    assert isinstance(failed, Failed)
    assert lost(either, "twice", 1)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("no_contract", "The orchestrator has answered nothing that durable-functions would"),
        ("old_schema", "a schema of durable-functions that is too old"),
        ("gone", 'This app has no function "gone".'),
    ],
)
def test_what_is_no_orchestrator_fails_its_turn(
    worker: WorkerClient, function: str, said: str
) -> None:
    failed = worker.turn(function, 1, events=FIRST, history=FIRST, start=start())

    assert isinstance(failed, Failed)
    assert said in failed.message


def test_a_package_that_is_not_as_known_is_called_plainly_from_then_on(tmp_path: Path) -> None:
    with loaded_worker(copied_app("turns", tmp_path)) as (worker, _):
        plain = begun(worker, "as_text", key=1)
        after = begun(worker, "twice", key=2)
        failed = begun(worker, "fails_as_text", key=3)
        silent = begun(worker, "fails_without_a_word", key=4)

    assert (actions(plain), plain.is_kept) == ([(0, "echo", 1)], False)
    assert not after.is_kept
    assert (failed.error, failed.actions, failed.first) == ("sad", [], 0)
    assert silent.error == "Error"
    [log] = worker.logs
    assert log.level == "warning"
    assert log.text.startswith("This version of durable-functions is not as this worker knows it")


@contextmanager
def hooked(folder: Path) -> Iterator[WorkerClient]:
    with loaded_worker(copied_app("hooked", folder)) as (worker, _):
        yield worker


@pytest.mark.parametrize("function", ["instead", "afterwards"])
def test_an_answer_that_a_hook_gives_is_taken_and_ends_the_executor(
    tmp_path: Path, function: str
) -> None:
    with hooked(tmp_path) as worker:
        assert begun(worker, function).is_kept
        turned = worker.turn(function, 1, events=completed(0), known=1)

        assert isinstance(turned, Turned)
        assert (turned.is_done, turned.output) == (True, '"by a hook"')
        assert not turned.is_kept


def test_an_answer_that_a_hook_has_copied_keeps_no_executor(tmp_path: Path) -> None:
    with hooked(tmp_path) as worker:
        assert not begun(worker, "copied", key=1).is_kept
        assert begun(worker, "copied_later", key=2).is_kept
        turned = worker.turn("copied_later", 2, events=completed(0), known=1)

        assert isinstance(turned, Turned)
        assert (turned.first, actions(turned)) == (0, [(0, "echo", 1), (0, "echo", 2)])
        assert not turned.is_kept


def test_a_hook_that_fails_before_a_turn_ends_the_executor(tmp_path: Path) -> None:
    with hooked(tmp_path) as worker:
        begun(worker, "refused")
        failed = worker.turn("refused", 1, events=completed(0), known=1)

        assert isinstance(failed, Failed)
        assert failed.message == "no more turns"
        assert lost(worker, "refused", 1, known=1)


ORCHESTRATOR = """\
const df = require('durable-functions');
df.app.activity('echo_{0}', {{ handler: (value) => value }});
df.app.orchestration('{0}', function* (context) {{
    return [yield context.df.callActivity('echo_{0}', '{0}')];
}});
"""


def test_several_copies_of_the_package_live_side_by_side(tmp_path: Path) -> None:
    files = {
        "package.json": '{"main": "{outer,inner/inner}.js"}',
        "outer.js": ORCHESTRATOR.format("outer"),
        "inner/inner.js": ORCHESTRATOR.format("inner"),
    }
    written_app(tmp_path, files)
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    inner = tmp_path / "inner" / "node_modules" / "durable-functions"
    shutil.copytree(PACKAGES / "durable-functions", inner)

    with loaded_worker(tmp_path) as (worker, loaded):
        for name in ("outer", "inner"):
            ran = ScriptedHost(worker, loaded).run(name)
            assert ran.value == [name]
            assert ran.turns[0].is_kept


def test_an_es_module_has_kept_executors_too(tmp_path: Path) -> None:
    text = ORCHESTRATOR.format("one").replace(
        "const df = require('durable-functions');", "import * as df from 'durable-functions';"
    )
    written_app(tmp_path, {"package.json": '{"main": "app.mjs"}', "app.mjs": text})
    (tmp_path / "node_modules").symlink_to(PACKAGES)

    with loaded_worker(tmp_path) as (worker, loaded):
        ran = ScriptedHost(worker, loaded).run("one")

    assert ran.value == ["one"]
    assert ran.turns[0].is_kept


def test_half_a_surrogate_pair_does_not_end_the_worker(tmp_path: Path) -> None:
    text = """
        const df = require('durable-functions');
        df.app.orchestration('half', function* (context) {
            yield context.df.callActivity('work', ['a\\ud800', '\\\\ud800', '\\ud83d\\ude00']);
        });
        df.app.activity('work', { handler: () => null });
    """
    written_app(tmp_path, {"package.json": '{"main": "app.js"}', "app.js": text})
    (tmp_path / "node_modules").symlink_to(PACKAGES)

    with loaded_worker(tmp_path) as (worker, _):
        (action,) = actions(begun(worker, "half"))

    assert action == (0, "work", ["a\ufffd", "\\ud800", "\U0001f600"])


def test_events_that_came_early_are_fed_as_the_waits_spell_them(tmp_path: Path) -> None:
    text = """
        const df = require('durable-functions');
        df.app.orchestration('reads', function* (context) {
            const found = [];
            for (const name of ['Go', 'other', 'gO', 'never']) {
                found.push(yield context.df.waitForExternalEvent(name));
            }
            return found;
        });
    """
    written_app(tmp_path, {"package.json": '{"main": "app.js"}', "app.js": text})
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    held = [
        HeldEvent(name, raw(event(15, Name=name, Input=str(place))))
        for place, name in enumerate(("GO", "go", "OTHER", "unread"))
    ]

    with loaded_worker(tmp_path) as (worker, _):
        first = worker.turn("reads", 1, events=FIRST, history=FIRST, start=start(), held=held)
        last = event(15, 1, Name="never", Input="9")
        second = worker.turn("reads", 1, events=[event(12, 1), last], known=4)

    assert isinstance(first, Turned)
    assert list(first.fed) == [0, 2, 1]
    assert isinstance(second, Turned)
    assert second.output == "[0,2,1,9]"
