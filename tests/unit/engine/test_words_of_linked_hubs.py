"""What a linked hub says of an instance counts for calls between the two, and for nothing else."""

import pytest

from tenuto.engine.state import InstanceState
from tenuto.engine.turns.sorting import SortedInbox, refuse_finished, sort_inbox
from tenuto.model.events import (
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
)
from tenuto.model.facts import InstanceFacts
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.messages import ChildResult, Terminate
from tenuto.model.status import ParentInstance, RuntimeStatus

OWN = ExecutionId("0" * 31 + "1")
ABOVE = ExecutionId("0" * 31 + "2")


def state(status: RuntimeStatus = RuntimeStatus.RUNNING) -> InstanceState:
    """An instance that ``box/m`` has called, and that has called on two hubs and here."""
    parent = ParentInstance(InstanceId("box/m"), ABOVE, "measure", 3)
    facts = InstanceFacts(InstanceId("boss"), OWN, "ask", InstanceId("box/m"), parent=parent)
    found = InstanceState(1, 0, 0, facts, status=status, next_turn=1)
    for number, child in enumerate(("box/a", "far/a", "boxer", "a"), 1):
        found.work.children[number] = SubOrchestrationInstanceCreated(
            number, "a", InstanceId(child), OWN
        )
    return found


@pytest.mark.parametrize(
    ("hub", "counts"),
    [(None, {1, 2, 3, 4}), ("box", {1}), ("far", {2}), ("fa", set()), ("", set())],
)
def test_an_answer_counts_for_calls_that_went_there(hub: str | None, counts: set[int]) -> None:
    answers = [
        ChildResult(execution_id=OWN, event=SubOrchestrationInstanceCompleted(number), hub=hub)
        for number in range(1, 6)
    ]
    taken = sort_inbox(state(), answers)
    assert {getattr(event, "task_scheduled_id", 0) for event in taken.incoming} == counts
    assert taken.taken == answers


@pytest.mark.parametrize(
    ("hub", "child_of", "task_id", "ends"),
    [
        ("box", ABOVE, 3, True),
        (None, ABOVE, 3, True),
        ("far", ABOVE, 3, False),
        ("box", ABOVE, 4, False),
        ("box", OWN, 0, False),
    ],
)
def test_an_end_counts_from_the_hub_of_the_caller(
    hub: str | None, child_of: ExecutionId, task_id: int, *, ends: bool
) -> None:
    word = Terminate(recurse=True, child_of=child_of, task_id=task_id, hub=hub)
    assert sort_inbox(state(), [word]).is_terminated is ends
    # To one that is over it would be handed on, to all that it has called.
    over = SortedInbox()
    refuse_finished(state(RuntimeStatus.COMPLETED), word, RuntimeStatus.COMPLETED, over)
    assert bool(over.passed_on) is ends


def test_its_own_word_and_that_of_a_client_are_handed_on() -> None:
    for child_of in (OWN, None):
        over = SortedInbox()
        word = Terminate(recurse=True, child_of=child_of)
        refuse_finished(state(RuntimeStatus.COMPLETED), word, RuntimeStatus.COMPLETED, over)
        assert over.passed_on
