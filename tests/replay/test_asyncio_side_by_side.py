"""Plain asyncio inside a session takes the same steps on every Python, and those of its own loop.

The promise ``replay_is_pure`` for code that users bring along. Where CPython changed its mind,
sessions do what the newest one does (ENGINE rule 3), and the stock loops of older ones differ.
"""

import functools
import sys
from typing import Any

import pytest

from tests.support.asyncio_programs import PROGRAMS
from tests.support.pythons import ask, other_pythons, this_python


@functools.cache
def answers() -> dict[tuple[int, int], dict[str, Any]]:
    """What every program did on every Python, this one included."""
    pythons = {this_python(): sys.executable, **other_pythons()}
    return {
        version: ask(python, "asyncio_worker.py", list(PROGRAMS))
        for version, python in pythons.items()
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_replay_is_pure_a_session_takes_the_same_steps_on_every_python(name: str) -> None:
    here = answers()[this_python()][name]["session"]
    assert {version: answer[name]["session"] for version, answer in answers().items()} == (
        dict.fromkeys(answers(), here)
    )


@pytest.mark.parametrize("name", [name for name, one in PROGRAMS.items() if one.since > (3, 11)])
def test_a_program_said_to_differ_on_older_pythons_really_does(name: str) -> None:
    """Else nobody knows whether our own version of it is needed."""
    older = {
        version: answer for version, answer in answers().items() if version < PROGRAMS[name].since
    }
    assert older == {} or any(
        answer[name]["session"] != answer[name]["stock"] for answer in older.values()
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_session_takes_the_steps_of_the_stock_loop_on_every_python(name: str) -> None:
    for version, answer in answers().items():
        if version >= PROGRAMS[name].since:
            assert answer[name]["session"] == answer[name]["stock"], version
