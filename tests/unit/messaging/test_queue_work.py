"""Which messages of a queue are in hand, and what is to be noted of them."""

from tenuto.engine.program import Redelivery
from tenuto.engine.queue_ports import (
    LaterMessage,
    MessageInWork,
    QueueNotes,
    ResumedMessage,
    TakenMessage,
)
from tenuto.messaging.queue_work import QueueWork
from tenuto.model.errors import StorageUnavailableError
from tenuto.testing.clock import VirtualClock


def work(attempts: int = 5, most_deaths: int = 3) -> QueueWork:
    return QueueWork("work", Redelivery(attempts=attempts), most_deaths, VirtualClock())


def taken(number: int, attempts: int = 1, deaths: int = 0) -> TakenMessage:
    return TakenMessage(number, f"m-{number}", 0, attempts, None, "1", deaths)


def in_work(number: int, deaths: int = 0) -> MessageInWork:
    return MessageInWork(number, f"m-{number}", deaths, deaths + 1)


def next_to_resume(queue: QueueWork, room: int) -> list[int]:
    return [one.number for one in queue.next_to_resume(room)]


def test_there_is_room_for_as_many_as_may_run_at_once() -> None:
    queue = work()
    assert queue.room(2) == 2
    assert queue.begin(taken(1))
    assert queue.begin(taken(2))
    assert queue.room(2) == queue.room(1) == 0
    queue.end(taken(1), None)
    assert queue.room(2) == 1


def test_a_message_that_runs_here_is_neither_begun_nor_resumed_again() -> None:
    queue = work()
    queue.begin(taken(1))
    assert not queue.begin(taken(1, attempts=2))
    queue.take_over([in_work(1), in_work(2)])
    assert next_to_resume(queue, 9) == [2]


def test_what_is_done_but_not_noted_is_not_resumed() -> None:
    queue = work()
    queue.begin(taken(1))
    queue.end(taken(1), None)
    queue.change_owner()
    queue.take_over([in_work(1)])
    assert queue.done == [1]
    assert not queue.has_next


def test_of_another_owners_time_only_what_is_done_counts() -> None:
    queue = work(attempts=2)
    for number, failure, attempts in ((1, None, 1), (2, ValueError(), 1), (3, ValueError(), 2)):
        queue.begin(taken(number, attempts))
        queue.end(taken(number, attempts), failure)
    queue.take_over([in_work(4), in_work(5, deaths=1)])
    assert (len(queue.later), len(queue.failed), queue.has_next) == (1, 1, True)
    queue.change_owner()
    assert (queue.done, queue.later, queue.failed, queue.has_next) == ([1], [], [], False)


def test_who_was_in_work_at_several_deaths_runs_alone_and_those_of_few_come_first() -> None:
    queue = work()
    queue.take_over([in_work(1, 2), in_work(2, 1), in_work(3), in_work(4, 7), in_work(5, 1)])
    assert [one.number for one, _, _ in queue.failed] == [1, 4]
    for number in (2, 5):
        assert queue.room(9) == 1
        assert next_to_resume(queue, 1) == [number]
        assert queue.is_alone
        queue.begin(taken(number))
        assert queue.room(9) == 0
        assert next_to_resume(queue, 0) == []
        queue.end(taken(number), None)
    assert queue.room(9) == 9
    assert next_to_resume(queue, 9) == [3]
    assert not queue.is_alone


def test_who_has_not_run_alone_is_never_put_aside_however_few_deaths_are_allowed() -> None:
    queue = work(most_deaths=1)
    queue.take_over([in_work(1), in_work(2, 1), in_work(3, 2)])
    assert [one.number for one, _, _ in queue.failed] == [3]


def test_deaths_use_up_no_attempt() -> None:
    queue = work(attempts=3)
    for number, attempts, deaths in ((1, 5, 2), (2, 4, 2), (3, 5, 3)):
        queue.begin(taken(number, attempts, deaths))
        queue.end(taken(number, attempts, deaths), ValueError())
    assert [one.number for one, _, _ in queue.failed] == [1]
    assert [(one.number, one.attempts) for one in queue.later] == [(2, 4), (3, 5)]


def test_who_runs_alone_and_does_not_end_is_passed_by() -> None:
    queue = work()
    queue.take_over([in_work(1, 1), in_work(2, 1), in_work(3)])
    assert next_to_resume(queue, 1) == [1]
    queue.begin(taken(1))
    assert queue.room(2) == 0
    queue.pass_by(taken(1))
    assert queue.room(1) == 0
    assert queue.room(9) == 1
    assert next_to_resume(queue, 1) == [2]
    queue.begin(taken(2))
    assert queue.room(9) == 0
    queue.end(taken(2), None)
    queue.pass_by(taken(2))
    assert queue.room(9) == 8
    assert next_to_resume(queue, 8) == [3]
    assert not queue.is_alone


def test_who_is_to_run_alone_waits_for_those_that_run() -> None:
    queue = work()
    queue.begin(taken(9))
    queue.take_over([in_work(1, deaths=1)])
    assert queue.room(9) == 0
    queue.end(taken(9), None)
    assert queue.room(9) == 1


def test_what_was_not_written_is_to_be_written_still() -> None:
    queue = work(attempts=2)
    for number, failure, attempts in ((1, None, 1), (2, ValueError(), 1), (3, ValueError(), 2)):
        queue.begin(taken(number, attempts))
        queue.end(taken(number, attempts), failure)
    queue.take_over([in_work(4), in_work(5)])
    resume = queue.next_to_resume(1)
    failed = queue.failed
    notes = QueueNotes(queue="q", now=0, done=queue.done, later=queue.later, resume=resume)
    queue.noting()
    assert queue.is_noted
    queue.end(taken(6), None)
    queue.not_noted(notes, failed)
    assert queue.done == [1, 6]
    assert (len(queue.later), len(queue.failed)) == (1, 1)
    assert next_to_resume(queue, 9) == [4, 5]


def test_what_a_write_has_taken_that_nobody_knew_to_have_landed_comes_by_the_same_attempt() -> None:
    queue = work(attempts=2)
    for number, failure, attempts in ((1, None, 1), (2, ValueError(), 1), (3, ValueError(), 2)):
        queue.begin(taken(number, attempts))
        queue.end(taken(number, attempts), failure)
    queue.begin(taken(4))
    queue.take_over([in_work(5), in_work(6, deaths=1)])
    landed = [in_work(number) for number in (1, 2, 3, 4)]
    # That one of those which waited was written as taken again changes nothing.
    landed += [MessageInWork(5, "m-5", 1, 2), in_work(6, deaths=1), MessageInWork(7, "m-7", 2, 4)]
    queue.settle(landed)
    assert queue.next_to_resume(1) == [ResumedMessage(6, 3, 2)]
    queue.begin(taken(6))
    queue.end(taken(6), None)
    assert queue.next_to_resume(9) == [ResumedMessage(5, 2, 1), ResumedMessage(7, 4, 2)]


def test_what_has_no_attempt_of_its_own_counts_as_none() -> None:
    queue = work()
    now = VirtualClock().now()
    queue.begin(taken(1, 3))
    assert queue.end(taken(1, 3), StorageUnavailableError("away")) == 1_000_000
    queue.begin(taken(2, 3))
    queue.give_up()
    assert queue.later == [LaterMessage(1, now + 1_000_000, 2), LaterMessage(2, 0, 2)]


def test_an_error_is_kept_in_words_that_have_an_end() -> None:
    queue = work(attempts=1)
    queue.begin(taken(1))
    assert queue.end(taken(1), ValueError("x" * 10_000)) is None
    ((failed, message_id, _),) = queue.failed
    assert failed.error.startswith("ValueError: xxx")
    assert len(failed.error) == 4_000
    assert message_id == "m-1"
