"""A listener of an instance that moves between hosts: each turn once, nothing missing unsaid."""

import pytest
from msgspec import structs

from tenuto.engine.ports import Standing
from tenuto.engine.subscription import Subscription
from tenuto.engine.update import Update, place, summary
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.status import InstanceRecord, RuntimeStatus

ONE = InstanceId("one")
RECORD = InstanceRecord(
    iid=1,
    instance_id=ONE,
    partition=0,
    name="x",
    execution_id=ExecutionId("e"),
    created_at=1,
    root_id=ONE,
)


class Feed:
    """Of a listener that has missed nothing."""

    async def missed_turns(self, _instance_id: InstanceId, _after: str) -> list[Update]:
        return []

    def forget(self, listener: Subscription, *, comes_back: bool) -> None: ...
    def look_again(self, instance_id: InstanceId) -> None: ...


class Listener:
    """What a listener is told, in the order in which it is read."""

    def __init__(self) -> None:
        self.subscription = Subscription(Feed(), ONE, 10)
        self.subscription.minds_gaps = True

    def commits(self, generation: int, turn: int, record: InstanceRecord | None = None) -> None:
        """This host has committed it."""
        self.subscription.committed(
            Update(
                position=place(generation, turn),
                instance_id=ONE,
                generation=generation,
                turn=turn,
                record=None if record is None else summary(record),
            )
        )

    def looks(
        self, generation: int, turn: int, record: InstanceRecord = RECORD, *, is_last: bool = False
    ) -> None:
        """The store says so."""
        found = structs.replace(record, generation=generation)
        self.subscription.stands(Standing(found, turn + 1), is_last=is_last)

    async def told(self) -> list[str]:
        """Positions; with a mark behind what is no mere turn."""
        self.subscription.end()
        updates = [one async for one in self.subscription]
        return [one.position + _mark(one) for one in updates]


def _mark(update: Update) -> str:
    if update.is_reset:
        return " reset"
    if update.is_purged:
        return " purged"
    return " ended" if update.has_ended else ""


@pytest.fixture
def listener() -> Listener:
    listener = Listener()
    listener.looks(0, 2)  # from here on
    return listener


async def test_turns_that_another_host_has_committed_are_told(listener: Listener) -> None:
    listener.looks(0, 2)
    listener.looks(0, 4)
    listener.looks(0, 5)
    assert await listener.told() == ["0.3", "0.4", "0.5"]


async def test_what_is_told_is_not_told_again_by_the_host_that_takes_over(
    listener: Listener,
) -> None:
    listener.looks(0, 4)
    listener.commits(0, 3)
    listener.commits(0, 5)
    assert await listener.told() == ["0.3", "0.4", "0.5"]


async def test_turns_before_those_of_the_new_host_are_filled_in(listener: Listener) -> None:
    listener.commits(0, 5)
    assert await listener.told() == ["0.3", "0.4", "0.5"]


async def test_a_last_look_may_be_behind(listener: Listener) -> None:
    listener.commits(0, 3)
    listener.looks(0, 2, is_last=True)
    listener.commits(0, 4)
    assert await listener.told() == ["0.3", "0.4"]


async def test_a_generation_of_which_the_beginning_was_missed_is_read_anew(
    listener: Listener,
) -> None:
    listener.looks(1, 2)
    listener.commits(2, 0)
    listener.commits(3, 1)
    assert await listener.told() == ["1.2 reset", "2.0", "3.1 reset"]


async def test_too_many_at_once_are_read_anew(listener: Listener) -> None:
    listener.looks(0, 40)
    assert await listener.told() == ["0.40 reset"]


async def test_a_hold_is_told_although_no_turn_tells_it(listener: Listener) -> None:
    held = structs.replace(RECORD, hold=Hold(HoldReason.DECISIONS, "they do not fit", 5))
    listener.looks(0, 2, held)
    listener.looks(0, 2, held)
    listener.commits(0, 2, RECORD)
    listener.looks(0, 2)
    assert await listener.told() == ["0.2", "0.2"]


async def test_the_end_is_told(listener: Listener) -> None:
    listener.looks(0, 3, structs.replace(RECORD, status=RuntimeStatus.COMPLETED))
    assert await listener.told() == ["0.3 ended"]


async def test_that_it_is_no_more_is_told_once(listener: Listener) -> None:
    listener.subscription.stands(None, is_last=False)
    listener.subscription.stands(None, is_last=False)
    assert await listener.told() == ["0.2 purged"]


@pytest.mark.parametrize("turn", [0, 2, 7])
async def test_another_one_of_its_id_is_read_anew(listener: Listener, turn: int) -> None:
    listener.looks(0, turn, structs.replace(RECORD, iid=9))
    assert await listener.told() == [f"0.{turn} reset"]
