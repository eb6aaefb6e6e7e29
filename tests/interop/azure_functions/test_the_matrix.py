"""All that Durable Functions can do, through the worker, both ways."""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tenuto.interop.workers.protocol import Loaded, Turned
from tests.interop.azure_functions.conftest import APPS, Start
from tests.interop.azure_functions.scripted_host import Event, Execution, ScriptedHost, Way
from tests.support.worker_client import WorkerClient

FLAKE = "Activity function 'flaky' failed: ValueError: flake 2 "
BROKE = "child broke \n child broke"
GO = [(60.0, "go", {"ok": True})]

EXPECTED: dict[str, Any] = {
    "hello": ["Hello Tokyo!", "Hello Seattle!", "Hello London!"],
    "chain": [0, 1, 2],
    "fan": 190,
    "retry_ok": ["ok after 3", "z"],
    "retry_fail": [FLAKE, "z"],
    "retry_all": [["ok after 3", 1, "ok after 2"], "z"],
    "retry_any_mixed": ["timer", "ok after 3", "y", "y2"],
    "any_timer": ["event", {"ok": True}, "z"],
    "cancel_step": "canceled",
    "early_events": [0, 1, 2],
    "sub_parent": [[0, 1, 2], [{"v": 1}, True, "my-child"], BROKE, BROKE, "z"],
    "can": 4,
    "http": [{"statusCode": 200, "content": "http://there/x"}, "z"],
    "nested": [[1, 2], 3, "z"],
    "reyield": [["a", "b"], "a", "z"],
    "nogen": "plain",
    "order": ["c", "d", "ok after 2"],
    "sms": [[0, 1, 2], "z"],
}
EVENTS: dict[str, list[tuple[float, str, Any]]] = {
    "sms": [(60.0 * number, "code", number) for number in range(3)],
    "any_timer": GO,
    "cancel_step": GO,
    "early_events": [(0.0, "early", number) for number in range(3)],
}
INPUTS = {"http": json.dumps("http://there/x")}
# How many numbers the package takes, hidden ones with them.
NUMBERS = {"fan": 20, "retry_ok": 6, "retry_fail": 5, "retry_all": 10, "retry_any_mixed": 8}
NUMBERS |= {"any_timer": 2, "early_events": 1, "sub_parent": 8, "nested": 5, "reyield": 3}
NUMBERS |= {"nogen": 0, "sms": 2}

WAYS = {
    "kept": Way(),
    "kept, one by one": Way(one_by_one=True),
    "history": Way(sends_history=True),
    "history, one by one": Way(sends_history=True, one_by_one=True),
    "compared": Way(is_compared=True),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


def load(client: WorkerClient, app: str) -> Loaded:
    loaded = client.load(APPS / app, threads=2)
    assert isinstance(loaded, Loaded), loaded
    return loaded


def test_every_feature_gives_what_it_must(start: Start, way: Way, tmp_path: Path) -> None:
    client = start(MATRIX_FOLDER=str(tmp_path))
    host = ScriptedHost(client, load(client, "matrix"), way)
    for name, output in EXPECTED.items():
        outcome = host.run(name, INPUTS.get(name), instance=name, events=EVENTS.get(name, ()))
        assert (name, outcome.output, outcome.error) == (name, output, None)
        assert outcome.numbers == NUMBERS.get(name, outcome.numbers), name
        assert outcome.differences == [], name


def test_guids_and_status_are_the_same_both_ways(start: Start, way: Way, tmp_path: Path) -> None:
    client = start(MATRIX_FOLDER=str(tmp_path))
    host = ScriptedHost(client, load(client, "matrix"), way)
    outcome = host.run("guid_status")
    # Made of instance, time and a counter: the same in every process.
    third = uuid.uuid5(uuid.NAMESPACE_URL, "i1_2025-01-01 00:00:00+00:00_2")
    assert outcome.output == [3, str(third)]
    assert outcome.custom_status == {"phase": 2, "guid": outcome.output[1]}


def test_an_orchestrator_that_raises_fails_with_its_text(start: Start, way: Way) -> None:
    client = start()
    host = ScriptedHost(client, load(client, "matrix"), way)
    outcome = host.run("fails")
    assert (outcome.output, outcome.error) == (None, "bad thing")
    assert outcome.differences == []
    assert not host.turns_seen[-1][1].is_done
    assert not host.turns_seen[-1][1].is_kept


def test_a_turn_is_one_call_into_the_package_and_counts_as_it_does(
    start: Start, tmp_path: Path
) -> None:
    """Whatever the numbers of the host are, those of the package are the same."""
    client = start(MATRIX_FOLDER=str(tmp_path))
    loaded = load(client, "watched")
    for way in (WAYS["kept"], WAYS["history, one by one"]):
        host = Watching(client, loaded, way)
        for name, output in EXPECTED.items():
            instance = f"{name} {way}"
            outcome = host.run(name, INPUTS.get(name), instance, EVENTS.get(name, ()))
            assert (name, outcome.output) == (name, output)
        assert host.compared > 50


class Watching(ScriptedHost):
    compared = 0

    def watch(self, execution: Execution, events: Sequence[Event], answer: Turned) -> None:
        """Look at what the app has written down of the turn that is just over.

        Turns of children are over before those of their parents: theirs is the last line.
        """
        line = [log for log in self.client.logs if log.text.startswith("watched ")][-1]
        self.client.logs.remove(line)
        seen = json.loads(line.text.removeprefix("watched "))
        is_first = len(execution.history) == len(events)
        # A package that is entered with the history gets all of it in that one call.
        assert seen["executed"] == int(is_first or self.way.sends_history)
        given = len(execution.history if seen["executed"] else events)
        assert seen["processed"] <= given
        if not answer.is_done:
            assert seen["processed"] == given
            assert set(seen["open"]) == set(execution.open)
        self.compared += 1
