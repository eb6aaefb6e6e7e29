"""The native runner behind the Runner port."""

import pytest

from tenuto.engine.looking_back import LooksBack
from tenuto.engine.ports import Runner
from tenuto.functions.registry import FunctionRegistry
from tenuto.functions.runner import NativeRunner
from tenuto.model.actions import TurnActions
from tenuto.model.built_in import WEBHOOK_ACTIVITY
from tenuto.model.errors import UnknownFunctionError
from tenuto.model.events import ExecutionCompleted, ExecutionStarted
from tenuto.model.execution import ExecutionInfo
from tenuto.model.ids import ExecutionId
from tenuto.model.limits import Limits
from tenuto.model.webhook import digest_of, is_genuine
from tenuto.orchestration.context import Context
from tests.support.facts import execution_of
from tests.unit.functions.conftest import FakeClock, Outcomes, failure, work


def info(name: str) -> ExecutionInfo:
    return execution_of(
        instance_id="trip-1",
        execution_id="exec",
        name=name,
        version=None,
        parent=None,
        tags=None,
        depth=0,
        limits=Limits(),
    )


@pytest.fixture
def runner(app: FunctionRegistry, clock: FakeClock) -> NativeRunner:
    @app.activity(max_concurrent=2)
    def fill(length: int) -> str:
        return "x" * length

    @app.activity
    async def wait(number: int) -> int:
        return number

    @app.orchestrator
    async def double(ctx: Context, number: int) -> int:
        return number * 2

    return NativeRunner(app, clock, limits=Limits(payload_bytes=100))


def test_it_says_what_it_runs(runner: NativeRunner) -> None:
    port: Runner = runner
    assert port.orchestrators == ["double"]
    assert port.activity_limits == {"fill": 2, "wait": None}


def test_it_opens_sessions_that_look_back(runner: NativeRunner) -> None:
    assert isinstance(runner, LooksBack)
    past = runner.open_past(info("double"))
    assert not past.is_over
    past.close()
    with pytest.raises(UnknownFunctionError):
        runner.open_past(info("treble"))


def test_it_opens_sessions(runner: NativeRunner) -> None:
    session = runner.open_session(info("double"))
    turn = session.run_turn(0, [ExecutionStarted("double", ExecutionId("exec"), "21")])
    assert isinstance(turn, TurnActions)
    (ending,) = turn.actions
    assert isinstance(ending, ExecutionCompleted)
    assert ending.result == "42"
    session.close()


def test_it_refuses_unknown_orchestrators(runner: NativeRunner) -> None:
    with pytest.raises(UnknownFunctionError, match="no orchestrator named 'treble'"):
        runner.open_session(info("treble"))


async def test_it_runs_activities_within_the_limits(
    runner: NativeRunner, outcomes: Outcomes
) -> None:
    runner.bind(outcomes)
    canceled = work("wait", "1", task_id=3)
    assert not runner.cancel_activity(canceled)
    runner.start_activities([work("wait", "1"), work("fill", "200", task_id=2), canceled])
    await outcomes.wait(3)
    assert outcomes.results()[1] == 1
    too_long = next(one for one in outcomes.all if one.task_id == 2)
    assert "limits.payload_bytes" in failure(too_long).error_message
    assert (runner.running, runner.queued) == (0, 0)
    assert await runner.drain(1)
    await runner.stop()


async def test_it_runs_tenutos_own_activities_beside_those_of_the_app(
    app: FunctionRegistry, clock: FakeClock, outcomes: Outcomes
) -> None:
    runner = NativeRunner(app, clock, webhook_base=lambda: "https://flows.example/")
    runner.bind(outcomes)
    runner.start_activities([work(WEBHOOK_ACTIVITY, '"paid"')])
    (outcome,) = await outcomes.wait(1)
    made = outcomes.results()[outcome.task_id]
    address, _, token = made["url"].rpartition("/")
    assert address == "https://flows.example/callbacks/trip-1"
    assert is_genuine("", "trip-1", token)
    assert made["digest"] == digest_of(token)
    assert WEBHOOK_ACTIVITY not in runner.activity_limits
    await runner.stop()
