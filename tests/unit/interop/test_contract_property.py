"""Random orchestrations: a live session and one rebuilt from its history are the same, always."""

import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tenuto.engine.ports import LateTurn
from tenuto.interop.contract.dialect import JAVASCRIPT, PYTHON, Dialect
from tenuto.interop.contract.execution import Execution
from tenuto.interop.contract.open_work import Call as OpenCall
from tenuto.interop.contract.open_work import HttpCall, Pause, Poll, Refused, Timer
from tenuto.interop.contract.session import ContractSession, SessionOptions
from tenuto.model.actions import TurnActions
from tenuto.model.built_in import HTTP_ACTIVITY
from tenuto.model.errors import NonDeterminismError
from tenuto.model.events import (
    EventRaised,
    ExecutionCompleted,
    ExecutionStarted,
    HistoryEvent,
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
from tenuto.model.facts import InstanceFacts
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.limits import Limits
from tenuto.model.status import RuntimeStatus
from tests.support.contract_package import PackageWorker, Step, TaskPlan, rebuild

SECOND = 1_000_000
INFO = ExecutionInfo(
    facts=InstanceFacts(InstanceId("one"), ExecutionId("e1"), "program", InstanceId("one")),
    limits=Limits(),
)
STARTED = ExecutionStarted("program", ExecutionId("e1"))

PLANS = st.one_of(
    st.builds(
        TaskPlan, st.sampled_from(("activity", "child", "http", "entity")), st.integers(1, 3)
    ),
    st.builds(TaskPlan, st.sampled_from(("timer", "event")), st.integers(1, 2)),
    st.builds(
        TaskPlan,
        st.sampled_from(("retried", "retried_child")),
        st.integers(1, 4),
        st.booleans(),
    ),
)
STEPS = st.builds(
    Step, st.lists(PLANS, min_size=1, max_size=4).map(tuple), st.booleans(), st.booleans()
)
PROGRAMS = st.lists(STEPS, min_size=1, max_size=5).map(tuple)


class World:
    """Runs a program's execution: does what it decides, in random order and batches."""

    def __init__(
        self,
        program: tuple[Step, ...],
        dialect: Dialect,
        seed: int,
        *,
        keeps: bool,
        changed: tuple[Step, ...] | None = None,
    ) -> None:
        self.changed = changed
        self.restored: tuple[Step, ...] | None = None
        self.holds = 0
        self.chance = random.Random(seed)
        self.worker = PackageWorker(program, dialect, keeps=keeps)
        self.options = SessionOptions(dialect=dialect, poll_pause=30 * SECOND)
        self.turns: list[list[HistoryEvent]] = []
        self.pending: list[Incoming] = [STARTED]
        self.now = 0
        self.key = 0
        self.session = self.new_session()
        self.output: str | None = None
        self.is_over = False

    def new_session(self) -> ContractSession:
        self.key += 1
        return ContractSession(INFO, self.worker, self.key, self.options)

    def run(self) -> None:
        """To the end, or until nothing more comes."""
        for _ in range(200):
            if self.is_over:
                return
            if self.chance.random() < 0.3:
                name = self.chance.choice(("go1", "GO1", "Go2"))
                self.pending.append(EventRaised(name, str(len(self.turns))))
            if self.pending:
                self.turn()
        pytest.fail("it never ends")  # pragma: no cover - events come for ever

    def turn(self) -> None:
        self.now += self.chance.choice((1, 500, SECOND, 3 * SECOND))
        taken = self.chance.sample(self.pending, self.chance.randint(1, len(self.pending)))
        if STARTED in self.pending:
            taken = [STARTED, *(one for one in taken if one is not STARTED)]
        self.pending = [one for one in self.pending if not any(one is two for two in taken)]
        asked = self.worker.asked
        answer: Any
        try:
            answer = self.session.run_turn(self.now, taken)
        except NonDeterminismError as error:
            answer = error
        if isinstance(answer, LateTurn):
            found: list[Any] = []
            answer.bind(found.append)
            (answer,) = found
        if isinstance(answer, NonDeterminismError):
            self.is_held(answer, taken)
            return
        assert isinstance(answer, TurnActions), answer
        assert self.worker.last is None or not self.worker.last.misfits
        assert self.worker.asked - asked <= 1 or not self.worker._keeps
        self.turns.append([OrchestratorStarted(self.now), *taken, *answer.actions])
        for action in answer.actions:
            self.do(action)
        if not self.is_over:
            self.compare()

    def do(self, action: Any) -> None:  # noqa: ANN401 - any decision
        match action:
            case TaskScheduled(name=name) if name == HTTP_ACTIVITY:
                self.pending.append(self.http(action.event_id))
            case TaskScheduled():
                number = action.event_id
                if self.chance.random() < 0.5:
                    self.pending.append(TaskFailed(number, FailureDetails("E", "no")))
                else:
                    self.pending.append(TaskCompleted(number, json.dumps(action.name)))
            case SubOrchestrationInstanceCreated():
                number = action.event_id
                if self.chance.random() < 0.5:
                    failure = FailureDetails("E", f"{action.name} no")
                    self.pending.append(SubOrchestrationInstanceFailed(number, failure))
                else:
                    text = json.dumps(action.name)
                    self.pending.append(SubOrchestrationInstanceCompleted(number, text))
            case TimerCreated():
                self.pending.append(TimerFired(action.event_id, action.fire_at))
            case TaskCanceled():
                self.pending = [
                    one
                    for one in self.pending
                    if not (isinstance(one, TimerFired) and one.timer_id == action.task_id)
                ]
            case ExecutionCompleted():
                assert action.orchestration_status is RuntimeStatus.COMPLETED, action
                self.output = action.result
                self.is_over = True
            case _:
                pass

    def http(self, number: int) -> TaskCompleted:
        answers = ({"statusCode": 200}, {"statusCode": 202, "headers": {"location": ["/x"]}})
        return TaskCompleted(number, json.dumps(self.chance.choice(answers)))

    def compare(self) -> None:
        """The session as it is, and as its history makes it; go on with one of the two."""
        again = self.new_session()
        rebuild(again, self.turns)
        assert picture(again.execution) == picture(self.session.execution)
        package = self.worker.last
        assert package is None or package.number == self.session.execution._number
        if self.chance.random() < 0.3:
            self.session.close()
            self.session = again
            self.change()

    def change(self) -> None:
        """Between two sessions the code may be changed, once."""
        if self.changed is None or self.worker.last is None:
            return
        begun = self.worker.last.begun
        self.restored = self.worker.program[:begun] + self.changed[begun:]
        self.worker.program, self.changed = self.changed, None

    def is_held(self, error: NonDeterminismError, taken: list[Incoming]) -> None:
        """The change makes a difference; it is taken back for what has begun before."""
        assert "The number of attempts was changed while this instance ran" in str(error)
        assert self.restored is not None
        self.worker.program, self.restored = self.restored, None
        self.worker.last = None  # what it has answered counts for nothing
        self.pending += taken
        self.holds += 1
        self.session.close()
        self.session = self.new_session()
        rebuild(self.session, self.turns)


def picture(execution: Execution) -> object:
    """All that decides how an execution goes on."""
    held = execution.held
    return (
        execution._number,
        execution._private,
        {number: shape(one) for number, one in execution._open.items()},
        [(one.number, one.event.name, one.event.input) for one in held.unread],
        held.waits,
        held.taken,
        execution.seen,
        execution._timers,
        execution._shown,
    )


def shape(one: Any) -> object:  # noqa: ANN401 - what is open
    match one:
        case OpenCall():
            return (one.name, one.is_child, one.retried and shape(one.retried))
        case HttpCall():
            return (one.request, one.number, one.first_id)
        case Pause():
            return (shape(one.retried), one.failure)
        case Poll():
            return (shape(one.call), one.number)
        case Timer() | Refused():
            return type(one)
        case _:
            pass
    return (one.action.function_name, one.policy, one.first_id, one.begun_at, one.attempt)


@pytest.mark.parametrize("dialect", [PYTHON, JAVASCRIPT], ids=lambda one: one.language)
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "plain"])
@settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(program=PROGRAMS, seed=st.integers(0, 1_000_000))
def test_a_rebuilt_session_is_the_live_one(
    dialect: Dialect, keeps: bool, program: tuple[Step, ...], seed: int
) -> None:
    world = World(program, dialect, seed, keeps=keeps)
    world.run()
    assert world.output is not None


def with_attempts(program: tuple[Step, ...], attempts: dict[int, int]) -> tuple[Step, ...]:
    """The same with other numbers of attempts, by those that there were."""
    return tuple(
        structs.replace(
            step,
            tasks=tuple(
                structs.replace(one, attempts=attempts[one.number])
                if one.kind.startswith("retried")
                else one
                for one in step.tasks
            ),
        )
        for step in program
    )


RETRIED = st.builds(
    TaskPlan, st.sampled_from(("retried", "retried_child")), st.integers(1, 4), st.booleans()
)
RETRYING = st.lists(
    st.builds(Step, st.tuples(RETRIED, PLANS), st.booleans(), st.booleans()),
    min_size=1,
    max_size=4,
).map(tuple)
ATTEMPTS = st.fixed_dictionaries({number: st.integers(1, 5) for number in range(1, 5)})


@pytest.mark.parametrize("dialect", [PYTHON, JAVASCRIPT], ids=lambda one: one.language)
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "plain"])
def test_attempts_that_are_changed_on_the_way_never_shift_a_number(
    dialect: Dialect, keeps: bool
) -> None:
    seen: Counter[int] = Counter()

    @settings(
        derandomize=True,
        max_examples=100,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(program=RETRYING, attempts=ATTEMPTS, seed=st.integers(0, 1_000_000))
    def run(program: tuple[Step, ...], attempts: dict[int, int], seed: int) -> None:
        changed = with_attempts(program, attempts)
        world = World(program, dialect, seed, keeps=keeps, changed=changed)
        world.run()
        assert world.output is not None
        seen[world.holds] += 1

    run()
    # Most changes make no difference; those that do hold the instance, and it goes on afterwards.
    assert seen[0] > seen[1] > 0, seen
