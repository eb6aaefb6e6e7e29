"""The replay check names, before a deployment, exactly those whom its host then holds."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

import pytest
from msgspec import Raw, structs

from tenuto import App, InputError, Limits, RuntimeStatus, Settings, testing
from tenuto.engine.fitting import misfit_of
from tenuto.engine.ports import LateTurn, LoadedInstance, Runner
from tenuto.engine.rows import InboxRow
from tenuto.host.checking import fit_check
from tenuto.insight import fitting
from tenuto.insight.fit_words import fit_lines
from tenuto.insight.fitting import (
    FitReport,
    check_histories,
    check_store,
    instances,
    outside_of_tasks,
)
from tenuto.insight.histories import file_name, read_histories, write_history
from tenuto.model.codec import encode
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.messages import Terminate
from tenuto.model.requests import InstanceQuery
from tests.support.changed_code import ALL, BAD, GOOD, RAN, Version, app_of, begin, held, poke
from tests.support.deployments import Deployments, deployments


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
        stored = [loaded async for loaded in instances(one.storage, InstanceQuery(order="oldest"))]
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


# --- as a test of users, and as a command ---------------------------------------------------------


async def exported(folder: Path, *names: str) -> Path:
    """A folder with the histories of instances of these orchestrators."""
    histories = folder / "histories"
    histories.mkdir()
    async with deployments(app_of(GOOD)) as one:
        for name in names:
            await one.test.start(name, 1, instance_id=f"{name}-1")
        await one.test.idle()
        async for loaded in instances(one.storage, InstanceQuery(order="oldest")):
            write_history(histories, loaded)
    return histories


async def test_a_test_may_check_histories_also_inside_a_task(tmp_path: Path) -> None:
    histories = await exported(tmp_path, "events", "timer")
    assert testing.check_histories(app_of(GOOD), histories) == 2
    one_file = histories / "timer-1.history.json"
    assert await asyncio.to_thread(testing.check_histories, app_of(GOOD), str(one_file)) == 1
    said = r"events: 1 would be held\n  reason    decisions"
    bad = app_of(Version(first="two"))
    with pytest.raises(AssertionError, match=said):
        testing.check_histories(bad, histories)
    with pytest.raises(AssertionError, match=said):
        await asyncio.to_thread(testing.check_histories, bad, histories)
    with pytest.raises(InputError, match="there are no histories"):
        testing.check_histories(app_of(GOOD), tmp_path / "nothing", settings=Settings())


TEST_FILE = """
import pytest
from tenuto import App, Context

pytest_plugins = ["tenuto.testing.plugin"]
app = App()


@app.activity
def one(number: int) -> int:
    return number


@app.orchestrator
async def events(ctx: Context, number: int) -> None:
    await ctx.call_activity({call}, number)
    await ctx.wait_for_external_event("go", int)


def test_plain(tenuto_histories) -> None:
    assert tenuto_histories(app, "histories") == 1


@pytest.mark.asyncio
async def test_in_a_task(tenuto_histories) -> None:
    assert tenuto_histories(app, "histories") == 1
"""


async def test_the_fixture_of_the_plugin_finds_histories_beside_the_test(tmp_path: Path) -> None:
    await exported(tmp_path, "events")
    (tmp_path / "pytest.ini").touch()
    for call, code, said in (("one", 0, "2 passed"), ("'two'", 1, "2 failed")):
        (tmp_path / "test_codes.py").write_text(TEST_FILE.replace("{call}", call))
        words = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider"]
        run = partial(subprocess.run, words, cwd=tmp_path, capture_output=True, text=True)
        result = await asyncio.to_thread(run)
        assert result.returncode == code, result.stdout
        assert said in result.stdout
        assert ("recorded  TaskScheduled #1 'one'" in result.stdout) == bool(code)


# --- what is damaged, or is to end anyway ---------------------------------------------------------


@pytest.mark.parametrize("turn", [b"[]", b'[{"type":"Nope"}]', b'{"a":1}', b"\xff", b"[{"])
async def test_what_cannot_be_read_is_named_and_hides_no_other(turn: bytes) -> None:
    async with deployments(app_of(GOOD)) as one:
        for name in ("a", "b"):
            await one.test.start("events", 1, instance_id=name)
        await one.test.idle()
        check = fit_check(app_of(GOOD), one.test.settings)
        damaged = structs.replace(await one.loaded("a"), turns=[turn])
        for loaded in (damaged, await one.loaded("b")):
            _ = await outside_of_tasks(partial(check.look, loaded))
        assert named(check.report) == {"a": "unreadable"}
        assert check.report.goes_on == 1


async def test_what_is_to_be_ended_ends_without_its_code() -> None:
    async with deployments(app_of(GOOD)) as one:
        await one.test.start("events", 1, instance_id="a")
        await one.test.idle()
        loaded = await one.loaded("a")
        end = Terminate(message_id=MessageId("m"), reason=None)
        row = InboxRow(MessageId("m"), 0, InstanceId("a"), Raw(encode(end)))
        check = fit_check(app_of(Version(first="two")), one.test.settings)
        ended = structs.replace(loaded, inbox=[row])
        assert await outside_of_tasks(partial(check.look, ended))
        assert not await outside_of_tasks(partial(check.look, loaded))


async def test_a_runner_that_answers_elsewhere_is_not_waited_for() -> None:
    class Recalled(LateTurn):
        def __init__(self, runner: "Elsewhere") -> None:
            super().__init__()
            self.runner = runner

        def recall(self) -> None:
            self.runner.recalled += 1

    class Elsewhere:
        """Only what the check asks of a runner."""

        runtime = ""
        orchestrators = ("events",)
        activity_limits: ClassVar[dict[str, int | None]] = {"one": None}
        recalled = closed = 0

        def serves(self, name: str) -> bool:
            return name in self.orchestrators

        def serves_activity(self, name: str) -> bool:
            return name in self.activity_limits

        def open_session(self, _info: object) -> "Elsewhere":
            return self

        replay_session = open_session

        def run_turn(self, *_arguments: object, replaying: bool = False) -> LateTurn:
            assert replaying
            return Recalled(self)

        def close(self) -> int:
            self.closed += 1
            return 0

    async with deployments(app_of(GOOD)) as one:
        later = one.test.clock.current_time + timedelta(hours=1)
        await one.test.client.start("events", 1, instance_id="a", start_at=later)
        await one.test.idle()
        runner = Elsewhere()
        loaded = await one.loaded("a")
        assert misfit_of(loaded, cast("Runner", runner), Limits(), 1) is None
        assert (runner.recalled, runner.closed) == (1, 1)


async def test_a_store_is_read_page_by_page_and_only_what_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fitting, "PAGE", 2)
    async with deployments(app_of(GOOD)) as one:
        for number in range(5):
            await one.test.start("events", 1, instance_id=f"e{number}")
        await one.test.run("timer", 1, instance_id="done")
        await one.test.idle()
        bad = app_of(Version(first="two"))
        told: list[int] = []
        report = await check_store(fit_check(bad), one.storage, on_progress=told.append)
        assert sorted(named(report)) == [f"e{number}" for number in range(5)]
        assert told == [1, 2, 3, 4, 5]
        for wanted, found in (
            (InstanceQuery(id_prefix="e3"), ["e3"]),
            (InstanceQuery(statuses=(RuntimeStatus.COMPLETED,)), []),
            (InstanceQuery(statuses=(RuntimeStatus.SUSPENDED,)), []),
        ):
            assert sorted(named(await check_store(fit_check(bad), one.storage, wanted))) == found
