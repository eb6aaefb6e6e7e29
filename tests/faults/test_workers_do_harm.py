"""Workers that do harm, behind a host: who does it is found and held, all others end well."""

import asyncio
import gc
import logging
import tracemalloc
from pathlib import Path

import pytest

from tenuto.host.host import Host
from tenuto.interop.azure_app.program import ProgramOptions
from tenuto.model.errors import OrchestrationFailedError
from tests.support.scripted_programs import scripted_program
from tests.support.waiting import until

NEIGHBOURS = 50
WAITING = 10_000
MOST_BYTES = 1_000
pytestmark = pytest.mark.faults


async def reason(host: Host, instance_id: str) -> str | None:
    """Why an instance is held; None when it is not."""
    status = await host.client.handle(instance_id).status()
    return None if status.hold is None else status.hold.reason.value


@pytest.mark.parametrize("name", ["kills", "hangs", "rubbish"])
async def test_who_kills_workers_is_held_and_its_neighbours_end_well(
    tmp_path: Path, name: str
) -> None:
    program = scripted_program(tmp_path, ProgramOptions(turn_seconds=0.3))
    async with Host(program, storage=f"sqlite:///{tmp_path}/hub.db") as host:
        handles = []
        guilty = ""
        for place in range(NEIGHBOURS):
            if place == NEIGHBOURS // 2:
                guilty = (await host.client.start(name)).instance_id
            handles.append(await host.client.start(("ok", "step", "kept")[place % 3]))
        for handle in handles:
            assert await handle.result() == 1
        while await reason(host, guilty) is None:  # noqa: ASYNC110 - it is held by and by
            await asyncio.sleep(0.01)
        assert await reason(host, guilty) == "crashed"
        held = [one for one in handles if await reason(host, one.instance_id)]
        assert not held


@pytest.mark.parametrize("name", ["malformed", "twice", "unknown", "refuses"])
async def test_rubbish_in_an_answer_is_the_instances_own(tmp_path: Path, name: str) -> None:
    program = scripted_program(tmp_path)
    async with Host(program, storage=f"sqlite:///{tmp_path}/hub.db") as host:
        handle = await host.client.start(name)
        if name == "malformed":
            while await reason(host, handle.instance_id) is None:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        elif name == "refuses":
            with pytest.raises(OrchestrationFailedError, match="failed: ValueError: no"):
                await handle.result()
        else:
            assert await handle.result() == 1
        assert await (await host.client.start("step")).result() == 1


async def test_without_a_worker_instances_wait_outside_memory_and_go_on_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.interop.workers.pool._PATIENCE", 0)
    program = scripted_program(tmp_path, DIES_AFTER_STARTS="1")
    async with Host(program, storage=f"sqlite:///{tmp_path}/hub.db") as host:
        assert await (await host.client.start("ok")).result() == 1
        await host.client.start("kills")
        await until(lambda: not host.engine.runner.serves("ok"))
        handle = await host.client.start("ok")
        while await reason(host, handle.instance_id) is None:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        assert await reason(host, handle.instance_id) == "not_served"
        (tmp_path / "starts").write_text("")
        assert await handle.result() == 1


@pytest.mark.soak
async def test_instances_that_wait_for_a_worker_cost_next_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.interop.workers.pool._PATIENCE", 0)
    # Each is told of, and pytest would keep the line.
    monkeypatch.setattr(logging.getLogger("tenuto.host"), "disabled", True)
    program = scripted_program(tmp_path, DIES_AFTER_STARTS="1")
    async with Host(program, storage=f"sqlite:///{tmp_path}/hub.db") as host:
        await host.client.start("kills")
        await until(lambda: not host.engine.runner.serves("ok"))
        before = 0
        for count in range(2 * WAITING):
            if count == WAITING:
                await until(lambda: not host.engine.residents)
                gc.collect()
                tracemalloc.start()
                before = tracemalloc.get_traced_memory()[0]
            await host.client.start("ok")
        await until(lambda: not host.engine.residents)
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        print(f"{used / WAITING:.0f} bytes for each of {WAITING}")  # noqa: T201
        assert used / WAITING < MOST_BYTES
