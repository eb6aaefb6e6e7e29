"""Fields of exceptions: what can be stored comes back with its type, the rest is left out."""

import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest

from tenuto.model.errors import ActivityError, OrchestrationFailedError, SubOrchestrationError
from tenuto.model.failure import FailureDetails, failure_of
from tenuto.model.failure_fields import MOST_CHARACTERS


class Reason(Enum):
    EXPIRED = "expired"


class PaymentError(Exception):
    pass


class CardDeclinedError(PaymentError):
    reason: Reason
    built = 0

    def __init__(self, code: object, **fields: object) -> None:
        CardDeclinedError.built += 1
        super().__init__(f"declined: {code}")
        self.code = code
        self._secret = "4711"
        self.__dict__.update(fields)


@dataclass
class SoldOutError(Exception):
    seat: str
    price: Decimal
    until: date | None = None


class AnsweredError(Exception):
    answer: object
    lock: "threading.Lock"
    long: tuple[Reason, ...]
    code: int

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


class SlottedError(Exception):
    __slots__ = ("code", "never")
    code: int


class FileLostError(OSError):
    pass


class TaggedError(Exception):
    def __str__(self) -> str:
        return f"tagged {self.args[0]}"


def stored(failure: FailureDetails) -> FailureDetails:
    """As it comes out of a store."""
    return msgspec.json.decode(msgspec.json.encode(failure), type=FailureDetails)


def again(error: BaseException) -> Any:  # noqa: ANN401 - has the fields of its class
    return stored(failure_of(error)).to_exception()


PLAIN: list[object] = [None, True, 7, -(2**63), 0.5, "51", "é", [1, [None]], {"a": {"b": [2]}}]
TYPED: list[object] = [
    (1, "a"),
    b"\x00\xff",
    Decimal("12.50"),
    datetime(2026, 11, 29, 1, 2, 3, 4, tzinfo=UTC),
    datetime(2026, 11, 29),  # noqa: DTZ001 - naive on purpose
    date(2026, 11, 29),
    time(1, 2),
    timedelta(days=1, microseconds=1),
    uuid.UUID(int=7),
]


@pytest.mark.parametrize("value", [*PLAIN, *TYPED], ids=repr)
def test_a_field_comes_back_as_what_it_was(value: object) -> None:
    error = again(CardDeclinedError(value))
    assert type(error) is CardDeclinedError
    assert (type(error.code), error.code) == (type(value), value)
    assert str(error) == f"declined: {value}"
    assert again(ValueError("x", value)).args == ("x", value)


ENDLESS: list[object] = []
ENDLESS.append(ENDLESS)
UNKEPT: dict[str, Callable[[], object]] = {
    "an object": object,
    "a number too large": lambda: 2**63,
    "no number": lambda: float("nan"),
    "half a pair": lambda: "\udc80",
    "keys that are no texts": lambda: {1: 2},
    "a tuple within": lambda: [(1,)],
    "a subclass": lambda: type("T", (str,), {})("x"),
    "a zone": lambda: datetime(2026, 11, 29, tzinfo=ZoneInfo("Europe/Berlin")),
    "no decimal": lambda: Decimal("NaN"),
    "an enum that no annotation tells": lambda: Reason.EXPIRED,
    "an endless list": lambda: ENDLESS,
    "too long": lambda: "x" * MOST_CHARACTERS,
    "too many": lambda: [0] * MOST_CHARACTERS,
    "objects in a tuple": lambda: (object(),),
}


@pytest.mark.parametrize("what", UNKEPT)
def test_what_would_not_come_back_the_same_is_left_out(what: str) -> None:
    error = again(CardDeclinedError(51, other=UNKEPT[what](), last="z"))
    assert vars(error) == {"code": 51, "last": "z"}
    failure = failure_of(PaymentError("x", UNKEPT[what]()))
    assert failure.to_exception().args == (failure.error_message,)


def test_annotated_fields_come_back_as_their_types() -> None:
    error = again(CardDeclinedError(51, reason=Reason.EXPIRED))
    assert error.reason is Reason.EXPIRED
    assert again(SoldOutError("12A", Decimal("9.90"), date(2026, 1, 2))) == SoldOutError(
        "12A", Decimal("9.90"), date(2026, 1, 2)
    )
    assert again(CardDeclinedError(51, reason="none")).reason == "none", "it was no Reason before"


def test_an_annotated_field_that_cannot_be_kept_leaves_the_others_alone() -> None:
    lock, many = threading.Lock(), (Reason.EXPIRED,) * MOST_CHARACTERS
    error = AnsweredError(answer=object(), lock=lock, long=many, code=5)
    assert vars(again(error)) == {"code": 5}
    assert again(AnsweredError(long=(Reason.EXPIRED,))).long == (Reason.EXPIRED,)


def test_annotations_that_mean_nothing_here_change_nothing() -> None:
    CardDeclinedError.__annotations__["gone"] = "NoSuchType"
    try:
        error = again(CardDeclinedError(1, reason=Reason.EXPIRED, gone=object()))
        assert vars(error) == {"code": 1, "reason": Reason.EXPIRED}
    finally:
        del CardDeclinedError.__annotations__["gone"]


def test_slots_private_names_and_methods_of_the_class() -> None:
    slotted = SlottedError("x")
    slotted.code = 5
    assert again(slotted).code == 5
    assert not hasattr(again(slotted), "never")
    CardDeclinedError.built = 0
    failure = failure_of(CardDeclinedError(51))
    error = failure.to_exception()
    assert CardDeclinedError.built == 1, "no __init__ of the class when it is made again"
    assert "_secret" not in vars(error)
    assert b"4711" not in msgspec.json.encode(failure)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("seat"),
        FileNotFoundError(2, "no such file", "a.txt"),
        FileLostError(5, "lost", "b.txt"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        StopIteration(4),
        SystemExit(3),
        TaggedError("t"),
        ValueError(),
        ExceptionGroup("both", [ValueError("1")]),
    ],
    ids=repr,
)
def test_builtin_classes_say_the_same_again(error: BaseException) -> None:
    back = again(error)
    if isinstance(error, ExceptionGroup):  # its members are told in its message alone
        assert (type(back), str(back)) == (Exception, failure_of(error).error_message)
        return
    assert (type(back), str(back), repr(back)) == (type(error), str(error), repr(error))
    if isinstance(error, OSError):
        assert (back.errno, back.filename) == (error.errno, error.filename)


def test_a_file_that_cannot_be_stored_leaves_the_rest_of_an_os_error() -> None:
    error = again(FileNotFoundError(2, "no such file", object()))
    assert (error.errno, error.strerror) == (2, "no such file")


def test_causes_and_failed_calls_come_back_with_it() -> None:
    declined = CardDeclinedError(51)
    declined.__cause__ = KeyError("card")
    activity = ActivityError("charge", failure_of(declined))
    child = SubOrchestrationError("order", stored(failure_of(activity)))
    back = child.cause
    assert isinstance(back, ActivityError)
    assert (back.function, str(back)) == ("charge", str(activity))
    cause = back.cause
    assert isinstance(cause, CardDeclinedError)
    assert isinstance(cause.__cause__, KeyError)
    assert type(OrchestrationFailedError("a", "o", failure_of(declined)).cause) is CardDeclinedError
    without = FailureDetails("tenuto.model.errors.ActivityError", "x")
    assert isinstance(without.to_exception(), ActivityError)


def test_a_class_that_is_not_here_is_its_nearest_base_that_is() -> None:
    failure = FailureDetails(
        "gone.Declined", "51", bases=("gone.Base", f"{__name__}.PaymentError"), properties={"a": 1}
    )
    error = failure.to_exception()
    assert (type(error), vars(error), str(error)) == (PaymentError, {"a": 1}, "51")
    for name in ("gone.Declined", "sys.path", f"{__name__}.Reason", f"{__name__}.stored", "int"):
        assert type(FailureDetails(name, "x").to_exception()) is Exception
    assert "antigravity" not in sys.modules
    FailureDetails("antigravity.Error", "x").to_exception()
    assert "antigravity" not in sys.modules, "a name in a store imports nothing"


def test_find_gives_the_class_that_was_asked_for() -> None:
    failure = failure_of(ActivityError("charge", failure_of(CardDeclinedError(51))))
    for kind in (CardDeclinedError, PaymentError, Exception):
        found = failure.find(kind)
        assert isinstance(found, kind)
    declined = failure.find(PaymentError)
    assert type(declined) is CardDeclinedError
    assert failure.find(KeyError) is None
    elsewhere = FailureDetails("gone.Declined", "51", bases=(f"{__name__}.PaymentError",))
    assert type(elsewhere.find(PaymentError)) is PaymentError
    assert failure.is_caused_by((KeyError, PaymentError))
    assert not failure.is_caused_by((KeyError, ValueError))
    assert not failure.is_caused_by(())


def test_a_class_that_has_changed_takes_what_still_fits() -> None:
    failure = msgspec.structs.replace(
        failure_of(CardDeclinedError(1, reason=Reason.EXPIRED)),
        properties={"reason": "no more", "code": 1},
    )
    assert vars(failure.to_exception()) == {"code": 1}
    assert failure.args is None


def test_a_class_of_a_program_without_a_file_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    kind = type("DeclinedError", (Exception,), {"__module__": "__main__"})
    main.DeclinedError = kind  # type: ignore[attr-defined]  # as a script has it
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert failure_of(kind("x")).error_type == "DeclinedError"
    assert type(again(kind("x"))) is kind


def test_one_exception_keeps_so_much_and_no_more() -> None:
    fields = {f"field_{number}": "x" * 1000 for number in range(50)}
    failure = failure_of(CardDeclinedError(51, **fields))
    assert len(msgspec.json.encode(failure.properties)) < MOST_CHARACTERS * 1.2
    assert failure.properties is not None
    assert len(failure.properties) == 1 + 8


def test_find_gives_nothing_where_python_makes_none_of_that_class() -> None:
    group = ExceptionGroup("two", [ValueError(1)])
    undecodable = UnicodeEncodeError("utf-8", "\udc00", 0, 1, "surrogates not allowed")
    for raised in (group, undecodable):
        failure = failure_of(raised)
        assert failure.is_caused_by(type(raised))
        assert failure.find(type(raised)) is None
    # A base of it can be made.
    assert type(failure_of(undecodable).find(ValueError)) is ValueError


class Card(pydantic.BaseModel):
    number: int


def refused_card() -> pydantic.ValidationError:
    with pytest.raises(pydantic.ValidationError) as caught:
        Card.model_validate({"number": "x"})
    return caught.value


class ToldError(ValueError):
    """One that makes its text itself."""

    def __init__(self, code: int) -> None:
        super().__init__(code)

    def __str__(self) -> str:
        return f"the bank says {self.args[0]}"


def test_a_base_in_the_place_of_a_class_has_the_text_that_was_recorded() -> None:
    """What its args do not say, such as that of pydantic, whose errors Python cannot make again."""
    refused = refused_card()
    back = again(refused)
    assert (type(back), str(back)) == (ValueError, str(refused))
    assert failure_of(refused).is_caused_by(pydantic.ValidationError)
    assert failure_of(refused).find(pydantic.ValidationError) is None
    told = msgspec.structs.replace(failure_of(ToldError(51)), error_type="gone.Told")
    assert told.args == [51]
    assert repr(told.to_exception()) == "ValueError('the bank says 51')"
    plain = msgspec.structs.replace(
        failure_of(ToldError(51)), error_type="gone.Plain", args=["x", 5]
    )
    plain = msgspec.structs.replace(plain, error_message=str(ValueError("x", 5)))
    assert plain.to_exception().args == ("x", 5), "where they say the same, they stay"


def test_what_was_handled_comes_back_as_the_context() -> None:
    mistake = KeyError("code")
    mistake.__context__ = CardDeclinedError(51)
    back = again(mistake)
    assert back.__cause__ is None
    assert isinstance(back.__context__, CardDeclinedError)
    assert stored(failure_of(back)) == failure_of(mistake)
    undone = ActivityError("cancel", failure_of(OSError("no line")))
    undone.__context__ = mistake
    work = again(undone)
    assert isinstance(work, ActivityError)
    assert isinstance(work.cause, OSError)
    assert isinstance(work.cause.__context__, KeyError)


def test_notes_come_back_with_their_exception() -> None:
    declined = CardDeclinedError(51)
    declined.add_note("the card ends in 7")
    back = again(declined)
    assert back.__notes__ == ["the card ends in 7"]
    assert vars(back) == {"code": 51, "__notes__": ["the card ends in 7"]}
    assert not hasattr(again(KeyError("x")), "__notes__")
