"""Webhooks in a session driven by hand: what is recorded, and what goes to the next generation."""

import asyncio
import json
from datetime import timedelta

import pytest

from tenuto import Context, InputError
from tenuto.model.built_in import WEBHOOK_ACTIVITY
from tenuto.model.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionStarted,
    TaskCompleted,
    TaskScheduled,
    WebhookOpened,
)
from tenuto.model.webhook import OpenWebhook, digest_of
from tests.support.sessions import EXECUTION, SECOND, START, Driven, raised, run

DAY = 86_400 * SECOND


def made(task_id: int, token: str) -> TaskCompleted:
    """What the reserved activity gives."""
    secret = {"digest": digest_of(token), "url": f"https://x/{token}"}
    return TaskCompleted(task_id, json.dumps(secret))


def opened(token: str, days: int = 1) -> OpenWebhook:
    return OpenWebhook("go", digest_of(token), START + days * DAY)


async def again(ctx: Context, days: list[int]) -> list[str]:
    asked = [ctx.create_webhook("go", expires_in=timedelta(days=one)) for one in days]
    urls = list(await asyncio.gather(*asked))
    if urls:
        await ctx.wait_for_external_event("on")
        ctx.continue_as_new([])
    return urls


def test_the_digest_is_recorded_and_the_token_only_handed_out() -> None:
    async def creates(ctx: Context) -> str:
        return await ctx.create_webhook("go", expires_in=timedelta(days=1))

    driven = Driven(creates)
    (scheduled,) = driven.start().actions
    assert isinstance(scheduled, TaskScheduled)
    assert (scheduled.name, scheduled.input) == (WEBHOOK_ACTIVITY, '"go"')
    recorded, _ending = driven.turn(made(1, "secret")).actions
    assert recorded == WebhookOpened(2, "go", digest_of("secret"), START + DAY)
    assert driven.result == "https://x/secret"
    driven.replayed().close()
    driven.close()


def test_open_webhooks_go_to_the_next_generation_used_and_expired_ones_do_not() -> None:
    driven = Driven(again)
    driven.start([1, 1, 1, 2])
    for task_id, token in enumerate("abcd", 1):
        driven.turn(made(task_id, token))
    driven.turn(EventRaised("go", None, digest_of("a")))
    # The one that is used in the very turn that ends is fed to a session that has ended.
    driven.turn(raised("on"), EventRaised("go", None, digest_of("b")), raised("more"))
    assert isinstance(driven.ending, ContinueAsNew)
    assert driven.ending.webhooks == (opened("c"), opened("d", 2))
    driven.replayed().close()
    driven.close()

    driven = Driven(again)
    driven.start([1, 2])
    driven.turn(made(1, "c"))
    driven.turn(made(2, "d"))
    driven.turn(raised("on"), seconds=86_400)
    assert isinstance(driven.ending, ContinueAsNew)
    assert driven.ending.webhooks == (opened("d", 2),)
    driven.close()


def test_what_a_generation_got_it_hands_on() -> None:
    async def onward(ctx: Context) -> None:
        await ctx.wait_for_external_event("on")
        ctx.continue_as_new(keep_events=False)

    driven = Driven(onward)
    given = (opened("a"), opened("b"))
    driven.turn(ExecutionStarted("onward", EXECUTION, webhooks=given))
    driven.turn(EventRaised("go", None, digest_of("b")), raised("on"))
    assert isinstance(driven.ending, ContinueAsNew)
    assert driven.ending.webhooks == (opened("a"),)
    driven.close()


@pytest.mark.parametrize(
    "expires_in", [timedelta(0), timedelta(days=-1), timedelta(days=367), 7, None]
)
def test_a_webhook_lives_for_a_year_at_most(expires_in: timedelta) -> None:
    async def creates(ctx: Context) -> None:
        with pytest.raises(InputError, match="366 days"):
            _task = ctx.create_webhook("go", expires_in=expires_in)

    assert run(creates) is None


def test_a_webhook_is_for_an_event_with_a_name() -> None:
    async def creates(ctx: Context) -> None:
        with pytest.raises(InputError, match="create_webhook takes the event's name"):
            _task = ctx.create_webhook("", expires_in=timedelta(days=1))

    assert run(creates) is None


def test_a_webhook_that_was_given_up_is_not_opened() -> None:
    async def creates(ctx: Context) -> None:
        task = ctx.create_webhook("go", expires_in=timedelta(days=1))
        await ctx.wait_for_external_event("on")
        task.cancel()
        await ctx.wait_for_external_event("on")

    driven = Driven(creates)
    driven.start()
    driven.turn(raised("on"), made(1, "late"))
    assert driven.of_type(WebhookOpened) == []
    driven.close()
