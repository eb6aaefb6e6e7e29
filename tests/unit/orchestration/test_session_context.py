"""What the context tells, and what it refuses at once."""

import logging
import random
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tenuto import Context, InputError
from tenuto.model.events import TimerCreated
from tenuto.orchestration.names import random_uuid
from tests.support.sessions import (
    EXECUTION,
    SECOND,
    START,
    Driven,
    answered,
    child_of,
    execution,
    names,
    run,
    work,
)


def test_the_context_knows_its_instance() -> None:
    async def facts(ctx: Context) -> list[Any]:
        return [
            ctx.instance_id,
            ctx.execution_id,
            ctx.name,
            ctx.version,
            ctx.parent_instance_id,
            dict(ctx.tags),
            ctx.is_replaying,
        ]

    info = execution("facts", version="2", parent=child_of("above"), tags={"a": "b"})
    driven = Driven(facts, info=info)
    driven.start()
    assert driven.result == ["instance", EXECUTION, "facts", "2", "above", {"a": "b"}, False]
    driven.close()
    assert run(facts)[3:6] == [None, None, {}]


def test_chance_and_new_ids_come_out_the_same_in_every_replay() -> None:
    async def chance(ctx: Context) -> list[Any]:
        before = [str(ctx.new_uuid()), ctx.random.random()]
        await ctx.call_activity(work)
        return [*before, str(ctx.new_uuid()), ctx.random.random()]

    driven = Driven(chance)
    driven.start()
    session = driven.replayed()
    driven.turn(answered(1))
    assert session.run_turn(driven.now, [answered(1)]).actions == [driven.ending]
    numbers = random.Random(EXECUTION)
    assert driven.result == [
        str(random_uuid(EXECUTION, 1)),
        numbers.random(),
        str(random_uuid(EXECUTION, 2)),
        numbers.random(),
    ]
    assert uuid.UUID(driven.result[0]).version == 5
    session.close()
    driven.close()


def test_a_timer_takes_a_duration_or_an_aware_time() -> None:
    async def timers(ctx: Context) -> None:
        for due in (
            timedelta(seconds=5),
            timedelta(0),
            ctx.current_time + timedelta(days=400),
            datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5))),
            datetime(1999, 1, 1, tzinfo=UTC),
        ):
            _timer = ctx.create_timer(due)
        await ctx.wait_for_external_event("never")

    driven = Driven(timers)
    driven.start()
    seconds = [(one.fire_at - START) / SECOND for one in driven.of_type(TimerCreated)]
    assert seconds[:4] == [5, 0, 400 * 86_400, 7 * 3600]
    assert seconds[4] < 0
    driven.close()


def test_a_timer_ends_by_its_event_only() -> None:
    async def timer(ctx: Context) -> str:
        await ctx.create_timer(timedelta(seconds=5))
        return str(ctx.current_time)

    driven = Driven(timer)
    driven.start()
    (created,) = driven.of_type(TimerCreated)
    assert names(driven.turn(seconds=100).actions) == []
    driven.fire(created)
    assert driven.result == "2026-01-01 00:01:41+00:00"
    driven.close()


@pytest.mark.parametrize(
    ("due", "message"),
    [
        (timedelta(seconds=-1), "must not be negative"),
        (timedelta.max, "past the year 9999"),
        (datetime(2026, 1, 1), "has no time zone"),  # noqa: DTZ001 - what it is about
        (5, "takes a datetime or a timedelta"),
    ],
)
def test_a_timer_that_cannot_be_is_refused(due: Any, message: str) -> None:  # noqa: ANN401 - bad input
    async def timer(ctx: Context) -> str:
        try:
            _timer = ctx.create_timer(due)
        except InputError as error:
            return str(error)
        return "allowed"

    assert message in run(timer)


def test_the_logger_is_configured_like_any_other() -> None:
    async def levels(ctx: Context) -> list[bool]:
        return [ctx.logger.isEnabledFor(logging.DEBUG), ctx.logger is ctx.logger]

    logger = logging.getLogger("tenuto.orchestration")
    assert run(levels) == [False, True]
    before = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        assert run(levels) == [True, True]
    finally:
        logger.setLevel(before)
