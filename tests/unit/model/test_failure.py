"""Failures as recorded data: type, message, traceback and causes outlive the process."""

import pytest

from tenuto.model.errors import ActivityError, SubOrchestrationError
from tenuto.model.failure import FailureDetails, failure_of, storable_text, type_name


class SoldOutError(Exception):
    pass


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The error as it is when somebody catches it."""
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def chain(failure: FailureDetails) -> list[str]:
    found = []
    link: FailureDetails | None = failure
    while link is not None:
        found.append(str(link))
        link = link.inner_failure
    return found


def test_type_message_and_traceback_are_recorded() -> None:
    failure = failure_of(raised(SoldOutError("no seat")))
    assert failure.error_type == type_name(SoldOutError) == f"{__name__}.SoldOutError"
    assert failure.error_message == "no seat"
    assert failure.stack_trace is not None
    assert "raise error from cause" in failure.stack_trace
    assert str(failure) == f"{__name__}.SoldOutError: no seat"


def test_without_a_traceback_none_is_recorded() -> None:
    assert failure_of(SoldOutError("no seat")).stack_trace is None
    assert failure_of(raised(SoldOutError("no seat")), with_traceback=False).stack_trace is None


def test_builtin_types_have_no_module() -> None:
    assert type_name(ValueError) == "ValueError"


def test_causes_are_recorded_to_the_last() -> None:
    error = raised(SoldOutError("no seat"), raised(KeyError("row"), ValueError("1")))
    assert chain(failure_of(error)) == [
        f"{__name__}.SoldOutError: no seat",
        "KeyError: 'row'",
        "ValueError: 1",
    ]


def test_what_was_handled_at_the_time_is_a_cause_unless_it_was_suppressed() -> None:
    error = SoldOutError("no seat")
    error.__context__ = KeyError("row")
    assert chain(failure_of(error))[1:] == ["KeyError: 'row'"]
    error.__suppress_context__ = True
    assert chain(failure_of(error))[1:] == []


def test_a_failed_activity_keeps_the_causes_that_were_recorded_where_it_ran() -> None:
    there = failure_of(raised(SoldOutError("no seat"), ValueError("1")))
    activity = raised(ActivityError("book", there))
    failure = failure_of(raised(SubOrchestrationError("trip", failure_of(activity))))
    assert [one.partition(":")[0].rpartition(".")[2] for one in chain(failure)] == [
        "SubOrchestrationError",
        "ActivityError",
        "SoldOutError",
        "ValueError",
    ]
    assert failure.is_caused_by(SoldOutError)
    assert failure.is_caused_by("ValueError")
    assert not failure.is_caused_by(KeyError)


def test_recorded_causes_stand_instead_of_what_was_handled_when_the_error_was_raised() -> None:
    error = ActivityError("book", FailureDetails("SoldOut", "no seat"))
    error.__context__ = KeyError("unrelated")
    assert chain(failure_of(error))[1:] == ["SoldOut: no seat"]


def test_a_chain_ends_after_twenty_links_and_in_a_circle() -> None:
    error: BaseException = ValueError("0")
    for number in range(1, 30):
        error = raised(ValueError(str(number)), error)
    assert len(chain(failure_of(error))) == 20
    recorded = FailureDetails("SoldOut", "0")
    for number in range(1, 30):
        recorded = FailureDetails("SoldOut", str(number), inner_failure=recorded)
    assert len(chain(failure_of(ActivityError("book", recorded)))) == 20
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    assert chain(failure_of(first)) == ["ValueError: 1", "ValueError: 2"]


def test_a_message_that_cannot_be_made_is_replaced() -> None:
    class BrokenError(Exception):
        def __str__(self) -> str:
            raise KeyError

    assert failure_of(BrokenError()).error_message == "<message not available: KeyError>"


def test_texts_are_cut_in_the_middle_and_storable() -> None:
    text = storable_text("a" * 40_000 + "z" * 40_000)
    assert len(text) < 33_000
    assert text.startswith("aaa")
    assert text.endswith("zzz")
    assert storable_text("\udc80") == "\\udc80"


@pytest.mark.parametrize("is_final", [True, False])
def test_an_error_may_say_that_no_retry_helps(*, is_final: bool) -> None:
    error = SoldOutError("no seat")
    if is_final:
        error.is_non_retriable = True  # type: ignore[attr-defined]  # any exception may carry it
    assert failure_of(error).is_non_retriable is is_final
