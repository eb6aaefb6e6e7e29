import dataclasses
import functools
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.model.errors import SignatureError
from tenuto.model.payload import PayloadError
from tenuto.model.signature import Signature

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers


class Context:
    pass


@dataclasses.dataclass
class Trip:
    city: str
    nights: int = 1


class Options(TypedDict):
    fast: bool


def nothing() -> None: ...
def untyped(a, b=2): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
def one(trip: Trip) -> Trip: ...  # type: ignore[empty-body]
def one_optional(trip: Trip | None) -> None: ...
def one_default(trip: Trip | None = Trip("Rome")) -> None: ...  # noqa: B008
def two(trip: Trip, nights: float = 2.0) -> dict[str, Trip]: ...  # type: ignore[empty-body]
def later(trip: "DefinedLater") -> "list[DefinedLater]": ...  # type: ignore[empty-body]
def unresolvable(trip: "OnlyForCheckers") -> None: ...
def injected(ctx: Context, trip: Trip, nights: int = 1) -> None: ...
def positional_only(a: int, b: int, /) -> None: ...
def keyword_default(a: int, *, b: int = 3) -> None: ...


@dataclasses.dataclass
class DefinedLater:
    when: date


# -------------------------------------------------------------------------------- round trips


def test_no_parameter_means_no_input() -> None:
    signature = Signature.of(nothing)

    assert signature.encode_arguments(()) is None
    assert signature.decode_arguments(None) == ()
    assert signature.decode_arguments(" null ") == ()
    with pytest.raises(PayloadError, match=r"^nothing: there is an input, but it takes no arg"):
        signature.decode_arguments("{}")


def test_one_parameter_is_the_bare_value() -> None:
    signature = Signature.of(one)

    assert signature.encode_arguments((Trip("Oslo", 2),)) == '{"city":"Oslo","nights":2}'
    assert signature.decode_arguments('{"city":"Oslo"}') == (Trip("Oslo", 1),)


def test_several_parameters_are_an_object_keyed_by_name() -> None:
    signature = Signature.of(two)

    text = signature.encode_arguments((Trip("Oslo", 2), 3.5))

    assert text == '{"trip":{"city":"Oslo","nights":2},"nights":3.5}'
    assert signature.decode_arguments(text) == (Trip("Oslo", 2), 3.5)
    assert Signature.of(positional_only).decode_arguments('{"b":2,"a":1}') == (1, 2)


def test_defaults_are_applied_when_reading() -> None:
    assert Signature.of(two).encode_arguments((Trip("Oslo"),)) == (
        '{"trip":{"city":"Oslo","nights":1}}'
    )
    assert Signature.of(two).decode_arguments('{"trip":{"city":"Oslo"}}') == (Trip("Oslo"), 2.0)
    assert Signature.of(one_default).encode_arguments(()) is None
    assert Signature.of(one_default).decode_arguments(None) == (Trip("Rome"),)
    assert Signature.of(one_default).decode_arguments("null") == (None,)
    assert Signature.of(untyped).decode_arguments('{"a":[1]}') == ([1], 2)


def test_missing_input_is_none_where_the_annotation_allows_it() -> None:
    assert Signature.of(one_optional).decode_arguments(None) == (None,)
    with pytest.raises(PayloadError, match=r"^one: the input lacks 'trip'$"):
        Signature.of(one).decode_arguments(None)
    with pytest.raises(PayloadError, match=r"^two: the input lacks 'trip'$"):
        Signature.of(two).decode_arguments(None)


def test_keyword_only_parameters_with_defaults_are_no_inputs() -> None:
    assert Signature.of(keyword_default).encode_arguments((1,)) == "1"


def test_annotations_may_mention_what_is_defined_later() -> None:
    signature = Signature.of(later)

    assert signature.decode_arguments('{"when":"2026-01-02"}') == (DefinedLater(date(2026, 1, 2)),)
    assert signature.decode_result('[{"when":"2026-01-02"}]') == [DefinedLater(date(2026, 1, 2))]


def test_decorated_functions_are_read_through_wraps() -> None:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            return function(*args, **kwargs)

        return wrapper

    assert Signature.of(decorate(later)).decode_arguments('{"when":"2026-01-02"}') == (
        DefinedLater(date(2026, 1, 2)),
    )


def test_methods_and_callable_objects_are_functions_too() -> None:
    class Service:
        def book(self, trip: Trip) -> Trip:
            return trip

        def __call__(self, trip: Trip) -> Trip:
            return trip

    assert Signature.of(Service().book).decode_arguments('{"city":"Oslo"}') == (Trip("Oslo"),)
    assert Signature.of(Service()).decode_arguments('{"city":"Oslo"}') == (Trip("Oslo"),)
    assert Signature.of(Service()).decode_result('{"city":"Oslo"}') == Trip("Oslo")
    assert Signature.of(functools.partial(later)).decode_result("[]") == []
    partial = functools.partial(two, Trip("Oslo"))
    assert Signature.of(partial).decode_arguments("3") == (3.0,)


# -------------------------------------------------------------------------- what is injected


@pytest.mark.parametrize("skip", [1, lambda annotation: annotation is Context])
def test_injected_parameters_are_no_inputs(skip: Any) -> None:  # noqa: ANN401
    signature = Signature.of(injected, skip=skip)

    assert signature.skipped == 1
    assert signature.encode_arguments((Trip("Oslo"),)) == '{"trip":{"city":"Oslo","nights":1}}'
    assert signature.decode_arguments('{"trip":{"city":"Oslo"}}') == (Trip("Oslo"), 1)


def test_only_leading_parameters_are_injected() -> None:
    assert Signature.of(injected, skip=lambda _: False).skipped == 0
    assert Signature.of(one, skip=lambda _: True).skipped == 1
    assert Signature.of(unresolvable, skip=lambda kind: kind == "OnlyForCheckers").skipped == 1


def test_a_function_without_room_for_what_is_injected_is_refused() -> None:
    with pytest.raises(SignatureError, match="nothing takes 0 parameters, but needs 1"):
        Signature.of(nothing, skip=1)


# -------------------------------------------------------------------- what cannot be a parameter


def many(*args: int) -> None: ...
def options(a: int, **kwargs: int) -> None: ...
def keyword_only(a: int, *, b: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (many, r"many takes \*args, but inputs are stored by parameter name"),
        (options, r"options takes \*\*kwargs"),
        (keyword_only, "keyword_only needs the keyword-only argument 'b'"),
    ],
)
def test_parameters_that_no_input_can_fill_are_refused(
    function: Callable[..., None], message: str
) -> None:
    with pytest.raises(SignatureError, match=message):
        Signature.of(function)


# ------------------------------------------------------------------------- refusals of calls


@pytest.mark.parametrize(
    ("function", "args", "message"),
    [
        (nothing, (1,), "^nothing: it takes 0 arguments, 1 given$"),
        (one, (), r"^one: it takes 1 arguments \('trip'\), 0 given$"),
        (two, (1, 2, 3), r"^two: it takes 1 to 2 arguments \('trip', 'nights'\), 3 given$"),
        (one, ({"city": "Oslo"},), "^argument 'trip' of one: value at . is a dict, but .* Trip$"),
        (two, (Trip("x"), True), "^argument 'nights' of two: value at . is a bool, .* float$"),
        (two, (Trip("x"), "3"), "argument 'nights' of two: value at . is a str"),
        (one, (Trip("\ud800"),), r"^argument 'trip' of one: value at \$\.city cannot be stored"),
        (untyped, (1, [object()]), r"^argument 'b' of untyped: value at \$\[0\] cannot be"),
    ],
)
def test_bad_input_is_refused_whole_at_the_call_site(
    function: Callable[..., None], args: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(PayloadError, match=message):
        Signature.of(function).encode_arguments(args)


def test_arguments_at_the_limit_of_nesting_are_refused_together() -> None:
    value: list[Any] = []
    for _ in range(99):
        value = [value]

    with pytest.raises(PayloadError, match=r"^untyped: the arguments are nested too deep$"):
        Signature.of(untyped).encode_arguments((value, 1))


def test_instances_that_json_writes_differently_are_refused() -> None:
    def numbers(a: int, b: date) -> None: ...

    signature = Signature.of(numbers)
    assert signature.encode_arguments((1, date(2026, 1, 1))) == '{"a":1,"b":"2026-01-01"}'
    with pytest.raises(PayloadError, match="is a bool, but the annotation says int"):
        signature.encode_arguments((True, date(2026, 1, 1)))
    with pytest.raises(PayloadError, match="is a datetime, but the annotation says date"):
        signature.encode_arguments((1, datetime(2026, 1, 1, tzinfo=UTC)))


def test_int_passes_as_the_float_that_it_is() -> None:
    text = Signature.of(two).encode_arguments((Trip("Oslo"), 3))

    assert Signature.of(two).decode_arguments(text) == (Trip("Oslo"), 3.0)
    with pytest.raises(PayloadError, match=r"'nights' of two: value at \$ is 9007199254740993"):
        Signature.of(two).encode_arguments((Trip("Oslo"), 2**53 + 1))


def test_subclasses_do_not_pass_as_their_base() -> None:
    class LongTrip(Trip):
        pass

    with pytest.raises(PayloadError, match="is a LongTrip and would come back as a Trip"):
        Signature.of(two).encode_arguments((LongTrip("Oslo"), 3))


def test_every_annotation_is_tested_at_the_call_site() -> None:
    def loose(a: str | None, b: int | None, c: list[int]) -> None: ...

    with pytest.raises(PayloadError, match=r"argument 'b' of .*loose: value at \$ does not fit"):
        Signature.of(loose).encode_arguments(("x", "x", 3))


def test_results_are_tested_where_they_are_given() -> None:
    assert Signature.of(one).encode_result(Trip("Oslo")) == '{"city":"Oslo","nights":1}'
    with pytest.raises(PayloadError, match=r"^result of one: value at \$ is an int"):
        Signature.of(one).encode_result(3)


def test_a_result_that_can_never_be_rebuilt_is_refused_where_it_is_given() -> None:
    def gives(a: int) -> Context: ...  # type: ignore[empty-body]

    with pytest.raises(PayloadError, match=r"^result of .*gives: .*has no JSON form"):
        Signature.of(gives).encode_result(1)
    with pytest.raises(PayloadError, match=r"^result of .*gives: .*has no JSON form"):
        Signature.of(gives).decode_result("1")
    with pytest.raises(PayloadError, match=r"^argument 'b' of .*: value at \$ cannot be stored"):
        Signature.of(two_texts).encode_arguments(("a", "\ud800"))


def two_texts(a: str, b: str) -> None: ...


def test_a_function_that_only_raises_gives_nothing() -> None:
    def fails() -> NoReturn:
        raise ValueError

    Signature.of(fails).prepare()
    assert Signature.of(fails).decode_result("null") is None


# ------------------------------------------------------------------------- refusals of inputs


@pytest.mark.parametrize(
    ("function", "text", "message"),
    [
        (one, '{"city":3}', r"^argument 'trip' of one: value at \$\.city does not fit"),
        (two, '{"trip":{"city":3}}', r"^argument 'trip' of two: value at \$\.city does not fit"),
        (two, '{"nights":3}', "^two: the input lacks 'trip'$"),
        (
            two,
            '{"trip":{"city":"x"},"night":3,"x":1}',
            "^two: the input has the unknown keys 'night', 'x'; known are 'trip', 'nights'$",
        ),
        (two, "[]", "^two: the input must be a JSON object with the keys 'trip', 'nights'"),
        (two, "{", "must be a JSON object"),
        (two, "[" * 100_000, "must be a JSON object"),
        (unresolvable, "1", "^argument 'trip' of unresolvable: the annotation 'OnlyFor"),
    ],
)
def test_bad_input_is_refused_whole_where_it_enters(
    function: Callable[..., None], text: str, message: str
) -> None:
    with pytest.raises(PayloadError, match=message):
        Signature.of(function).decode_arguments(text)


def test_prepare_finds_mistakes_before_the_first_call() -> None:
    def impossible(a: Context) -> None: ...

    Signature.of(two).prepare()
    with pytest.raises(PayloadError, match=r"^argument 'a' of .*impossible: .*has no JSON form"):
        Signature.of(impossible).prepare()


# ------------------------------------------------------------------------------------ results


async def coroutine() -> Trip: ...  # type: ignore[empty-body]
def awaitable() -> Awaitable[Trip]: ...  # type: ignore[empty-body]
def returns_coroutine() -> Coroutine[Any, Any, Trip]: ...  # type: ignore[empty-body]
def generator() -> Generator[Any, Any, Trip]:
    yield
    return Trip("x")


def short_generator() -> "Generator[Any]":  # type: ignore[type-arg, unused-ignore]
    yield


def iterator() -> Iterator[Any]:
    yield


@pytest.mark.parametrize("function", [one, coroutine, awaitable, returns_coroutine, generator])
def test_results_are_rebuilt_as_what_the_function_gives(function: Callable[..., Any]) -> None:
    assert Signature.of(function).decode_result('{"city":"Oslo"}') == Trip("Oslo")


@pytest.mark.parametrize("function", [iterator, short_generator, untyped])
def test_results_without_annotation_are_plain_data(function: Callable[..., Any]) -> None:
    assert Signature.of(function).decode_result('{"city":"Oslo"}') == {"city": "Oslo"}


def test_no_result_is_none() -> None:
    assert Signature.of(nothing).decode_result(None) is None


def test_result_that_does_not_fit_is_refused() -> None:
    with pytest.raises(PayloadError, match=r"^result of one: value at \$\.city does not fit"):
        Signature.of(one).decode_result('{"city":1}')


# --------------------------------------------------------------------------------- properties


def three(a: str, b: int = 5, c: list[Trip] | None = None) -> None: ...


trips = st.lists(st.builds(Trip, st.text(st.characters(exclude_categories=["Cs"])), st.integers()))


@given(
    st.text(st.characters(exclude_categories=["Cs"])), st.integers(), trips | st.none(), st.data()
)
def test_arguments_come_back_with_defaults_filled_in(
    a: str, b: int, c: list[Trip] | None, data: st.DataObject
) -> None:
    full = (a, b, c)
    given_count = data.draw(st.integers(1, 3))

    text = Signature.of(three).encode_arguments(full[:given_count])

    expected = (*full[:given_count], *(5, None)[given_count - 1 :])
    assert Signature.of(three).decode_arguments(text) == expected
