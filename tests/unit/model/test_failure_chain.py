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


def handling(error: BaseException, handled: BaseException) -> BaseException:
    """The error as it is raised behind ``except``."""
    error.__context__ = handled
    return error


def test_what_goes_wrong_in_a_handler_is_said_first_and_then_what_was_handled() -> None:
    declined = ActivityError("charge", failure_of(CardDeclinedError("51")))
    mistake = handling(AttributeError("no such thing"), declined)
    failure = failure_of(mistake)
    said = f"AttributeError: no such thing; raised while handling {NAME}: 51 (in activity 'charge')"
    assert failure.summary == said
    assert failure.root_cause is failure
    above = passed_on(failure, 2)
    assert above.summary == said.replace("thing;", "thing (failed 2 levels below);")
    wrapped = RuntimeError("no trip")
    wrapped.__cause__ = mistake
    assert failure_of(wrapped).summary == said.replace(
        "thing;", "thing; it led to RuntimeError: no trip;"
    )
    text = str(OrchestrationFailedError("a", "order", failure))
    assert text == f"orchestration 'order' (instance 'a') failed: {said}"


def test_work_that_fails_while_other_work_is_undone_is_said_first() -> None:
    booking = ActivityError("book", failure_of(CardDeclinedError("51")))
    undoing = handling(ActivityError("cancel", failure_of(OSError("no line"))), booking)
    assert failure_of(undoing).summary == (
        f"OSError: no line (in activity 'cancel'); raised while handling {NAME}: 51"
        " (in activity 'book')"
    )


def test_handlers_in_handlers_name_the_nearest_and_the_first() -> None:
    error: BaseException = KeyError("seat")
    said = []
    for number in range(4):
        error = handling(ValueError(str(number)), error)
        said.append(failure_of(error).summary)
    before = "; raised while handling ValueError"
    assert said == [
        "ValueError: 0; raised while handling KeyError: 'seat'",
        f"ValueError: 1{before}: 0, and before that KeyError: 'seat'",
        f"ValueError: 2{before}: 1, and before that, over 1 other, KeyError: 'seat'",
        f"ValueError: 3{before}: 2, and before that, over 2 others, KeyError: 'seat'",
    ]


@pytest.mark.parametrize("links", [30, 500])
def test_a_long_chain_of_handlers_counts_those_that_are_not_kept(links: int) -> None:
    error: BaseException = KeyError("seat")
    for number in range(links):
        error = handling(ValueError(str(number)), error)
    failure = failure_of(error)
    assert len(links_of(failure)) == MOST_LINKS
    assert failure.summary == (
        f"ValueError: {links - 1}; raised while handling ValueError: {links - 2}, and before that,"
        f" over {links - 2} others, KeyError: 'seat'"
    )


@pytest.mark.parametrize("links", [15, 50])
def test_what_was_handled_behind_a_gap_is_no_cause_of_what_stands_before_it(links: int) -> None:
    """Of the causes on both sides only the outer ends are kept."""
    error: BaseException = KeyError("seat")
    for number in range(links):
        error = _caused(OSError(str(number)), error)
    error = handling(AttributeError("mistake"), error)
    for number in range(links):
        error = _caused(ValueError(str(number)), error)
    failure = failure_of(error)
    assert len(links_of(failure)) == MOST_LINKS
    assert failure.root_cause.error_type == "ValueError"
    assert f"raised while handling, over {2 * links + 2 - MOST_LINKS} others, KeyE" in (
        failure.summary
    )


def _caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def test_calls_in_a_row_are_not_counted_over_what_was_handled() -> None:
    nothing = SubOrchestrationError("order", failure_of(CardDeclinedError("51")))
    del nothing.failure  # as one that users have made
    failure = failure_of(handling(nothing, KeyError("seat")))
    above = passed_on(failure, 40)
    assert above.summary.startswith("SubOrchestrationError: ")
    assert "(failed 40 levels below); raised while handling KeyError: 'seat'" in above.summary
