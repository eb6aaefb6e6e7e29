"""Strict replay of a stored history: every decision compared in full.

Keeps the promise ``replay_is_pure`` honest in tests. A host compares only what an action is, so
that a changed input does not strand running instances; here everything must be the same.
"""

from collections.abc import Sequence

from tenuto.engine.fitting import is_ended_from_outside
from tenuto.functions.registry import FunctionRegistry
from tenuto.model.actions import Action
from tenuto.model.errors import NonDeterminismError
from tenuto.model.events import HistoryEvent
from tenuto.model.execution import ExecutionInfo
from tenuto.model.facts import facts_of_row
from tenuto.model.limits import Limits
from tenuto.model.status import InstanceRecord
from tenuto.model.unread import UnreadEvents
from tenuto.orchestration.guard.calls import CallWatch
from tenuto.orchestration.replay import RecordedTurn, describe, replay, run_again, split_turn
from tenuto.orchestration.session import Session


def check_history(
    registry: FunctionRegistry,
    record: InstanceRecord,
    turns: Sequence[Sequence[HistoryEvent]],
    limits: Limits,
    unread: UnreadEvents,
) -> None:
    """Run an execution's code over its history, with what earlier generations left unread.

    Raises:
        NonDeterminismError: a decision differs from the recorded one.
        GuardError: it does, because the code does what cannot be replayed.
        UnknownFunctionError: no orchestrator of that name.
    """
    checked = turns[:-1] if turns and is_ended_from_outside(turns[-1]) else turns
    if not checked:
        return  # no decision of the code is recorded
    info = ExecutionInfo(facts=facts_of_row(record), limits=limits, unread=unread)
    orchestrator = registry.get_orchestrator(record.name)

    def open_session(trace: bool) -> Session:  # noqa: FBT001 - the form that replay asks for
        return Session(info, orchestrator, registry, trace=trace, watch=CallWatch(1))

    replay(checked, open_session).close()  # the better message, when the kinds of work differ
    session = open_session(False)
    try:
        for number, turn in enumerate(checked, 1):
            recorded = split_turn(turn)
            _compare(record, number, recorded, run_again(session, recorded))
    finally:
        session.close()


def _compare(
    record: InstanceRecord, number: int, recorded: RecordedTurn, produced: Sequence[Action]
) -> None:
    for index, (old, new) in enumerate(zip(recorded.actions, produced, strict=True), 1):
        if old != new:
            raise NonDeterminismError(
                f"replay of instance {record.instance_id!r} ({record.name!r}) decided otherwise in "
                f"turn {number}, action {index}: history recorded {describe(old)} as {old!r}, the "
                f"code produced {new!r}"
            )
