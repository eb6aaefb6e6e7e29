"""Which exceptions are handed on as they are, and what is said in the place of the others."""

import pytest

from tenuto.model import plain_errors
from tenuto.model.errors import RowsRefusedError
from tenuto.model.plain_errors import plain_error, stand_in
from tenuto.model.texts import MOST_CHARACTERS


class NamedError(Exception):
    """One that has a name and nothing else."""


class OddError(Exception):
    """One that has code of its own where others look."""

    def __bool__(self) -> bool:
        raise RuntimeError("is not asked")


class Kind(type):
    """A class of classes."""


class OfAnotherKindError(Exception, metaclass=Kind):
    """One whose class is not a plain one."""


def noted(error: Exception, *notes: str) -> Exception:
    for note in notes:
        error.add_note(note)
    return error


def with_broken_notes(notes: object) -> Exception:
    error = ValueError("x")
    error.__notes__ = notes  # type: ignore[assignment]
    return error


def chain(length: int) -> Exception:
    first = last = ValueError("0")
    for number in range(1, length):
        cause = ValueError(str(number))
        last.__cause__ = cause
        last = cause
    return first


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no plate"),
        NamedError("own", 1, None, b"bytes"),
        KeyError("k"),
        noted(ValueError("x"), "first", "second"),
        ExceptionGroup("several", [ValueError("one"), NamedError("two")]),
        chain(5),
    ],
)
def test_what_is_plain_is_handed_on_as_it_is(error: BaseException) -> None:
    assert plain_error(error) is error


@pytest.mark.parametrize(
    "error",
    [
        OddError("odd"),
        OfAnotherKindError("kind"),
        ExceptionGroup("several", [OddError("inside")]),
        ValueError(object()),
        ValueError("x" * (MOST_CHARACTERS + 1)),
        ValueError(1 << (MOST_CHARACTERS + 1)),
        ValueError(*range(100_000)),
        with_broken_notes("no list"),
        with_broken_notes([OddError("a note")]),
        with_broken_notes(["n"] * 100_000),
        chain(10_000),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_odd_or_long_is_said_by_a_plain_one(error: BaseException) -> None:
    made = plain_error(error)
    assert made is not error
    assert type(made).__name__ == type(error).__name__


def test_what_cannot_be_looked_at_is_said_by_a_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_error: BaseException) -> bool:
        raise SystemExit

    monkeypatch.setattr(plain_errors, "_is_plain", fail)
    error = ValueError("x")
    made = plain_error(error)
    assert made is not error
    assert str(made) == "x"


def test_what_is_ours_may_have_code_of_its_own() -> None:
    error = RowsRefusedError("no", instances={1: "why"})
    assert plain_error(error) is error


def test_what_goes_round_in_a_circle_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert plain_error(one) is one


def test_a_stand_in_says_causes_contexts_and_notes() -> None:
    def fail() -> None:
        try:
            try:
                raise OddError("first")  # noqa: TRY301 - a context is made so
            except OddError as first:
                raise KeyError("second") from first
        except KeyError:
            raise noted(ValueError("third"), "look at the plate")  # noqa: B904 - a context

    with pytest.raises(ValueError, match="third") as raised:
        fail()
    made = stand_in(raised.value)
    assert str(made) == "third"
    assert made.__notes__ == ["look at the plate"]
    second = made.__context__
    assert second is not None
    assert made.__cause__ is None
    assert type(second).__name__ == "KeyError"
    assert str(second.__cause__) == "first"
    assert made.__traceback__ is raised.value.__traceback__
