"""A session from its history alone: no package is asked (ENGINE rule 33).

What a package has answered stands in history: each thing that it asked for is the event of its
first attempt, a wait is its own event, a timer that it canceled is one more. So each recorded turn
goes through the same functions as it did then, and what they decide must be what was recorded.
"""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import UNSET, Raw

from tenuto.interop.contract import actions as kinds
from tenuto.interop.contract.actions import Action, FollowedRequest
from tenuto.interop.contract.events import moment_text
from tenuto.interop.contract.execution import Execution
from tenuto.interop.contract.session import ContractSession
from tenuto.model.actions import Action as Decided
from tenuto.model.built_in import HTTP_ACTIVITY
from tenuto.model.errors import NonDeterminismError
from tenuto.model.events import (
    ContinueAsNew,
    EventAwaited,
    EventTaken,
    ExecutionCompleted,
    HistoryEvent,
    SubOrchestrationInstanceCreated,
    TaskCanceled,
    TaskScheduled,
    TimerCreated,
)
from tenuto.orchestration.replay import describe, identity, split_turn

_read_request = msgspec.json.Decoder(FollowedRequest).decode


def rebuilding(session: ContractSession, turns: Sequence[Sequence[HistoryEvent]]) -> Iterator[None]:
    """Bring a fresh session to where its history ends, one recorded turn with each step.

    Raises:
        NonDeterminismError: this version of Tenuto reads the history otherwise than the one that
            wrote it.
    """
    execution = session.execution
    for number, events in enumerate(turns):
        turn = split_turn(events)
        news = execution.take_in(turn.timestamp, turn.incoming)
        for decided in turn.actions[len(execution.decided) :]:
            late = _follow(execution, decided)
            if late is not None:
                news.append(late)
        _compare(turn.actions, execution.decided, number)
        session.remember(news)
        yield
    session.was_told_status()


def _follow(execution: Execution, decided: Decided) -> Raw | None:
    """One recorded decision of the package; what it was told because of it."""
    match decided:
        case TaskScheduled() if decided.name == HTTP_ACTIVITY:
            execution.decide_http(_read_request(decided.input or "{}"))
        case TaskScheduled():
            text = msgspec.json.encode(decided.input) if decided.input is not None else None
            action = Action(
                kinds.CALL_ACTIVITY if decided.retry is None else kinds.CALL_ACTIVITY_WITH_RETRY,
                decided.name,
                UNSET if text is None else Raw(text),
            )
            _called(execution, action, decided)
        case SubOrchestrationInstanceCreated():
            given = decided.input
            action = Action(
                kinds.CALL_CHILD if decided.retry is None else kinds.CALL_CHILD_WITH_RETRY,
                decided.name,
                UNSET if given is None else Raw(given.encode()),
                instance_id=execution.chosen_id(decided),
                version=decided.version,
            )
            _called(execution, action, decided)
        case TimerCreated() if decided.purpose == "poll":
            execution.decide(Action(kinds.CALL_ENTITY))
        case TimerCreated():
            at = moment_text(decided.fire_at)
            execution.decide(Action(kinds.CREATE_TIMER, fire_at=at))
        case EventAwaited():
            execution.decide(Action(kinds.WAIT_FOR_EVENT, external_event_name=decided.name))
        case TaskCanceled():
            execution.cancel_number(decided.task_id)
        case EventTaken():
            return execution.give_to_wait(decided.task_id)
        case _:
            pass
    return None


def _called(
    execution: Execution, action: Action, decided: TaskScheduled | SubOrchestrationInstanceCreated
) -> None:
    if decided.retry is None:
        execution.decide(action)
    else:
        execution.decide_retried(action, decided.retry)


def _compare(recorded: Sequence[Decided], produced: Sequence[Decided], number: int) -> None:
    endings = (ExecutionCompleted, ContinueAsNew)
    before = [one for one in recorded if not isinstance(one, endings)]
    for place in range(max(len(before), len(produced))):
        old = before[place] if place < len(before) else None
        new = produced[place] if place < len(produced) else None
        if old is None or new is None or identity(old) != identity(new):
            raise NonDeterminismError(
                f"the history cannot be read: in turn {number + 1}, action {place + 1}, it has "
                f"{describe(old)}, and this version of Tenuto makes {describe(new)} of it. Run the "
                "instance on the version that recorded it, or restart it.",
                describe(old),
                describe(new),
            )
