"""All that orchestrators can ask for, through the real packages: as a live executor and without."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tenuto.interop.workers.protocol import Loaded
from tests.interop.node.node_worker import copied_app, loaded_worker
from tests.interop.node.scripted_host import Action, Ran, ScriptedHost
from tests.support.worker_client import WorkerClient

EXPECTED: Mapping[str, tuple[Any, int]] = {
    "hello": (["Hello Tokyo!", "Hello Seattle!", "Hello London!"], 3),
    "chain": ([0, 1, 2], 3),
    "fan": (190, 20),
    "retry_ok": (["ok after 3", "z"], 6),
    "retry_fail": (["Activity function 'flaky' failed: flake 2 \n flake 2", "z"], 5),
    "retry_all": ([["ok after 3", 1, "ok after 2"], "z"], 10),
    "retry_any_mixed": (["timer", "ok after 3", "y", "y2"], 8),
    "any_timer": (["event", {"ok": True}, "z"], 2),
    "early_events": ([0, 1, 2], 1),
    "sub_parent": (
        [[0, 1, 2], [{"v": 1}, True, "my-child"]] + 2 * ["child broke \n child broke"] + ["z"],
        8,
    ),
    "can": (4, 1),
    "http": ([{"statusCode": 200, "content": "done"}, "z"], 6),
    "nested": ([[1, 2], 3, "z"], 5),
    "reyield": ([["a", "b"], "a", "z"], 3),
    "nogen": ("plain", 0),
    "sms": ([[0, 1, 2], "z"], 2),
    "order": (["c", "d", "ok after 2"], 6),
}
"""Value and how many numbers are taken, by orchestrator."""

EVENTS = {
    "any_timer": [("go", '{"ok": true}')],
    "early_events": [("early", str(count)) for count in range(3)],
    "sms": [("code", str(count)) for count in range(3)],
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WorkerClient, Loaded]]:
    folder = tmp_path_factory.mktemp("matrix")
    counters = tmp_path_factory.mktemp("counters")
    app = copied_app("matrix", folder)
    with loaded_worker(app, MATRIX_COUNTERS=str(counters)) as (worker, answer):
        yield worker, answer


class Poll:
    """A server that says twice that it is not ready."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, _action: Action) -> Mapping[str, Any]:
        self.asked += 1
        if self.asked < 3:
            return {"statusCode": 202, "headers": {"Location": "http://x/state"}, "content": ""}
        return {"statusCode": 200, "headers": {}, "content": "done"}


def ran(loaded: tuple[WorkerClient, Loaded], name: str, instance: str, **options: Any) -> Ran:
    host = ScriptedHost(*loaded, events=EVENTS.get(name, ()), http=Poll(), **options)
    return host.run(name, "http://x/begin" if name == "http" else None, instance)


@pytest.mark.parametrize("takes_all", [True, False], ids=["batched", "one by one"])
@pytest.mark.parametrize("name", EXPECTED)
def test_a_kept_executor_gives_what_the_stateless_call_gives(
    loaded: tuple[WorkerClient, Loaded], name: str, takes_all: bool
) -> None:
    kept = ran(loaded, name, f"{name}-kept-{takes_all}", takes_all=takes_all)
    replayed = ran(loaded, name, f"{name}-plain-{takes_all}", takes_all=takes_all, replays=True)

    assert (kept.value, kept.numbers) == EXPECTED[name]
    assert (replayed.value, replayed.numbers) == EXPECTED[name]
    assert told(kept, f"{name}-kept-{takes_all}") == told(replayed, f"{name}-plain-{takes_all}")


def told(run: Ran, instance: str) -> list[Any]:
    """All that was answered, with the actions that were new in each turn."""
    answers: list[Any] = []
    known = 0
    for turned in run.turns:
        new = [json.loads(bytes(one)) for one in turned.actions][max(0, known - turned.first) :]
        answers.append((new, turned.is_done, turned.output, turned.canceled, turned.custom_status))
        known = 0 if turned.is_done else turned.first + len(turned.actions)
    return list(json.loads(json.dumps(answers).replace(instance, "ID")))


@pytest.mark.parametrize("replays", [False, True])
@pytest.mark.parametrize(
    ("name", "places"), [("any_timer", [1]), ("nested", [3]), ("sms", [1]), ("fan", [])]
)
def test_timers_that_were_canceled_are_told_by_their_places(
    loaded: tuple[WorkerClient, Loaded], name: str, places: list[int], replays: bool
) -> None:
    last = ran(loaded, name, f"{name}-canceled-{replays}", replays=replays).turns[-1]

    assert last.canceled == places


@pytest.mark.parametrize("name", ["fan", "retry_all", "any_timer", "nested", "reyield", "sms"])
def test_a_compared_turn_finds_no_difference(
    loaded: tuple[WorkerClient, Loaded], name: str
) -> None:
    compared = ran(loaded, name, f"{name}-compared", compares=True)

    assert compared.value == EXPECTED[name][0]


def test_ids_and_custom_status_come_from_the_instance_alone(
    loaded: tuple[WorkerClient, Loaded],
) -> None:
    kept = ran(loaded, "guid_status", "one")
    replayed = ran(loaded, "guid_status", "one", replays=True)

    assert kept.value == replayed.value
    assert isinstance(kept.value, list)
    assert kept.value[0] == 3
    assert [json.loads(turn.custom_status or "null") for turn in kept.turns] == [
        {"phase": 1},
        {"phase": 2},
        {"phase": "end"},
    ]
    assert kept.turns[-1].custom_status == replayed.turns[-1].custom_status


@pytest.mark.parametrize("replays", [False, True])
def test_what_an_orchestrator_raises_is_its_own_text(
    loaded: tuple[WorkerClient, Loaded], replays: bool
) -> None:
    failed = ran(loaded, "fails", f"fails-{replays}", replays=replays)

    assert failed.error == "bad thing"
    assert failed.output is None
    assert not failed.turns[-1].is_done
    assert not failed.turns[-1].is_kept
