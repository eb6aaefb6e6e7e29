"""Looking back at random programs: what is shown is what was, and nothing is changed by it.

Beside a live session its history is gone through to and fro, in a session that is thrown away.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tenuto.engine.ports import LoadedInstance
from tenuto.functions.looking_back import NativePast
from tenuto.functions.registry import FunctionRegistry
from tenuto.insight.past import Past
from tenuto.insight.steps import run_of
from tenuto.model.codec import decode_turn, encode
from tenuto.model.events import ExecutionStarted, Incoming, OrchestratorStarted
from tenuto.model.execution import ExecutionInfo
from tenuto.model.limits import Limits
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.orchestration.runtime import RUNTIME
from tenuto.orchestration.session import Session
from tests.support.foreign_runner import ForeignRunner
from tests.support.program_grammar import Choose, Node, grow_program
from tests.support.program_interpreter import functions, orchestrator_of
from tests.support.program_runs import EXECUTION, Environment, Run, Seen
from tests.support.runs import record

_MOST_TURNS = 16


class LookingRunner(ForeignRunner):
    """Has one random program, and looks back."""

    def __init__(self, program: Node) -> None:
        super().__init__({"program": None}, {}, "")
        self._program = program

    def open_past(self, info: ExecutionInfo) -> NativePast:
        orchestrator = FunctionRegistry().orchestrator(name="program")(
            orchestrator_of(self._program, [])
        )
        return NativePast(Session(info, orchestrator, functions, trace=True))


def row(rows: list[bytes], *, has_ended: bool = False) -> InstanceRecord:
    made = record(
        RuntimeStatus.COMPLETED if has_ended else RuntimeStatus.RUNNING,
        name="program",
        instance_id="instance",
        ended=float(len(rows)) if has_ended else None,
    )
    return structs.replace(made, execution_id=EXECUTION)


class Traveller:
    """Looks back at a history that grows, from wherever it is to wherever chance leads."""

    def __init__(self, program: Node, choose: Choose) -> None:
        self._runner = LookingRunner(program)
        self._choose = choose
        self._past: Past | None = None

    def look(self, rows: list[bytes], *, has_ended: bool, turn: int | None = None) -> None:
        before = list(rows)
        loaded = LoadedInstance(row(rows, has_ended=has_ended), list(rows), [])
        if self._past is None or not self._past.grown(loaded):
            self._past = Past(loaded, self._runner, Limits())
        past, wanted = self._past, turn or 1 + self._choose(len(rows))
        while not past.go(wanted, seconds=0.0):
            assert past.at < wanted
        moment = past.moment(past.run(), past.places())
        assert rows == before
        assert moment.words.turn == wanted
        assert moment.fits_through is None
        is_last = wanted == len(rows)
        then = row(rows, has_ended=has_ended and is_last)
        told = run_of(then, [decode_turn(one) for one in rows[:wanted]])
        assert moment.run.steps == told.steps
        assert (moment.places is None) == bool(moment.why)
        assert bool(moment.why) == (has_ended and is_last), moment.why
        if moment.places is not None:
            assert moment.places.frames, "it waits somewhere"

    def close(self) -> None:
        if self._past is not None:
            self._past.close()


def watched_run(program: Node, choose: Choose, look: Callable[..., Any]) -> list[dict[str, Any]]:
    """Run a program hot; after each turn somebody looks back."""
    run, environment = Run(program), Environment(choose)
    rows: list[bytes] = []
    turns: list[dict[str, Any]] = []
    incoming: list[Incoming] = [ExecutionStarted("program", EXECUTION, runtime=RUNTIME)]
    while not environment.is_ended and len(rows) < _MOST_TURNS:
        answer = run.session.run_turn(environment.now, incoming)
        rows.append(encode([OrchestratorStarted(environment.now), *incoming, *answer.actions]))
        turns.append({"at": environment.now, "incoming": incoming, "seen": run.see(answer)})
        environment.decided(answer.actions)
        look(rows, has_ended=environment.is_ended)
        incoming = environment.batch()
    look(rows, has_ended=environment.is_ended, turn=len(rows))
    run.close()
    return turns


def seen_again(program: Node, turns: list[dict[str, Any]]) -> list[Seen]:
    run = Run(program)
    seen = [run.turn(one["at"], one["incoming"], replaying=True) for one in turns]
    run.close()
    return seen


@settings(
    derandomize=True,
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_looking_back_shows_what_was_and_the_live_session_goes_on_as_if_nobody_had(
    data: st.DataObject,
) -> None:
    def choose(count: int) -> int:
        return data.draw(st.integers(0, count - 1))

    program = grow_program(choose)
    traveller = Traveller(program, choose)
    turns = watched_run(program, choose, traveller.look)
    traveller.close()
    assert seen_again(program, turns) == [one["seen"] for one in turns]
