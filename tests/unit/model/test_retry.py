"""Retry policies: arithmetic at its edges."""

from datetime import timedelta

import msgspec
import pytest

from tenuto.model.errors import InputError
from tenuto.model.failure import FailureDetails
from tenuto.model.retry import RetryFacts, RetryPolicy

FAILURE = FailureDetails("ValueError", "no")
SECOND = timedelta(seconds=1)


def test_waits_grow_up_to_the_cap() -> None:
    policy = RetryPolicy(max_attempts=9, backoff=2.0, max_interval=timedelta(seconds=5))
    waits = [policy.next_delay(attempt, FAILURE, timedelta(0)) for attempt in range(1, 10)]
    assert waits == [SECOND, 2 * SECOND, 4 * SECOND, *[5 * SECOND] * 5, None]


@pytest.mark.parametrize("cap", [None, timedelta.max])
def test_a_wait_past_all_bounds_is_a_thousand_years(cap: timedelta | None) -> None:
    policy = RetryPolicy(max_attempts=10_000, backoff=10.0, max_interval=cap)
    thousand_years = timedelta(days=365_000)
    assert policy.next_delay(100, FAILURE, timedelta(0)) == thousand_years
    assert policy.next_delay(9_000, FAILURE, timedelta(0)) == thousand_years


def test_the_total_time_ends_it_before_a_wait_that_would_cross_it() -> None:
    policy = RetryPolicy(max_attempts=9, timeout=timedelta(seconds=3))
    assert policy.next_delay(1, FAILURE, timedelta(seconds=1)) == SECOND
    assert policy.next_delay(2, FAILURE, timedelta(seconds=2)) is None


def test_some_failures_are_not_tried_again() -> None:
    final = FailureDetails("ValueError", "no", is_non_retriable=True)
    picky = RetryPolicy(max_attempts=9, retry_if=lambda failure: failure.error_type == "OSError")
    assert RetryPolicy(max_attempts=9).next_delay(1, final, timedelta(0)) is None
    assert picky.next_delay(1, FAILURE, timedelta(0)) is None
    assert picky.next_delay(1, FailureDetails("OSError", "x"), timedelta(0)) == SECOND


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"),
        ({"max_attempts": 2, "first_interval": -SECOND}, "first_interval"),
        ({"max_attempts": 2, "first_interval": None}, "first_interval"),
        ({"max_attempts": 2, "max_interval": 5}, "max_interval"),
        ({"max_attempts": 2, "timeout": -SECOND}, "timeout"),
        ({"max_attempts": 2, "backoff": 0.5}, "backoff"),
        ({"max_attempts": 2, "backoff": float("nan")}, "backoff"),
        ({"max_attempts": 2, "backoff": "2"}, "backoff"),
        ({"max_attempts": 2, "backoff": True}, "backoff"),
    ],
)
def test_bad_input_is_refused_whole_in_a_policy(given: dict[str, object], name: str) -> None:
    with pytest.raises(InputError, match=f"RetryPolicy.{name} "):
        RetryPolicy(**given)  # type: ignore[arg-type]


def test_history_can_hold_every_policy() -> None:
    usual = RetryPolicy(max_attempts=3, backoff=2, max_interval=5 * SECOND)
    assert usual.facts == RetryFacts(3, 1_000_000, 2.0, 5_000_000)
    for backoff in (float("inf"), 10**400):
        vast = RetryPolicy(
            max_attempts=10**30,
            first_interval=timedelta.max,
            backoff=backoff,
            max_interval=timedelta.max,
            timeout=timedelta.max,
        )
        text = msgspec.json.encode(vast.facts)
        assert msgspec.json.decode(text, type=RetryFacts) == vast.facts
        assert vast.facts.timeout == 365_000 * 86_400 * 1_000_000
