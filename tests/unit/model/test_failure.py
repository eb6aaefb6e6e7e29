"""Failures as recorded data: type, message, traceback and causes outlive the process."""

import asyncio
from contextlib import suppress
from typing import NoReturn

import msgspec
import pytest

from tenuto.model.class_names import type_name
from tenuto.model.errors import ActivityError, OrchestrationFailedError, SubOrchestrationError
from tenuto.model.failure import (
    FailureDetails,
    failure_of,
    failure_of_type,
)
from tenuto.model.texts import storable_text


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


def test_what_was_handled_at_the_time_is_recorded_as_such_unless_it_was_suppressed() -> None:
    error = SoldOutError("no seat")
    error.__context__ = KeyError("row")
    failure = failure_of(error)
    assert chain(failure)[1:] == ["KeyError: 'row'"]
    assert failure.while_handling
    assert failure.root_cause is failure
    assert failure.handled is failure.inner_failure
    assert failure.is_caused_by(KeyError), "decisions stay as they were"
    error.__suppress_context__ = True
    alone = failure_of(error)
    assert (chain(alone)[1:], alone.while_handling, alone.handled) == ([], False, None)
    error.__cause__ = ValueError("given")
    caused = failure_of(error)
    assert (chain(caused)[1:], caused.while_handling) == (["ValueError: given"], False)
    assert (caused.root_cause, caused.handled) == (caused.inner_failure, None)


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


def test_recorded_causes_stand_before_what_was_handled_when_the_error_was_raised() -> None:
    error = ActivityError("cancel", FailureDetails("Refused", "too late"))
    error.__context__ = ActivityError("book", FailureDetails("SoldOut", "no seat"))
    failure = failure_of(error)
    assert [one.partition(": ")[0].rpartition(".")[2] for one in chain(failure)] == [
        "ActivityError",
        "Refused",
        "ActivityError",
        "SoldOut",
    ]
    assert failure.root_cause.error_type == "Refused"
    assert failure.handled is not None
    assert failure.handled.root_cause.error_type == "SoldOut"
    again = failure_of(SubOrchestrationError("trip", failure))
    assert again.inner_failure == failure, "it is passed on as it is"
    error.__suppress_context__ = True
    assert chain(failure_of(error))[1:] == ["Refused: too late"]


def test_a_failure_of_an_older_version_has_causes_alone() -> None:
    old = (
        b'{"errorType":"A","errorMessage":"a","innerFailure":{"errorType":"B","errorMessage":"b"}}'
    )
    failure = msgspec.json.decode(old, type=FailureDetails)
    assert failure.summary == "B: b; it led to A: a"
    assert (failure.handled, failure.notes) == (None, ())
    assert msgspec.json.encode(failure) == old, "and is written as before"


def test_notes_are_kept_as_far_as_there_is_room() -> None:
    error = SoldOutError("no seat")
    error.add_note("row 5")
    error.add_note("on the \udc80 train")
    error.__notes__.append(5)  # type: ignore[arg-type]  # anything may stand there
    assert failure_of(error).notes == ("row 5", "on the \\udc80 train")
    work = ActivityError("book", failure_of(error))
    work.add_note("of train 7")
    failure = failure_of(work)
    assert failure.notes == ("of train 7",)
    assert failure.root_cause.notes == ("row 5", "on the \\udc80 train")
    error.__notes__ = ["x" * 30_000, "y" * 30_000]
    assert [len(one) for one in failure_of(error).notes] == [30_000]
    error.__notes__ = ["x"] * 1_000
    assert len(failure_of(error).notes) == 20
    error.__notes__ = "a text"  # type: ignore[assignment]  # anything may stand there
    assert failure_of(error).notes == ()
    ended = OrchestrationFailedError("a", "order", failure_of(raised(SoldOutError("no seat"))))
    assert ended.__notes__, "the traceback, for Python"
    assert failure_of(ended).notes == (), "it is kept once"


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


# --- classes -------------------------------------------------------------------------------------


class PaymentError(Exception):
    pass


class CardDeclinedError(PaymentError, ConnectionResetError):
    pass


def test_a_base_class_matches_as_except_would_by_class_and_by_name() -> None:
    declined = raised(RuntimeError("top"), CardDeclinedError("51"))
    failure = failure_of(declined)
    for kind in (CardDeclinedError, PaymentError, ConnectionResetError, ConnectionError, OSError):
        assert failure.is_caused_by(kind)
        assert failure.is_caused_by(type_name(kind))
        assert failure.is_caused_by(kind.__qualname__)
    for caught in (RuntimeError, Exception, BaseException):
        assert failure.is_caused_by(caught)
    for other in (SoldOutError, ValueError, BrokenPipeError, KeyboardInterrupt):
        assert not failure.is_caused_by(other)
    assert not failure.is_caused_by("declinedError")
    assert not failure.is_caused_by("shop.CardDeclinedError")


def test_what_except_exception_would_not_catch_is_none() -> None:
    for error in (asyncio.CancelledError(), SystemExit(), KeyboardInterrupt(), GeneratorExit()):
        failure = failure_of(error)
        assert failure.is_caused_by(type(error))
        assert failure.is_caused_by(BaseException)
        assert not failure.is_caused_by(Exception)
    assert failure_of_type(asyncio.CancelledError, "no").error_type == "asyncio.CancelledError"
    assert failure_of_type(TimeoutError, "late").is_caused_by(OSError)


def test_the_most_common_failures_have_no_bases_to_be_stored() -> None:
    for kind in (ValueError, RuntimeError, TypeError, OSError, SoldOutError):
        assert failure_of(kind("no")).bases == ()
    assert b"bases" not in msgspec.json.encode(failure_of(ValueError("no")))
    long: type = PaymentError
    for number in range(50):
        long = type(f"E{number}", (long,), {})
    assert len(failure_of(long()).bases) == 20


def test_recorded_failures_of_users_are_made_storable() -> None:
    recorded = FailureDetails(5, "\udc80", b"", bases=(OSError,))  # type: ignore[arg-type]
    failure = failure_of(ActivityError("book", recorded))
    kept = msgspec.json.decode(msgspec.json.encode(failure), type=FailureDetails)
    assert kept == failure
    assert kept.inner_failure is not None
    assert kept.inner_failure.error_message == "\\udc80"


def test_properties_of_a_recorded_failure_stay_with_it() -> None:
    properties = {"code": 7, "seats": ["1a", None], "more": {"free": 0.5, "": True}}
    inner = FailureDetails("SoldOut", "no seat", properties=properties)
    recorded = FailureDetails("Broken", "no", inner_failure=inner)
    outer = ActivityError("book", FailureDetails("Failed", "no", None, recorded))
    failure = failure_of(SubOrchestrationError("trip", failure_of(outer)))
    links = []
    link: FailureDetails | None = failure
    while link is not None:
        links.append(link.properties)
        link = link.inner_failure
    assert links == [{"function": "trip"}, {"function": "book"}, None, None, properties]
    own = FailureDetails("SoldOut", "no", properties={"b": object(), "a": 1})
    cause = failure_of(ActivityError("book", own)).inner_failure
    assert cause == FailureDetails("SoldOut", "no")
    unstorable = FailureDetails("SoldOut", "no", properties={"b": "\udc80"})
    assert failure_of(ActivityError("book", unstorable)).inner_failure == cause


# --- exceptions that are hostile -----------------------------------------------------------------


def refuse(*_args: object) -> NoReturn:
    raise SystemExit(9)


METHODS = ["__str__", "__repr__", "__eq__", "__bool__", "__len__", "__hash__", "__getattribute__"]
PROPERTIES = [
    "failure", "is_non_retriable", "__cause__", "__context__", "__suppress_context__",
    "__traceback__", "__notes__", "__class__", "__dict__", "args",
]  # fmt: skip
OTHERS: dict[str, dict[str, object]] = {
    "text": {"__str__": lambda _: type("T", (str,), {"encode": refuse, "__len__": refuse})("x")},
    "no module": {"__module__": None},
    "odd module": {"__module__": "\udc80"},
    "odd failure": {"failure": object()},
    "odd traceback": {"__traceback__": "nothing"},
}


# Made in the test alone: pytest itself falls over them.
def hostile_error(what: str) -> BaseException:
    if what == "metaclass":
        meta = type("Meta", (type,), {"__getattribute__": refuse})
        made: BaseException = meta("HostileError", (Exception,), {})()
        return made
    if what in METHODS:
        members: dict[str, object] = {what: refuse}
    else:
        members = OTHERS.get(what, {what: property(refuse)})
    error: BaseException = type("HostileError", (Exception,), members)("no")
    return error


@pytest.mark.parametrize("what", [*METHODS, *PROPERTIES, *OTHERS, "metaclass"])
def test_whatever_an_exception_does_its_failure_can_be_stored(what: str) -> None:
    around = ValueError("around")
    hostile = hostile_error(what)
    with suppress(BaseException):
        around.__context__ = hostile
    for error in (hostile, around):
        failure = failure_of(error)
        kept = msgspec.json.decode(msgspec.json.encode(failure), type=FailureDetails)
        assert kept == failure
        assert isinstance(kept.error_type, str)


def test_groups_that_share_their_members_cost_what_they_show() -> None:
    group: BaseException = raised(ValueError("innermost"))
    for _ in range(9):
        group = raised(BaseExceptionGroup("both", [group, group]))
    stack = failure_of(group).stack_trace
    assert stack is not None
    assert "raise error from cause" in stack
    assert len(stack) < 1_000
    small = failure_of(raised(ExceptionGroup("both", [ValueError("one")]))).stack_trace
    assert small is not None
    assert "ValueError: one" in small


# --- hostile exceptions ---------------------------------------------------------------------------


def test_groups_that_share_members_cost_what_they_show() -> None:
    """There are 2 ** 200 ways to the innermost one."""
    error: Exception = ValueError("inside")
    for depth in range(200):
        error = ExceptionGroup(str(depth), [error, error])
    failure = failure_of(raised(error))
    assert failure.error_message.startswith("199 (2 sub-exceptions): ExceptionGroup: 198 ")
    assert len(failure.error_message) < 33_000
    assert failure.stack_trace is not None
    assert len(failure.stack_trace) < 33_000


def test_a_group_of_very_many_a_long_chain_and_many_notes_are_cut() -> None:
    many = ExceptionGroup("many", [ValueError("x")] * 1_000_000)
    assert failure_of(raised(many)).error_message.startswith("many (1000000 sub-exceptions): Val")
    deep: BaseException = ValueError("first")
    for number in range(5_000):
        error = ValueError(str(number))
        error.__context__ = deep
        deep = error
    assert len(chain(failure_of(deep))) == 20
    noted = ValueError("noted")
    noted.__notes__ = ["note"] * 1_000_000
    failure = failure_of(raised(noted))
    assert failure.stack_trace is not None
    assert failure.stack_trace.endswith("ValueError: noted\n")


def test_members_of_groups_are_told_in_order() -> None:
    inner = ExceptionGroup("inner", [KeyError("k")])
    failure = failure_of(ExceptionGroup("outer", [ValueError("a"), inner, ValueError("b")]))
    assert failure.error_message == (
        "outer (3 sub-exceptions): ValueError: a; "
        "ExceptionGroup: inner (1 sub-exception): KeyError: 'k'; ValueError: b"
    )


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_an_exception_does_when_it_is_looked_at_it_can_be_recorded(
    kind: type[BaseException],
) -> None:
    def broken(*_: object) -> object:
        raise kind

    methods = dict.fromkeys(("__str__", "__repr__", "__eq__"), broken)
    properties = {name: property(broken) for name in ("failure", "is_non_retriable", "__notes__")}
    hostile = type("Hostile", (Exception,), {**methods, **properties, "__hash__": None})
    cause = hostile()
    failure = failure_of(raised(hostile(), cause))
    assert failure.error_message == f"<message not available: {kind.__name__}>"
    assert failure.inner_failure is not None
    assert not failure.is_non_retriable


def test_what_is_in_a_group_is_asked_for_like_a_cause() -> None:
    class DeclinedError(Exception):
        def __init__(self, code: int) -> None:
            super().__init__(f"the bank says {code}")
            self.code = code

    inside = ExceptionGroup("inner", [KeyError("k"), DeclinedError(51)])
    failure = failure_of(ExceptionGroup("outer", [ValueError("a"), inside, inside]))
    assert [one.error_type.rpartition(".")[2] for one in failure.members] == [
        "ValueError",
        "KeyError",
        "DeclinedError",
    ]
    assert failure.is_caused_by(DeclinedError)
    assert failure.is_caused_by("DeclinedError")
    assert failure.is_caused_by((OSError, LookupError))
    assert not failure.is_caused_by(OSError)
    found = failure.find(DeclinedError)
    assert found is not None
    assert found.code == 51


def test_what_is_in_a_group_is_found_through_every_call_above() -> None:
    failure = failure_of(raised(ConnectionResetError("gone")))
    for _ in range(30):
        called = ActivityError("work", failure)
        failure = failure_of(raised(ExceptionGroup("unhandled errors in a TaskGroup", [called])))
    again = msgspec.json.decode(msgspec.json.encode(failure), type=FailureDetails)
    assert again == failure
    assert again.is_caused_by(OSError)
    assert again.find(OSError) is not None


def test_a_group_keeps_no_more_than_there_is_room_for() -> None:
    many = failure_of(ExceptionGroup("many", [ValueError(str(one)) for one in range(1_000)]))
    assert [one.error_message for one in many.members] == [str(one) for one in range(20)]
    long = failure_of(ExceptionGroup("long", [ValueError("x" * 1_000_000)] + [KeyError(1)] * 3))
    assert len(msgspec.json.encode(long)) < 400_000
    texts = [ValueError(f"{one}" + "x" * 1_000_000) for one in range(1_000)]
    assert len(msgspec.json.encode(failure_of(ExceptionGroup("long", texts)))) < 400_000


def test_a_group_that_is_the_cause_of_its_member_is_recorded() -> None:
    member = ValueError("in a circle")
    group = ExceptionGroup("round", [member])
    member.__cause__ = group
    failure = failure_of(group)
    assert failure.is_caused_by(ValueError)
    assert len(failure.members) == 1


def test_members_that_users_have_made_up_are_left_out_when_they_cannot_be_stored() -> None:
    class OddError(Exception):
        failure = FailureDetails("a", "b", members=(FailureDetails("c", object()),))  # type: ignore[arg-type]

    recorded = failure_of(OddError()).inner_failure
    assert recorded is not None
    assert recorded.members == ()
