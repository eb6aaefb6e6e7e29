"""Activities that compute, in worker processes, from an orchestration's point of view."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tenuto import (
    ActivityError,
    App,
    Context,
    Host,
    RegistrationError,
    RetryPolicy,
    Settings,
    WorkerCrashedError,
)
from tenuto.testing import TestHost
from tests.support import cpu_work
from tests.support.leftovers import is_running
from tests.support.terminal import Terminal, environment
from tests.support.waiting import until

RETRY = RetryPolicy(max_attempts=2, first_interval=timedelta(hours=1))

SCRIPT = """
import os, sys, time
from pathlib import Path
from tenuto import App, Context

app = App()

class SoldOutError(Exception): ...

@app.activity(cpu_bound=True)
def square(number: int) -> int:
    if number < 0:
        raise SoldOutError(f"{number} in {__name__}")
    return number * number

@app.activity(cpu_bound=True)
def slow(number: int) -> int:
    Path("new").write_text(str(os.getpid()))
    Path("new").rename("begun")
    while not Path("gate").exists():
        time.sleep(0.001)
    return number + 1

@app.orchestrator
async def squares(ctx: Context) -> list[int]:
    found = [await ctx.call_activity(square, number) for number in range(3)]
    try:
        await ctx.call_activity(square, -1)
    except Exception as error:
        assert error.failure.error_type == "shop.SoldOutError", error.failure
        found.append(len(str(error.failure.stack_trace)))
    return found

@app.orchestrator
async def slowly(ctx: Context) -> int:
    return await ctx.call_activity(slow, 1)
"""
GUARDED = """
if __name__ == "__main__":
    print(app.run(squares, storage="sqlite://")[:3])
"""
UNGUARDED = """
print(app.run(squares, storage="sqlite://"))
"""


@pytest.fixture
def app() -> App:
    """With the activities of the module that worker processes can import."""
    app = App()
    app._activities.update(cpu_work.app.activities)
    return app


async def test_a_crash_of_a_worker_is_a_failed_attempt_that_is_retried(
    app: App, tmp_path: Path
) -> None:
    @app.orchestrator
    async def flaky(ctx: Context) -> int:
        crash_once = cpu_work.crash_once.options(retry=RETRY)
        return await ctx.call_activity(crash_once, f"{tmp_path}/ledger")

    async with TestHost(app) as test:
        assert await test.run(flaky) == 2
        assert await test.run(flaky, instance_id="again") == 2
    assert (tmp_path / "ledger").read_text() == "1\n2\n1\n2\n"


async def test_a_crash_without_a_retry_reaches_the_orchestrator_and_the_host_goes_on(
    app: App,
) -> None:
    @app.orchestrator
    async def careless(ctx: Context) -> str:
        with pytest.raises(ActivityError) as caught:
            await ctx.call_activity(cpu_work.kill_itself, 9)
        assert caught.value.failure.is_caused_by(WorkerCrashedError)
        assert await ctx.call_activity(cpu_work.add, 1, 10) == 11
        return caught.value.failure.error_message

    async with TestHost(app) as test:
        assert "was ended by SIGKILL" in await test.run(careless)


async def test_a_timeout_in_virtual_time_ends_the_process(app: App, tmp_path: Path) -> None:
    @app.orchestrator
    async def endless(ctx: Context) -> str:
        limited = cpu_work.compute_for_ever.options(timeout=timedelta(hours=1))
        try:
            await ctx.call_activity(limited, f"{tmp_path}/pids")
        except TimeoutError:
            return "timed out"
        return "ended"

    async with TestHost(app) as test:
        handle = await test.start(endless)
        await until((tmp_path / "pids").exists)
        # The time limit counts from when the host has heard that it began.
        await until(lambda: test.host.engine.runner.running == 1)
        await test.advance(timedelta(hours=2), with_activities=False)
        assert await handle.result() == "timed out"
    worker, child = (int(pid) for pid in (tmp_path / "pids").read_text().split())
    await until(lambda: not is_running(worker) and not is_running(child))


async def test_cancelling_the_call_turns_the_token_on(app: App, tmp_path: Path) -> None:
    @app.orchestrator
    async def impatient(ctx: Context) -> str:
        work = ctx.call_activity(cpu_work.compute_until_told, f"{tmp_path}/pid")
        await ctx.wait_for_external_event("enough")
        work.cancel()
        return "gone on"

    async with TestHost(app) as test:
        handle = await test.start(impatient)
        await until((tmp_path / "pid").exists)
        await handle.raise_event("enough")
        assert await handle.result() == "gone on"
        await until(lambda: not test.host.engine.runner.running)


async def test_max_concurrent_and_cpu_workers_hold_together(app: App, tmp_path: Path) -> None:
    alone = App()
    one_at_a_time = alone.activity(name="one", cpu_bound=True, max_concurrent=1)(cpu_work.plain)

    @alone.orchestrator
    async def many(ctx: Context) -> list[int]:
        return await ctx.task_all([ctx.call_activity(one_at_a_time, one) for one in range(20)])

    settings = Settings(cpu_workers=1)
    async with Host(alone, "sqlite://", settings=settings) as host:
        handle = await host.client.start(many)
        assert await handle.result() == list(range(1, 21))


async def test_bad_input_is_refused_whole_a_host_does_not_start_with_a_function_not_to_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App()
    app.activity(name="one", cpu_bound=True)(cpu_work.plain)
    monkeypatch.setattr(cpu_work, "plain", len)
    store = tmp_path / "store.db"
    with pytest.raises(RegistrationError, match="cannot run with cpu_bound=True") as caught:
        await Host(app, f"sqlite:///{store}").start()
    assert "cpu_work.py:" in str(caught.value)
    assert not store.exists()


def test_the_functions_of_a_script_are_found_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SCRIPT + GUARDED)
    done = _run(tmp_path, "shop.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0, 1, 4]\n"


def test_a_script_that_runs_when_it_is_imported_is_told_so_instead_of_multiplying(
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.py").write_text(SCRIPT + UNGUARDED)
    done = _run(tmp_path, "shop.py")
    assert done.returncode == 1
    assert "runs its app while it is imported" in done.stderr
    assert '__name__ == "__main__"' in done.stderr


async def test_a_host_that_is_killed_takes_its_workers_along(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SCRIPT)
    with Terminal(tmp_path, "run", "shop.py:slowly") as terminal:
        await until((tmp_path / "begun").exists)
        worker = int((tmp_path / "begun").read_text())
        assert is_running(worker)
        terminal.process.kill()
        terminal.process.wait()
        await until(lambda: not is_running(worker))
    assert not (tmp_path / "gate").exists()


LETS_NOBODY_IN = """
import os
from tenuto import App, Context

app = App()


@app.activity(cpu_bound=True)
def compute() -> int:
    with open("begun", "w") as file:
        file.write(str(os.getpid()))
    return sum(range(10**12))  # one call, which lets no other thread in


@app.orchestrator
async def slowly(ctx: Context) -> int:
    return await ctx.call_activity(compute)
"""


async def test_a_worker_that_lets_no_thread_in_goes_with_its_host_too(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(LETS_NOBODY_IN)
    with Terminal(tmp_path, "run", "shop.py:slowly") as terminal:
        await until(lambda: (tmp_path / "begun").exists() and (tmp_path / "begun").read_text())
        worker = int((tmp_path / "begun").read_text())
        assert is_running(worker)
        terminal.process.kill()
        terminal.process.wait()
        await until(lambda: not is_running(worker))


async def test_ctrl_c_lets_running_workers_end_first(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SCRIPT)
    with Terminal(tmp_path, "run", "shop.py:slowly", "--id", "a") as terminal:
        await until((tmp_path / "begun").exists)
        worker = int((tmp_path / "begun").read_text())
        # As the terminal does it: to all who are in its foreground group.
        os.killpg(terminal.process.pid, signal.SIGINT)
        terminal.until("stopping; up to")
        assert is_running(worker)
        (tmp_path / "gate").touch()
        assert terminal.end() == 130
    (tmp_path / "gate").unlink()
    (tmp_path / "begun").unlink()
    with Terminal(tmp_path, "run", "shop.py:slowly", "--id", "a") as terminal:
        assert terminal.end() == 0  # without the gate: what had ended is not run again
    assert not (tmp_path / "begun").exists()


def _run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize("kind", ["SystemExit(3)", "KeyboardInterrupt", "GeneratorExit"])
def test_a_module_that_ends_programs_when_a_worker_imports_it_fails_its_activity_alone(
    tmp_path: Path, kind: str
) -> None:
    unwilling = f'\nif __name__ != "__main__":\n    raise {kind}\n'
    asked = """
if __name__ == "__main__":
    try:
        app.run(slowly, storage="sqlite://")
    except Exception as error:
        print(error)
"""
    (tmp_path / "shop.py").write_text(SCRIPT + unwilling + asked)
    done = _run(tmp_path, "shop.py")
    assert done.returncode == 0, done.stderr
    assert f" failed: {kind.partition('(')[0]}" in done.stdout
    assert "(in activity 'slow')" in done.stdout
