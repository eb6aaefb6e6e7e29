"""What a host says at its start that it goes on with, and whom it holds then already."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from tenuto import App, Context, Settings
from tenuto.engine.careful import Careful
from tenuto.engine.ports import Session
from tenuto.host.looking_ahead import Bounds, look_ahead
from tenuto.insight.going_on import GoingOn, WaitsFor, sentence
from tenuto.model.events import HistoryEvent
from tenuto.model.execution import ExecutionInfo
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import InstanceId
from tenuto.model.requests import InstancePage, InstanceQuery
from tenuto.testing import TestHost
from tests.support.changed_code import ALL, BAD, GOOD, HOUR, Version, app_of, begin, held, poke
from tests.support.deployments import Deployments, deployments


async def looked(one: Deployments, bounds: Bounds | None = None) -> GoingOn:
    engine = one.test.host.engine
    found = await look_ahead(engine, bounds or Bounds())
    await one.test.idle(with_activities=False)
    return found


async def test_each_instance_is_counted_once_under_what_it_waits_for() -> None:
    async with deployments(app_of(GOOD)) as one:
        assert (await looked(one)).is_nothing
        await begin(one)
        await one.test.advance(timedelta(seconds=1))
        assert (await looked(one)).waits == {
            WaitsFor.TIMER: 2,  # one of them the pause before another attempt
            WaitsFor.EVENT: 4,
            WaitsFor.CHILD: 1,
            WaitsFor.START: 1,
            WaitsFor.RESUME: 1,
        }


@pytest.mark.parametrize("change", BAD)
async def test_a_deploy_loses_nothing_whom_it_does_not_fit_is_held_at_the_start(
    change: str,
) -> None:
    version, expected = BAD[change]
    async with deployments(app_of(GOOD)) as one:
        await begin(one)
        await one.test.advance(timedelta(seconds=1))
        await one.deploy(app_of(version))
        found = await looked(one)
        assert found.held.total() == len(expected)
        assert found.waits.total() == len(ALL) - len(expected)
        assert await held(one) == expected
        # Whatever comes now for those that are held is kept.
        await poke(one)
        assert await held(one) == expected
        # The next start says the same, and code that fits lets them go on.
        await one.test.restart()
        assert (await looked(one)).held == found.held
        await one.deploy(app_of(GOOD))
        back = await looked(one)
        assert not back.held
        assert await held(one) == {}


async def test_each_that_no_app_serves_is_told_once() -> None:
    async with deployments(app_of(GOOD)) as one:
        await one.test.start("events", 1, instance_id="e")
        await (await one.test.start("events", 1, instance_id="s")).suspend()
        await one.test.idle()
        await one.test.advance(timedelta(seconds=1))
        await one.deploy(App())
        assert (await looked(one)).held == {HoldReason.NOT_SERVED: 2}
        told = [name for name, text in one.test.problems if "is held (not_served)" in text]
        assert sorted(map(str, told)) == ["e", "s"]


async def test_an_instance_that_lives_here_fits_and_is_not_held_for_what_was_read() -> None:
    async with deployments(app_of(GOOD)) as one:
        await one.test.start("events", 1, instance_id="events")
        await one.test.idle()
        record = await one.row("events")
        engine = one.test.host.engine
        resident = engine.residents.get(record.iid)
        assert resident is not None
        assert resident.session is not None
        engine.holding.hold_ahead(record, Hold(HoldReason.DECISIONS, "read before", 1))
        await one.test.idle()
        assert (await one.row("events")).hold is None


async def test_one_that_is_held_while_it_looks_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its timer was due while no host ran."""
    async with deployments(app_of(GOOD)) as one:
        await begin(one)
        await one.test.advance(timedelta(seconds=1))
        await one.deploy(app_of(Version(first="two")))
        storage = one.test.host.engine.storage
        query = storage.query
        asked = 0

        async def slowly(wanted: InstanceQuery) -> InstancePage:
            nonlocal asked
            asked += 1
            page = await query(wanted)
            if asked == 1:
                await one.test.client.raise_event("events", "go", 1)
                while not (await query(InstanceQuery(held=True))).records:  # noqa: ASYNC110 - of the store
                    await asyncio.sleep(0)
            return page

        monkeypatch.setattr(storage, "query", slowly)
        found = await looked(one)
        assert found.held == {HoldReason.DECISIONS: 4}


async def test_it_is_bounded_in_instances_in_history_and_in_time() -> None:
    async with deployments(app_of(GOOD)) as one:
        for number in range(5):
            await one.test.start("timer", 1, instance_id=f"t{number}")
        await one.test.start("events", 1, instance_id="e")
        await one.test.idle()
        await one.test.advance(timedelta(seconds=1))
        few = await looked(one, Bounds(instances=3))
        assert few.has_more
        assert few.waits.total() == 3
        assert sentence(few).startswith("goes on with more than 3 instances; of 3 looked at: ")
        none = await looked(one, Bounds(seconds=-1))
        assert none.has_more
        assert not none.waits
        await one.deploy(app_of(Version(first="two")))
        # What is too long to be read is told by its row, and not tried.
        rows = await looked(one, Bounds(history_bytes=10))
        assert rows.waits == {WaitsFor.TIMER: 5, WaitsFor.EVENT: 1}
        assert not rows.held


async def test_what_the_row_says_of_each_kind() -> None:
    app = App()

    @app.orchestrator
    async def waits(ctx: Context) -> None:
        await ctx.wait_for_external_event("go")

    async with deployments(app) as one:
        await one.test.start("waits", instance_id="w")
        await one.test.start("waits", instance_id="s")
        await one.test.client.start(
            "waits", instance_id="l", start_at=one.test.clock.current_time + HOUR
        )
        await one.test.idle()
        await one.test.client.suspend("s")
        await one.test.idle()
        await one.test.advance(timedelta(seconds=1))
        found = await looked(one, Bounds(history_bytes=-1))
        assert found.waits == {WaitsFor.EVENT: 1, WaitsFor.RESUME: 1, WaitsFor.START: 1}


async def test_a_host_that_fails_misfits_does_not_look_for_them() -> None:
    settings = Settings(on_mismatch="fail")
    async with TestHost(app_of(GOOD), settings=settings) as test:
        await test.start("events", 1, instance_id="e")
        await test.idle()
        await test.advance(timedelta(seconds=1))
        test.app = app_of(Version(first="two"))
        await test.restart()
        found = await test.host.look_ahead()
        assert found.waits == {WaitsFor.EVENT: 1}
        assert not found.held


async def test_what_has_hurt_a_host_is_told_and_never_tried() -> None:
    async with deployments(app_of(GOOD)) as one:
        for name in ("a", "b"):
            await one.test.start("events", 1, instance_id=name)
        await one.test.idle()
        engine = one.test.host.engine
        resident = engine.residents.named(InstanceId("a"))
        assert resident is not None
        engine.holding.hold(resident, Hold(HoldReason.CRASHED, "it ended the process", 1))
        await one.test.advance(timedelta(seconds=1))
        replayed: list[str] = []
        replay = engine.runner.replay_session

        def noted(info: ExecutionInfo, turns: Sequence[Sequence[HistoryEvent]]) -> Session:
            replayed.append(info.instance_id)
            return replay(info, turns)

        engine.runner.replay_session = noted  # type: ignore[method-assign]
        found = await looked(one)
        assert found.held == {HoldReason.CRASHED: 1}
        assert found.waits == {WaitsFor.EVENT: 1}
        assert replayed == ["b"]
        # A host that is careful lets nothing run for the sake of a line.
        replayed.clear()
        engine.careful = Careful(engine, has_word=False)
        assert (await look_ahead(engine)).waits == {WaitsFor.EVENT: 1}
        engine.careful = None
        assert not replayed
