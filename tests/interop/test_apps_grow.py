"""The worker processes of an Azure Functions app come while calls wait, and go when none does."""

from pathlib import Path

import pytest

from tenuto.engine.scaling import PoolBounds
from tenuto.interop.azure_app.program import ProgramOptions
from tenuto.testing import TestHost
from tests.support.azure_programs import LANGUAGES, azure_program, copied
from tests.support.waiting import until

JAVASCRIPT = """
const fs = require('node:fs');
const df = require('durable-functions');

df.app.activity('waits', {
    handler: async (gate) => {
        while (!fs.existsSync(gate)) await new Promise((done) => setTimeout(done, 10));
        return process.pid;
    },
});
df.app.orchestration('flow', function* (context) {
    const gate = context.df.getInput();
    const calls = [1, 2, 3, 4, 5, 6].map(() => context.df.callActivity('waits', gate));
    return yield context.df.Task.all(calls);
});
"""
PACKAGE = """
{
  "name": "grows", "private": true, "main": "app.js",
  "dependencies": { "@azure/functions": "4.16.5", "durable-functions": "3.5.0" }
}
"""
PYTHON = """
import os
import time

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.activity_trigger(input_name="gate")
def waits(gate: str):
    while not os.path.exists(gate):
        time.sleep(0.01)
    return os.getpid()


@app.orchestration_trigger(context_name="context")
def flow(context):
    gate = context.get_input()
    found = yield context.task_all([context.call_activity("waits", gate) for _ in range(6)])
    return found
"""


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_app_grows_to_two_workers_and_back(language: str, tmp_path: Path) -> None:
    app, gate = tmp_path / "app", tmp_path / "gate"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0"}')
    if language == "python":
        (app / "function_app.py").write_text(PYTHON)
    else:
        (app / "app.js").write_text(JAVASCRIPT)
        (app / "package.json").write_text(PACKAGE)
    bounds = PoolBounds(least=1, most=2, room=2, idle_seconds=0.2)
    options = ProgramOptions(bounds=bounds)
    program = azure_program(copied(app, tmp_path / "copies"), options)
    async with TestHost(program) as host:
        workers = host.host.engine.runner.workers
        handle = await host.start("flow", str(gate))
        await until(lambda: len(workers()) == 2)
        gate.touch()
        await host.idle()
        status = await handle.status()
        assert isinstance(status.output, list)
        assert len(status.output) == 6
        assert len(set(status.output)) == 2
        await until(lambda: len(workers()) == 1)
