"""A host in a process of its own that runs the mixed load, for tests that kill it."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from tenuto import Client, InstanceFilter, RuntimeStatus
from tests.support import mixed_load
from tests.support.host_process import PATIENCE_SECONDS, HostProcess
from tests.support.mixed_load import Item
from tests.support.stored_histories import StoredInstance, count_rows, faults_of, read_instances

UNFINISHED = (RuntimeStatus.PENDING, RuntimeStatus.RUNNING, RuntimeStatus.SUSPENDED)


class LoadProcess(HostProcess):
    """One that runs the mixed load."""

    @classmethod
    async def start(
        cls,
        store: Path,
        waves: range = range(0),
        *,
        crash: tuple[str, int] | None = None,
        note: Path | None = None,
    ) -> "LoadProcess":
        arguments: list[object] = [store, "--waves", waves.start, waves.stop]
        if crash is not None:
            arguments += ["--crash", *crash]
        if note is not None:
            arguments += ["--note", note]
        return await cls.begin(mixed_load.__file__, store.with_suffix(".log"), *arguments)

    async def ends_or(self, condition: Callable[[], bool]) -> None:
        """Wait until the process has ended or the condition holds."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.has_ended and not condition():  # noqa: ASYNC110 - of another process
                await asyncio.sleep(mixed_load.POLL_SECONDS)


async def finish(
    client: Client,
    store: Path,
    waves: range,
    driving: Sequence["asyncio.Task[None]"],
    note: Path | None = None,
) -> None:
    """Run a last host until everything has ended, and stop it."""
    host = await LoadProcess.start(store, waves, note=note)
    try:
        assert await host.said("started"), log_of(store)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*driving)
            while await unfinished(client):  # noqa: ASYNC110 - another process ends them
                await asyncio.sleep(mixed_load.POLL_SECONDS)
    except TimeoutError:
        await host.kill()
        raise AssertionError(f"stuck: {await unfinished(client)}\n{log_of(store)}") from None
    except BaseException:
        await host.kill()
        raise
    await host.stop()


async def unfinished(client: Client) -> list[str]:
    """Ids of instances that have not ended."""
    which = InstanceFilter(statuses=UNFINISHED, payloads=False)
    return [status.instance_id async for status in client.query(which)]


def log_of(store: Path) -> str:
    """What the hosts have complained about."""
    return store.with_suffix(".log").read_text()[-5_000:]


def check_unfinished(store: Path) -> None:
    """What stands in the store right after a crash: rows and histories agree."""
    faults = [
        fault
        for instance in read_instances(store, only_unfinished=True)
        for fault in faults_of(instance)
    ]
    assert not faults, "\n".join(faults)


def check_all(store: Path, items: Sequence[Item]) -> None:
    """Every instance has ended with the right result, and every history is as it must be."""
    instances = {one.instance_id: one for one in read_instances(store)}
    wrong = [fault for item in items for fault in _compared(item, instances.get(item.instance_id))]
    for instance in instances.values():
        wrong += faults_of(instance)
        if not instance.status.is_finished:
            wrong.append(f"{instance.instance_id} is {instance.status.label}")
    assert not wrong, "\n".join(wrong)
    assert count_rows(store, "inbox") == 0
    assert count_rows(store, "dead_letter") == 0


def _compared(item: Item, found: StoredInstance | None) -> list[str]:
    if found is None:
        return [f"{item.instance_id} was lost"]
    if (found.status, found.output) != (item.status, item.output):
        what = f"{item.instance_id} is {found.status.label} with {found.output!r}"
        return [f"{what}, not {item.status.label} with {item.output!r}"]
    return []
