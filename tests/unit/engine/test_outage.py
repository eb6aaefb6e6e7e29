"""What a host says of a store that it cannot read."""

from tenuto.engine.outage import Outage
from tenuto.testing import RecordingObserver
from tenuto.testing.clock import VirtualClock


async def test_a_line_when_it_begins_one_a_minute_and_one_when_all_works_again() -> None:
    observer, clock = RecordingObserver(), VirtualClock()
    outage = Outage(observer, clock)
    for _ in range(2 * 60 + 30):
        outage.failed("timers could not be read", OSError("away"))
        outage.failed("messages could not be read", OSError("away"))
        clock.jump(clock.now() + 1_000_000)
    outage.works("messages could not be read")
    outage.works("timers could not be read")
    outage.works("timers could not be read")
    assert [text for _, text in observer.problems] == [
        *3 * ["timers could not be read, tried again: away"],
        "the store can be read again",
    ]


async def test_what_fails_and_works_in_turns_says_no_more_than_that() -> None:
    observer, clock = RecordingObserver(), VirtualClock()
    outage = Outage(observer, clock)
    for _ in range(30):
        outage.failed("links could not be read", OSError("no right"))
        outage.works("links could not be read")
        clock.jump(clock.now() + 1_000_000)
    assert len(observer.problems) == 2
