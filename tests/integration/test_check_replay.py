"""The replay check names, before a deployment, exactly those whom its host then holds."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tenuto import App, Context, InputError, RetryPolicy
from tenuto.engine.ports import LoadedInstance
from tenuto.host.checking import fit_check
from tenuto.insight.fit_words import fit_lines
from tenuto.insight.fitting import (
    FitReport,
    check_histories,
    check_store,
    instances,
    outside_of_tasks,
    unfinished,
)
from tenuto.insight.histories import file_name, read_histories, write_history
from tenuto.model.ids import InstanceId
from tenuto.model.requests import InstanceQuery
from tests.support.deployments import Deployments, deployments

HOUR = timedelta(hours=1)
RAN: list[str] = []
"""The activities that ran, by instance."""


class Version:
    """What a version of the code does; every attribute is a way not to fit."""

    def __init__(
        self,
        *,
        first: str = "one",
        kind: type = int,
        input_kind: type = int,
        event_kind: type = int,
        without: tuple[str, ...] = (),
    ) -> None:
        self.first = first
        self.kind = kind
        self.input_kind = input_kind
        self.event_kind = event_kind
        self.without = without


def one(number: int) -> int:
    RAN.append("one")
    return number


def two(number: int) -> int:
    RAN.append("two")
    return number


def broken(number: int) -> int:
    RAN.append("broken")
    raise ValueError("not yet")


def app_of(version: Version) -> App:
    """Orchestrators that wait for each kind of thing."""
    app = App()
    input_kind, event_kind, first = version.input_kind, version.event_kind, version.first

    def typed(number: int) -> version.kind:  # type: ignore[name-defined]  # it differs
        return {"n": one(number)} if version.kind is dict else one(number)

    async def events(ctx: Context, number: input_kind) -> list[int]:  # type: ignore[valid-type]
        await ctx.call_activity(first, number)
        return [await ctx.wait_for_external_event("go", event_kind) for _ in range(3)]

    async def timer(ctx: Context, number: input_kind) -> None:  # type: ignore[valid-type]
        await ctx.call_activity(first, number)
        await ctx.create_timer(HOUR)

    async def rounds(ctx: Context, number: input_kind) -> None:  # type: ignore[valid-type]
        await ctx.wait_for_external_event("go", event_kind)
        await ctx.call_activity(first, number)
        ctx.continue_as_new(number)

    async def retries(ctx: Context, number: int) -> None:
        policy = RetryPolicy(max_attempts=5, first_interval=HOUR)
        await ctx.call_activity(failing.options(retry=policy), number)

    below = app.orchestrator(name="events_below")(events).options(instance_id="child")

    async def parent(ctx: Context, number: int) -> None:
        await ctx.call_sub_orchestrator(below, number)

    for name, activity in (("one", typed), ("two", two), ("broken", broken)):
        if name not in version.without:
            app.activity(name=name)(activity)
    # One that is called, and registered elsewhere.
    failing = app.find_activity("broken") or App().activity(broken)
    for orchestrator in (events, timer, parent, rounds, retries):
        if orchestrator.__name__ not in version.without:
            app.orchestrator(orchestrator)
    return app


GOOD = Version()
ALL = {"events", "timer", "parent", "rounds", "retries", "later", "paused", "rounds-2", "child"}


async def begin(one: Deployments) -> None:
    """Instances in every kind of wait."""
    client = one.test.client
    for name in ("events", "timer", "parent", "rounds", "retries"):
        await client.start(name, 1, instance_id=name)
    await client.start("rounds", 1, instance_id="rounds-2")
    await client.start("timer", 1, instance_id="later", start_at=one.test.clock.current_time + HOUR)
    await client.start("events", 1, instance_id="paused")
    await one.test.idle()
    await client.raise_event("rounds-2", "go", 5)
    await client.raise_event("rounds-2", "other", 6)
    await client.suspend("paused", "a pause")
    await client.raise_event("paused", "go", 7)
    await one.test.idle()


async def checked(one: Deployments, app: App) -> FitReport:
    return await check_store(fit_check(app, one.test.settings), one.storage)


def named(report: FitReport) -> dict[str, str]:
    """Whom it names, with the reasons."""
    return {
        name: misfit.reason
        for fit in report.orchestrators
        for misfit in fit.misfits
        for name in misfit.instance_ids
    }


async def poke(one: Deployments) -> None:
    """Whatever an instance waits for comes."""
    client = one.test.client
    await one.test.advance(3 * HOUR)
    for name in sorted(ALL - {"later"}):
        status = await client.get_status(name)
        if status is not None and not status.runtime_status.is_finished:
            await client.raise_event(name, "go", 1)
    if not (await one.row("paused")).status.is_finished:
        await client.resume("paused")
    await one.test.idle()
    await one.test.advance(3 * HOUR)


async def held(one: Deployments) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ALL:
        hold = await one.hold(name)
        if hold is not None:
            found[name] = str(hold.reason)
    return found


BAD = {
    "other decisions": (
        Version(first="two"),
        dict.fromkeys(("events", "timer", "paused", "child"), "decisions"),
    ),
    "a result's type": (
        Version(kind=dict),
        dict.fromkeys(("events", "timer", "paused", "child"), "payload"),
    ),
    "an input's type": (
        Version(input_kind=dict),
        dict.fromkeys(
            ("events", "timer", "paused", "child", "rounds", "rounds-2", "later"), "payload"
        )
        | {"parent": "decisions"},
    ),
    "no orchestrator": (
        Version(without=("events", "timer")),
        dict.fromkeys(("events", "timer", "paused", "later"), "not_served"),
    ),
    "no activity for the next attempt": (Version(without=("broken",)), {"retries": "not_served"}),
}


@pytest.mark.parametrize("mode", ["hot", "replayed"])
@pytest.mark.parametrize("change", BAD)
async def test_a_deploy_loses_nothing_the_check_names_just_those_who_are_held_then(
    change: str, mode: str
) -> None:
    version, expected = BAD[change]
    async with deployments(app_of(GOOD), mode=mode) as one:
        await begin(one)
        assert (await checked(one, app_of(GOOD))).fits
        RAN.clear()
        before = await contents(one)
        report = await checked(one, app_of(version))
        assert not RAN, "the check runs no activity"
        assert await contents(one) == before, "and writes nothing"
        assert named(report) == expected
        assert report.goes_on + report.held == len(ALL)

        await one.deploy(app_of(version))
        await poke(one)
        assert await held(one) == expected
        # As held as they are now, the same is to be said of them; and of code that fits as well.
        again = await checked(one, app_of(version))
        assert named(again) == expected
        back = await checked(one, app_of(GOOD))
        assert back.fits
        assert sum(fit.held_now for fit in back.orchestrators) == len(expected)
        await one.deploy(app_of(GOOD))
        assert await held(one) == {}


async def contents(one: Deployments) -> object:
    wanted = InstanceQuery(limit=100, order="oldest")
    return [loaded async for loaded in instances(one.storage, wanted)]


# --- histories as files ---------------------------------------------------------------------------


@pytest.mark.parametrize("change", BAD)
async def test_exported_histories_say_the_same_as_the_store(change: str, tmp_path: Path) -> None:
    version, expected = BAD[change]
    async with deployments(app_of(GOOD)) as one:
        await begin(one)
        stored = [loaded async for loaded in unfinished(one.storage, InstanceQuery())]
        for loaded in stored:
            path = write_history(tmp_path, loaded)
            assert path.stat().st_mode & 0o777 == 0o600
        assert sorted(read_histories(tmp_path), key=by_id) == sorted(stored, key=by_id)
        for app, found in ((app_of(GOOD), {}), (app_of(version), expected)):
            check = fit_check(app, one.test.settings)
            histories = read_histories(tmp_path)
            report = await outside_of_tasks(partial(check_histories, check, histories))
            assert named(report) == found


def by_id(loaded: LoadedInstance) -> str:
    return loaded.record.instance_id


async def test_histories_of_what_has_ended_are_replayed_to_their_end(tmp_path: Path) -> None:
    async with deployments(app_of(GOOD)) as one:
        await one.test.run("timer", 1, instance_id="done")
        await one.test.start("events", 1, instance_id="terminated")
        await one.test.start("events", 1, instance_id="failed-by-hand")
        await one.test.idle()
        await one.test.client.terminate("terminated")
        await one.test.client.fail("failed-by-hand")
        await one.test.idle()
        async for loaded in instances(one.storage, InstanceQuery(order="oldest")):
            write_history(tmp_path, loaded)
        good, bad = fit_check(app_of(GOOD)), fit_check(app_of(Version(first="two")))
        for check in (good, bad):
            _ = await outside_of_tasks(partial(check_histories, check, read_histories(tmp_path)))
        assert good.report.fits
        assert good.report.goes_on == 3
        assert named(bad.report) == dict.fromkeys(
            ("done", "terminated", "failed-by-hand"), "decisions"
        )
        # In a store they are over, whatever the code.
        assert (await checked(one, app_of(Version(first="two")))).orchestrators == []


def test_a_file_has_a_name_of_its_own_in_its_folder() -> None:
    plain = ["trip-1", "a_b", "7"]
    others = [
        "a/../b",
        "../up",
        "Straße 7",
        "con",
        "CON",
        "x" * 300,
        "a.b",
        "a b",
        "A",
        "-",
        "\u202e",
    ]
    names = [file_name(InstanceId(one)) for one in plain + others]
    assert names[: len(plain)] == [f"{one}.history.json" for one in plain]
    assert len({name.casefold() for name in names}) == len(names), "also where case says nothing"
    for name in names:
        assert Path(name).name == name
        assert name.isascii()
        assert len(name) < 150
        assert name.partition(".")[0].casefold() != "con", "a device of Windows"


def test_what_is_no_history_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no histories in"):
        list(read_histories(tmp_path))
    file = tmp_path / "x.history.json"
    for content, said in (
        (b"{}", "is not a history"),
        (b"\xff", "is not a history"),
        (b'{"tenutoHistory": 99}', "has the form 99, this Tenuto reads 1"),
        (b'{"tenutoHistory": 1, "instance": {}}', "is not a history"),
    ):
        file.write_bytes(content)
        with pytest.raises(InputError, match=said):
            list(read_histories(tmp_path))
    file.unlink()
    file.mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        list(read_histories(tmp_path))


# --- words ----------------------------------------------------------------------------------------


async def test_the_report_tells_each_misfit_once_with_both_sides_and_its_instances() -> None:
    async with deployments(app_of(GOOD)) as one:
        for number in range(5):
            await one.test.start("events", 1, instance_id=f"e{number}")
        await one.test.start("timer", 1, instance_id="t0")
        await one.test.idle()
        lines = fit_lines(await checked(one, app_of(Version(first="two", without=("timer",)))), 3)
    assert [line for line in lines if "why" not in line and "produced" not in line] == [
        "events: 5 would be held",
        "  reason    decisions",
        "  recorded  TaskScheduled #1 'one'",
        "  instances e0, e1, e2 and 2 more",
        "timer: 1 would be held",
        "  reason    not_served",
        "  recorded  orchestrator 'timer'",
        "  instances t0",
        "6 of 6 instances would be held",
    ]
    decided, missing = [line for line in lines if line.startswith("  produced")]
    assert decided.startswith("  produced  TaskScheduled #1 'two' at ")
    assert missing.startswith("  produced  no orchestrator of that name; registered: events, ")
