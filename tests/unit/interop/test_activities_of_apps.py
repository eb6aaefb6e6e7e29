"""Activities and functions of an app, over a pool of real workers."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tenuto.engine.ports import ActivityWork, BegunWork, QueuedWork
from tenuto.engine.program import HttpRequest
from tenuto.interop.azure_app.activities import (
    ActivityOptions,
    AppActivities,
    failure,
    json_text,
)
from tenuto.interop.azure_app.calls import AppCaller, http_functions, timers
from tenuto.interop.azure_app.functions import (
    ACTIVITY,
    FunctionFailedError,
    NamedFunctions,
    binding_of,
    clients_of,
    durable_name,
)
from tenuto.interop.azure_app.inputs import Inputs
from tenuto.interop.workers.options import PoolOptions
from tenuto.interop.workers.protocol import (
    Call,
    Datum,
    Failed,
    FunctionFacts,
    HttpAnswer,
    Result,
    Trace,
)
from tenuto.model.events import TaskCompleted, TaskFailed
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.trace import TraceContext
from tests.support.pools import Asked, asked
from tests.support.waiting import until


def function(name: str, kind: str = "activityTrigger", **more: Any) -> FunctionFacts:
    members = {"name": "given", "type": kind, "direction": "in", **more.pop("trigger", {})}
    return FunctionFacts(name, [members, *more.pop("others", ())], **more)


def work(number: int, name: str, given: str = "1") -> ActivityWork:
    """An attempt."""
    return ActivityWork(
        partition=0,
        iid=1,
        instance_id=InstanceId("i"),
        execution_id=ExecutionId("e"),
        sequence=number,
        task_id=number,
        name=name,
        input=given,
        attempt=1,
        call_id=number,
        timeout=None,
    )


CLIENT = {"type": "durableClient", "name": "client", "direction": "in"}
FUNCTIONS = NamedFunctions(
    [
        *map(function, ("echo", "gate", "detailed")),
        function("tells", others=[CLIENT]),
    ],
    ACTIVITY,
)


class Clock:
    """Time that stands still."""

    def now(self) -> int:
        return 7


class Ran:
    """Activities of an app, and what came of them."""

    def __init__(self, one: Asked, most_at_once: int = 2, payload_bytes: int = 100) -> None:
        options = ActivityOptions(
            payload_bytes=payload_bytes, timeout=None, most_at_once=most_at_once
        )
        self.activities = AppActivities(FUNCTIONS, Inputs(lambda: None), one.pool, Clock(), options)  # type: ignore[arg-type]
        self.done: list[ActivityWork] = []
        self.activities.bind(self.done.extend)


async def test_as_many_run_at_once_as_may_and_the_others_wait(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        ran = Ran(one)
        gate = tmp_path / "gate"
        works = [work(number, "gate", f'"{gate}"') for number in range(4)]
        ran.activities.start(works)
        assert (ran.activities.running, ran.activities.queued) == (2, 2)
        stages = ran.activities.stages_of([*works, work(9, "echo")])
        assert list(stages.values()) == [
            BegunWork(7),
            BegunWork(7),
            QueuedWork(1, "the 2 activities that may run"),
            QueuedWork(2, "the 2 activities that may run"),
        ]
        assert ran.activities.cancel(works[3])
        assert not ran.activities.cancel(works[0])
        assert not ran.activities.cancel(work(9, "echo"))
        gate.touch()
        await until(lambda: len(ran.done) == 3)
        assert (ran.activities.running, ran.activities.queued) == (0, 0)


async def test_what_waits_for_a_worker_can_be_canceled(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        await one.turn("kills")
        ran = Ran(one, most_at_once=1)
        works = [work(0, "echo"), work(1, "echo", "5")]
        ran.activities.start(works)
        behind = "a worker process, and one is starting"
        assert ran.activities.stages_of(works)[works[0]] == QueuedWork(1, behind)
        assert ran.activities.cancel(works[0])
        await until(lambda: ran.done)
        assert ran.done[0].answer == TaskCompleted(1, "5")


async def test_results_that_are_too_long_and_errors_with_odd_details(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        ran = Ran(one, most_at_once=4, payload_bytes=3)
        ran.activities.start([work(0, "echo", "12345"), work(1, "detailed")])
        await until(lambda: len(ran.done) == 2)
        found = {one.task_id: one.answer for one in ran.done}
        long, odd = found[0], found[1]
        assert isinstance(long, TaskFailed)
        assert "the result of activity 'echo'" in long.failure_details.error_message
        assert isinstance(odd, TaskFailed)
        assert odd.failure_details.error_message == "m"


async def test_without_a_server_an_activity_with_a_client_fails_alone(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        ran = Ran(one, most_at_once=1)
        ran.activities.start([work(0, "tells"), work(1, "echo", "5")])
        await until(lambda: len(ran.done) == 2)
        failed, done = (each.answer for each in sorted(ran.done, key=lambda each: each.task_id))
        assert isinstance(failed, TaskFailed)
        assert "run the app with a server" in failed.failure_details.error_message
        assert done == TaskCompleted(1, "5")
        assert (ran.activities.running, ran.activities.queued) == (0, 0)


async def test_what_is_abandoned_is_not_heard_of(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        ran = Ran(one)
        ran.activities.start([work(0, "echo")])
        ran.activities.abandon()
        await one.call("echo")
        assert not ran.done


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (Datum(), None),
        (Datum(json="1.0"), "1.0"),
        (Datum(string="a"), '"a"'),
        (Datum(bytes="YQ=="), '"YQ=="'),
    ],
)
def test_results_as_json(value: Datum | None, text: str | None) -> None:
    assert json_text(value) == text


def test_errors_that_say_more_of_themselves() -> None:
    details = '{"errorType": "T", "errorMessage": "m", "isNonRetriable": true}'
    found = failure(Failed(0, "E", "x", details=details))
    assert (found.error_type, found.error_message, found.is_non_retriable) == ("T", "m", True)
    assert found.properties == {}


def test_functions_are_found_by_name_and_alias_in_any_case() -> None:
    named = NamedFunctions(
        [
            function("One", aliases=["def_one", "two"]),
            function("f", trigger={"activity": "Two"}),
            function("h", "httpTrigger"),
        ],
        ACTIVITY,
    )
    assert list(named.names) == ["One", "Two"] == list(named.all)
    assert (named.find("ONE") or [""])[0] == (named.find("DEF_one") or [""])[0] == "One"
    assert (named.find("two") or [""])[0] == "Two"
    assert named.find("h") is None
    bare = FunctionFacts("bare", [{"type": "durableClient", "name": "c"}])
    assert durable_name(bare) == "bare"
    assert clients_of(bare) == ["c"]
    assert binding_of(bare, "http") is None


async def test_calls_from_outside(tmp_path: Path) -> None:
    async with asked(tmp_path, PoolOptions(most_deaths=0)) as one:
        caller = AppCaller(one.pool, Inputs(lambda: None), None)
        assert caller.is_serving
        result, _ = await caller.call(function("echo"), Datum(string="4"))
        assert result.value == Datum(json="4")
        with pytest.raises(FunctionFailedError, match="that ran 'kills_call' has gone"):
            await caller.call(function("kills_call"), Datum())
        client = function("echo", others=[{"type": "durableClient", "name": "c"}])
        with pytest.raises(FunctionFailedError, match="has a durable client"):
            await caller.call(client, Datum())
        waiting = asyncio.ensure_future(caller.call(function("hangs_call"), Datum()))
        await until(lambda: one.pool.running)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ([], None),
        ([("tracestate", "a=b")], None),
        ([("traceparent", "00-1-2-01")], Trace("00-1-2-01", "")),
        ([("traceparent", "00-1-2-01"), ("tracestate", "a=b")], Trace("00-1-2-01", "a=b")),
    ],
)
async def test_a_function_gets_the_trace_of_its_request(
    tmp_path: Path, headers: list[tuple[str, str]], trace: Trace | None
) -> None:
    async with asked(tmp_path) as one:
        caller = AppCaller(one.pool, Inputs(lambda: None), None)
        (found,) = http_functions([function("gate", "httpTrigger")], "api", lambda: caller)
        request = HttpRequest(
            method="GET", url="http://h/", headers=headers, query=[], params={}, body=b""
        )
        answer = asyncio.ensure_future(found.answer(request))
        await until(lambda: one.pool.running)
        (out,) = one.pool.links[0].out.values()
        message, _ = out.errand.message(1)
        assert isinstance(message, Call)
        assert message.trace == trace
        answer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answer


async def test_an_activity_gets_the_trace_of_its_attempt(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        ran = Ran(one)
        gate = tmp_path / "gate"
        first, second = (work(number, "gate", f'"{gate}"') for number in (1, 2))
        traced = structs.replace(first, trace=TraceContext("00-1-2-01", "a=b"))
        ran.activities.start([traced, second])
        await until(lambda: ran.activities.running == 2)
        messages = [out.errand.message(1)[0] for out in one.pool.links[0].out.values()]
        traces = [message.trace for message in messages if isinstance(message, Call)]
        assert traces == [Trace("00-1-2-01", "a=b"), None]
        gate.touch()
        await until(lambda: len(ran.done) == 2)


def test_what_a_function_returns_as_an_answer() -> None:
    output = {"type": "http", "name": "$return", "direction": "out"}
    facts = function("h", "httpTrigger", others=[output], trigger={"methods": ["get"]})
    (found,) = http_functions([facts, function("a")], "api", lambda: None)
    assert (found.methods, found.route, found.level) == (["GET"], "h", "function")
    answers = {
        "none": (Result(0), 204),
        "answer": (Result(0, Datum(answer=HttpAnswer(418))), 418),
        "text": (Result(0, Datum(string="x")), 200),
        "json": (Result(0, Datum(json="1")), 200),
        "output": (Result(0, None, {"$return": Datum(string="x")}), 200),
    }
    for result, status in answers.values():
        assert found._response(result, b"").status == status
    (anonymous,) = http_functions(
        [function("h", "httpTrigger", trigger={"authLevel": "ANONYMOUS", "route": "/a/b/"})],
        "api",
        lambda: None,
    )
    assert (anonymous.level, anonymous.route, len(anonymous.methods)) == ("anonymous", "a/b", 7)
    timed = function("t", "timerTrigger", trigger={"schedule": "* * * * * *"})
    (timer,) = timers([timed], None, lambda: None)
    assert (timer.schedule, timer.runs_on_startup, timer.keeps_state) == (
        "* * * * * *",
        False,
        True,
    )
