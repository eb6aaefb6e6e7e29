"""What tells how long something has been waiting."""

from tenuto.engine.timers import TimerQueue
from tenuto.engine.waiting import QueueAge
from tenuto.testing.clock import VirtualClock


def test_an_empty_queue_has_no_age() -> None:
    age = QueueAge()
    assert age.since is None
    age.round(5, 0, 100)
    assert age.since is None


def test_the_age_is_that_of_the_head_and_goes_with_it() -> None:
    age = QueueAge()
    age.round(10, 30, 100)  # 30 had come by 100
    age.round(10, 25, 200)  # 20 of them are left, and 5 came by 200
    assert age.since == 100
    age.round(19, 6, 300)  # one of them is left
    assert age.since == 100
    age.round(1, 5, 400)
    assert age.since == 200
    age.round(5, 2, 500)
    assert age.since == 500
    age.round(2, 0, 600)
    assert age.since is None


async def test_late_timers_are_counted() -> None:
    clock = VirtualClock()
    timers = TimerQueue(clock, lambda iids: None)
    now = clock.now()
    assert timers.due(now) == 0
    for later in (10, 5, 20, 7):
        timers.arm(now + later, 1)
    assert [timers.due(now + later) for later in (4, 5, 7, 19, 20)] == [0, 1, 2, 3, 4]
