"""What a package is told and what its answers become, case by case."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from msgspec import UNSET, Raw, structs

from tenuto.engine.ports import GivenBack, LateAnswer, LateTurn, PutsOff
from tenuto.interop.contract import session as session_module
from tenuto.interop.contract.actions import HttpRequestFields, read_action
from tenuto.interop.contract.dialect import JAVASCRIPT, PYTHON, Dialect
from tenuto.interop.contract.events import moment_of, moment_text
from tenuto.interop.contract.rebuilding import rebuilding
from tenuto.interop.contract.session import ContractSession, SessionOptions
from tenuto.interop.workers.errands import TurnRequest
from tenuto.interop.workers.protocol import Failed, Turned
from tenuto.model.actions import TurnActions
from tenuto.model.errors import InputError, NonDeterminismError, WorkerProtocolError
from tenuto.model.events import (
    ContinueAsNew,
    EventAwaited,
    EventRaised,
    EventTaken,
    ExecutionCompleted,
    ExecutionStarted,
    ExecutionSuspended,
    Incoming,
    OrchestratorStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.execution import ExecutionInfo
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId
from tenuto.model.limits import Limits
from tenuto.model.retry import RetryFacts
from tenuto.model.status import RuntimeStatus
from tenuto.model.unread import UnreadEvent, UnreadEvents
from tests.support.contract_package import rebuild
from tests.support.facts import execution_of
from tests.support.waiting import until

SECOND = 1_000_000
MOST = 2**31 - 1
BOTH = pytest.mark.parametrize("dialect", [PYTHON, JAVASCRIPT], ids=lambda one: one.language)
BROKEN = FailureDetails("ValueError", "it broke", "at line 1")


class Rig:
    """A session, and a worker that answers what the test says."""

    def __init__(self, dialect: Dialect = JAVASCRIPT, **facts: Any) -> None:
        self.info: ExecutionInfo = execution_of(
            **{"instance_id": "i", "execution_id": "e", "name": "flow", **facts}
        )
        self.options = SessionOptions(dialect=dialect, poll_pause=30 * SECOND)
        self.requests: list[TurnRequest] = []
        self.forgotten: list[int] = []
        self.answers: list[Any] = []
        self.session = ContractSession(self.info, self, 1, self.options)
        self.turns: list[list[Any]] = []
        self.now = 0

    def take(self, request: TurnRequest, answered: Any) -> None:  # noqa: ANN401 - a callback
        """The taker's side."""
        self.requests.append(request)
        answered(self.answers.pop(0))

    def forget(self, key: int) -> None:
        """The taker's side."""
        self.forgotten.append(key)

    def late(self, *events: Incoming, answers: list[Any] | None = None, **answer: Any) -> Any:  # noqa: ANN401 - any answer
        """One turn; what its session says in the end."""
        self.now += SECOND
        self.answers = answers if answers is not None else [turned(self, **answer)]
        found: list[Any] = []
        late = self.session.run_turn(self.now, events)
        if isinstance(late, TurnActions):
            return late
        assert isinstance(late, LateTurn)
        late.bind(found.append)
        return found[0]

    def turn(self, *events: Incoming, **answer: Any) -> TurnActions:
        """One turn that ends well; it is recorded."""
        found = self.late(*events, **answer)
        assert isinstance(found, TurnActions), found
        self.turns.append([OrchestratorStarted(self.now), *events, *found.actions])
        return found

    @property
    def told(self) -> list[dict[str, Any]]:
        """What the package was told last."""
        return [json.loads(bytes(one)) for one in self.requests[-1].events]

    def begin(self, *actions: Any) -> TurnActions:
        """The first turn."""
        return self.turn(ExecutionStarted("flow", ExecutionId("e"), version="2"), actions=actions)


def turned(rig: Rig, actions: Any = (), **more: Any) -> Turned:  # noqa: ANN401 - JSON
    more.setdefault("first", len(rig.session.execution.seen))
    more.setdefault("is_done", False)
    return Turned(0, actions=[_action(one) for one in actions], **more)


def _action(one: object) -> Raw:
    return one if isinstance(one, Raw) else Raw(json.dumps(one).encode())


def activity(name: Any = "work", given: Any = "1") -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"actionType": 0, "functionName": name, "input": given}


def nested(levels: int) -> Raw:
    """A call with an input that is nested so deep."""
    return Raw(b'{"actionType":0,"input":%s}' % (b"[" * levels + b"]" * levels))


def retried(kind: int = 1, attempts: object = 2, **options: Any) -> dict[str, Any]:
    policy = {"firstRetryIntervalInMilliseconds": 1000, "maxNumberOfAttempts": attempts}
    call = {"actionType": kind, "functionName": "work", "input": "1"}
    return {**call, "retryOptions": {**policy, **options}}


def wait(name: str = "go") -> dict[str, Any]:
    return {"actionType": 6, "externalEventName": name, "reason": "ExternalEvent"}


# --- what comes in --------------------------------------------------------------------------------


@BOTH
def test_the_start(dialect: Dialect) -> None:
    rig = Rig(dialect, input='{"a":1}', version="2")
    rig.begin(activity())
    turn, started = rig.told
    assert turn["EventType"] == 12
    assert turn["Timestamp"] == "1970-01-01T00:00:01.0000000Z"
    assert started["EventType"] == 0
    assert (started["Name"], started["Version"], started["Input"]) == ("flow", "2", '{"a":1}')
    start = json.loads(bytes(rig.requests[0].start or b""))
    assert start["input"] == ('{"a":1}' if dialect is PYTHON else {"a": 1})
    assert (start["instanceId"], start["parentInstanceId"]) == ("i", None)
    assert (start["upperSchemaVersion"], start["upperSchemaVersionNew"]) == (1, 3)


@pytest.mark.parametrize(
    ("text", "python", "javascript"),
    [
        (None, None, None),
        ("5", "5", 5),
        ('"text"', '"text"', "text"),
        ('"{\\"a\\": 1}"', '{"a": 1}', '{"a": 1}'),
        ("no json", '"no json"', "no json"),
        ("", '""', ""),
    ],
)
def test_inputs(text: str | None, python: object, javascript: object) -> None:
    for dialect, expected in ((PYTHON, python), (JAVASCRIPT, javascript)):
        rig = Rig(dialect, input=text)
        rig.begin(activity())
        assert json.loads(bytes(rig.requests[0].start or b""))["input"] == expected


@pytest.mark.parametrize(
    ("action", "answer", "kind", "members"),
    [
        (activity(), TaskCompleted(0, "7"), 5, {"TaskScheduledId": 0, "Result": "7"}),
        (activity(), TaskCompleted(0), 5, {"TaskScheduledId": 0, "Result": None}),
        (
            {"actionType": 2, "functionName": "work"},
            SubOrchestrationInstanceCompleted(0, "7"),
            8,
            {"TaskScheduledId": 0, "Result": "7"},
        ),
        (
            {"actionType": 2, "functionName": "work"},
            SubOrchestrationInstanceFailed(0, BROKEN),
            9,
            {"TaskScheduledId": 0, "Reason": "it broke", "Details": "at line 1"},
        ),
        (
            {"actionType": 5, "fireAt": "1970-01-01T00:01:00Z"},
            TimerFired(0, 60 * SECOND),
            11,
            {"TimerId": 0, "FireAt": "1970-01-01T00:01:00.0000000Z"},
        ),
        (wait("Go"), EventRaised("gO", "1"), 15, {"Name": "Go", "Input": "1"}),
    ],
)
def test_what_is_told(
    action: dict[str, Any], answer: Incoming, kind: int, members: dict[str, Any]
) -> None:
    rig = Rig()
    rig.begin(action)
    rig.turn(answer)
    _, event = rig.told
    assert event["EventType"] == kind
    assert {name: event[name] for name in members} == members


@BOTH
@pytest.mark.parametrize("properties", [None, {"code": 4}])
def test_a_failed_activity(dialect: Dialect, properties: dict[str, Any] | None) -> None:
    rig = Rig(dialect)
    rig.begin(activity())
    inner = FailureDetails("Inner", "deep")
    rig.turn(TaskFailed(0, FailureDetails("E", "no", None, inner, properties=properties)))
    _, event = rig.told
    text = "E: no" if dialect is PYTHON else "no"
    assert event["Reason"] == f"Activity function 'work' failed: {text}"
    assert event["Details"] == text
    assert ("FailureDetails" in event) == (properties is not None)
    if properties is not None:
        assert event["FailureDetails"]["Properties"] == properties
        assert event["FailureDetails"]["InnerFailure"]["ErrorType"] == "Inner"


def test_what_is_the_engines_own_is_not_told() -> None:
    rig = Rig()
    rig.begin(activity())
    assert rig.turn(ExecutionSuspended("x")).actions == []
    assert len(rig.requests) == 1


def test_times_in_javascript_differ_by_a_millisecond_and_in_python_are_as_they_are() -> None:
    for dialect, expected in ((JAVASCRIPT, ["002000", "003000"]), (PYTHON, ["001001", "001002"])):
        rig = Rig(dialect)
        rig.now = 1001 - SECOND
        rig.begin(activity(), activity())
        times = [rig.told[0]["Timestamp"]]
        rig.now = 1002 - SECOND
        rig.turn(TaskCompleted(0))
        times.append(rig.told[0]["Timestamp"])
        assert times == [f"1970-01-01T00:00:00.{one}0Z" for one in expected]


# --- what is asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "decided"),
    [
        (activity(given='"x"'), TaskScheduled(0, "work", '"x"')),
        (activity(given={"a": 1}), TaskScheduled(0, "work", '{"a": 1}')),
        ({"actionType": 0, "functionName": "work"}, TaskScheduled(0, "work")),
        ({"actionType": 5, "fireAt": "1970-01-01T00:01:00.5Z"}, TimerCreated(0, 60_500_000)),
        (wait(), EventAwaited(1_000_000_000, "go")),
        (
            retried(backoffCoefficient="2", attempts="3"),
            TaskScheduled(0, "work", "1", retry=RetryFacts(3, SECOND, 2.0)),
        ),
        (retried(attempts=1e300), TaskScheduled(0, "work", "1", retry=RetryFacts(MOST, SECOND))),
        (
            retried(backoffCoefficient=2, maxRetryIntervalInMilliseconds=5, attempts=3),
            TaskScheduled(0, "work", "1", retry=RetryFacts(3, SECOND, 2.0, 5000)),
        ),
    ],
)
def test_what_is_decided(action: dict[str, Any], decided: object) -> None:
    assert Rig().begin(action).actions == [decided]


def test_children_have_an_id_of_their_own_or_the_one_that_was_chosen() -> None:
    rig = Rig()
    child = {"actionType": 2, "functionName": "c", "input": {"a": 1}, "version": "3"}
    first, second = rig.begin(child, {**child, "instanceId": "mine"}).actions
    assert isinstance(first, SubOrchestrationInstanceCreated)
    assert isinstance(second, SubOrchestrationInstanceCreated)
    assert (first.instance_id, second.instance_id) == ("e:0000", "mine")
    assert (first.input, first.version) == ('{"a": 1}', "3")
    assert first.execution_id != second.execution_id


@pytest.mark.parametrize("kind", [2, 3])
@pytest.mark.parametrize(
    ("chosen", "rule"),
    [
        ("a/b", "it contains '/'"),
        ("..", "in an address it would stand for a folder"),
        ("@a@b", "a leading '@' is reserved for entities"),
        ("x" * 500, "it has 500 characters; 1 to 256 are allowed"),
    ],
)
def test_a_child_cannot_have_an_id_that_nobody_can_address(
    kind: int, chosen: str, rule: str
) -> None:
    rig = Rig()
    call = {**retried(kind), "instanceId": chosen}
    *others, ending = rig.begin(call).actions
    assert not others
    assert isinstance(ending, ExecutionCompleted)
    assert ending.orchestration_status is RuntimeStatus.FAILED
    said = str(ending.failure_details)
    assert said.startswith("OrchestratorFailed: Orchestrator function 'flow' failed: instance id ")
    assert rule in said


def test_an_action_that_calls_no_child_may_carry_any_id() -> None:
    rig = Rig()
    rig.begin({"actionType": 7, "instanceId": "@counter@one", "operation": "add"})


def test_a_child_is_tried_again_under_a_fresh_id_or_the_chosen_one() -> None:
    rig = Rig()
    rig.begin(retried(3), {**retried(3), "instanceId": "mine"})
    failed = [SubOrchestrationInstanceFailed(number, BROKEN) for number in (0, 1)]
    pauses = rig.turn(*failed).actions
    assert pauses == [
        TimerCreated(2, 3 * SECOND, "retry", 0),
        TimerCreated(3, 3 * SECOND, "retry", 1),
    ]
    again = rig.turn(TimerFired(2, 0), TimerFired(3, 0)).actions
    ids = [one.instance_id for one in again if isinstance(one, SubOrchestrationInstanceCreated)]
    assert ids == ["e:0004", "mine"]


def test_after_the_last_attempt_one_more_number_is_taken() -> None:
    rig = Rig()
    rig.begin(retried(attempts=1))
    assert rig.turn(TaskFailed(0, BROKEN)).actions == [TimerCreated(1, 2 * SECOND, "retry", 0)]
    assert rig.turn(TimerFired(1, 0), actions=[activity()]).actions == [
        TaskScheduled(2, "work", "1")
    ]


def test_when_the_retry_timeout_has_passed_the_attempts_that_are_left_are_counted() -> None:
    rig = Rig()
    rig.begin(retried(attempts=4, retryTimeoutInMilliseconds=1), retried())
    rig.turn(TaskFailed(0, BROKEN))
    # Attempts 2 to 4 take 3, 5, 7 and their pauses 4, 6, 8; the other call's pause takes the next,
    # before user code goes on.
    rig.turn(TimerFired(2, 0), TaskFailed(1, BROKEN), actions=[activity()])
    numbers = [one.get("TimerId", one.get("TaskScheduledId")) for one in rig.told[1:]]
    assert numbers == [2, 3, 4, 5, 6, 7, 1, 8]
    assert rig.session.execution._number == 11
    assert rig.turns[-1][-1] == TaskScheduled(10, "work", "1")


def fails(rig: Rig, number: int, **answer: Any) -> TurnActions:
    """An attempt fails, and the pause after it comes to its end."""
    rig.turn(TaskFailed(number, BROKEN))
    return rig.turn(TimerFired(number + 1, rig.now), **answer)


def restarted(rig: Rig) -> None:
    rig.session = ContractSession(rig.info, rig, 2, rig.options)
    rebuild(rig.session, rig.turns)


@pytest.mark.parametrize("kind", [1, 3])
@pytest.mark.parametrize(("old", "new"), [(2, 5), (5, 2)])
def test_another_number_of_attempts_holds_the_instance_where_it_makes_a_difference(
    kind: int, old: int, new: int
) -> None:
    rig = Rig()
    rig.begin(retried(kind, old))
    fails(rig, 0)
    restarted(rig)
    # After the first attempt both go on.
    rig.turn(TaskFailed(2, BROKEN), actions=[retried(kind, new)], first=0, is_kept=True)
    asked = len(rig.requests)
    with pytest.raises(NonDeterminismError) as refused:
        rig.session.run_turn(rig.now + SECOND, [TimerFired(3, rig.now)])
    what = {1: "activity", 3: "sub-orchestrator"}[kind]
    assert str(refused.value) == (
        f"replay of instance 'i' ('flow') went another way: history recorded a call with retries "
        f"of {what} 'work' of up to {old} attempts, the code allows {new}, and 2 have failed. The "
        "number of attempts was changed while this instance ran: restore the old number, or "
        "restart the instance."
    )
    assert len(rig.requests) == asked
    # With the old number again it goes on.
    restarted(rig)
    rig.turn(TimerFired(3, rig.now), actions=[retried(kind, old)], first=0)


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 1)])
def test_attempts_that_are_over_are_counted_too(old: int, new: int) -> None:
    rig = Rig()
    rig.begin(retried(1, old), wait())
    fails(rig, 0)
    restarted(rig)
    answer = turned(rig, [retried(1, new), wait()], first=0)
    found = rig.late(EventRaised("go", "1"), answers=[answer])
    assert isinstance(found, NonDeterminismError)
    words = "recorded a call with retries of activity 'work' of up to "
    assert words + ("1 attempt, the code allows 2" if old == 1 else "3 attempts, ") in str(found)


def test_attempts_that_were_given_up_are_counted_too() -> None:
    rig = Rig()
    rig.begin(retried(1, 4, retryTimeoutInMilliseconds=1))
    rig.turn(TaskFailed(0, BROKEN))
    answer = turned(rig, [retried(1, 6)], first=0)
    found = rig.late(TimerFired(1, rig.now), answers=[answer])
    assert isinstance(found, NonDeterminismError)
    assert "up to 4 attempts, the code allows 6, and 4 have failed" in str(found)


def test_another_pace_of_attempts_holds_nothing_and_counts_from_the_next_call_on() -> None:
    rig = Rig()
    rig.begin(retried(1, 3))
    fails(rig, 0)
    restarted(rig)
    other = retried(
        1,
        3,
        firstRetryIntervalInMilliseconds=5000,
        backoffCoefficient=3,
        maxRetryIntervalInMilliseconds=7000,
        retryTimeoutInMilliseconds=1,
    )
    found = rig.turn(TaskFailed(2, BROKEN), actions=[other], first=0)
    assert found.actions == [TimerCreated(3, rig.now + SECOND, "retry", 0)]
    rig.turn(TimerFired(3, rig.now))
    assert isinstance(rig.turns[-1][-1], TaskScheduled)


def test_a_retry_timeout_bounds_how_many_attempts_there_may_be() -> None:
    rig = Rig()
    (ending,) = rig.begin(retried(attempts=20_000, retryTimeoutInMilliseconds=1)).actions
    assert isinstance(ending, ExecutionCompleted)
    assert "with a timeout there may be 10000" in str(ending.failure_details)


def test_an_answer_that_is_not_followed_does_not_stand_before_what_takes_numbers() -> None:
    rig = Rig()
    http = {"actionType": 8, "httpRequest": {"method": "get", "uri": "https://x/a"}}
    rig.begin(http, retried())
    done = TaskCompleted(0, '{"statusCode": 200}')
    rig.turn(done, TaskFailed(1, BROKEN))
    assert [one["EventType"] for one in rig.told] == [12, 6, 5]


@BOTH
def test_polls(dialect: Dialect) -> None:
    rig = Rig(dialect)
    http = {
        "actionType": 8,
        "httpRequest": {
            "method": "post",
            "uri": "https://x/a",
            "content": {"a": 1},
            "headers": {"X-Functions-Key": "k", "A": ["1", "2"]},
        },
    }
    (first,) = rig.begin(http).actions
    assert json.loads(first.input)["headers"]["Content-Type"] == ["text/plain; charset=utf-8"]  # type: ignore[union-attr,arg-type]
    headers = {"location": ["/b"], "retry-after": ["0"]}
    accepted = {"statusCode": 202, "headers": headers, "url": "https://x/a"}
    found = rig.turn(TaskCompleted(0, json.dumps(accepted)))
    base = 0 if dialect.polls else 1_000_000_000 - 1
    pause, poll = base + 1, base + 2
    assert found.actions == [TimerCreated(pause, 3 * SECOND, "poll", 0)]
    asked = len(rig.requests)
    (again,) = rig.turn(TimerFired(pause, 3 * SECOND)).actions
    assert (len(rig.requests) > asked) == dialect.polls
    assert json.loads(again.input) == {  # type: ignore[union-attr,arg-type]
        "method": "GET",
        "url": "/b",
        "headers": {"A": ["1", "2"]},
        "base": "https://x/a",
        "origin": "https://x/a",
    }
    rig.turn(TaskCompleted(poll, '{"statusCode": 200, "content": "c", "headers": {"x-a": ["1"]}}'))
    (_, event) = rig.told
    assert event["TaskScheduledId"] == (poll if dialect.polls else 0)
    assert json.loads(event["Result"]) == {
        "statusCode": 200,
        "headers": {"X-A": "1"},
        "content": "c",
    }


def test_a_request_that_fails_and_one_that_is_not_followed() -> None:
    rig = Rig()
    request = {"method": "GET", "uri": "https://x/", "asynchronousPatternEnabled": False}
    rig.begin(*[{"actionType": 8, "httpRequest": request}] * 2)
    accepted = {"statusCode": 202, "headers": {"location": ["/b"]}}
    assert rig.turn(TaskFailed(0, BROKEN), TaskCompleted(1, json.dumps(accepted))).actions == []
    assert [one["EventType"] for one in rig.told] == [12, 6, 5]


@BOTH
@pytest.mark.parametrize("properties", [None, {"status": 500}])
def test_a_request_that_fails_tells_nothing_of_this_host(
    dialect: Dialect, properties: dict[str, Any] | None
) -> None:
    cause = FailureDetails("OSError", "refused", "at /here/tenuto/host.py, line 1")
    failed = FailureDetails(
        "HttpCallError",
        "no answer",
        "at /here/tenuto/host.py, line 2",
        cause,
        properties=properties,
    )
    rig = Rig(dialect)
    rig.begin({"actionType": 8, "httpRequest": {"method": "GET", "uri": "https://x/"}})
    rig.turn(TaskFailed(0, failed))
    assert rig.told[1]["Details"] in {"no answer", "HttpCallError: no answer"}
    assert "/here" not in json.dumps(rig.told)


def test_a_timer_that_is_canceled_at_once_or_later() -> None:
    rig = Rig()
    timer = {"actionType": 5, "fireAt": "1970-01-01T01:00:00Z"}
    found = rig.begin({**timer, "isCanceled": True}, timer, activity())
    assert [type(one) for one in found.actions] == [
        TimerCreated,
        TaskCanceled,
        TimerCreated,
        TaskScheduled,
    ]
    found = rig.turn(TaskCompleted(2), canceled=[0, 1, 9])
    assert found.actions == [TaskCanceled(1)]
    assert rig.turn(EventRaised("x")).actions == []


@BOTH
def test_a_call_of_an_entity_is_refused_in_the_next_turn(dialect: Dialect) -> None:
    rig = Rig(dialect)
    call = {"actionType": 7, "instanceId": "@e@k", "operation": "add", "input": "1"}
    assert rig.begin(call).actions == [TimerCreated(0, SECOND, "poll")]
    rig.turn(TimerFired(0, SECOND))
    _, sent, raised = rig.told
    assert (sent["EventType"], sent["EventId"]) == (14, 0)
    assert json.loads(sent["Input"]) == {"id": "e:0"}
    assert raised["Name"] == "e:0"
    assert json.loads(json.loads(raised["Input"])["result"]) == (
        "entities cannot be used on this host yet"
    )


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ({"actionType": 9, "instanceId": "@e@k"}, "signal to entity @e@k: entities cannot be"),
        ({"actionType": 13}, "lock of entities : entities cannot be used"),
        ({"actionType": 99}, "action of type 99 is unknown here"),
        ({"actionType": 1, "functionName": "w"}, "came without its retry options"),
        (retried(1, 2.5), "has retry options with 2.5 attempts; that must be a whole number"),
        ({"actionType": 8}, "an HTTP call came without its request"),
        ({"actionType": 5, "fireAt": "soon"}, "a timer needs a time such as"),
        ({"actionType": 5, "fireAt": None}, "got none: look at the date that it was given"),
        ({"actionType": 5}, "got none: look at the date that it was given"),
        ({"actionType": 5, "fireAt": "+275760-09-13T00:00:00.000Z"}, "got '+275760-09-13"),
        (activity(name=None), "call of activity with what does not belong there: Expected `str`"),
        (activity(name=["work"]), "got `array` - at `$.functionName`"),
        ({"actionType": 6, "externalEventName": 5}, "wait for event with what does not belong"),
        ({"actionType": 2, "functionName": "c", "instanceId": 5}, "got `int` - at `$.instanceId`"),
        (retried(attempts=None), "got `null` - at `$.retryOptions.maxNumberOfAttempts`"),
        (retried(attempts="nan"), "retry options need numbers that have an end, got nan attempts"),
        (retried(backoffCoefficient="inf"), "numbers that have an end, got 2.0 attempts and a"),
        (retried(backoffCoefficient=[2]), "got `array` - at `$.retryOptions.backoffCoefficient`"),
        (retried(maxRetryIntervalInMilliseconds="nan"), "got one that is no number"),
        ({"actionType": 8, "httpRequest": {"uri": "x"}}, "HTTP call with what does not belong"),
        ({"actionType": 99, "version": 5}, "action of type 99 with what does not belong there"),
        (nested(5_000), "nested deeper than this host can read"),
        ({"actionType": 5, "fireAt": "2026-13-01T00:00:00Z"}, "a timer cannot be set to"),
        (
            {
                "actionType": 8,
                "httpRequest": {"method": "GET", "uri": "x", "tokenSource": {"kind": "Other"}},
            },
            "has a token source of kind 'Other'",
        ),
    ],
)
def test_what_cannot_be_done_ends_the_execution_in_words(action: object, text: str) -> None:
    (*_, ending) = Rig().begin(action).actions
    assert isinstance(ending, ExecutionCompleted)
    assert ending.orchestration_status is RuntimeStatus.FAILED
    assert text in str(ending.failure_details)
    assert str(ending.failure_details).startswith(
        "OrchestratorFailed: Orchestrator function 'flow'"
    )


def test_content_that_is_nested_too_deep_is_a_mistake_of_the_orchestrator() -> None:
    content: list[Any] = []
    for _ in range(5_000):
        content = [content]
    with pytest.raises(InputError, match="nested deeper than this host can read"):
        _ = HttpRequestFields("POST", "https://x/", content).request


# --- events that came early -----------------------------------------------------------------------


def test_held_events_go_out_and_those_that_were_fed_are_taken() -> None:
    rig = Rig()
    rig.begin(activity())
    assert rig.turn(EventRaised("GO", "1"), EventRaised("other", "2")).actions == []
    rig.turn(EventRaised("go", "3"))
    found = rig.turn(TaskCompleted(0), actions=[wait("Go"), wait("go")], fed=[0, 2])
    held = [(one.name, json.loads(bytes(one.event))["Input"]) for one in rig.requests[-1].held]
    assert held == [("GO", "1"), ("other", "2"), ("go", "3")]
    taken = [one for one in found.actions if isinstance(one, EventTaken)]
    assert taken == [EventTaken(1_000_000_000), EventTaken(1_000_000_001)]
    assert len(rig.requests) == 2
    # A full history has them where they were fed.
    rig.turn(EventRaised("x"), EventRaised("y"))
    again = ContractSession(rig.info, rig, 2, rig.options)
    rebuild(again, rig.turns)
    assert [json.loads(bytes(one)).get("Input") for one in again._past or ()][-2:] == ["1", "3"]


def test_without_an_executor_the_package_is_asked_again_in_the_same_turn() -> None:
    rig = Rig()
    rig.begin(activity())
    rig.turn(EventRaised("GO", "1"))
    first = turned(rig, [wait("Go")])
    rig.answers = []
    found = rig.late(TaskCompleted(0), answers=[first, Turned(0, True, [], first=2, output="1")])
    assert isinstance(found, TurnActions)
    assert EventTaken(1_000_000_000) in found.actions
    assert [one["EventType"] for one in rig.told] == [15]


def test_an_event_of_another_name_is_not_offered_for_a_wait_that_looks_alike() -> None:
    rig = Rig()
    rig.begin(wait("onaylandi"))
    assert rig.turn(EventRaised("onayland\u0131", "1")).actions == []
    assert rig.turn(EventRaised("ONAYLANDI", "2")).actions == [EventTaken(1_000_000_000)]
    assert [one["Name"] for one in rig.told[1:]] == ["onaylandi"]


@pytest.mark.parametrize("fed", [[0], [1], [-1]])
def test_a_worker_that_feeds_what_nobody_waits_for_breaks_the_protocol(fed: list[int]) -> None:
    rig = Rig()
    rig.begin(activity())
    rig.turn(EventRaised("GO", "1"))
    assert isinstance(rig.late(TaskCompleted(0), fed=fed), WorkerProtocolError)


@pytest.mark.parametrize("fed", [[1], [-1], [-2], [2]])
def test_a_worker_that_feeds_an_event_out_of_its_turn_breaks_the_protocol(fed: list[int]) -> None:
    rig = Rig()
    rig.begin(activity())
    rig.turn(EventRaised("GO", "1"), EventRaised("go", "2"))
    found = rig.late(TaskCompleted(0), actions=[wait("go")], fed=fed)
    assert isinstance(found, WorkerProtocolError)


def test_not_all_that_is_held_goes_over_with_each_turn() -> None:
    rig = Rig()
    rig.begin(activity())
    rig.turn(*(EventRaised(name, str(place)) for place in range(200) for name in ("a", "b")))
    rig.turn(TaskCompleted(0), actions=[activity()])
    names = Counter(one.name for one in rig.requests[-1].held)
    assert names == {"a": 64, "b": 64}


def test_events_of_earlier_generations_are_taken_first_and_carried_over() -> None:
    old = [UnreadEvent(4, EventRaised("go", "old")), UnreadEvent(6, EventRaised("go", "older"))]
    rig = Rig(unread=UnreadEvents(old), generation=1)
    rig.begin(activity())
    rig.turn(EventRaised("Go", "new"), EventRaised("x", "y"))
    held = [json.loads(bytes(one.event))["Input"] for one in rig.requests[-1].held]
    assert held == ["old", "older"]
    action = {"actionType": 4, "input": {"n": 1}}
    found = rig.turn(TaskCompleted(0), actions=[wait(), action], fed=[0], is_done=True, output="9")
    ending = found.actions[-1]
    assert isinstance(ending, ContinueAsNew)
    assert (ending.input, ending.taken, ending.unread) == ('{"n": 1}', (4,), (7, 8))
    assert [one.event.input for one in found.unread or ()] == ["new", "y"]


def test_events_that_nobody_has_waited_for_are_told_at_the_end() -> None:
    rig = Rig()
    rig.begin(activity())
    rig.turn(EventRaised("GO", "1"))
    found = rig.turn(TaskCompleted(0), is_done=True, output='"x"')
    assert found.actions == [ExecutionCompleted(RuntimeStatus.COMPLETED, '"x"')]
    assert found.logs
    assert "nobody has waited for 1" in found.logs[0].getMessage()


# --- answers --------------------------------------------------------------------------------------


def test_the_custom_status_is_kept_told_and_taken_back() -> None:
    rig = Rig()
    assert rig.begin(activity()).custom_status is UNSET
    assert rig.turn(TaskCompleted(0), actions=[activity()], custom_status="1").custom_status == "1"
    assert rig.turn(TaskCompleted(1), actions=[activity()]).custom_status is None
    again = ContractSession(rig.info, rig, 2, rig.options)
    rebuild(again, rig.turns)
    rig.session = again
    assert rig.turn(TaskCompleted(2), actions=[activity()]).custom_status is None
    later = Rig(generation=1)
    later.begin(activity())
    assert later.turn(TaskCompleted(0)).custom_status is UNSET


@pytest.mark.parametrize("details", [None, '{"errorType": "T", "errorMessage": "m"}', "[]"])
def test_an_error_of_the_orchestrator(details: str | None) -> None:
    rig = Rig()
    ending = rig.turn(
        ExecutionStarted("flow", ExecutionId("e")), error="bad", failure_details=details
    ).actions[-1]
    assert isinstance(ending, ExecutionCompleted)
    failure = ending.failure_details
    assert failure is not None
    assert failure.error_message == "Orchestrator function 'flow' failed: bad"
    inner = failure.inner_failure
    assert (inner and inner.error_type) == ("T" if details and details != "[]" else None)


def test_a_turn_that_could_not_be_run_fails_the_execution() -> None:
    rig = Rig()
    failed = Failed(0, "TypeError", "no generator", "at x")
    found = rig.late(ExecutionStarted("flow", ExecutionId("e")), answers=[failed])
    text = str(found.actions[-1].failure_details)
    assert "Orchestrator function 'flow' failed: TypeError: no generator" in text


def test_a_turn_that_was_given_back_is() -> None:
    rig = Rig()
    given = GivenBack("gone")
    assert rig.late(ExecutionStarted("flow", ExecutionId("e")), answers=[given]) == given


@pytest.mark.parametrize("first", [-1, 2])
def test_an_answer_from_a_place_that_is_not_known_breaks_the_protocol(first: int) -> None:
    rig = Rig()
    rig.begin(activity())
    assert isinstance(rig.late(TaskCompleted(0), first=first), WorkerProtocolError)


def test_an_action_that_is_none_breaks_the_protocol() -> None:
    found = Rig().late(ExecutionStarted("flow", ExecutionId("e")), actions=[{"actionType": "x"}])
    assert isinstance(found, WorkerProtocolError)


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        ([activity("other")], "history recorded call of activity 'work', the code produced call"),
        ([wait()], "the code produced wait for event 'go'"),
        ([], "the code produced nothing"),
        ([{"actionType": 99}], "the code produced action 99"),
        ([{"actionType": 5}], "the code produced timer."),
    ],
)
def test_an_orchestrator_that_goes_another_way_is_told_so(
    actions: list[dict[str, Any]], words: str
) -> None:
    rig = Rig()
    rig.begin(activity())
    found = rig.late(TaskCompleted(0), actions=actions, first=0)
    assert isinstance(found, NonDeterminismError)
    assert words in str(found)


def test_a_closed_session_hears_no_answer() -> None:
    rig = Rig()
    kept: list[Any] = []
    rig.take = lambda request, answered: kept.append(answered)  # type: ignore[method-assign]
    late = rig.session.run_turn(1, [ExecutionStarted("flow", ExecutionId("e"))])
    assert isinstance(late, LateTurn)
    assert rig.session.close() == 0
    heard: list[Any] = []
    late.bind(heard.append)
    kept[0](turned(rig))
    assert not heard
    assert rig.forgotten == [1]


def test_a_history_that_is_read_otherwise_is_refused() -> None:
    rig = Rig()
    rig.begin(retried())
    rig.turn(TaskFailed(0, BROKEN))
    rig.turns[-1].pop()
    with pytest.raises(NonDeterminismError, match="in turn 2, action 1, it has nothing"):
        rebuild(ContractSession(rig.info, rig, 2, rig.options), rig.turns)


def long_rig(*, is_bad: bool = False) -> Rig:
    """One whose session is to be rebuilt, from six turns and with the next one."""
    rig = Rig()
    rig.begin(activity())
    for number in range(4):
        rig.turn(TaskCompleted(number), actions=[activity()])
    rig.turn(TaskCompleted(4), actions=[retried()])
    if is_bad:
        rig.turn(TaskFailed(5, BROKEN))
        rig.turns[-1].pop()
    rig.session = ContractSession(rig.info, rig, 2, rig.options)
    rig.session.put_off(rebuilding(rig.session, rig.turns))
    return rig


@pytest.fixture
def _one_turn_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_SLICE_SECONDS", -1.0)


def out(rig: Rig, *events: Incoming) -> list[LateAnswer]:
    """Let a turn out; where its answer will be."""
    heard: list[LateAnswer] = []
    rig.now += SECOND
    late = rig.session.run_turn(rig.now, events)
    assert isinstance(late, LateTurn)
    late.bind(heard.append)
    return heard


@pytest.mark.usefixtures("_one_turn_a_slice")
async def test_a_long_history_leaves_the_loop_free_in_between() -> None:
    rig = long_rig()
    rig.answers = [turned(rig, first=6, is_done=True, output="1")]
    asked = len(rig.requests)
    heard = out(rig, TaskCompleted(5))
    rounds = 0
    while not heard:
        await asyncio.sleep(0)
        rounds += 1
    assert rounds >= len(rig.turns)
    assert isinstance(heard[0], TurnActions)
    assert heard[0].actions == [ExecutionCompleted(RuntimeStatus.COMPLETED, "1")]
    assert len(rig.requests) == asked + 1


@pytest.mark.usefixtures("_one_turn_a_slice")
async def test_a_turn_without_news_for_the_package_is_answered_after_the_rebuilding() -> None:
    rig = long_rig()
    asked = len(rig.requests)
    heard = out(rig, EventRaised("early"))
    await until(lambda: bool(heard))
    assert isinstance(heard[0], TurnActions)
    assert heard[0].actions == []
    assert len(rig.requests) == asked
    assert rig.turn(TaskCompleted(5), is_done=True).actions


@pytest.mark.usefixtures("_one_turn_a_slice")
async def test_a_history_that_is_refused_in_a_later_slice_is_the_turn_s_answer() -> None:
    rig = long_rig(is_bad=True)
    heard = out(rig, TaskCompleted(5))
    await until(lambda: bool(heard))
    assert isinstance(heard[0], NonDeterminismError)


@pytest.mark.usefixtures("_one_turn_a_slice")
async def test_a_session_closed_while_it_is_rebuilt_stays_silent() -> None:
    rig = long_rig()
    asked = len(rig.requests)
    heard = out(rig, TaskCompleted(5))
    rig.session.close()
    for _ in range(2 * len(rig.turns)):
        await asyncio.sleep(0)
    assert not heard
    assert len(rig.requests) == asked


def test_whoever_only_replays_runs_no_code() -> None:
    rig = long_rig()
    asked = len(rig.requests)
    assert isinstance(rig.session.run_turn(rig.now, [TaskCompleted(5)], replaying=True), LateTurn)
    assert len(rig.requests) == asked


def test_whoever_only_checks_has_all_of_it_at_once() -> None:
    rig = long_rig(is_bad=True)
    assert isinstance(rig.session, PutsOff)
    with pytest.raises(NonDeterminismError):
        rig.session.run_turn(rig.now, [TaskCompleted(5)], replaying=True)


def test_a_comparing_session_sends_all_of_its_history_in_turns_that_double() -> None:
    rig = Rig()
    rig.options = SessionOptions(dialect=JAVASCRIPT, poll_pause=1, is_compared=True)
    rig.session = ContractSession(rig.info, rig, 1, rig.options)
    for number in range(-1, 4):
        event = TaskCompleted(number) if number >= 0 else ExecutionStarted("f", ExecutionId("e"))
        rig.turn(event, actions=[activity()], is_kept=True)
    assert [one.is_compared for one in rig.requests] == [False, True, False, True, False]
    assert [one.history is not None for one in rig.requests] == [True, True, False, True, False]
    played = [json.loads(bytes(one))["IsPlayed"] for one in rig.requests[1].history or ()]
    assert played == [True, True, False, False]


# --- moments --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:01Z", SECOND),
        ("1970-01-01T00:00:01", SECOND),
        ("1970-01-01T00:00:00.1234567Z", 123_456),
        ("1970-01-01T01:00:00.5+01:00", 500_000),
        ("1969-12-31T23:59:59.000000Z", -SECOND),
    ],
)
def test_moments(text: str, moment: int) -> None:
    assert moment_of(text) == moment
    assert moment_of(moment_text(moment)) == moment


def test_moments_of_early_years_have_four_digits_and_late_ones_are_refused() -> None:
    assert moment_text(moment_of("0099-01-02T00:00:00Z")).startswith("0099-01-02T")
    with pytest.raises(InputError):
        moment_of("+010000-01-01T00:00:00.000Z")


def test_retries_pause_ever_longer_up_to_a_bound() -> None:
    facts = read_action(
        json.dumps(
            retried(attempts=5000, backoffCoefficient=10, maxRetryIntervalInMilliseconds=4e6)
        ).encode()
    ).retry_facts
    assert facts == RetryFacts(5000, SECOND, 10.0, 4_000 * SECOND)
    rig = Rig()
    rig.begin(retried(attempts=5000, backoffCoefficient=1e200))
    number, delays = 0, []
    for _ in range(3):
        (pause,) = rig.turn(TaskFailed(number, BROKEN)).actions
        delays.append(pause.fire_at - rig.now)  # type: ignore[union-attr]
        (again,) = rig.turn(TimerFired(pause.event_id, 0)).actions  # type: ignore[union-attr]
        number = again.event_id  # type: ignore[union-attr]
    longest = 365_000 * 24 * 3600 * SECOND
    assert delays == [SECOND, longest, longest]


# --- limits --------------------------------------------------------------------------------------

LIMITS = Limits(payload_bytes=100, turn_bytes=250, actions_per_turn=5)
LONG = "x" * 99  # with its quotation marks 101 bytes


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ({"actions": [activity(given=json.dumps(LONG))]}, "the input of activity 'work' takes 101"),
        (
            {"actions": [{**retried(1), "input": json.dumps(LONG)}]},
            "the input of activity 'work' takes 101",
        ),
        (
            {"actions": [{**retried(3), "input": LONG}]},
            "the input of orchestrator 'work' takes 101",
        ),
        (
            {"actions": [{"actionType": 4, "input": LONG}], "is_done": True},
            "the input of continue_as_new takes 101",
        ),
        (
            {
                "actions": [
                    {
                        "actionType": 8,
                        "httpRequest": {"method": "POST", "uri": "http://x/", "content": LONG},
                    }
                ]
            },
            "the request to http://x/ takes",
        ),
        ({"output": json.dumps(LONG), "is_done": True}, "the result takes 101"),
        ({"custom_status": json.dumps(LONG)}, "the custom status takes 101"),
        ({"actions": [activity()] * 6}, "decided more actions in one turn than allowed"),
        (
            {"actions": [activity(given=json.dumps("x" * 90))] * 3},
            "decided more bytes in one turn than allowed",
        ),
    ],
)
def test_what_an_orchestrator_decides_is_within_the_limits(
    answer: dict[str, Any], what: str
) -> None:
    rig = Rig()
    rig.info = structs.replace(rig.info, limits=LIMITS)
    rig.session = ContractSession(rig.info, rig, 1, rig.options)
    found = rig.turn(ExecutionStarted("flow", ExecutionId("e")), **answer)
    (ending,) = found.actions
    assert isinstance(ending, ExecutionCompleted)
    assert ending.orchestration_status is RuntimeStatus.FAILED
    assert ending.failure_details is not None
    said = ending.failure_details.error_message
    assert said.startswith("Orchestrator function 'flow' failed: LimitError: orchestrator 'flow' ")
    assert what in said
    assert "the limit is " in said
    assert "(setting limits." in said
    assert found.custom_status is UNSET


def test_what_was_within_the_limits_of_its_day_stays() -> None:
    rig = Rig()
    rig.begin(activity(given=json.dumps(LONG)), wait())
    rig.info = structs.replace(rig.info, limits=LIMITS)
    restarted(rig)
    rig.turn(EventRaised("go", "1"), actions=[activity(given=json.dumps(LONG)), wait()], first=0)
