"""The context of an activity and its cancellation token."""

import asyncio
import logging

import pytest

from tenuto.functions.activity_context import ActivityContext, current_activity
from tenuto.model.errors import InputError


def test_there_is_no_current_activity_outside_activities() -> None:
    with pytest.raises(InputError, match="called outside an activity"):
        current_activity()


def test_unit_tests_make_a_context_with_what_they_need() -> None:
    context = ActivityContext("pay", attempt=2)
    assert (context.name, context.attempt, context.instance_id) == ("pay", 2, "")
    assert repr(context) == "<activity 'pay' of '', attempt 2>"


def test_a_token_that_is_off_lets_the_activity_go_on() -> None:
    token = ActivityContext().cancellation
    token.raise_if_requested()
    assert not token.requested


async def test_a_token_that_is_on_ends_the_activity() -> None:
    token = ActivityContext().cancellation
    token.request()
    assert token.requested
    with pytest.raises(asyncio.CancelledError, match="asked to stop"):
        token.raise_if_requested()
    await token.wait()


async def test_requesting_wakes_every_waiter() -> None:
    token = ActivityContext().cancellation
    first, second, given_up = (asyncio.create_task(token.wait()) for _ in range(3))
    await asyncio.sleep(0)
    given_up.cancel()
    token.request()
    await asyncio.gather(first, second)
    with pytest.raises(asyncio.CancelledError):
        await given_up


def test_log_records_carry_the_attempt(caplog: pytest.LogCaptureFixture) -> None:
    context = ActivityContext("pay", instance_id="trip-1", attempt=2)
    with caplog.at_level(logging.INFO, logger="tenuto.activity"):
        context.logger.info("charging %s", "Ada", extra={"amount": 5})
    record = caplog.records[0]
    assert record.getMessage() == "charging Ada"
    facts = ("instance_id", "activity", "attempt", "amount")
    assert [getattr(record, fact) for fact in facts] == ["trip-1", "pay", 2, 5]
    assert context.logger is context.logger
