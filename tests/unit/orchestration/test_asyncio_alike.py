"""Plain asyncio inside a session takes the steps that it takes on asyncio's own loop.

The same programs run on every other Python in ``tests/replay``.
"""

import pytest

from tests.support.asyncio_programs import PROGRAMS
from tests.support.asyncio_worker import both_ways
from tests.support.pythons import this_python


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_session_takes_the_steps_of_the_stock_loop_with_the_same_shapes_of_errors(
    name: str,
) -> None:
    steps = both_ways(PROGRAMS[name])
    if this_python() >= PROGRAMS[name].since:
        assert steps["session"] == steps["stock"]
    else:
        # CPython changed its mind; sessions do what the newest one does.
        assert steps["session"] != []
