"""Polling with backoff, an interval that changes while it runs, a deadline."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples.monitor import monitor
from examples.monitor.monitor import Finding, Watch, watch_machine
from tenuto import PayloadError
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost

READY = "ready\n"
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def test(open_host: OpenHost) -> TestHost:
    return await open_host(monitor.app)


@pytest.fixture
def machine(folder: Path) -> Path:
    machine = folder / "oven.txt"
    machine.write_text("heating\n")
    return machine


def say(machine: Path, state: str) -> None:
    machine.write_text(state)


def switch_off(machine: Path) -> None:
    machine.unlink()


async def looks(test: TestHost, instance_id: str) -> int:
    status = await test.client.get_status(instance_id)
    assert status is not None
    looks: int = status.custom_status["looks"]
    return looks


async def test_it_ends_at_the_first_look_that_finds_the_machine_ready(
    test: TestHost, machine: Path
) -> None:
    handle = await test.start(watch_machine, Watch(str(machine)))
    await test.advance(timedelta(seconds=25))
    say(machine, READY)
    assert await handle.result() == Finding(is_ready=True, state="ready", looks=4)
    assert test.clock.current_time - START < timedelta(seconds=31)


async def test_it_ends_at_the_deadline_with_what_it_saw_last(test: TestHost, machine: Path) -> None:
    watch = Watch(str(machine), every=timedelta(minutes=7), patience=timedelta(hours=1))
    finding = await test.run(watch_machine, watch)
    assert finding == Finding(is_ready=False, state="heating", looks=10)
    assert (
        timedelta(0) <= test.clock.current_time - START - timedelta(hours=1) < timedelta(seconds=1)
    )


async def test_the_interval_changes_while_it_runs(test: TestHost, machine: Path) -> None:
    handle = await test.start(watch_machine, Watch(str(machine)))
    await test.advance(timedelta(seconds=35))
    assert await looks(test, handle.instance_id) == 4
    await handle.raise_event("interval", timedelta(hours=1))  # and looks at once
    await test.advance(timedelta(hours=2, seconds=1))
    assert await looks(test, handle.instance_id) == 7
    await handle.raise_event("interval", timedelta(seconds=-5))  # as often as is allowed
    await test.advance(timedelta(seconds=0.95))
    assert await looks(test, handle.instance_id) == 17
    say(machine, READY)
    assert (await handle.result()).is_ready


async def test_an_interval_that_is_none_is_not_taken(test: TestHost, machine: Path) -> None:
    handle = await test.start(watch_machine, Watch(str(machine)))
    await test.idle()
    with pytest.raises(PayloadError, match=r"^event 'interval': value at \$ does not fit"):
        await handle.raise_event("interval", "now and then")
    await test.advance(timedelta(seconds=25))
    assert await looks(test, handle.instance_id) == 3  # it goes on as if nobody had said anything
    await handle.terminate()


async def test_a_machine_that_cannot_be_reached_is_asked_less_and_less_often(
    test: TestHost, machine: Path
) -> None:
    switch_off(machine)
    handle = await test.start(watch_machine, Watch(str(machine)))
    await test.advance(timedelta(seconds=20 + 40 + 80 + 160 + 320 + 640 + 1))
    status = await handle.status()
    assert status.custom_status["looks"] == 7
    assert status.custom_status["pause"] == "PT640S"
    assert "FileNotFoundError" in status.custom_status["state"]
    say(machine, "heating")  # from now on every ten seconds again
    await test.advance(timedelta(seconds=640 + 31))
    assert await looks(test, handle.instance_id) == 11
    await handle.terminate()


async def test_the_history_of_a_long_watch_stays_short(test: TestHost, machine: Path) -> None:
    handle = await test.start(watch_machine, Watch(str(machine), patience=timedelta(days=3)))
    await test.advance(timedelta(hours=2))
    assert await looks(test, handle.instance_id) > 700
    assert len(await test.client.history(handle.instance_id)) < 10
    await test.crash()
    before = await looks(test, handle.instance_id)
    say(machine, READY)
    assert (await handle.result()).looks == before + 1
