"""Turns in detail: what an orchestrator sees, what the host is told, what is kept."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tenuto.interop.workers.protocol import Failed, Forget, Loaded, Lost, Result, Turned
from tests.interop.azure_functions.conftest import Start, Write, write_app
from tests.interop.azure_functions.scripted_host import Execution, ScriptedHost, Way
from tests.support.worker_client import WorkerClient

APP = """
import sys
import azure.durable_functions as df
app = df.DFApp()

@app.activity_trigger(input_name="value")
def echo(value): return value

def orchestrator(function):
    return app.orchestration_trigger(context_name="context")(function)

@orchestrator
def sees(context):
    steps = []
    def look():
        steps.append(1)
        context.set_custom_status({
            "step": len(steps),
            "now": str(context.current_utc_datetime), "replaying": context.is_replaying,
            "played": [one.is_played for one in context.histories], "guid": str(context.new_guid()),
        })
    a, b, c = (context.call_activity("echo", one) for one in "abc")
    either = context.task_any([a, b])
    look()
    yield either
    look()
    yield c
    look()
    yield b
    look()
    yield context.wait_for_external_event("go")
    look()
    return 1

@orchestrator
def remembers(context):
    flags = []
    for number in range(2):
        flags.append(context.is_replaying)
        yield context.call_activity("echo", number)
    return flags

@orchestrator
def shares(context):
    a, b, c = (context.call_activity("echo", one) for one in "abc")
    either, both = context.task_any([a, c]), context.task_all([a, b])
    first = yield either
    values = yield both
    return [first.result, values]

@orchestrator
def waits(context):
    try:
        for number in range(9):
            context.set_custom_status(number)
            yield context.call_activity("echo", number)
    finally:
        print("left", flush=True)
        if context.get_input() == "loud":
            raise RuntimeError("nobody hears this")

@orchestrator
def unreadable(context):
    context.set_custom_status(object())
    yield context.call_activity("echo", 1)

@orchestrator
def unwritable(context):
    yield context.call_activity("echo", 1)
    return {1, 2}

@orchestrator
def silent(context):
    yield context.call_activity("echo", 1)
    raise KeyError

@orchestrator
def at_once(context):
    raise ValueError("at once")

@orchestrator
def takes_nothing():
    yield

@orchestrator
def chooses(context):
    yield context.call_activity("echo", 1)
    yield context.call_sub_orchestrator("waits", None, context.new_guid())

@orchestrator
def chooses_and_ends(context):
    yield context.call_activity("echo", 1)
    yield context.task_any([
        context.call_activity("echo", 2),
        context.call_sub_orchestrator("waits", None, context.new_guid()),
    ])

@orchestrator
def endless(context):
    yield context.call_activity("echo", 1)
    options = df.RetryOptions(float("nan"), 3)
    yield context.call_activity_with_retry("echo", options, 1)

@orchestrator
def clings(context):
    try:
        while True:
            yield context.call_activity("echo", 1)
    finally:
        sys.exit(5)

class Mute(BaseException):
    def __str__(self): raise SystemExit(6)

@orchestrator
def mute(context):
    yield context.call_activity("echo", 1)
    raise Mute

@orchestrator
def exits(context):
    sys.exit(4)
    yield

class Money:
    def __init__(self, amount): self.amount = amount
    def to_json(self): return {"amount": self.amount}
    @staticmethod
    def from_json(data): return Money(data["amount"])

@app.orchestration_trigger(context_name="anything", input_type=Money)
def typed(anything):
    given = anything.get_input()
    return [type(given).__name__, given.amount]
"""

DIFFERENT = """
from azure.durable_functions import DurableOrchestrationContext
{change}
"""
# Ways in which the classes of another version may differ.
CHANGES = {
    "an executor that does not go on": """
        DurableOrchestrationContext.histories = property(lambda self: tuple(self._histories))
        """,
    "a context without actions": """
        from azure.durable_functions.models.OrchestratorState import OrchestratorState
        original = OrchestratorState.__init__
        def initialize(self, actions, **rest): original(self, actions=actions[0], **rest)
        OrchestratorState.__init__ = initialize
        actions = DurableOrchestrationContext._actions.fget
        DurableOrchestrationContext._actions = property(lambda self: (actions(self), "more"))
        """,
}


def ready(client: WorkerClient, root: Path, **options: Any) -> Loaded:
    loaded = client.load(root, **options)
    assert isinstance(loaded, Loaded), loaded
    return loaded


@pytest.fixture(scope="module")
def app(
    start_shared: Start, tmp_path_factory: pytest.TempPathFactory
) -> tuple[WorkerClient, Loaded]:
    """A worker with the app, for all tests that leave it as it was."""
    client = start_shared()
    root = write_app(tmp_path_factory.mktemp("app") / "app", {"function_app.py": APP})
    return client, ready(client, root)


@pytest.fixture
def root(write: Write) -> Path:
    return write({"function_app.py": APP})


class Noting(ScriptedHost):
    """Writes down the status when the orchestrator has come a step further."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.statuses: dict[int, Any] = {}

    def watch(self, execution: Execution, events: Sequence[Any], answer: Turned) -> None:
        status = json.loads(answer.custom_status or "null")
        self.statuses.setdefault(status["step"], status)


def test_an_orchestrator_sees_the_same_as_in_a_replay(start: Start, root: Path) -> None:
    """Even where it awaits what has completed turns ago, which the package takes for replay."""
    client = start()
    loaded = ready(client, root)
    seen = []
    for way in (Way(one_by_one=True), Way(sends_history=True, one_by_one=True)):
        host = Noting(client, loaded, way)
        assert host.run("sees", events=[(5.0, "go", 1)]).output == 1
        seen.append(host.statuses)
    kept, stateless = seen
    assert kept == stateless
    assert [one["replaying"] for one in kept.values()] == [False, False, True, False]
    assert kept[5]["played"] == [True] * 8 + [False] * 2


def test_a_difference_between_both_ways_is_told(app: tuple[WorkerClient, Loaded]) -> None:
    """An orchestrator that keeps what a replay would give it anew."""
    client, loaded = app
    host = ScriptedHost(client, loaded, Way(is_compared=True))
    outcome = host.run("remembers")
    assert outcome.output == [True, True]
    assert outcome.differences == [
        'output: the executor has "[true, false]", the stateless call "[true, true]"'
    ]
    host = ScriptedHost(client, host.loaded, Way(is_compared=True))
    assert host.run("waits").differences == []


@pytest.mark.parametrize("sends_history", [False, True])
def test_a_task_of_two_compound_tasks_is_counted_once(
    app: tuple[WorkerClient, Loaded], *, sends_history: bool
) -> None:
    client, loaded = app
    host = ScriptedHost(client, loaded, Way(sends_history=sends_history, one_by_one=True))
    outcome = host.run("shares")
    assert (outcome.output, outcome.numbers) == (["c", ["a", "b"]], 3)


def begin(host: ScriptedHost, name: str, given: str | None = None) -> tuple[Execution, Turned]:
    """The first turn of an execution."""
    execution = Execution(host, name, given, "i1", None, "e1", 0.0)
    return execution, execution.turn([])


def test_an_executor_goes_when_its_session_is_closed(start: Start, root: Path) -> None:
    client = start()
    host = ScriptedHost(client, ready(client, root), Way())
    execution, answer = begin(host, "waits", '"loud"')
    assert answer.is_kept
    client.forget(execution.key)
    events = [execution.event(12)]
    assert isinstance(client.turn("waits", execution.key, events=events), Lost)
    # What the orchestrator has to say when it is left, it says then.
    assert client.stop() == (0, "left\n", "")


def test_a_key_of_another_orchestrator_is_lost(app: tuple[WorkerClient, Loaded]) -> None:
    client, loaded = app
    host = ScriptedHost(client, loaded, Way())
    execution, _ = begin(host, "waits")
    events = [execution.event(12)]
    assert isinstance(client.turn("sees", execution.key, events=events), Lost)
    assert isinstance(client.turn("waits", execution.key, events=events), Turned)


def test_a_history_begins_anew(app: tuple[WorkerClient, Loaded]) -> None:
    client, loaded = app
    host = ScriptedHost(client, loaded, Way())
    execution, answer = begin(host, "waits")
    again = client.turn(
        "waits", execution.key, events=[], history=execution.history, start=execution.start
    )
    assert isinstance(again, Turned)
    assert actions(again) == actions(answer)
    assert again.is_kept
    assert execution.turn([("done", 0, "0")]).first == 1


def test_what_the_host_does_not_know_is_said_again(app: tuple[WorkerClient, Loaded]) -> None:
    client, loaded = app
    host = ScriptedHost(client, loaded, Way())
    execution, _ = begin(host, "waits")
    events = [execution.event(12), execution.event(5, TaskScheduledId=0, Result="0")]
    answer = client.turn("waits", execution.key, events=events, known=0)
    assert isinstance(answer, Turned)
    assert (answer.first, [one["input"] for one in actions(answer)]) == (0, ["0", "1"])
    answer = client.turn("waits", execution.key, events=[execution.event(12)], known=9)
    assert isinstance(answer, Turned)
    assert (answer.first, actions(answer)) == (2, [])


def actions(answer: Turned) -> list[Any]:
    return [msgspec.json.decode(one) for one in answer.actions]


def test_nothing_is_kept_unless_it_is_asked_for(start: Start, root: Path) -> None:
    client = start()
    host = ScriptedHost(client, ready(client, root, keeps_executors=False), Way(sends_history=True))
    assert host.run("waits").turns == 10
    assert not any(answer.is_kept for _, answer in host.turns_seen)


def test_an_orchestrator_that_is_over_is_not_kept(app: tuple[WorkerClient, Loaded]) -> None:
    client, loaded = app
    host = ScriptedHost(client, loaded, Way())
    host.run("remembers")
    (events, last) = host.turns_seen[-1]
    assert (last.is_done, last.is_kept) == (True, False)
    assert isinstance(client.turn("remembers", 1, events=events), Lost)


@pytest.mark.parametrize("sends_history", [False, True])
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("unwritable", "Object of type set is not JSON serializable"),
        ("silent", "<class 'KeyError'>"),
        ("at_once", "at once"),
        ("takes_nothing", "takes_nothing() takes 0 positional arguments but 1 was given"),
    ],
)
def test_an_orchestrator_that_fails_says_why(
    app: tuple[WorkerClient, Loaded], name: str, error: str, *, sends_history: bool
) -> None:
    client, loaded = app
    host = ScriptedHost(client, loaded, Way(sends_history=sends_history))
    outcome = host.run(name)
    assert (outcome.output, outcome.error) == (None, error)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("unreadable", "TypeError", "object"),
        ("exits", "SystemExit", "4"),
        ("echo", "LookupError", "function 'echo' is no orchestrator"),
        ("nowhere", "LookupError", "the app has no function 'nowhere'"),
    ],
)
def test_a_turn_that_cannot_be_run_has_failed(
    app: tuple[WorkerClient, Loaded], name: str, kind: str, message: str
) -> None:
    client, loaded = app
    host = ScriptedHost(client, loaded, Way())
    execution = Execution(host, name, None, "i1", None, "e1", 0.0)
    history = [execution.event(12), execution.started()]
    failed = client.turn(name, 1, events=history, history=history, start=execution.start)
    assert isinstance(failed, Failed)
    assert failed.error_type == kind
    assert message in failed.message
    # And the worker goes on.
    assert host.run("remembers").error is None


@pytest.mark.parametrize("name", ["chooses", "chooses_and_ends"])
@pytest.mark.parametrize("sends_history", [False, True])
def test_what_the_package_cannot_write_fails_its_orchestrator_alone(
    app: tuple[WorkerClient, Loaded], name: str, *, sends_history: bool
) -> None:
    """With the words of the package, whether it was asked for all or for what is new."""
    client, loaded = app
    host = ScriptedHost(client, loaded, Way())
    execution, _ = begin(host, name)
    events = [execution.event(12), execution.event(5, TaskScheduledId=0, Result="1")]
    history = [*execution.history, *events]
    given = {"history": history, "start": execution.start} if sends_history else {}
    failed = client.turn(name, execution.key, events=events, **given)
    assert isinstance(failed, Failed)
    assert failed.error_type == "TypeError"
    assert failed.message == "class <class 'uuid.UUID'> does not expose a `to_json` function"
    # Nothing of it is left, and all others go on.
    assert isinstance(client.turn(name, execution.key, events=events), Lost)
    assert host.run("remembers").error is None


def test_a_number_that_json_does_not_have_fails_its_orchestrator_alone(
    app: tuple[WorkerClient, Loaded],
) -> None:
    client, loaded = app
    host = ScriptedHost(client, loaded, Way())
    execution, _ = begin(host, "endless")
    events = [execution.event(12), execution.event(5, TaskScheduledId=0, Result="1")]
    failed = client.turn("endless", execution.key, events=events)
    assert isinstance(failed, Failed)
    assert "not JSON compliant" in failed.message
    assert host.run("remembers").error is None


def test_an_orchestrator_that_clings_to_life_holds_up_nobody(
    app: tuple[WorkerClient, Loaded],
) -> None:
    """Whatever it raises when it is left, in a turn or between two."""
    client, loaded = app
    host = ScriptedHost(client, loaded, Way())
    execution, answer = begin(host, "clings")
    assert answer.is_kept
    client.forget(execution.key)
    assert host.run("remembers").error is None


def test_an_exception_that_raises_when_it_is_asked_is_told_all_the_same(
    app: tuple[WorkerClient, Loaded],
) -> None:
    client, loaded = app
    host = ScriptedHost(client, loaded, Way())
    execution, _ = begin(host, "mute")
    events = [execution.event(12), execution.event(5, TaskScheduledId=0, Result="1")]
    failed = client.turn("mute", execution.key, events=events)
    assert isinstance(failed, Failed)
    assert failed.message == "it could not say what it is: its own text has raised"
    assert host.run("remembers").error is None


def test_an_executor_that_raises_is_a_difference(app: tuple[WorkerClient, Loaded]) -> None:
    client, loaded = app
    host = ScriptedHost(client, loaded, Way())
    execution, _ = begin(host, "waits")
    events = [execution.event(12), {**execution.event(5, TaskScheduledId=0), "Result": 1}]
    history = [*execution.history, execution.event(12)]
    answer = client.turn(
        "waits",
        execution.key,
        events=events,
        history=history,
        start=execution.start,
        is_compared=True,
    )
    assert isinstance(answer, Turned)
    assert answer.difference is not None
    assert answer.difference.startswith("type: the executor has")


def test_an_input_has_the_type_that_its_decorator_says(start: Start, root: Path) -> None:
    """Where the package is told to be strict, it makes no object without that type."""
    client = start(AZURE_FUNCTIONS_DURABLE_STRICT_TYPING="1")
    host = ScriptedHost(client, ready(client, root), Way())
    money = {"__class__": "Money", "__module__": "function_app", "__data__": {"amount": 3}}
    outcome = host.run("typed", json.dumps(money))
    assert (outcome.output, outcome.error) == (["Money", 3], None)


@pytest.mark.parametrize("change", CHANGES)
def test_a_package_that_is_different_inside_is_called_as_the_contract_says(
    start: Start, write: Write, change: str
) -> None:
    app = DIFFERENT.format(change=textwrap.dedent(CHANGES[change])) + APP
    client = start()
    loaded = ready(client, write({"function_app.py": app}))
    host = ScriptedHost(client, loaded, Way(sends_history=True, one_by_one=True))
    assert host.run("remembers").output == [True, True]
    assert host.run("sees", events=[(5.0, "go", 1)]).output == 1
    assert host.run("silent").error == "<class 'KeyError'>"
    assert not any(answer.is_kept for _, answer in host.turns_seen)


TIMES = """
import azure.durable_functions as df
from azure.durable_functions.models.history import HistoryEvent
module = __import__("sys").modules[HistoryEvent.__module__]
original = module.dt_parse
CHANGE
app = df.DFApp()

@app.orchestration_trigger(context_name="context")
def tells(context):
    return [[repr(event.timestamp) for event in context.histories],
            [repr(original(text)) for text in context.get_input()]]
"""
OTHER_PARSERS = {
    "as it is": "",
    "without microseconds": "module.dt_parse = lambda text: original(text).replace(microsecond=0)",
    "under another name": """
init = HistoryEvent.__init__
def initialize(self, **members):
    module.dt_parse = original
    init(self, **members)
    del module.dt_parse
HistoryEvent.__init__ = initialize
del module.dt_parse
""",
}


@pytest.mark.parametrize("parser", OTHER_PARSERS)
def test_times_are_what_the_package_makes_of_them(start: Start, write: Write, parser: str) -> None:
    client = start()
    text = TIMES.replace("CHANGE", OTHER_PARSERS[parser])
    host = ScriptedHost(client, ready(client, write({"function_app.py": text})), Way())
    times = ["2025-01-01T00:00:00.1234567Z", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00.123456Z"]
    times += ["2025-01-01T00:00:00.1234567+02:00", "1 Jan 2025"]
    execution = Execution(host, "tells", json.dumps(times), "i1", None, "e1", 0.0)
    kinds = [12, 0, 15, 15, 15]
    history = [
        {"EventType": kind, "EventId": -1, "IsPlayed": False, "Timestamp": stamp, "Version": ""}
        for kind, stamp in zip(kinds, times, strict=True)
    ]
    answer = client.turn("tells", 1, events=[], history=history, start=execution.start)
    assert isinstance(answer, Turned), answer
    found, expected = json.loads(answer.output or "")
    if parser == "without microseconds":
        assert found[0].startswith("datetime.datetime(2025, 1, 1, 0, 0, tzinfo=")
    else:
        assert found == expected


FLOW = """
import azure.durable_functions as df
from datetime import timedelta

def orchestrate(context):
    timer = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    winner = yield context.task_any([timer, context.call_activity("Echo", "a")])
    timer.cancel()
    last = yield context.call_activity("Echo", "b")
    return [winner.result, last]

main = df.Orchestrator.create(orchestrate)

def by_hand(context):
    return main(context.body)
"""


@pytest.mark.parametrize("entry", ["main", "by_hand"])
def test_orchestrators_in_folders_have_turns(start: Start, write: Write, entry: str) -> None:
    trigger = {"name": "context", "type": "orchestrationTrigger", "direction": "in"}
    files = {
        "Flow/function.json": json.dumps({"bindings": [trigger], "entryPoint": entry}),
        "Flow/__init__.py": FLOW,
        "Echo/function.json": json.dumps(
            {"bindings": [{"name": "value", "type": "activityTrigger", "direction": "in"}]}
        ),
        "Echo/__init__.py": "def main(value): return value",
    }
    client = start()
    loaded = ready(client, write(files))
    kept = entry == "main"
    host = ScriptedHost(client, loaded, Way(sends_history=not kept))
    outcome = host.run("Flow")
    assert (outcome.output, outcome.numbers) == (["a", "b"], 3)
    assert host.turns_seen[0][1].is_kept == kept
    assert host.turns_seen[-1][1].canceled == [0]


def test_turns_and_calls_do_not_wait_for_each_other(app: tuple[WorkerClient, Loaded]) -> None:
    client, loaded = app
    host = ScriptedHost(client, loaded, Way())
    begin(host, "waits")
    assert isinstance(client.activity("echo", "value", "1"), Result)
    client.send(Forget(key=1))
