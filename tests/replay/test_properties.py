"""Random programs against random worlds: the promise ``replay_is_pure``, as properties.

A program (``program_grammar``) is run hot once and recorded. Every other way of going through the
record must see the same: decisions to the letter, status, every step of user code. ENGINE rules
1 to 5, 9 and 10 are what makes it so.
"""

import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import pythons
from tests.support.program_grammar import Choose, for_stock_loop, grow_program
from tests.support.program_runs import (
    Record,
    record_run,
    repeat,
    repeat_in_batches,
    repeat_with_crashes,
)
from tests.support.pythons import ask, other_pythons, this_python
from tests.support.replay_worker import record_of_seed
from tests.support.strangers import strangers

_WORKER = "replay_worker.py"

_CHANCE = 20261121
"""The same programs in every build; ``make soak`` draws others each time."""

many = settings(
    derandomize=True,
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
_PER_PROCESS = 400
_SEEDS = (0, 150)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A program and its recorded hot run."""

    def choose(count: int) -> int:
        return draw(st.integers(0, count - 1))

    return record_run(grow_program(choose), choose)


def random_records(count: int, chance: random.Random) -> Iterator[Record]:
    for _ in range(count):
        yield record_run(grow_program(chance.randrange), chance.randrange)


def stock_records(count: int, python: tuple[int, int], chance: random.Random) -> Iterator[Record]:
    """Records whose programs an event loop of that Python can run too."""
    for _ in range(count):
        yield record_run(for_stock_loop(_async(chance.randrange), python), chance.randrange)


def _async(choose: Choose) -> dict[str, object]:
    while True:
        program = grow_program(choose)
        if program["style"] == "async":
            return program


def seen_in(record: Record) -> list[object]:
    return [turn["seen"] for turn in record["turns"]]


# --- in this process ------------------------------------------------------------------------------


@many
@given(records())
def test_replay_is_pure_every_turn_hot_equals_every_turn_replayed(record: Record) -> None:
    wanted = seen_in(record)
    for turns in range(1, len(wanted) + 1):
        assert repeat(record, turns) == wanted[:turns]


@many
@given(records(), st.data())
def test_replay_is_pure_across_crashes_between_any_turns(
    record: Record, data: st.DataObject
) -> None:
    turns = len(record["turns"])
    cuts = data.draw(st.sets(st.integers(1, turns)))
    assert repeat_with_crashes(record, cuts) == seen_in(record)


@many
@given(records(), st.data())
def test_batching_never_changes_the_order_of_user_code(record: Record, data: st.DataObject) -> None:
    """ENGINE rule 1: only the clock can tell in which batches events came."""
    one_by_one = repeat_in_batches(record, lambda: 1)
    assert repeat_in_batches(record, lambda: sys.maxsize) == one_by_one
    assert repeat_in_batches(record, lambda: data.draw(st.integers(1, 4))) == one_by_one


# --- with strangers in the process ----------------------------------------------------------------


def _check_with_strangers(seeds: Iterable[int], chance: random.Random) -> None:
    """What a program does is what it does alone, hot and replayed; and nobody enters its turns."""
    for seed in seeds:
        alone = record_of_seed(seed)
        wanted = seen_in(alone)
        cuts = {chance.randrange(1, 17) for _ in range(2)}
        with strangers(chance) as around:
            around.litter_outside()
            assert record_of_seed(seed) == alone, f"seed {seed} with strangers is another program"
            around.litter_outside()
            assert repeat(alone) == wanted, f"seed {seed} is replayed otherwise with strangers"
            around.litter_outside()
            assert repeat_with_crashes(alone, cuts) == wanted, f"seed {seed}, crashed"
        assert around.collected, "there was garbage"
        assert around.loops == {None}, "no session was running for it"


def test_garbage_of_strangers_decides_nothing_and_fails_nobody() -> None:
    """ENGINE rule 40."""
    _check_with_strangers(range(40), random.Random(_CHANCE))


# --- in other processes, on other Pythons ---------------------------------------------------------


def test_replay_is_pure_in_another_process_with_a_disturbed_heap() -> None:
    """ENGINE rule 2: nothing goes by address or by the hash of a string."""
    chance = random.Random(_CHANCE)
    request = {
        "repeat": list(random_records(_PER_PROCESS, chance)),
        "stock": list(stock_records(_PER_PROCESS, this_python(), chance)),
        "record": (0, 0),
    }
    answer = ask(sys.executable, _WORKER, request, PYTHONHASHSEED=str(chance.randrange(1, 2**32)))
    assert answer["differences"] == []


def test_replay_is_pure_on_every_other_supported_python() -> None:
    """ENGINE rule 3: what this version recorded every other one repeats, and the reverse.

    Each also takes the same steps as its own stock event loop.
    """
    chance = random.Random(_CHANCE)
    repeated = list(random_records(_PER_PROCESS, chance))
    for version, python in other_pythons().items():
        request = {
            "repeat": repeated,
            "stock": list(stock_records(_PER_PROCESS, version, chance)),
            "record": _SEEDS,
        }
        answer = ask(python, _WORKER, request)
        assert answer["differences"] == []
        for seed, record in zip(range(*_SEEDS), answer["recorded"], strict=True):
            assert record == record_of_seed(seed), f"{version} recorded seed {seed} otherwise"
            assert repeat(record) == seen_in(record)


def test_ci_without_a_second_python_fails_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pythons, "LIST", tmp_path / "pythons.json")
    monkeypatch.setenv("CI", "false")
    assert other_pythons() == {}
    monkeypatch.setenv("CI", "true")
    with pytest.raises(AssertionError, match="run `make pythons`"):
        other_pythons()


# --- for long -------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_replay_is_pure_for_twenty_thousand_programs_on_every_python() -> None:
    chance = random.Random()
    for _ in range(20):
        repeated = list(random_records(1_000, chance))
        for record in repeated:
            cuts = {chance.randrange(1, 17) for _ in range(3)}
            assert repeat_with_crashes(record, cuts) == seen_in(record)
        for version, python in {this_python(): sys.executable, **other_pythons()}.items():
            stock = list(stock_records(500, version, chance))
            request = {"repeat": repeated, "stock": stock, "record": (0, 0)}
            answer = ask(python, _WORKER, request, timeout_seconds=600)
            assert answer["differences"] == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_garbage_of_strangers_decides_nothing_in_four_thousand_programs() -> None:
    chance = random.Random()
    start = chance.randrange(2**40)
    _check_with_strangers(range(start, start + 4_000), chance)
