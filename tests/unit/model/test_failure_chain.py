"""Chains of failures: the root cause is said first and once, what passed it on is counted."""

import pytest

from tenuto.model.errors import ActivityError, OrchestrationFailedError, SubOrchestrationError
from tenuto.model.failure import FailureDetails, failure_of
from tenuto.model.failure_chain import MOST_LINKS, links_of


class CardDeclinedError(Exception):
    pass


NAME = f"{__name__}.CardDeclinedError"


def passed_on(failure: FailureDetails, times: int) -> FailureDetails:
    """The failure of an instance ``times`` levels above."""
    for level in range(times):
        failure = failure_of(SubOrchestrationError(f"level_{level}", failure))
    return failure


def test_a_failure_alone_is_what_it_says() -> None:
    failure = failure_of(CardDeclinedError("51"))
    assert failure.summary == f"{NAME}: 51"
    assert failure.root_cause is failure


@pytest.mark.parametrize("levels", [1, 2, 19, 20, 49, 50])
def test_the_root_cause_is_first_and_once_at_every_depth(levels: int) -> None:
    declined = failure_of(CardDeclinedError("51"))
    above = passed_on(declined, levels)
    many = "s" if levels > 1 else ""
    assert above.summary == f"{NAME}: 51 (failed {levels} level{many} below)"
    assert above.root_cause.error_type == NAME
    assert above.error_message.count("51") == 1
    assert len(links_of(above)) == min(levels + 1, MOST_LINKS)
    text = str(OrchestrationFailedError("a", "order", above))
    assert text == f"orchestration 'order' (instance 'a') failed: {above.summary}"


def test_an_activity_is_named_where_it_was_called() -> None:
    failure = failure_of(ActivityError("charge", failure_of(CardDeclinedError("51"))))
    assert failure.summary == f"{NAME}: 51 (in activity 'charge')"
    assert passed_on(failure, 49).summary == (
        f"{NAME}: 51 (failed 49 levels below, in activity 'charge')"
    )
    assert str(SubOrchestrationError("order", failure)) == (
        f"sub-orchestration 'order' failed: {NAME}: 51 (in activity 'charge')"
    )
    inner = FailureDetails("C", "d")
    nameless = FailureDetails("tenuto.model.errors.ActivityError", "x", inner_failure=inner)
    assert nameless.summary == "C: d (in an activity)"


def test_what_the_root_cause_led_to_is_said_after_it() -> None:
    failure: BaseException = KeyError("seat")
    for number in range(3):
        error = ValueError(str(number))
        error.__cause__ = failure
        failure = error
        led = "" if number == 0 else f", over {number} other{'s' if number > 1 else ''},"
        assert failure_of(error).summary == f"KeyError: 'seat'; it led{led} to ValueError: {number}"


def test_the_root_cause_of_a_long_chain_is_kept_and_the_links_that_are_not_are_counted() -> None:
    failure: BaseException = KeyError("seat")
    for number in range(500):
        error = ValueError(str(number))
        error.__cause__ = failure
        failure = error
    recorded = failure_of(failure)
    assert len(links_of(recorded)) == MOST_LINKS
    assert recorded.summary == "KeyError: 'seat'; it led, over 499 others, to ValueError: 499"
    assert passed_on(recorded, 30).summary == (
        "KeyError: 'seat' (failed 30 levels below); it led, over 499 others, to ValueError: 499"
    )
    twenty = failure_of(ActivityError("book", recorded))
    assert len(links_of(twenty)) == MOST_LINKS
    assert twenty.is_caused_by(KeyError)


def test_calls_give_way_before_what_was_raised_does() -> None:
    failure = failure_of(CardDeclinedError("51"))
    for number in range(8):
        failure = passed_on(failure, 5)
        error = ValueError(str(number))
        error.__cause__ = SubOrchestrationError("x", failure)
        failure = failure_of(error)
    texts = [str(one) for one in links_of(failure) if one.error_type == "ValueError"]
    assert texts == [f"ValueError: {number}" for number in reversed(range(8))]
    assert failure.summary == (
        f"{NAME}: 51 (failed 48 levels below); it led, over 7 others, to ValueError: 7"
    )


def test_an_exception_without_words_is_its_type() -> None:
    failure = failure_of(ActivityError("charge", failure_of(KeyboardInterrupt())))
    assert failure.summary == "KeyboardInterrupt (in activity 'charge')"
