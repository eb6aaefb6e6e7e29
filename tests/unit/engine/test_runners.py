"""Several runners behind one port: who gets what, and that all of them end."""

import asyncio

import pytest

from tenuto.engine.ports import ActivityWork, Runner
from tenuto.engine.runners import RunnerSet
from tenuto.model.errors import UnknownFunctionError
from tenuto.model.events import ExecutionStarted, OrchestratorStarted, TaskCompleted, TaskFailed
from tenuto.model.execution import ExecutionInfo
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.limits import Limits
from tests.support.facts import execution_of
from tests.support.foreign_runner import ForeignRunner, Script

EXECUTION = ExecutionId("exec")


def info(name: str, instance_id: str = "one") -> ExecutionInfo:
    return execution_of(
        instance_id=instance_id,
        execution_id="exec",
        name=name,
        version=None,
        parent=None,
        tags=None,
        depth=0,
        limits=Limits(),
    )


def work(name: str, task_id: int = 1) -> ActivityWork:
    return ActivityWork(
        partition=0,
        iid=1,
        instance_id=InstanceId("one"),
        execution_id=EXECUTION,
        sequence=task_id,
        task_id=task_id,
        name=name,
        input="1",
        attempt=1,
        call_id=task_id,
        timeout=None,
    )


@pytest.fixture
def left() -> ForeignRunner:
    return ForeignRunner({"order": None}, {"pay": str, "both": lambda _text: '"left"'}, "left 1")


@pytest.fixture
def scripts() -> dict[str, Script]:
    return {"ship": None}


@pytest.fixture
def right(scripts: dict[str, Script]) -> ForeignRunner:
    return ForeignRunner(scripts, {"send": str, "both": lambda _text: '"right"'}, "right 2")


@pytest.fixture
def outcomes() -> list[ActivityWork]:
    return []


@pytest.fixture
def runners(left: ForeignRunner, right: ForeignRunner, outcomes: list[ActivityWork]) -> RunnerSet:
    both = RunnerSet([left, right])
    both.bind(outcomes.extend)
    return both


def test_it_is_a_runner_of_all_their_functions(runners: RunnerSet) -> None:
    port: Runner = runners
    assert port.orchestrators == ["order", "ship"]
    assert set(port.activity_limits) == {"pay", "send", "both"}
    assert [port.serves(name) for name in ("order", "ship", "pay")] == [True, True, False]
    assert [port.serves_activity(name) for name in ("pay", "send", "order")] == [True, True, False]


def test_a_limit_is_that_of_the_runner_that_runs_the_activity() -> None:
    class Limited(ForeignRunner):
        @property
        def activity_limits(self) -> dict[str, int | None]:
            return {"both": 3}

    assert RunnerSet([Limited({}), ForeignRunner({}, {"both": str})]).activity_limits == {"both": 3}


def test_the_runtime_is_asked_by_name(runners: RunnerSet) -> None:
    runtime = runners.runtime
    assert not isinstance(runtime, str)
    assert [runtime(name) for name in ("order", "ship", "nobody's")] == ["left 1", "right 2", ""]


def test_sets_of_sets_say_the_runtime_too(runners: RunnerSet) -> None:
    runtime = RunnerSet([ForeignRunner({}), runners]).runtime
    assert not isinstance(runtime, str)
    assert runtime("ship") == "right 2"


def test_sessions_go_by_the_name_of_the_orchestrator(
    runners: RunnerSet, left: ForeignRunner, right: ForeignRunner
) -> None:
    runners.open_session(info("order", "a"))
    runners.open_session(info("ship", "b"))
    runners.replay_session(
        info("ship", "c"), [[OrchestratorStarted(1), ExecutionStarted("ship", EXECUTION, "1")]]
    )
    assert (left.opened, right.opened, right.replayed) == (["a"], ["b"], ["c"])
    assert left.replayed == []


def test_names_may_come_and_go(runners: RunnerSet, scripts: dict[str, Script]) -> None:
    assert not runners.serves("later")
    scripts["later"] = None
    assert runners.serves("later")
    del scripts["later"]
    assert not runners.serves("later")


def test_a_name_that_nobody_serves_is_told_with_those_of_all(runners: RunnerSet) -> None:
    with pytest.raises(UnknownFunctionError, match=r"did you mean 'ship'\? registered: order, sh"):
        runners.open_session(info("shipp"))
    with pytest.raises(UnknownFunctionError, match="registered: order, ship"):
        runners.replay_session(info("other"), [])


async def test_attempts_go_by_the_name_of_the_activity_in_one_call_each(
    runners: RunnerSet,
    left: ForeignRunner,
    right: ForeignRunner,
    outcomes: list[ActivityWork],
) -> None:
    names = ["pay", "send", "both", "pay"]
    runners.start_activities([work(name, number) for number, name in enumerate(names)])
    assert (left.started, right.started) == ([["pay", "both", "pay"]], [["send"]])
    assert runners.queued == 4
    await asyncio.sleep(0)
    assert runners.queued == 0
    found = {one.task_id: one.answer for one in outcomes}
    assert found == {
        0: TaskCompleted(0, "1"),
        1: TaskCompleted(1, "1"),
        2: TaskCompleted(2, '"left"'),
        3: TaskCompleted(3, "1"),
    }


async def test_an_attempt_that_nobody_serves_fails_a_moment_later(
    runners: RunnerSet, outcomes: list[ActivityWork]
) -> None:
    runners.start_activities([work("sent")])
    assert outcomes == []
    await asyncio.sleep(0)
    (outcome,) = outcomes
    assert isinstance(outcome.answer, TaskFailed)
    assert "did you mean 'send'? registered: both, pay, send" in str(outcome.answer.failure_details)


async def test_an_attempt_is_cancelled_where_it_was_started(
    runners: RunnerSet, left: ForeignRunner, right: ForeignRunner
) -> None:
    first = work("both")
    runners.start_activities([first])
    left.activities = {}  # its worker is gone: the name is the other's now
    assert runners.cancel_activity(first)
    assert (left.canceled, right.canceled) == (["both"], [])
    assert not runners.cancel_activity(first)


async def test_an_attempt_that_has_ended_is_cancelled_by_nobody(
    runners: RunnerSet, left: ForeignRunner
) -> None:
    first = work("pay")
    runners.start_activities([first])
    await asyncio.sleep(0)
    assert not runners.cancel_activity(first)
    assert left.canceled == []


async def test_an_attempt_that_runs_is_asked_to_stop_and_still_answers(
    runners: RunnerSet, left: ForeignRunner
) -> None:
    first = work("pay")
    runners.start_activities([first])
    left.waiting.clear()  # it has begun
    assert not runners.cancel_activity(first)
    assert not runners.cancel_activity(first)
    assert left.canceled == ["pay", "pay"]


async def test_what_runs_is_added_up(
    runners: RunnerSet, left: ForeignRunner, right: ForeignRunner
) -> None:
    left.running, right.running = 2, 3
    assert runners.running == 5


async def test_all_are_drained(
    runners: RunnerSet, left: ForeignRunner, right: ForeignRunner
) -> None:
    assert await runners.drain(7)
    right.running = 1
    assert not await runners.drain(8)
    assert left.drains == right.drains == [7, 8]


async def test_all_are_stopped_also_when_one_cannot(right: ForeignRunner) -> None:
    class Stuck(ForeignRunner):
        async def stop(self) -> None:
            raise OSError("the pipe is broken")

    with pytest.raises(OSError, match="the pipe is broken"):
        await RunnerSet([Stuck({}), right]).stop()
    assert right.is_stopped


async def test_all_are_drained_also_when_one_cannot_be() -> None:
    drained: list[str] = []

    class Stuck(ForeignRunner):
        async def drain(self, seconds: float) -> bool:
            raise OSError("the pipe is broken")

    class Slow(ForeignRunner):
        async def drain(self, seconds: float) -> bool:
            await asyncio.sleep(0.01)
            drained.append("slow")
            return True

    with pytest.raises(OSError, match="the pipe is broken"):
        await RunnerSet([Stuck({}), Slow({})]).drain(1)
    assert drained == ["slow"]


async def test_before_an_engine_is_there_outcomes_go_nowhere(left: ForeignRunner) -> None:
    alone = RunnerSet([left])
    alone.start_activities([work("nobody's")])
    await asyncio.sleep(0)


def test_who_looks_back_is_asked_by_the_name_of_the_orchestrator(
    left: ForeignRunner, right: ForeignRunner
) -> None:
    asked: list[str] = []

    class Looking(ForeignRunner):
        def open_past(self, info: ExecutionInfo) -> None:
            asked.append(info.facts.name)

    looking = Looking({"look": None}, {}, "looks 1")
    both = RunnerSet([left, looking])
    assert both.open_past(info("order")) is None
    assert both.open_past(info("look")) is None
    assert asked == ["look"]
    with pytest.raises(UnknownFunctionError):
        both.open_past(info("nobody"))
