"""Imports by name that the guard cannot see."""

import datetime as dt
import random
import secrets
import time
import uuid
from collections.abc import Callable
from os import urandom
from random import randint as dice
from time import sleep
from time import time as now
from uuid import uuid4

import pytest

from tenuto.functions.registry import FunctionRegistry
from tenuto.functions.replay_hints import unreplayable_imports
from tenuto.orchestration.context import Context


def uses_a_clock() -> float:
    return now()


def uses_chance_in_a_nested_function() -> list[int]:
    def nested() -> int:
        return dice(1, 6)

    return [nested() for _ in range(2)]


def sleeps() -> None:
    sleep(1)


def makes_ids() -> tuple[object, bytes]:
    return uuid4(), urandom(4)


def calls_helpers() -> float:
    return helper()


def helper() -> float:
    helper_of_helper()
    return 1.0


def helper_of_helper() -> None:
    calls_helpers()
    now()


def uses_modules() -> tuple[object, ...]:
    today = dt.datetime.now(tz=dt.UTC)
    return today, time.time(), random.random(), uuid.uuid4(), secrets.token_hex(), len("x")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (uses_a_clock, ["time.time, imported by name as 'now'", "use ctx.current_time"]),
        (uses_chance_in_a_nested_function, ["random.randint", "'dice'", "use ctx.random"]),
        (sleeps, ["time.sleep", "use await asyncio.sleep(...)"]),
        (makes_ids, ["uuid.uuid4", "use ctx.new_uuid()", "os.urandom", "use an activity"]),
        (calls_helpers, ["time.time", "'now'"]),
    ],
)
def test_names_that_escape_the_guard_are_found(
    function: Callable[..., object], expected: list[str]
) -> None:
    text = " ".join(unreplayable_imports(function))
    assert all(part in text for part in expected), text


def test_each_name_is_told_once() -> None:
    assert len(unreplayable_imports(calls_helpers)) == 1


def test_calls_through_modules_are_left_to_the_guard() -> None:
    assert unreplayable_imports(uses_modules) == []


def test_what_is_no_python_function_is_not_looked_into() -> None:
    assert unreplayable_imports(len) == []


def test_the_registry_names_the_orchestrator_and_its_place() -> None:
    app = FunctionRegistry()

    @app.orchestrator
    async def tick(ctx: Context) -> float:
        return now()

    @app.activity
    def tock() -> float:
        return now()

    (warning,) = app.warnings
    assert warning.startswith("<orchestrator 'tick'> (")
    assert f"{__file__}:" in warning
    assert "uses time.time, imported by name as 'now'" in warning
