"""Taking over a function: what others notice of it, and functions whose source is not at hand."""

import asyncio
import dis
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from tenuto import Context
from tenuto.orchestration.preparation import prepare_process
from tenuto.orchestration.takeover import take_over
from tests.support.sessions import run

prepare_process()

SOURCE = '''"""A module of somebody else's."""

import math
import asyncio


def plain(first, /, second=2, *rest, key=3, **named):
    """What it does."""
    return "stock", first, second, rest, key, named, math.floor(1.5)


async def waits(first, second=2):
    await asyncio.sleep(0)
    return "stock", first, second


def fails(first):
    return 1 // first


def yields(first):
    yield "stock"
    yield first


class Owner:
    __hidden = "stock"

    def method(self, first):
        return self.__hidden, first

'''


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[ModuleType]:
    """A module with functions to take over, its source beside it."""
    path = tmp_path / "stranger.py"
    path.write_text(SOURCE)
    module = ModuleType("stranger")
    module.__file__ = str(path)
    exec(compile(SOURCE, str(path), "exec"), vars(module))
    sys.modules["stranger"] = module
    yield module
    del sys.modules["stranger"]


def ours(*args: object, **named: object) -> tuple[object, ...]:
    return ("ours", args, named)


async def ours_too(*args: object, **named: object) -> tuple[object, ...]:
    return ("ours", args, named)


def inside(call: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it gives
    found: list[Any] = []

    async def look(ctx: Context) -> None:
        result = call()
        found.append(await result if inspect.isawaitable(result) else result)

    run(look)
    return found[0]


def is_own_code(function: Any) -> bool:  # noqa: ANN401 - a function
    """Whether its code is its own with the question in front, and no trampoline."""
    return "_choose" not in (function.__kwdefaults__ or {})


def test_parameters_of_all_kinds_go_on_as_they_are(stranger: ModuleType) -> None:
    plain = stranger.plain
    before = take_over(plain, ours)
    assert is_own_code(plain)
    assert plain(1) == before(1) == ("stock", 1, 2, (), 3, {}, 1)
    assert plain(1, 5, 6, key=7, more=8) == ("stock", 1, 5, (6,), 7, {"more": 8}, 1)
    assert inside(lambda: plain(1, 5, 6, key=7, more=8)) == (
        "ours",
        (1, 5, 6),
        {"key": 7, "more": 8},
    )
    assert inspect.signature(plain) == inspect.signature(before)
    assert plain.__doc__ == "What it does."


def test_a_coroutine_function_stays_one(stranger: ModuleType) -> None:
    take_over(stranger.waits, ours_too)
    assert is_own_code(stranger.waits)
    assert inspect.iscoroutinefunction(stranger.waits)
    assert asyncio.run(stranger.waits(1)) == ("stock", 1, 2)
    assert inside(lambda: stranger.waits(1)) == ("ours", (1, 2), {})


def test_a_method_keeps_its_private_names(stranger: ModuleType) -> None:
    take_over(stranger.Owner.method, ours)
    assert is_own_code(stranger.Owner.method)
    owner = stranger.Owner()
    assert owner.method(1) == ("stock", 1)
    assert inside(lambda: owner.method(1)) == ("ours", (owner, 1), {})


def test_tracebacks_point_where_they_always_did(stranger: ModuleType) -> None:
    def seen() -> str:
        try:
            stranger.fails(0)
        except ZeroDivisionError as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            return f"{frame.lineno} {frame.colno} {frame.end_colno} {frame.line} {frame.name}"
        return "nothing"

    before = seen()
    take_over(stranger.fails, ours)
    assert is_own_code(stranger.fails)
    assert seen() == before != "nothing"


def test_the_last_of_two_counts(stranger: ModuleType) -> None:
    assert take_over(stranger.plain, len) is take_over(stranger.plain, ours)
    assert inside(lambda: stranger.plain(1))[0] == "ours"


# --- functions that cannot have the question put in front -----------------------------------------


def without_source(stranger: ModuleType, path: Path) -> None:
    path.unlink()


def with_another_source(stranger: ModuleType, path: Path) -> None:
    path.write_text(SOURCE.replace("first, second, rest", "second, first, rest"))


def with_broken_source(stranger: ModuleType, path: Path) -> None:
    path.write_text(SOURCE.replace('return "stock", first', 'return "stock" first'))


def with_shorter_source(stranger: ModuleType, path: Path) -> None:
    path.write_text("\n" * 20 + "x = 1\n")


@pytest.mark.parametrize(
    "spoil", [without_source, with_another_source, with_broken_source, with_shorter_source]
)
def test_a_source_that_does_not_give_the_very_code_is_not_used(
    stranger: ModuleType, tmp_path: Path, spoil: Callable[[ModuleType, Path], None]
) -> None:
    spoil(stranger, tmp_path / "stranger.py")
    plain, waits = stranger.plain, stranger.waits
    take_over(plain, ours)
    assert not is_own_code(plain)
    assert plain(1, 5, 6, key=7, more=8) == ("stock", 1, 5, (6,), 7, {"more": 8}, 1)
    assert plain(1) == ("stock", 1, 2, (), 3, {}, 1)
    assert inside(lambda: plain(1, 5, key=7)) == ("ours", (1, 5), {"key": 7})
    if spoil is without_source:
        take_over(waits, ours_too)
        assert not is_own_code(waits)
        assert inspect.iscoroutinefunction(waits)
        assert asyncio.run(waits(1)) == ("stock", 1, 2)
        assert inside(lambda: waits(1)) == ("ours", (1,), {})
        take_over(plain, len)
        assert inside(lambda: plain("four")) == 4


@pytest.mark.filterwarnings("ignore:Assigning a code object:DeprecationWarning")
def test_a_generator_function_decides_when_it_is_called(stranger: ModuleType) -> None:
    take_over(stranger.yields, ours)
    assert list(stranger.yields(1)) == ["stock", 1]
    assert inside(lambda: stranger.yields(1)) == ("ours", (1,), {})


# --- asyncio's own --------------------------------------------------------------------------------


OFTEN_CALLED: list[Any] = [
    asyncio.gather, asyncio.wait, asyncio.wait_for, asyncio.TaskGroup.create_task,
    asyncio.TaskGroup.__aexit__, asyncio.Semaphore.acquire, asyncio.Semaphore.release,
    asyncio.Condition.wait, asyncio.Condition.notify, asyncio.Timeout.__aexit__,
]  # fmt: skip


@pytest.mark.parametrize("function", OFTEN_CALLED, ids=lambda one: one.__qualname__)
def test_what_is_called_often_costs_others_a_question_and_nothing_more(
    function: Any,  # noqa: ANN401 - a function
) -> None:
    """No other call, no packing of arguments: its own instructions, and a few before them."""
    assert is_own_code(function)
    added = len(names_of(function.__code__)) - len(names_of(inspect.unwrap(function).__code__))
    assert added == 4, "type, the running loop, the class of sessions, ours"


def names_of(code: CodeType) -> list[str]:
    loads = ("LOAD_GLOBAL",)
    wanted = ("_tenuto", "type")
    return [
        one.argval
        for one in dis.get_instructions(code)
        if one.opname in loads and one.argval.startswith(wanted)
    ]
