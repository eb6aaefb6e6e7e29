"""The line that says what a host goes on with."""

from collections import Counter

import pytest

from tenuto.insight.going_on import GoingOn, WaitsFor, sentence
from tenuto.model.hold import HoldReason

TIMER, EVENT, ACTIVITY, CHILD = (
    WaitsFor.TIMER,
    WaitsFor.EVENT,
    WaitsFor.ACTIVITY,
    WaitsFor.CHILD,
)


@pytest.mark.parametrize(
    ("waits", "held", "said"),
    [
        (
            {TIMER: 9, EVENT: 3},
            {HoldReason.DECISIONS: 1, HoldReason.PAYLOAD: 1},
            (
                "goes on with 12 instances: 9 wait for timers, 3 for events; 2 are held, their "
                "code has changed (tenuto instances list --held)"
            ),
        ),
        ({TIMER: 1}, {}, "goes on with 1 instance: 1 waits for timers"),
        (
            {ACTIVITY: 2, CHILD: 1, WaitsFor.TURN: 1, WaitsFor.START: 1, WaitsFor.RESUME: 1},
            {HoldReason.GUARD: 1},
            (
                "goes on with 6 instances: 2 wait for activities, 1 for sub-orchestrations, 1 is "
                "to begin, 1 begins later, 1 is suspended; 1 is held, its code has changed (tenuto "
                "instances list --held)"
            ),
        ),
        (
            {WaitsFor.TURN: 2, WaitsFor.START: 2, WaitsFor.RESUME: 2, WaitsFor.NOTHING: 2},
            {},
            (
                "goes on with 8 instances: 2 are to begin, 2 begin later, 2 are suspended, 2 are "
                "between two steps"
            ),
        ),
        (
            {},
            {HoldReason.CRASHED: 2, HoldReason.MEMORY: 1, HoldReason.PAYLOAD: 1},
            (
                "goes on with 0 instances; 1 is held, its code has changed, 2 are held, they have "
                "ended their host, 1 is held, there was not enough memory (tenuto instances list "
                "--held)"
            ),
        ),
        (
            {},
            {HoldReason.NOT_SERVED: 2, HoldReason.POISON: 1, HoldReason.STORAGE: 1},
            (
                "goes on with 0 instances; 2 are held, they name functions that are not here, 1 is "
                "held, its turn has failed, 1 is held, the store cannot hold what it decided "
                "(tenuto instances list --held)"
            ),
        ),
    ],
)
def test_one_line_for_all_kinds_of_waits(
    waits: dict[WaitsFor, int], held: dict[HoldReason, int], said: str
) -> None:
    assert sentence(GoingOn(waits=Counter(waits), held=Counter(held))) == said


@pytest.mark.parametrize("reason", HoldReason)
def test_each_reason_has_its_own_words(reason: HoldReason) -> None:
    said = [sentence(GoingOn(held=Counter({reason: count}))) for count in (1, 2)]
    assert [one.split(" held, ")[0].rsplit(" ", 2)[-2:] for one in said] == [
        ["1", "is"],
        ["2", "are"],
    ]
    says_code = ["code has changed" in one for one in said]
    is_code = reason in {HoldReason.DECISIONS, HoldReason.GUARD, HoldReason.PAYLOAD}
    assert says_code == [is_code, is_code]


def test_beyond_the_bound_it_says_so_and_the_command_names_the_store() -> None:
    found = GoingOn(
        waits=Counter({TIMER: 1_000}), held=Counter({HoldReason.DECISIONS: 2}), has_more=True
    )
    assert sentence(found, ("--storage", "sqlite:///my trips.db")) == (
        "goes on with more than 1,000 instances; of 1,000 looked at: 1,000 wait for timers; 2 are "
        "held, their code has changed (tenuto instances list --held --storage "
        "'sqlite:///my trips.db')"
    )
