"""Budgets: who has used what they may is held by name, and goes on when there is some again."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from tenuto import App, Context, HoldReason, Host, RuntimeStatus, Settings
from tenuto.client.client import Client
from tenuto.client.status import HoldStatus, InstanceStatus
from tenuto.engine.usage_upkeep import UsageUpkeep
from tenuto.host.settings import load_settings
from tenuto.model.budgets import Budget
from tenuto.model.errors import SettingsError, StorageUnavailableError
from tenuto.model.ids import InstanceId
from tenuto.model.usage import Amounts, PricePlan, UsageRow
from tenuto.telemetry.usage_settings import UsageSettings
from tenuto.testing import TestHost
from tests.support.postgres import Postgres, fresh_schema
from tests.support.waiting import until_given

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
app = App()


@app.activity
def echo(number: int) -> int:
    return number


@app.orchestrator
async def loops(ctx: Context, rounds: int) -> int:
    done = 0
    for number in range(rounds):
        done += await ctx.call_activity(echo, 1)
        if number % 3 == 2:
            await ctx.create_timer(timedelta(seconds=1))
    return done


@app.orchestrator
async def child(ctx: Context, rounds: int) -> int:
    return await ctx.call_sub_orchestrator(loops, rounds)


@app.orchestrator
async def parent(ctx: Context, children: int) -> int:
    tasks = [ctx.call_sub_orchestrator(child, 4) for _ in range(children)]
    return sum(await asyncio.gather(*tasks))


@app.orchestrator
async def again(ctx: Context, rounds: int) -> str:
    await ctx.call_activity(echo, rounds)
    if rounds:
        ctx.continue_as_new(rounds - 1)
    return "done"


@app.orchestrator
async def listens(ctx: Context) -> int:
    total = 0
    while (number := await ctx.wait_for_external_event("add", int)) > 0:
        total += number
    return total


def settings(usage: UsageSettings, storage: str = "sqlite://") -> Settings:
    return Settings(storage=storage, on_mismatch="hold", usage=usage)


def each(executions: int) -> UsageSettings:
    return UsageSettings(instance_budget=Budget(executions=executions))


def today(executions: int) -> UsageSettings:
    return UsageSettings(day_budget=Budget(executions=executions))


async def status(client: Client, instance_id: str) -> InstanceStatus:
    found = await client.get_status(instance_id)
    assert found is not None
    return found


async def is_terminated(client: Client, instance_id: str) -> bool:
    return (await status(client, instance_id)).runtime_status is RuntimeStatus.TERMINATED


async def hold(client: Client, instance_id: str) -> HoldStatus | None:
    return (await status(client, instance_id)).hold


async def executions(host: TestHost, root: str) -> int:
    found = await host.host.engine.storage.root_usage([InstanceId(root)])
    return sum(row.executions for row in found)


# --- each root instance ---------------------------------------------------------------------------


async def test_a_root_over_its_budget_is_held_and_others_go_on() -> None:
    async with TestHost(app, settings=settings(each(20))) as host:
        await host.start(loops, 100, instance_id="big")
        await host.advance(timedelta(minutes=5))
        held = await hold(host.client, "big")
        assert held is not None
        assert held.reason is HoldReason.BUDGET
        assert "instance 'big' has used" in held.message
        assert "of 20 executions" in held.message
        assert "usage.instance_budget" in held.message
        used = await executions(host, "big")
        assert 20 <= used <= 24  # what commits before the sum is read
        assert await host.run(loops, 5, instance_id="small") == 5
        await host.advance(timedelta(days=2))
        assert await executions(host, "big") == used
        explained = await host.explain("big")
        assert "of 20 executions" in explained.sentence
        assert explained.advice is not None
        assert "larger budget" in explained.advice
        # Nothing is said twice.
        warned, is_held = [text for name, text in host.problems if name == "big"]
        assert "% of its budget" in warned
        assert is_held.startswith("is held (budget)")


async def test_what_it_calls_counts_with_it() -> None:
    async with TestHost(app, settings=settings(each(30))) as host:
        await host.start(parent, 8, instance_id="top")
        await host.advance(timedelta(minutes=5))
        page = [one async for one in host.client.query()]
        held = [one for one in page if one.hold is not None]
        assert held
        assert all("instance 'top' has used" in one.hold.message for one in held if one.hold)
        assert (await status(host.client, "top")).runtime_status is RuntimeStatus.RUNNING
        assert await executions(host, "top") >= 30
        every = await host.host.engine.storage.usage(0, 1_000_000)
        assert sum(one.executions for one in every) == await executions(host, "top")


async def test_generations_count_together_and_an_end_frees_the_id() -> None:
    async with TestHost(app, settings=settings(each(12))) as host:
        await host.start(again, 50, instance_id="a")
        await host.idle()
        assert await hold(host.client, "a") is not None
        await host.client.terminate("a")
        await host.idle()
        assert (await status(host.client, "a")).runtime_status is RuntimeStatus.TERMINATED
        assert await executions(host, "a") == 0
        assert await host.run(again, 2, instance_id="a") == "done"
        await host.idle()
        assert await executions(host, "a") == 0


async def test_events_are_kept_and_resume_tries_again() -> None:
    async with TestHost(app, settings=settings(each(4))) as host:
        await host.start(listens, instance_id="a")
        await host.idle()
        for _ in range(8):
            await host.client.raise_event("a", "add", 1)
            await host.idle()
        first = await hold(host.client, "a")
        assert first is not None
        await host.client.resume("a")
        await host.idle()
        second = await hold(host.client, "a")
        assert second is not None
        assert second.since == first.since
        await host.client.raise_event("a", "add", 0)
        await host.idle()
        assert (await status(host.client, "a")).runtime_status is RuntimeStatus.RUNNING
        # A host with a larger budget goes on by itself, with all that was sent.
        host.settings = structs.replace(host.settings, usage=each(100))
        await host.restart()
        await host.idle()
        assert (await status(host.client, "a")).output == 8


async def test_a_restart_does_not_give_it_turns() -> None:
    async with TestHost(app, settings=settings(each(10))) as host:
        await host.start(loops, 100, instance_id="a")
        await host.advance(timedelta(minutes=1))
        used = await executions(host, "a")
        for _ in range(5):
            await host.restart()
            await host.advance(timedelta(minutes=1))
        assert await executions(host, "a") == used
        assert await hold(host.client, "a") is not None


async def test_a_price_is_a_bound_too() -> None:
    budget = Budget(price=0.00001, plan="turns")
    prices = {"turns": PricePlan(per_million_executions=1.0, currency="EUR")}
    async with TestHost(
        app, settings=settings(UsageSettings(instance_budget=budget, prices=prices))
    ) as host:
        await host.start(loops, 100, instance_id="a")
        await host.advance(timedelta(minutes=1))
        held = await hold(host.client, "a")
        assert held is not None
        assert "0.0000 of 1e-05 EUR (plan turns)" in held.message
        assert 10 <= await executions(host, "a") <= 14


async def test_sums_that_cannot_be_read_are_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async with TestHost(app, settings=settings(each(10))) as host:
        storage = host.host.engine.storage
        read = storage.root_usage
        tries = 0

        async def fails(root_ids: Sequence[InstanceId]) -> list[UsageRow]:
            nonlocal tries
            tries += 1
            if tries < 4:
                raise StorageUnavailableError("gone for lunch")
            return await read(root_ids)

        monkeypatch.setattr(storage, "root_usage", fails)
        await host.start(loops, 100, instance_id="a")
        await host.advance(timedelta(minutes=1))
        assert tries >= 4
        assert await hold(host.client, "a") is not None
        assert any("budgets" in text for _, text in host.problems)


async def test_an_id_that_begins_again_is_not_held_for_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when it begins before the sum of that one is gone."""
    async with TestHost(app, settings=settings(each(12))) as host:
        storage = host.host.engine.storage
        forget = storage.forget_root_usage

        async def slow(root_ids: Sequence[InstanceId]) -> None:
            for _ in range(200):
                await asyncio.sleep(0)
            await forget(root_ids)

        monkeypatch.setattr(storage, "forget_root_usage", slow)
        await host.start(again, 50, instance_id="a")
        await host.idle()
        assert await hold(host.client, "a") is not None
        await host.client.terminate("a")
        await until_given(lambda: is_terminated(host.client, "a"))
        assert await host.run(again, 2, instance_id="a") == "done"


async def test_a_sum_that_a_death_has_left_is_gone_at_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with TestHost(app, settings=settings(each(12))) as host:

        async def never(root_ids: Sequence[InstanceId]) -> None:
            raise StorageUnavailableError("gone for lunch")

        monkeypatch.setattr(host.host.engine.storage, "forget_root_usage", never)
        await host.start(again, 50, instance_id="a")
        await host.advance(timedelta(seconds=3))
        await host.client.terminate("a")
        await until_given(lambda: is_terminated(host.client, "a"))
        await host.crash()
        monkeypatch.undo()
        assert await host.run(again, 2, instance_id="a") == "done"


async def test_old_days_of_a_root_count_whatever_is_kept_for_people() -> None:
    async with TestHost(app, settings=settings(each(20))) as host:
        await host.start(loops, 100, instance_id="a")
        await host.advance(timedelta(days=3))
        await UsageUpkeep(host.host.engine, 1).run()
        assert await executions(host, "a") >= 20


# --- the app in a day -----------------------------------------------------------------------------


async def test_a_day_over_its_budget_ends_at_midnight() -> None:
    async with TestHost(app, start=NOON, settings=settings(today(20))) as host:
        for number in range(6):
            await host.start(loops, 3, instance_id=f"a{number}")
        await host.advance(timedelta(hours=1))
        held = [one async for one in host.client.query() if one.hold is not None]
        assert held
        message = held[0].hold.message if held[0].hold else ""
        assert "the app has used" in message
        assert "midnight" in message
        await host.start(loops, 1, instance_id="late")
        await host.advance(timedelta(hours=1))
        assert await hold(host.client, "late") is not None
        assert any("of its budget for today" in text for _, text in host.problems)
        await host.advance(NOON.replace(hour=0) + timedelta(days=1, seconds=1))
        await host.idle()
        rest = [one async for one in host.client.query() if one.hold is None]
        assert len(rest) >= 2  # they go on, as far as the next day's budget goes
        await host.advance(timedelta(days=5))
        assert all(
            [one.runtime_status is RuntimeStatus.COMPLETED async for one in host.client.query()]
        )


async def test_a_host_that_starts_on_another_day_goes_on() -> None:
    async with TestHost(app, start=NOON, settings=settings(today(10))) as host:
        await host.start(loops, 6, instance_id="a")
        await host.advance(timedelta(minutes=1))
        assert await hold(host.client, "a") is not None
        await host.restart()
        await host.idle()
        assert await hold(host.client, "a") is not None
        await host.advance(timedelta(days=3))
        assert (await status(host.client, "a")).output == 6


# --- many hosts, settings -------------------------------------------------------------------------


async def test_budgets_hold_on_postgres(postgres: Postgres) -> None:
    where = settings(each(25), postgres.url(fresh_schema()))
    async with Host(app, settings=where) as host:
        await host.client.start(parent, 8, instance_id="top")

        async def is_held() -> bool:
            return bool([one async for one in host.client.query() if one.hold is not None])

        async with asyncio.timeout(30):
            while not await is_held():  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.05)
        found = await host.engine.storage.root_usage([InstanceId("top")])
        assert sum(row.executions for row in found) >= 25
        await host.client.terminate("top")


def test_without_a_bound_nothing_is_counted_twice() -> None:
    assert UsageSettings().instance_budget is None
    assert Budget(gigabyte_seconds=2).bounded().spent(Amounts(memory=1024 * 10**6)).share == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[usage.instance_budget]\n", "at least one of executions"),
        ("[usage.instance_budget]\nprice = 1.0\n", "plan names the prices"),
        ("[usage.day_budget]\nexecutions = 5\nplan = 'x'\n", "plan names the prices"),
        ("[usage.day_budget]\nprice = 1.0\nplan = 'nobody'\n", "no price plan 'nobody'"),
        ("[usage.day_budget]\nexecutions = 0\n", "executions"),
        ("[usage.day_budget]\nexecution = 5\n", "execution"),
        ("[usage.day_budget]\ngigabyte_seconds = -1\n", "gigabyte_seconds"),
    ],
)
def test_wrong_budgets_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    (tmp_path / "tenuto.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="budget") as caught:
        load_settings()
    assert words in str(caught.value)
