"""Errors of what does not fit say both sides in words."""

from tenuto.model.errors import PayloadError, PayloadMisfitError, UnknownFunctionError


def test_a_payload_that_does_not_fit_shows_what_is_stored_and_what_is_asked_for() -> None:
    error = PayloadError("is no number", owner="result of book")
    short = PayloadMisfitError("the result of 'book'", '"Oslo"', error)
    assert (
        str(short) == "the result of 'book' does not fit: result of book: value at $ is no number"
    )
    assert short.recorded == "the result of 'book': \"Oslo\""
    assert short.produced == "result of book: value at $ is no number"
    assert PayloadMisfitError("the input", None, error).recorded == "the input: nothing"
    long = PayloadMisfitError("the input", "9" * 1_000, error)
    assert long.recorded == f"the input: {'9' * 80}..."


def test_a_function_that_is_not_there_shows_what_is() -> None:
    error = UnknownFunctionError("activity", "book", ["pack", "look"])
    assert error.recorded == "activity 'book'"
    assert error.produced == "no activity of that name; registered: look, pack"


def test_a_function_without_a_worker_is_not_one_that_is_not_there() -> None:
    error = UnknownFunctionError("orchestrator", "book", ["book", "pack"])
    assert error.is_known
    assert str(error) == "no worker is there now that can run the orchestrator 'book'"
    assert error.produced == "no worker that can run it"
    assert not UnknownFunctionError("orchestrator", "boot", ["book"]).is_known
