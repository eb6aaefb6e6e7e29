"""The registry refuses what could never run, where it is decorated."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from datetime import timedelta
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tenuto.functions.activity_context import ActivityContext
from tenuto.functions.registry import FunctionRegistry
from tenuto.model.errors import RegistrationError, UnknownFunctionError
from tenuto.model.retry import RetryPolicy
from tenuto.orchestration.context import Context

if TYPE_CHECKING:
    from tenuto.functions import activity_context

pytestmark = pytest.mark.filterwarnings("error")


def plain(number: int) -> int:
    return number


async def conducts(ctx: Context, number: int) -> int:
    return number


# --- what is registered --------------------------------------------------------------------------


def test_bare_decorators_take_the_functions_name(app: FunctionRegistry) -> None:
    activity = app.activity(plain)
    orchestrator = app.orchestrator(conducts)
    assert app.activities == {"plain": activity}
    assert app.orchestrators == {"conducts": orchestrator}
    assert app.find_activity("plain") is app.get_activity("plain") is activity
    assert app.find_orchestrator("conducts") is app.get_orchestrator("conducts") is orchestrator


def test_options_of_activities(app: FunctionRegistry) -> None:
    retry = RetryPolicy(max_attempts=2)
    activity = app.activity(
        name="Plain", retry=retry, timeout=timedelta(seconds=1), max_concurrent=4
    )(plain)
    assert activity.name == "Plain"
    assert activity.retry == retry
    assert activity.timeout == timedelta(seconds=1)
    assert activity.max_concurrent == 4


def test_options_of_orchestrators(app: FunctionRegistry) -> None:
    orchestrator = app.orchestrator(name="Conducts", version="2.0")(conducts)
    assert (orchestrator.name, orchestrator.version) == ("Conducts", "2.0")


def test_an_activity_and_an_orchestrator_may_share_a_name(app: FunctionRegistry) -> None:
    app.activity(name="it")(plain)
    app.orchestrator(name="it")(conducts)
    assert list(app.activities) == list(app.orchestrators) == ["it"]


def test_one_function_may_have_several_names(app: FunctionRegistry) -> None:
    assert app.activity(name="one")(plain) is not app.activity(name="two")(plain)


def test_async_functions_are_recognised(app: FunctionRegistry) -> None:
    class Service:
        async def __call__(self, number: int) -> int:
            return number

        async def charge(self, number: int) -> int:
            return number

    async def plainly() -> None: ...

    assert app.activity(plainly).is_async
    assert app.activity(name="partial")(partial(plainly)).is_async
    assert app.activity(name="object")(Service()).is_async
    assert app.activity(Service().charge).is_async
    assert not app.activity(plain).is_async


def test_the_context_of_an_activity_is_no_argument(app: FunctionRegistry) -> None:
    def with_context(context: ActivityContext, number: int) -> int:
        return number

    def with_text(context: "activity_context.ActivityContext", number: int) -> int:
        return number

    for function in (with_context, with_text):
        signature = app.activity(function).signature
        assert [one.name for one in signature.parameters] == ["number"]


def test_the_first_parameter_of_an_orchestrator_may_be_anything_like_a_context(
    app: FunctionRegistry,
) -> None:
    class LikeContext(Protocol):
        instance_id: str

    class SpecialContext(Context):
        pass

    async def unannotated(ctx, number: int) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    async def anything(ctx: Any) -> None: ...  # noqa: ANN401 - what it tests

    async def objects(ctx: object) -> None: ...

    async def protocol(ctx: LikeContext) -> None: ...

    async def special(ctx: SpecialContext) -> None: ...

    async def text(ctx: "NotImported") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    def generator(ctx: Context) -> Generator[Any, Any, int]:
        yield
        return 1

    def at_once(ctx: Context) -> int:
        return 1

    functions: list[Any] = [
        *(unannotated, anything, objects, protocol, special, text, generator, at_once)
    ]
    for function in functions:
        app.orchestrator(function)
    assert len(app.orchestrators) == len(functions)


# --- lookups -------------------------------------------------------------------------------------


def test_unknown_names_are_told_with_what_there_is(app: FunctionRegistry) -> None:
    app.activity(plain)
    app.orchestrator(conducts)
    assert app.find_activity("plan") is None
    assert app.find_orchestrator("conduct") is None
    with pytest.raises(UnknownFunctionError, match=r"no activity named 'plan'.*mean 'plain'"):
        app.get_activity("plan")
    with pytest.raises(UnknownFunctionError, match=r"no orchestrator named 'x'.*: conducts"):
        app.get_orchestrator("x")


def test_the_listed_functions_can_only_be_looked_at(app: FunctionRegistry) -> None:
    listed: Any = [app.activities, app.orchestrators]
    for functions in listed:
        with pytest.raises(TypeError):
            functions["x"] = plain


# --- refused: functions --------------------------------------------------------------------------


def refuse(register: Callable[[Any], object], function: object, message: str) -> str:
    with pytest.raises(RegistrationError, match=message) as caught:
        register(function)
    return str(caught.value)


def test_a_refusal_names_function_file_and_line(app: FunctionRegistry) -> None:
    def wrong(*numbers: int) -> int:
        return sum(numbers)

    line = wrong.__code__.co_firstlineno
    text = refuse(app.activity, wrong, "numbers")
    assert text.startswith(f"activity 'wrong' ({__file__}:{line}) cannot be registered: ")
    assert app.activities == {}


def test_a_refusal_finds_the_function_behind_wrappers(app: FunctionRegistry) -> None:
    def wrong(**numbers: int) -> int:
        return sum(numbers.values())

    @wraps(wrong)
    def wrapper(**numbers: int) -> int:
        return wrong(**numbers)

    line = wrong.__code__.co_firstlineno
    assert f"{__file__}:{line}" in refuse(app.activity, wrapper, "numbers")
    assert f"{__file__}:{line}" in refuse(app.activity(name="x"), partial(wrong), "numbers")


def test_a_name_is_registered_once(app: FunctionRegistry) -> None:
    app.activity(plain)
    line = plain.__code__.co_firstlineno
    text = refuse(app.activity(name="plain"), abs, "<activity 'plain'> is already registered")
    assert f"from {__file__}:{line}" in text
    app.orchestrator(conducts)
    refuse(app.orchestrator, conducts, "<orchestrator 'conducts'> is already registered")


def test_functions_without_a_lasting_name_are_refused(app: FunctionRegistry) -> None:
    refuse(app.activity, lambda: 1, "it is a lambda")
    refuse(app.activity(name="x"), lambda: 1, "it is a lambda")
    refuse(app.activity, partial(plain, 1), "its name must be a str .* got None")
    refuse(app.orchestrator, lambda ctx: 1, "it is a lambda")


@pytest.mark.parametrize("name", ["", "x" * 257, "a\nb", 5])
def test_names_are_checked(app: FunctionRegistry, name: Any) -> None:  # noqa: ANN401 - not a str
    refuse(app.activity(name=name), plain, "its name must be a str of 1 to 256 printable")
    refuse(app.orchestrator(name=name), conducts, "its name must be a str")


def test_what_is_no_function_is_refused(app: FunctionRegistry) -> None:
    refuse(app.activity, int, "only functions can be decorated")
    assert "(place unknown)" in refuse(app.activity, "plain", "this is 'plain'")
    refuse(app.activity, app.activity(plain), "it is already <activity 'plain'>")
    refuse(app.orchestrator, app.activity(name="y")(plain), "it is already <activity 'y'>")


def test_generators_of_the_wrong_kind_are_refused(app: FunctionRegistry) -> None:
    async def async_generator(ctx: Context) -> AsyncIterator[int]:
        yield 1

    def generator() -> Iterator[int]:
        yield 1

    refuse(app.orchestrator, async_generator, "it is an async generator; remove the `yield`")
    refuse(app.activity, async_generator, "it is an async generator")
    refuse(app.activity, generator, "it is a generator, whose result cannot be stored")


def test_orchestrators_without_a_context_are_refused(app: FunctionRegistry) -> None:
    async def nothing() -> None: ...

    async def no_context(number: int) -> None: ...

    async def keyword_only(*, ctx: Context | None = None) -> None: ...

    for function in (nothing, no_context, keyword_only):
        refuse(app.orchestrator, function, "its first parameter must be the context: `async def")


def test_an_activity_gets_one_context(app: FunctionRegistry) -> None:
    def twice(one: ActivityContext, two: ActivityContext) -> None: ...

    refuse(app.activity, twice, "more than one ActivityContext")


# --- refused: options ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retry": 5}, "retry must be a RetryPolicy or None, got 5"),
        ({"timeout": 5}, "timeout must be a timedelta or None, got 5"),
        ({"timeout": timedelta(seconds=-1)}, "timeout must be longer than nothing"),
        ({"max_concurrent": 0}, "max_concurrent must be an int from 1 or None, got 0"),
        ({"max_concurrent": True}, "max_concurrent must be an int"),
        ({"max_concurrent": 1.5}, "max_concurrent must be an int"),
    ],
)
def test_option_values_of_activities_are_checked(
    app: FunctionRegistry, options: dict[str, Any], message: str
) -> None:
    refuse(app.activity(**options), plain, message)
    assert app.activities == {}


def test_option_values_of_orchestrators_are_checked(app: FunctionRegistry) -> None:
    options: dict[str, Any] = {"version": 2}
    refuse(app.orchestrator(**options), conducts, "version must be a str or None, got 2")
    assert app.orchestrators == {}


def test_unknown_options_are_refused(app: FunctionRegistry) -> None:
    options: dict[str, Any] = {"retries": 2}
    with pytest.raises(TypeError, match="retries"):
        app.activity(**options)


async def test_decorated_functions_stay_callable(app: FunctionRegistry) -> None:
    async def slowly(number: int) -> int:
        await asyncio.sleep(0)
        return number

    assert app.activity(plain)(3) == 3
    assert await app.activity(slowly)(3) == 3


# --- what is Tenuto's own, and token sources ------------------------------------------------------


def test_names_of_tenutos_own_activities_are_refused() -> None:
    app = FunctionRegistry()

    def mine(ctx: Context) -> None: ...

    name = "BuiltIn::HttpActivity"
    for decorate in (app.activity(name=name), app.orchestrator(name=name)):
        with pytest.raises(RegistrationError, match=r"BuiltIn:: are Tenuto's own"):
            decorate(mine)
    with pytest.raises(RegistrationError, match=r"BuiltIn:: are Tenuto's own"):
        app.token_source(name=name)(mine)
    assert not app.activities
    assert not app.token_sources


def test_token_sources_are_found_by_name_and_stay_plain_functions() -> None:
    app = FunctionRegistry()

    @app.token_source
    def billing() -> str:
        return "token"

    @app.token_source(name="other")
    async def second() -> str:
        return "token"

    assert billing() == "token"
    assert dict(app.token_sources) == {"billing": billing, "other": second}
    assert app.token_source(billing) is billing
    with pytest.raises(RegistrationError, match=r"token source 'billing'.*already registered from"):
        app.token_source(name="billing")(second)
