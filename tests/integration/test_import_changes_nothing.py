"""ENGINE rule 43, in fresh interpreters: this one has run sessions."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tenuto import App, Client, Context, Host
from tests.support.http_server import serving
from tests.support.terminal import environment

SEEN = """
import asyncio, gc, logging, sys, warnings, time, random, uuid, secrets, os
def seen():
    functions = [asyncio.gather, asyncio.wait, asyncio.wait_for, asyncio.as_completed,
        asyncio.run, asyncio.Semaphore.acquire, asyncio.TaskGroup.create_task,
        asyncio.TaskGroup.__aexit__, asyncio.Timeout.__aexit__, asyncio.Runner.run]
    return ([one.__code__ for one in functions], [one.__kwdefaults__ for one in functions],
        [type(one) for one in (time, random, uuid, secrets, os)], time.time, random.random,
        sys.getswitchinterval(), gc.get_threshold(), gc.isenabled(), gc.get_freeze_count(),
        sys.breakpointhook, sys.excepthook, sys.unraisablehook, logging.root.level,
        list(logging.root.handlers), list(warnings.filters))
added = []
sys.addaudithook(lambda event, args: event == "sys.addaudithook" and added.append(1))
before = seen()
def check(what):
    now = seen()
    assert not added, f"{what} added an audit hook"
    assert now == before, (what, [pair for pair in zip(before, now) if pair[0] != pair[1]])
"""

IMPORTS = """
import tenuto, tenuto.client.client, tenuto.client.sync_client, tenuto.cli.instances.steering
tenuto.Client("http://127.0.0.1:1"), tenuto.App
check("an import")
"""

COMMANDS = """
import json
from tenuto.cli.command import run_command_line
for command in json.loads(sys.argv[1]):
    code = run_command_line(command)
    assert code == 0, (command, code)
    check(command)
"""

SYNC_CLIENT = """
from tenuto import SyncClient
with SyncClient(sys.argv[1]) as client:
    handle = client.start("waits", instance_id="driven")
    handle.raise_event("Go", "on")
    assert handle.result() == "on"
    assert client.get_status("driven").output == "on"
    assert [one.instance_id for one in client.query()] == ["driven"]
    assert client.history("driven") and client.purge("driven")
check("a client at work")
"""


def test_import_changes_nothing_of_the_process() -> None:
    subprocess.run([sys.executable, "-c", SEEN + IMPORTS], check=True, timeout=60)


app = App()


@app.orchestrator
async def waits(ctx: Context) -> str:
    return await ctx.wait_for_external_event("Go", str)


@app.orchestrator
async def ends(_ctx: Context) -> None: ...


async def beside(folder: Path, program: str, argument: str) -> None:
    """Run a program of clients while this loop goes on: the server lives on it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SEEN + program, argument,
        cwd=folder, env=environment(), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()


def commands(*place: str) -> str:
    """Every command of a client, on a waiting, a suspended and a finished instance."""
    reading = [
        ["instances", "list"], ["instances", "show", "waiting"],
        ["instances", "history", "waiting"], ["instances", "watch", "finished"],
    ]  # fmt: skip
    steering = [
        ["instances", "start", "waits", "--id", "third"],
        ["instances", "raise-event", "third", "Other"],
        ["instances", "suspend", "waiting"], ["instances", "resume", "paused"],
        ["instances", "terminate", "waiting"],
        ["instances", "purge", "finished", "--yes"], ["dead-letters", "list"],
    ]  # fmt: skip
    return json.dumps([[*command, *place] for command in (*reading, *steering)])


async def three(client: Client) -> None:
    await client.start("waits", instance_id="waiting")
    paused = await client.start("waits", instance_id="paused")
    await paused.suspend()
    ended = await client.start("ends", instance_id="finished")
    await ended.result()


@pytest.fixture
async def store(tmp_path: Path) -> str:
    """A store with three instances; no host runs on it."""
    url = f"sqlite:///{tmp_path / 'tenuto.db'}"
    async with Host(app, storage=url) as host:
        await three(host.client)
    return url


async def test_commands_on_a_store_change_nothing_of_their_process(
    store: str, tmp_path: Path
) -> None:
    await beside(tmp_path, COMMANDS, commands("--storage", store))


async def test_commands_on_a_server_change_nothing_of_their_process(tmp_path: Path) -> None:
    async with serving(app) as server:
        await three(server.server.host.client)
        await beside(tmp_path, COMMANDS, commands("--url", server.url))


async def test_a_client_at_work_changes_nothing_of_its_process(tmp_path: Path) -> None:
    async with serving(app) as server:
        await beside(tmp_path, SYNC_CLIENT, server.url)
