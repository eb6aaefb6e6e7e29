"""The overview of a host and its hub, and the figures of its functions, over HTTP."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tenuto import App, Context, RetryPolicy
from tenuto.model.status import RuntimeStatus
from tenuto.telemetry.counts import STEPS
from tenuto.telemetry.instance_counts import CountedInstances
from tenuto.telemetry.log_observer import LogObserver
from tenuto.telemetry.metrics import MetricsObserver
from tenuto.testing import TestHost
from tests.support.http_server import ADMIN_KEY, KEYS, READ_KEY, Serving, serving
from tests.support.waiting import until_given

ONCE_MORE = RetryPolicy(max_attempts=2, first_interval=timedelta(milliseconds=1))


def an_app(may_end: asyncio.Event | None = None) -> App:
    app = App()
    tries: dict[str, int] = {}

    @app.activity
    def pays(name: str) -> str:
        tries[name] = tries.get(name, 0) + 1
        if name == "never" or (name == "twice" and tries[name] == 1):
            raise ValueError(f"no money for {name}")
        return name

    @app.activity
    async def lasts() -> None:
        assert may_end is not None
        await may_end.wait()

    @app.orchestrator
    async def order(ctx: Context, name: str) -> str:
        return await ctx.call_activity(pays.options(retry=ONCE_MORE), name)

    @app.orchestrator
    async def slow(ctx: Context) -> None:
        await ctx.call_activity(lasts)

    @app.orchestrator
    async def waits(ctx: Context) -> None:
        await ctx.wait_for_external_event("go", str)

    return app


async def overview(served: Serving) -> dict[str, Any]:
    answer = await served.http.get("/admin/overview")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert isinstance(found, dict)
    return found


async def figures(served: Serving, kind: str, name: str) -> dict[str, Any]:
    answer = await served.http.get("/admin/functions/figures")
    assert answer.status_code == 200, answer.text
    (found,) = (one for one in answer.json()[kind] if one["name"] == name)
    assert isinstance(found, dict)
    return found


async def test_figures_are_right_after_failures_and_retries() -> None:
    async with serving(an_app()) as served:
        client = served.server.host.client
        for name in ("Ada", "twice", "never"):
            await client.wait((await client.start("order", name, instance_id=name)).instance_id)
        stopped = await client.start("waits")
        await stopped.terminate("enough")
        await client.wait(stopped.instance_id)
        found = await figures(served, "orchestrators", "order")
        assert (found["started"], found["completed"], found["failed"]) == (3, 2, 1)
        assert (found["terminated"], found["running"]) == (0, 0)
        assert 0 < found["meanSeconds"] <= found["slowestSeconds"] < 60
        assert found["lastFailure"]["instanceId"] == "never"
        assert "no money for never" in found["lastFailure"]["message"]
        assert (await figures(served, "orchestrators", "waits"))["terminated"] == 1
        found = await figures(served, "activities", "pays")
        assert (found["completed"], found["failed"], found["retried"]) == (2, 3, 2)
        assert (found["running"], found["queued"]) == (0, 0)
        assert found["lastFailure"]["message"] == "ValueError: no money for never"
        told = await overview(served)
        series = told["series"]
        assert {len(row) for row in series.values() if isinstance(row, list)} == {STEPS}
        assert (sum(series["started"]), sum(series["completed"]), sum(series["failed"])) == (
            4,
            2,
            1,
        )
        assert (sum(series["activities"]), sum(series["activityFailures"])) == (5, 3)
        assert (series["stepSeconds"], series["from"] % 5_000_000) == (5, 0)
        (failure,) = told["failures"]
        assert (failure["instanceId"], failure["name"]) == ("never", "order")


async def test_what_runs_and_waits_is_told_by_function() -> None:
    may_end = asyncio.Event()
    async with serving(an_app(may_end)) as served:
        await served.server.host.client.start("slow")

        async def runs() -> Any:  # noqa: ANN401 - any JSON
            told = await overview(served)
            return told if told["backlog"]["running"] else None

        told = await until_given(runs)
        assert told["backlog"] == {
            "turns": 0, "activities": 0, "running": 1, "oldestSeconds": None
        }  # fmt: skip
        found = await figures(served, "activities", "lasts")
        assert (found["running"], found["completed"], found["meanSeconds"]) == (1, 0, None)
        assert (await figures(served, "orchestrators", "slow"))["running"] == 1
        may_end.set()


async def test_the_overview_counts_who_has_not_ended_and_says_who_tells_it() -> None:
    async with serving(an_app()) as served:
        host = served.server.host
        handles = [await host.client.start("waits") for _ in range(3)]
        await handles[0].suspend()
        await host.client.start("order", "Ada", instance_id="done")
        await host.client.wait("done")
        told = await overview(served)
        instances = told["instances"]
        assert isinstance(instances.pop("at"), int)
        assert instances == {"pending": 0, "running": 2, "suspended": 1, "held": {}}
        assert told["host"] == host.description
        assert told["since"] <= told["at"]
        assert told["version"]
        assert told["workers"] == []
        (threads,) = told["pools"]
        assert (threads["name"], threads["program"], threads["least"]) == ("threads", "", 0)
        assert 0 <= threads["workers"] <= threads["most"]
        assert told["health"] == {"ready": True, "reasons": [], "notes": []}


async def test_a_count_that_is_given_up_says_so() -> None:
    async with serving(an_app()) as served:
        client = served.server.host.client
        for _ in range(3):
            await client.start("waits")
        counted = CountedInstances(served.server.host.engine, most=2)
        found = await counted.now()
        assert found is not None
        assert (found.running, found.is_estimate) == (2, True)
        exact = await CountedInstances(served.server.host.engine, most=3).now()
        assert exact is not None
        assert (exact.running, bool(exact.is_estimate)) == (3, False)


async def test_many_who_look_cost_the_store_one_question() -> None:
    async with serving(an_app()) as served:
        storage, asked = served.server.host.engine.storage, 0
        count = storage.open_counts

        async def counting(most: int) -> Any:  # noqa: ANN401 - as it is
            nonlocal asked
            asked += 1
            return await count(most)

        storage.open_counts = counting  # type: ignore[method-assign]
        await asyncio.gather(*(overview(served) for _ in range(20)))
        assert asked == 1


async def test_a_host_that_takes_nothing_new_says_why() -> None:
    async with serving(an_app()) as served:
        served.server.host.engine.is_draining = True
        health = (await overview(served))["health"]
        assert health["ready"] is False
        assert "stopping" in health["reasons"][0]
        served.server.host.engine.is_draining = False


@pytest.mark.parametrize("path", ["/admin/overview", "/admin/functions/figures"])
async def test_they_need_a_key_that_may_read(path: str) -> None:
    async with serving(an_app(), keys=KEYS) as served:
        assert (await served.http.get(path)).status_code == 401
        for key in (READ_KEY, ADMIN_KEY):
            answer = await served.http.get(path, headers={"x-functions-key": key})
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"


async def test_steps_follow_the_clock_of_the_host() -> None:
    metrics = MetricsObserver(LogObserver(), version="1")
    app = an_app()
    async with TestHost(app, observer=metrics) as test:
        metrics.watch(test.host.engine)
        await test.run("order", "Ada")
        await test.advance(timedelta(minutes=1))
        await test.run("order", "Eve")
        _, steps = metrics.counts.series(test.clock.now())
        assert [one.completed for one in steps if one.completed] == [1, 1]
        at = [place for place, one in enumerate(steps) if one.completed]
        assert at[1] - at[0] == 12


async def test_an_orchestration_that_begins_anew_is_started_once() -> None:
    app = App()

    @app.orchestrator
    async def counts(ctx: Context, left: int) -> int:
        if left:
            ctx.continue_as_new(left - 1)
        return left

    metrics = MetricsObserver(LogObserver(), version="1")
    async with TestHost(app, observer=metrics) as test:
        metrics.watch(test.host.engine)
        await test.run(counts, 3)
        assert metrics.counts.orchestrators["counts"].started == 1
        assert metrics.counts.ended(RuntimeStatus.COMPLETED) == 1
