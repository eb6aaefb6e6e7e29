"""Runs a piece of code inside an orchestrator, on a session of its own, without an engine."""

from collections.abc import Callable

from tenuto.functions.registry import FunctionRegistry
from tenuto.model.actions import Action
from tenuto.model.events import ExecutionCompleted, ExecutionStarted
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId
from tenuto.model.limits import Limits
from tenuto.model.status import RuntimeStatus
from tenuto.orchestration.context import Context
from tenuto.orchestration.guard.calls import CallWatch
from tenuto.orchestration.session import Session
from tests.support.facts import execution_of

START = 1_750_000_000_000_000
EXECUTION = ExecutionId("exec")
STARTED = ExecutionStarted("guarded", EXECUTION)


def open_session(
    function: Callable[..., object],
    *,
    watch: CallWatch | None = None,
    app: FunctionRegistry | None = None,
) -> Session:
    """A session of an orchestrator that is made of the function."""
    registry = FunctionRegistry() if app is None else app
    reference = registry.orchestrator(name="guarded")(function)
    info = execution_of(
        instance_id="guarded-1",
        execution_id=EXECUTION,
        name="guarded",
        version=None,
        parent=None,
        tags=None,
        depth=0,
        limits=Limits(),
    )
    return Session(info, reference, registry, watch=watch)


def first_turn(
    function: Callable[..., object],
    *,
    watch: CallWatch | None = None,
    app: FunctionRegistry | None = None,
) -> list[Action]:
    """What an orchestrator decides in its first turn."""
    session = open_session(function, watch=watch, app=app)
    try:
        return list(session.run_turn(START, [STARTED]).actions)
    finally:
        session.close()


def run_inside(
    work: Callable[[Context], object], *, watch: CallWatch | None = None
) -> ExecutionCompleted:
    """Call ``work`` inside an orchestrator and return how that one ended."""

    async def guarded(ctx: Context) -> object:
        return work(ctx)

    (ending,) = first_turn(guarded, watch=watch)
    assert isinstance(ending, ExecutionCompleted)
    return ending


def refusal_of(
    work: Callable[[Context], object], *, watch: CallWatch | None = None
) -> FailureDetails:
    """The failure of an orchestrator that the guard stops."""
    ending = run_inside(work, watch=watch)
    assert ending.orchestration_status is RuntimeStatus.FAILED, ending
    assert ending.failure_details is not None
    assert ending.failure_details.error_type == "tenuto.model.errors.GuardError"
    return ending.failure_details


def allowed(work: Callable[[Context], object], *, watch: CallWatch | None = None) -> str | None:
    """The result, as JSON text, of an orchestrator that nothing stops."""
    ending = run_inside(work, watch=watch)
    assert ending.orchestration_status is RuntimeStatus.COMPLETED, ending.failure_details
    return ending.result
