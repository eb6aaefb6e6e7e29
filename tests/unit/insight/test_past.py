"""The past of an execution: where no code can be looked into, and where it becomes another."""

from msgspec import structs

from tenuto.engine.ports import LoadedInstance
from tenuto.insight.past import Past
from tenuto.model.codec import encode
from tenuto.model.events import HistoryEvent, TaskCompleted, TaskScheduled
from tenuto.model.execution import ExecutionInfo
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import ExecutionId
from tenuto.model.limits import Limits
from tests.support.foreign_runner import ForeignRunner
from tests.support.runs import opening, record, turn

TURNS = [opening(TaskScheduled(1, "book")), turn(2, TaskCompleted(1))]


def loaded(*turns: list[HistoryEvent]) -> LoadedInstance:
    return LoadedInstance(record(), [encode(one) for one in turns], [])


def past(runner: ForeignRunner | None = None) -> Past:
    return Past(loaded(*TURNS), runner or ForeignRunner({"book_trip": None}, {}, ""), Limits())


def test_without_code_there_are_steps_and_words_and_the_reason() -> None:
    one = past()
    assert one.go(1, 1.0)
    moment = one.moment(one.run(), one.places())
    assert moment.places is None
    assert "another program" in moment.why
    assert [step.state for step in moment.run.steps] == ["running"]
    assert moment.words.decided == ("called book",)
    one.close()


def test_code_that_cannot_even_be_opened_is_a_reason() -> None:
    class Broken(ForeignRunner):
        def open_past(self, info: ExecutionInfo) -> None:
            raise ValueError(f"no {info.facts.name}")

    one = past(Broken({"book_trip": None}, {}, ""))
    assert one.go(2, 1.0)
    assert "no book_trip" in one.moment(one.run(), one.places()).why


def test_a_history_that_has_grown_is_taken_in_and_another_one_is_not() -> None:
    one = past()
    assert one.go(2, 1.0)
    before = loaded(*TURNS)
    longer = loaded(*TURNS, turn(3, TaskScheduled(2, "pay")))
    other = structs.replace(before.record, execution_id=ExecutionId("other"))
    held = structs.replace(before.record, hold=Hold(HoldReason.CRASHED, "died", 0))
    assert not one.grown(loaded(TURNS[0]))
    assert not one.grown(LoadedInstance(other, before.turns, []))
    assert not one.grown(LoadedInstance(held, before.turns, []))
    assert one.grown(longer)
    assert one.go(3, 1.0)
    assert [step.name for step in one.moment(one.run(), one.places()).run.steps] == ["book", "pay"]
