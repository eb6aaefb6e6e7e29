"""Looking at an instance neither ends nor holds its host: what does harm is not looked into.

Keeps the promise ``one_never_takes_all`` for what people may ask who may do nothing but look.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tenuto import App, Context
from tenuto.insight import breaking_off, past, travel
from tenuto.insight.past import Moment
from tenuto.model.ids import InstanceId
from tenuto.testing import TestHost
from tests.support.http_in_process import http_to

HARMFUL: list[str] = []
"""What the code does by now."""
app = App()


@app.activity
def work() -> str:
    return "done"


@app.orchestrator
async def changed(ctx: Context) -> str:
    while "spin" in HARMFUL:
        try:
            while True:
                pass
        except BaseException:  # noqa: BLE001 - as code that people write
            pass
    return await ctx.call_activity(work)


@app.orchestrator
async def stubborn(ctx: Context) -> str:
    while True:
        try:
            await ctx.call_activity(work)
            return str(await ctx.wait_for_external_event("go", str))
        except BaseException:  # noqa: BLE001 - as code that people write
            continue


async def looked(looks: travel.Travel, name: str, turn: int | None = None) -> Moment:
    moment = await looks.moment(InstanceId(name), turn)
    assert isinstance(moment, Moment)
    return moment


async def test_code_that_spins_is_broken_off_and_not_looked_into_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with TestHost(app) as test:
        for name in ("one", "two"):
            handle = await test.start(changed, instance_id=name)
            assert await handle.result() == "done"
        looks = travel.Travel(test.host.engine, 1_000_000)
        assert (await looked(looks, "one", 1)).places is not None
        HARMFUL.append("spin")
        try:
            monkeypatch.setattr(past.Past.__init__, "__defaults__", ("", 0.3))
            for name, why in (("two", "was broken off"), ("two", "held up"), ("one", "held up")):
                moment = await asyncio.wait_for(looked(looks, name, 2), 10)
                assert moment.places is None
                if name == "two":
                    assert why in moment.why
        finally:
            HARMFUL.clear()
            looks.close()
            await asyncio.sleep(0)


async def test_code_that_does_not_end_after_a_look_is_not_looked_into_again() -> None:
    async with TestHost(app) as test:
        await test.start(stubborn, instance_id="one")
        await test.start(stubborn, instance_id="two")
        looks = travel.Travel(test.host.engine, 1_000_000)
        assert (await looked(looks, "one", 2)).places is not None
        await looked(looks, "one", 1)  # begins anew
        for name in ("one", "two", "one"):
            await looked(looks, name, 1)
        assert "does not end when it is thrown away" in (await looked(looks, "one", 1)).why
        looks.close()
        await asyncio.sleep(0)


async def test_not_too_many_look_at_once_and_zeros_do_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with TestHost(app) as test, http_to(test, app) as http:
        await test.start(changed, instance_id="one")
        path = "/admin/instances/one/turns/"
        assert (await http.get(f"{path}{'0' * 5_000}1")).status_code == 200
        assert (await http.get(f"{path}{'9' * 5_000}")).status_code == 400
        monkeypatch.setattr(travel, "_MOST_ASKED", 0)
        answer = await http.get(f"{path}1")
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers


PROGRAM = """
import asyncio, os, sys
from tenuto import App, Context, Host
from tenuto.insight.travel import Travel
from tenuto.model.ids import InstanceId
app = App()
@app.activity
def work() -> str: return "done"
@app.orchestrator
async def exits(ctx: Context) -> str:
    if len(sys.argv) > 2: os._exit(7)
    return await ctx.call_activity(work)
async def main():
    async with Host(app, storage=sys.argv[1]) as host:
        if len(sys.argv) == 2:
            handle = await host.client.start(exits, instance_id="one")
            await handle.result()
            return
        looks = Travel(host.engine, 1_000_000)
        print((await looks.moment(InstanceId("one"), 2)).why)
        looks.close()
        await asyncio.sleep(0)
asyncio.run(main())
"""


def test_what_has_ended_a_host_that_looked_is_not_looked_into_by_the_next_one(
    tmp_path: Path,
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    store = f"sqlite:///{tmp_path / 'hub.db'}"

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(program), store, *more],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run().returncode == 0
    assert run("deadly").returncode == 7
    again = run("deadly")
    assert again.returncode == 0, again.stderr
    assert "a look at it has ended a host ('one')" in again.stdout


def test_code_that_catches_everything_is_broken_off_too() -> None:
    def spins() -> None:
        while True:
            try:
                while True:
                    pass
            except BaseException:  # noqa: BLE001 - as code that people write
                continue

    with pytest.raises(breaking_off.BrokenOffError):
        breaking_off.BreaksOff(0.05).within(lambda: _run(spins))


def _run(act: object) -> None:
    assert callable(act)
    act()
