"""Why an instance does not move: one sentence for each reason, and what to do."""

from typing import Any

import pytest

from tenuto.cli.findings import Level
from tenuto.cli.standstill import Surroundings, standstill
from tenuto.client.steps import Run, Step, StepKind, StepState
from tenuto.model.failure import FailureDetails
from tenuto.model.status import InstanceRecord, RuntimeStatus

MINUTE = 60_000_000
NOW = 1_000 * MINUTE


def run_in(status: RuntimeStatus, *steps: Step, **more: Any) -> Run:
    given: dict[str, Any] = {
        "iid": 1,
        "instance_id": "t-1",
        "partition": 0,
        "name": "trip",
        "execution_id": "e",
        "created_at": NOW - 10 * MINUTE,
        "root_id": "t-1",
        "status": status,
    }
    return Run(record=InstanceRecord(**(given | more)), steps=list(steps))


def step(kind: StepKind, state: StepState, name: str = "", **more: Any) -> Step:
    begun_at = NOW - 5 * MINUTE
    given: dict[str, Any] = {
        "number": 1,
        "kind": kind,
        "name": name,
        "state": state,
        "begun_at": begun_at,
        "changed_at": begun_at,
    }
    return Step(**(given | more))


def around(*, has_host: bool = True, **more: Any) -> Surroundings:
    return Surroundings(now=NOW, has_host=has_host, **more)


PENDING = run_in(RuntimeStatus.PENDING)
ACTIVITY = run_in(
    RuntimeStatus.RUNNING,
    step(
        StepKind.ACTIVITY, StepState.RUNNING, "book", attempt=2, failure=FailureDetails("E", "no")
    ),
)
OVERDUE = run_in(
    RuntimeStatus.RUNNING, step(StepKind.TIMER, StepState.WAITING, due_at=NOW - 2 * MINUTE)
)


@pytest.mark.parametrize(
    ("run", "surroundings", "level", "text", "advice"),
    [
        (
            run_in(RuntimeStatus.SUSPENDED, updated_at=NOW - 3 * MINUTE),
            around(place=" --url http://x"),
            Level.NOTE,
            "suspended since",
            "tenuto instances resume t-1 --url http://x",
        ),
        (
            run_in(RuntimeStatus.PENDING, scheduled_at=NOW + MINUTE),
            around(has_host=False),
            Level.NOTE,
            "begins at",
            "",
        ),
        (PENDING, around(has_host=False), Level.WRONG, "pending for 10 min 00 s: no host", "start"),
        (PENDING, around(), Level.WRONG, "although a host runs: perhaps its app has no", "log"),
        (
            PENDING,
            around(orchestrators=frozenset({"quick"})),
            Level.WRONG,
            "the app has no orchestrator 'trip'",
            "start a host whose app has it",
        ),
        (
            run_in(RuntimeStatus.PENDING, created_at=NOW - MINUTE // 2),
            around(),
            Level.NOTE,
            "pending for 30.0 s",
            "",
        ),
        (
            ACTIVITY,
            around(),
            Level.NOTE,
            "waits for activity book, attempt 2, after E: no, running since",
            "",
        ),
        (ACTIVITY, around(has_host=False), Level.WRONG, "no host runs", "tenuto start"),
        (ACTIVITY, around(untaken={"t-1": 3}), Level.WRONG, "3 messages lie in its inbox", "log"),
        (OVERDUE, around(), Level.WRONG, "a timer due at", "look at the host's log"),
        (OVERDUE, around(has_host=False), Level.WRONG, "overdue by 2 min 00 s", "tenuto start"),
        (
            run_in(
                RuntimeStatus.RUNNING,
                step(StepKind.TIMER, StepState.WAITING, due_at=NOW + MINUTE),
            ),
            around(has_host=False),
            Level.NOTE,
            "waits for a timer due at",
            "",
        ),
        (
            run_in(
                RuntimeStatus.RUNNING,
                step(
                    StepKind.ACTIVITY,
                    StepState.RETRYING,
                    "book",
                    due_at=NOW + MINUTE,
                    failure=FailureDetails("E", "no"),
                ),
            ),
            around(has_host=False),
            Level.NOTE,
            "waits for attempt 2 of activity book at",
            "",
        ),
        (
            run_in(RuntimeStatus.RUNNING, step(StepKind.EVENT, StepState.WAITING, "Approved")),
            around(),
            Level.NOTE,
            "waits for event 'Approved' since",
            "tenuto instances raise-event t-1 Approved --data JSON",
        ),
        (
            run_in(
                RuntimeStatus.RUNNING,
                step(StepKind.EVENT, StepState.WAITING, "Paid", due_at=NOW + MINUTE),
            ),
            around(),
            Level.NOTE,
            "), until ",
            "tenuto instances raise-event t-1 Paid --data JSON",
        ),
        (
            run_in(
                RuntimeStatus.RUNNING,
                *[
                    step(StepKind.CHILD, StepState.RUNNING, "trip", instance_id=f"c-{number}")
                    for number in range(5)
                ],
            ),
            around(),
            Level.NOTE,
            "sub-orchestration trip (c-2) since",
            "",
        ),
        (run_in(RuntimeStatus.RUNNING), around(), Level.NOTE, "is between two steps", ""),
    ],
)
def test_each_reason_has_its_words_and_its_advice(
    run: Run, surroundings: Surroundings, level: Level, text: str, advice: str
) -> None:
    found = standstill(run, surroundings)
    assert found.level is level
    assert found.instance_id == "t-1"
    assert found.text.startswith("t-1 (trip) ")
    assert text in found.text
    assert advice in found.advice
    assert bool(found.advice) == bool(advice)


def test_many_open_steps_are_counted() -> None:
    steps = [step(StepKind.ACTIVITY, StepState.RUNNING, "book") for _ in range(5)]
    assert standstill(run_in(RuntimeStatus.RUNNING, *steps), around()).text.endswith(", 2 more")


def test_an_instance_whose_orchestrator_is_gone_is_wrong_before_its_event_comes() -> None:
    run = run_in(RuntimeStatus.RUNNING, step(StepKind.EVENT, StepState.WAITING, "go"))
    found = standstill(run, around(orchestrators=frozenset({"other"})))
    assert found.level is Level.WRONG
    assert "waits for event 'go'" in found.text
    assert "the app has no orchestrator 'trip'" in found.text
    assert standstill(run, around(orchestrators=frozenset({"trip"}))).level is Level.NOTE
