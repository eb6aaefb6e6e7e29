"""Crashes at every write of a host: nothing is lost, nothing counts twice, nothing shows early."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from tenuto import ActivityContext, App, Client, Context, RetryPolicy, RuntimeStatus
from tenuto.model.errors import StorageUnavailableError
from tenuto.model.events import TaskCompleted
from tenuto.model.ids import InstanceId
from tenuto.testing import CRASH_POINTS, CrashAt, RecordingObserver, TestHost
from tests.support.histories import check_invariants, of_type

RESULT = ["HELLO", "child 7", "event", "after retry", "done"]


class Trip:
    """An app whose one orchestration does some of everything; its activities are counted."""

    def __init__(self) -> None:
        self.app = App()
        self.runs: Counter[str] = Counter()
        self.keys: dict[str, set[str]] = {}
        app = self.app

        @app.activity
        async def step(context: ActivityContext, text: str) -> str:
            self.runs[text] += 1
            self.keys.setdefault(text, set()).add(context.idempotency_key)
            return text.upper()

        @app.activity
        def flaky(context: ActivityContext) -> str:
            self.runs[f"flaky {context.attempt}"] += 1
            if context.attempt < 3:
                raise ValueError(f"attempt {context.attempt}")
            return "after retry"

        @app.orchestrator
        async def child(ctx: Context, number: int) -> str:
            await ctx.create_timer(timedelta(minutes=number))
            await ctx.call_activity(step, f"child {number}")
            return f"child {number}"

        @app.orchestrator(name="trip")
        async def trip(ctx: Context, generation: int, results: list[str]) -> list[str]:
            if generation == 0:
                first, second = await asyncio.gather(
                    ctx.call_activity(step, "hello"),
                    ctx.call_sub_orchestrator(child.options(instance_id="the-child"), 7),
                )
                ctx.continue_as_new(1, [first, second])
                return []
            results.append(await ctx.wait_for_external_event("go", str))
            retry = RetryPolicy(max_attempts=3, first_interval=timedelta(minutes=1))
            results.append(await ctx.call_activity(flaky.options(retry=retry)))
            try:
                async with asyncio.timeout(3600):
                    await ctx.call_activity(step, "last")
                    results.append("done")
            except TimeoutError:
                results.append("late")
            ctx.set_custom_status("at the end")
            return results


async def _start(test: TestHost) -> None:
    """As a client with patience does: ask until the start is known to have happened."""
    while True:
        try:
            await test.start("trip", 0, [], instance_id="trip")
        except StorageUnavailableError:
            if await test.client.get_status("trip") is not None:
                break
        else:
            break
    while True:
        try:
            await test.client.raise_event("trip", "go", "event")
        except StorageUnavailableError:
            continue
        break


async def _run(test: TestHost) -> None:
    await _start(test)
    await test.client.wait("trip")


async def _count_hits(point: str) -> int:
    """How often a run without a crash passes a point."""
    observer = CrashAt(point, hit=1_000_000)
    async with TestHost(Trip().app, observer=observer) as test:
        await _run(test)
        await test.idle()
    return 1_000_000 - observer.hits_left


@pytest.mark.parametrize("on_file", [False, True], ids=["memory", "file"])
@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_a_power_cut_at_any_write_changes_no_result_exactly_once_turns(
    point: str, on_file: bool, tmp_path: Path
) -> None:
    hits = await _count_hits(point)
    assert hits > 10
    for hit in range(1, hits + 1, 3 if on_file else 1):
        trip = Trip()
        crash = CrashAt(point, hit)
        url = f"sqlite:///{tmp_path}/{hit}.db" if on_file else "sqlite://"
        async with TestHost(trip.app, observer=crash, storage=url) as test:
            running = asyncio.create_task(_run(test))
            happened = asyncio.create_task(crash.happened())
            await asyncio.wait({running, happened}, return_when=asyncio.FIRST_COMPLETED)
            if happened.done():
                await test.crash()
            await running
            happened.cancel()
            await _check(test, trip)


async def _check(test: TestHost, trip: Trip) -> None:
    # The event may have been raised twice: its sender could not know that the first was taken.
    status = await test.client.get_status("trip")
    assert status is not None
    assert status.runtime_status is RuntimeStatus.COMPLETED, status.failure
    assert status.output == RESULT
    assert status.custom_status == "at the end"
    # At least once, recorded once, and every run of a step under one key.
    for text in ("hello", "child 7", "last", "flaky 1", "flaky 2", "flaky 3"):
        assert 1 <= trip.runs[text] <= 2, (text, trip.runs)
    assert all(len(keys) == 1 for keys in trip.keys.values())
    for instance_id in ("trip", "the-child"):
        history = await test.client.history(instance_id)
        check_invariants(history)
        await test.check_replay(instance_id)
    assert len(of_type(await test.client.history("the-child"), TaskCompleted)) == 1


@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_what_a_client_was_told_is_there_after_the_crash_durable_before_visible(
    point: str,
) -> None:
    for hit in range(1, 6):
        acknowledged: list[str] = []
        app = App()

        @app.orchestrator(name="listen")
        async def listen(ctx: Context) -> str:
            return await ctx.wait_for_external_event("go", str)

        async def clients(test: TestHost, known: list[str] = acknowledged) -> None:
            for number in range(50):
                handle = await test.start("listen", instance_id=f"l{number}")
                known.append(handle.instance_id)

        crash = CrashAt(point, hit)
        async with TestHost(app, observer=crash) as test:
            starting = asyncio.create_task(clients(test))
            await crash.happened()
            await test.crash()
            with pytest.raises(StorageUnavailableError):
                await starting
            for instance_id in acknowledged:
                assert await test.client.get_status(instance_id) is not None, (point, hit)
            # At most the one whose answer was lost stands beside those that were acknowledged.
            standing = [status async for status in test.client.query()]
            assert len(acknowledged) <= len(standing) <= len(acknowledged) + 1


async def test_no_effect_is_seen_before_its_commit_durable_before_visible() -> None:
    """The batch that holds a schedule, a child or a message is cut off: none of them happened."""
    trip = Trip()
    crash = CrashAt("before_commit", 1)
    async with TestHost(trip.app, observer=crash) as test:
        starting = asyncio.create_task(test.start("trip", 0, [], instance_id="trip"))
        await crash.happened()
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not starting.done()
        assert trip.runs == Counter()
        assert await test.host.engine.storage.get(InstanceId("trip")) is None
        assert await test.host.engine.storage.get(InstanceId("the-child")) is None
        await test.crash()
        with pytest.raises(StorageUnavailableError):
            await starting
        assert await test.client.get_status("trip") is None


def test_a_wrong_point_is_refused() -> None:
    with pytest.raises(ValueError, match="before_commit"):
        CrashAt("no such point")


# --- real processes -------------------------------------------------------------------------------

_PROCESS = Path(__file__).parents[1] / "support" / "crash_process.py"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_a_process_killed_at_a_write_is_continued_by_the_next(
    point: str, tmp_path: Path
) -> None:
    """SIGKILL three times, then one process that finishes."""
    url = f"sqlite:///{tmp_path}/hub.db"
    ledger = tmp_path / "ledger.txt"
    for hit in ("1", "2", "1"):
        killed = await _run_process(url, str(ledger), point, hit)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    finished = await _run_process(url, str(ledger), "none", "0")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == "['Hello Tokyo', 'Hello Seattle', 'Hello London']"
    # Each call has one key, however often it ran.
    keys = [line.split() for line in ledger.read_text().splitlines()]
    assert len({key for _name, key in keys}) == len({name for name, _key in keys}) == 3
    client = await Client.open(url)
    try:
        history = await client.history("hello")
        check_invariants(history)
        assert len(of_type(history, TaskCompleted)) == 3
    finally:
        await client.close()


async def _run_process(*arguments: str) -> "subprocess.CompletedProcess[str]":
    root = Path(__file__).parents[2]
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(_PROCESS), *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"},
    )


async def test_a_recording_observer_sees_a_host_that_never_crashes() -> None:
    trip = Trip()
    observer = RecordingObserver()
    async with TestHost(trip.app, observer=observer) as test:
        await _run(test)
        await _check(test, trip)
    assert trip.runs == Counter(["hello", "child 7", "last", "flaky 1", "flaky 2", "flaky 3"])
    assert observer.problems == []
