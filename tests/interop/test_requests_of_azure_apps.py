"""Requests for functions of Azure Functions apps: each is made once, and so many at once."""

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tenuto.testing import TestHost
from tests.support.azure_programs import LANGUAGES, azure_program, copied
from tests.support.http_server import Serving, serving
from tests.support.waiting import until

JAVASCRIPT = """
const { appendFileSync, existsSync } = require('node:fs');
const { setTimeout } = require('node:timers/promises');
const { app } = require('@azure/functions');

const note = (text) => appendFileSync(process.env.NOTED, text + '\\n');
const http = (name, handler) => app.http(name, { authLevel: 'anonymous', handler });
http('dies', () => { note('dies'); process.kill(process.pid, 'SIGKILL'); for (;;); });
http('notes', () => { note('notes'); return { body: 'noted' }; });
http('pid', () => ({ body: String(process.pid) }));
http('waits', async (request) => {
    note('waits');
    while (!existsSync(process.env.NOTED + '.go')) await setTimeout(10);
    return { body: String((await request.arrayBuffer()).byteLength) };
});
if (process.env.WITH_TIMER) {
    app.timer('early', {
        schedule: '0 0 0 1 1 *',
        runOnStartup: true,
        handler: () => { note('early'); process.kill(process.pid, 'SIGKILL'); for (;;); },
    });
}
"""
PACKAGE = """
{
  "name": "requests", "private": true, "main": "app.js",
  "dependencies": { "@azure/functions": "4.16.5", "durable-functions": "3.5.0" }
}
"""
PYTHON = """
import os
import time

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def note(text):
    with open(os.environ["NOTED"], "a") as file:
        file.write(text + "\\n")


@app.route("dies")
def dies(req: func.HttpRequest) -> str:
    note("dies")
    os._exit(1)


@app.route("notes")
def notes(req: func.HttpRequest) -> str:
    note("notes")
    return "noted"


@app.route("pid")
def pid(req: func.HttpRequest) -> str:
    return str(os.getpid())


@app.route("waits")
def waits(req: func.HttpRequest) -> str:
    note("waits")
    while not os.path.exists(os.environ["NOTED"] + ".go"):
        time.sleep(0.01)
    return str(len(req.get_body()))


if os.environ.get("WITH_TIMER"):

    @app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer", run_on_startup=True)
    def early(timer: func.TimerRequest) -> None:
        note("early")
        os._exit(1)
"""
THREADS = 4
"""Sync functions at once in a Python worker of these tests."""


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Noted:
    """What functions have noted, and how they are let go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def count(self, text: str) -> int:
        return self.path.read_text().split().count(text)

    def let_go(self) -> None:
        Path(f"{self.path}.go").touch()


@pytest.fixture
def noted(tmp_path: Path) -> Noted:
    return Noted(tmp_path / "noted")


def made(language: str, folder: Path, **limits: int) -> Path:
    app = folder / "requests"
    app.mkdir()
    host = {"version": "2.0", "extensions": {"http": limits}}
    (app / "host.json").write_text(json.dumps(host))
    if language == "python":
        (app / "function_app.py").write_text(PYTHON)
    else:
        (app / "app.js").write_text(JAVASCRIPT)
        (app / "package.json").write_text(PACKAGE)
    return copied(app, folder / "copied")


@asynccontextmanager
async def served(root: Path, noted: Noted, **http: Any) -> AsyncIterator[Serving]:
    async with serving(azure_program(root, NOTED=str(noted.path)), **http) as serve:
        try:
            yield serve
        finally:
            noted.let_go()


# --- once -----------------------------------------------------------------------------------------


async def test_a_request_that_ends_its_worker_is_made_once(
    language: str, noted: Noted, tmp_path: Path
) -> None:
    async with served(made(language, tmp_path), noted) as serve:
        answer = await serve.http.post("/api/dies")
        assert answer.status_code == 500
        assert "invocation" in answer.json()["message"]
        # Whatever would run again has had its turn before this.
        assert (await serve.http.get("/api/notes")).text == "noted"
        assert noted.count("dies") == 1


async def test_a_request_that_no_worker_has_had_waits_for_one(
    language: str, noted: Noted, tmp_path: Path
) -> None:
    async with served(made(language, tmp_path), noted) as serve:
        pid = int((await serve.http.get("/api/pid")).text)
        os.kill(pid, signal.SIGKILL)
        # Its host has buried it.
        await until(lambda: not Path(f"/proc/{pid}").exists())
        assert (await serve.http.post("/api/notes")).text == "noted"
        assert noted.count("notes") == 1


async def test_a_timers_function_that_ends_its_worker_runs_once(
    language: str, noted: Noted, tmp_path: Path
) -> None:
    program = azure_program(made(language, tmp_path), NOTED=str(noted.path), WITH_TIMER="1")
    async with TestHost(program) as host:
        await host.idle()
    assert noted.count("early") == 1
