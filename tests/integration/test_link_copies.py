"""A store file that was copied as files are: its numbers come again, and no message is lost."""

import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from tenuto import App, Client, Settings
from tenuto.host.host import Host
from tenuto.link.options import LinkSettings
from tests.support.linked import Linked, linked
from tests.support.waiting import until_given

hub = App()
device = App()
SETTINGS = Settings(links=LinkSettings(longest_pause_seconds=0.03))


async def publish(client: Client, topic: str, numbers: Iterable[int]) -> None:
    for number in numbers:
        await client.publish(topic, number, event_id=str(number))


async def waiting(host: Host) -> int:
    return (await host.links.list())[0].waiting


async def is_through(host: Host) -> bool:
    return await waiting(host) == 0


async def problem_of(host: Host) -> str | None:
    return (await host.links.list())[0].problem


def copied(source: Path, target: Path) -> str:
    """A store file of which no host is up, copied by the system; the URL of the copy."""
    shutil.copy(source, target)
    return f"sqlite:///{target}"


async def sent(url: str, numbers: Iterable[int]) -> None:
    """A device comes up, sends, and goes."""
    async with Host(device, url, settings=SETTINGS) as host:
        await publish(host.client, "hub/alarms", numbers)
        await until_given(partial(is_through, host))


async def events_at(both: Linked) -> list[int]:
    found = await both.hub.host.engine.storage.events("alarms", 0, 100, 1_000_000)
    return sorted(int(one.event_id.rpartition("/")[2]) for one in found)


@pytest.mark.parametrize("since", [10, 12, 30])
async def test_no_silent_drop_a_device_whose_file_was_put_back_stops_and_keeps_what_waits(
    tmp_path: Path, since: int, caplog: pytest.LogCaptureFixture
) -> None:
    path, backup = tmp_path / "device.db", tmp_path / "backup.db"
    async with linked(hub, device, stores=("sqlite://", f"sqlite:///{path}")) as both:
        await publish(both.here, "hub/alarms", range(5))
        await until_given(partial(is_through, both.device))
        await both.device.stop()
        copied(path, backup)
        await sent(f"sqlite:///{path}", range(100, 110))
        url = copied(backup, path)
        async with Client.open(url) as client:
            await publish(client, "hub/alarms", range(200, 200 + since))
        async with Host(device, url, settings=SETTINGS) as host:
            problem = await until_given(partial(problem_of, host))
            assert problem is not None
            assert problem.startswith("TN-1800")
            assert "tenuto restore" in problem
            assert await waiting(host) == since
        assert await events_at(both) == [*range(5), *range(100, 110)]
    assert "TN-1800" in caplog.text


async def test_two_devices_of_one_image_are_found_out(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    async with linked(hub, device, stores=("sqlite://", f"sqlite:///{path}")) as both:
        await publish(both.here, "hub/alarms", range(5))
        await until_given(partial(is_through, both.device))
        await both.device.stop()
        other = copied(path, tmp_path / "other.db")
        await sent(f"sqlite:///{path}", range(100, 103))
        async with Host(device, other, settings=SETTINGS) as host:
            await publish(host.client, "hub/alarms", range(200, 206))
            problem = await until_given(partial(problem_of, host))
            assert problem is not None
            assert problem.startswith("TN-1800")
            assert await waiting(host) == 6
        await sent(f"sqlite:///{path}", range(103, 105))
        assert await events_at(both) == [*range(5), *range(100, 105)]
