"""Sessions driven by hand: the world of an orchestrator, one event at a time."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tenuto.functions.registry import FunctionRegistry
from tenuto.model.actions import Action, TurnActions
from tenuto.model.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionCompleted,
    ExecutionStarted,
    HistoryEvent,
    Incoming,
    OrchestratorStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TimerCreated,
    TimerFired,
)
from tenuto.model.execution import ExecutionInfo
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.limits import Limits
from tenuto.model.status import ParentInstance
from tenuto.orchestration.references import AnyOrchestrator
from tenuto.orchestration.replay import replay
from tenuto.orchestration.session import Session
from tests.support.facts import execution_of

A = TypeVar("A")

SECOND = 1_000_000
START = 1_767_225_600 * SECOND
"""2026-01-01 00:00 UTC."""

EXECUTION = ExecutionId("e" * 32)

functions = FunctionRegistry()
"""What the orchestrators of these tests call."""


@functions.activity
def work(value: Any = None) -> Any:  # noqa: ANN401 - anything
    """Never run: the tests answer for it."""
    return value


def orchestrator(function: Callable[..., Any], name: str | None = None) -> AnyOrchestrator:
    """The reference of an orchestrator; in a registry of its own, so that names may repeat."""
    reference: AnyOrchestrator = FunctionRegistry().orchestrator(name=name)(function)
    return reference


def execution(name: str = "orchestrator", **facts: Any) -> ExecutionInfo:
    """The facts of an execution."""
    given: dict[str, Any] = {
        "instance_id": "instance",
        "execution_id": EXECUTION,
        "name": name,
        "version": None,
        "parent": None,
        "tags": None,
        "depth": 0,
        "limits": Limits(),
    }
    return execution_of(**{**given, **facts})


def child_of(instance_id: str) -> ParentInstance:
    """A parent for ``execution(parent=...)``."""
    return ParentInstance(InstanceId(instance_id), ExecutionId("f" * 32), "parent", 1)


def answered(task_id: int, value: object = None) -> TaskCompleted:
    """An activity's result."""
    return TaskCompleted(task_id, json.dumps(value))


def failed(task_id: int, error: str = "ValueError", message: str = "no", **more: Any) -> TaskFailed:
    """An activity's failure."""
    return TaskFailed(task_id, FailureDetails(error, message, **more))


def child_answered(task_id: int, value: object = None) -> SubOrchestrationInstanceCompleted:
    """A child's result."""
    return SubOrchestrationInstanceCompleted(task_id, json.dumps(value))


def child_failed(task_id: int, message: str = "no") -> SubOrchestrationInstanceFailed:
    """A child's failure."""
    return SubOrchestrationInstanceFailed(task_id, FailureDetails("ValueError", message))


def raised(name: str, value: object = None) -> EventRaised:
    """An external event."""
    return EventRaised(name, json.dumps(value))


class Driven:
    """A session and the history that it makes.

    Args:
        function: The orchestrator.
        info: The facts of its execution.
        directory: Finds functions that are called by name.
        trace: Whether source lines are traced.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        info: ExecutionInfo | None = None,
        directory: FunctionRegistry = functions,
        trace: bool = False,
    ) -> None:
        self.reference = orchestrator(function)
        self.info = info or execution(self.reference.name)
        self.directory = directory
        self.session = self.open(trace)
        self.turns: list[list[HistoryEvent]] = []
        self.now = START

    def open(self, trace: bool = False) -> Session:
        """Another session of the same execution."""
        return Session(self.info, self.reference, self.directory, trace=trace)

    def turn(self, *events: Incoming, seconds: float = 1) -> TurnActions:
        """One turn, some time after the last one."""
        if self.turns:
            self.now += int(seconds * SECOND)
        for event in events:
            if isinstance(event, TimerFired):
                self.now = max(self.now, event.fire_at)
        answer = self.session.run_turn(self.now, events)
        self.turns.append([OrchestratorStarted(self.now), *events, *answer.actions])
        return answer

    def start(self, *arguments: object) -> TurnActions:
        """The first turn."""
        text = self.reference.signature.encode_arguments(arguments)
        return self.turn(ExecutionStarted(self.reference.name, EXECUTION, text))

    def fire(self, *timers: TimerCreated) -> TurnActions:
        """A turn in which timers fire."""
        return self.turn(*(TimerFired(one.event_id, one.fire_at) for one in timers))

    def of_type(self, kind: type[A]) -> list[A]:
        """The events of one kind in all turns."""
        return [event for turn in self.turns for event in turn if isinstance(event, kind)]

    @property
    def ending(self) -> ExecutionCompleted | ContinueAsNew | None:
        """How the execution ended."""
        last = self.turns[-1][-1]
        return last if isinstance(last, ExecutionCompleted | ContinueAsNew) else None

    @property
    def result(self) -> Any:  # noqa: ANN401 - anything
        """What the orchestrator returned."""
        ending = self.ending
        assert isinstance(ending, ExecutionCompleted), self.turns[-1]
        assert ending.failure_details is None, ending.failure_details
        return None if ending.result is None else json.loads(ending.result)

    @property
    def failure(self) -> FailureDetails:
        """What the orchestrator failed with."""
        ending = self.ending
        assert isinstance(ending, ExecutionCompleted), self.turns[-1]
        assert ending.failure_details is not None
        return ending.failure_details

    def replayed(self) -> Session:
        """A fresh session, replayed over all turns."""
        return replay(self.turns, self.open)

    def close(self) -> int:
        """Discard the session; the number of coroutines that refused to end."""
        return self.session.close()


def run(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - anything
    """Run an orchestrator that needs no answers, and close its session; gives its result."""
    driven = Driven(function)
    driven.start(*arguments)
    assert driven.close() == 0
    return driven.result


def names(actions: Sequence[Action]) -> list[str]:
    """The kinds of actions, for short assertions."""
    return [type(action).__name__ for action in actions]
