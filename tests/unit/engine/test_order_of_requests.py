"""Requests that suspend and resume keep their order in an inbox that may have to be cut."""

import pytest

from tenuto import InstanceStateError, RuntimeStatus
from tenuto.engine.state import InstanceState
from tenuto.engine.turns.sorting import cut_inbox, sort_inbox
from tenuto.model.events import EventRaised
from tenuto.model.ids import MessageId
from tenuto.model.messages import Message, RaiseEvent, Resume, Suspend
from tests.support.facts import facts


@pytest.mark.parametrize(
    ("requests", "status"),
    [
        ("SR", RuntimeStatus.RUNNING),
        ("RSR", RuntimeStatus.RUNNING),
        ("RS", RuntimeStatus.SUSPENDED),
        ("RSRS", RuntimeStatus.SUSPENDED),
    ],
)
def test_requests_to_a_suspended_instance_keep_their_order_among_many_messages(
    requests: str, status: RuntimeStatus
) -> None:
    state = InstanceState(
        iid=1,
        partition=0,
        created_at=0,
        facts=facts("x", "e", "x"),
        updated_at=0,
        status=RuntimeStatus.SUSPENDED,
        next_turn=1,
    )
    events: list[Message] = [
        RaiseEvent(message_id=MessageId(f"e{number}"), event=EventRaised("other", "1"))
        for number in range(6)
    ]
    controls: list[Message] = [
        (Suspend if one == "S" else Resume)(message_id=MessageId(f"c{number}"))
        for number, one in enumerate(requests)
    ]
    now, later = cut_inbox(state, [*controls, *events])
    result = sort_inbox(state, now)
    assert not later
    assert result.status is status
    assert all(isinstance(one.error, InstanceStateError) for one in result.refused)
    assert len(result.refused) == requests.startswith("S")
