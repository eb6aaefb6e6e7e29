"""Retry policies of functions: what they say, and when a function is tried again."""

from typing import Any

import pytest
from msgspec import structs

from tenuto.interop.azure_app.folder.bindings import check_functions
from tenuto.interop.azure_app.folder.findings import Level
from tenuto.interop.azure_app.folder.python_source import RETRIES
from tenuto.interop.azure_app.folder.retry_policies import retry_policy
from tenuto.interop.workers.protocol import FunctionFacts

SECOND = 1_000_000
FIXED = {"strategy": "fixedDelay", "maxRetryCount": 2, "delayInterval": "00:00:10"}
GROWING = {
    "strategy": "ExponentialBackoff",
    "maxRetryCount": -1,
    "minimumInterval": "00:00:02",
    "maximumInterval": "00:01:00",
}


def test_equal_pauses_as_often_as_is_said() -> None:
    policy = retry_policy(FIXED)
    pauses = [policy.pause_before(attempt) for attempt in (1, 2, 3)]
    assert pauses == [10 * SECOND, 10 * SECOND, None]


def test_no_pause_at_all() -> None:
    assert retry_policy({**FIXED, "delayInterval": "00:00:00"}).pause_before(1) == 0


def test_pauses_that_grow_up_to_a_bound_and_for_ever() -> None:
    policy = structs.replace(retry_policy(GROWING), spread=lambda: 1.0)
    pauses = [policy.pause_before(attempt) for attempt in (1, 2, 3, 4, 5, 6, 7, 10_000)]
    assert pauses == [one * SECOND for one in (2, 4, 6, 10, 18, 34, 60, 60)]


def test_pauses_that_grow_are_spread() -> None:
    policy = retry_policy(GROWING)
    found = {policy.pause_before(4) for _ in range(20)}
    assert len(found) > 1
    assert all(8.4 * SECOND <= (one or 0) <= 11.6 * SECOND for one in found)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"maxRetryCount": None}, "maxRetryCount is a whole number, or -1 for ever; got None"),
        ({"maxRetryCount": True}, "got True"),
        ({"maxRetryCount": -2}, "got -2"),
        ({"strategy": "often"}, "strategy is fixedDelay or exponentialBackoff, got 'often'"),
        ({"delayInterval": None}, "delayInterval: expected a length of time"),
        ({"delayInterval": "-1"}, "delayInterval: a pause that has no end is none"),
        ({"strategy": "exponentialBackoff"}, "minimumInterval: expected a length of time"),
        ({**GROWING, "minimumInterval": "00:02:00"}, "is longer than maximumInterval"),
    ],
)
def test_what_is_no_policy_is_told(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        retry_policy({**FIXED, **more})


def function(kind: str, retry: dict[str, Any] | None) -> FunctionFacts:
    bindings = [{"type": kind, "schedule": "0 * * * * *"}, {"type": "http"}]
    return FunctionFacts("work", bindings, retry=retry)


@pytest.mark.parametrize("retry", [None, FIXED, RETRIES])
def test_nothing_is_said_of_a_timer_whose_policy_is_followed(retry: dict[str, Any] | None) -> None:
    assert check_functions([function("timerTrigger", retry)]) == []


def test_a_timer_whose_policy_cannot_be_followed_is_refused() -> None:
    (found,) = check_functions([function("timerTrigger", {"strategy": "fixedDelay"})])
    assert found.level is Level.UNSUPPORTED
    assert found.text == "function 'work' has a retry policy that cannot be followed"
    assert "maxRetryCount is a whole number" in found.advice


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("httpTrigger", "let its caller try again"),
        ("activityTrigger", "give the call of it retry options"),
        ("orchestrationTrigger", "give the calls in it retry options"),
    ],
)
def test_any_other_function_is_told_that_its_policy_does_nothing(kind: str, advice: str) -> None:
    for retry in (FIXED, RETRIES):
        (found,) = check_functions([function(kind, retry)])
        assert found.level is Level.NOTE
        assert "has a retry policy, which is ignored" in found.text
        assert advice in found.advice
