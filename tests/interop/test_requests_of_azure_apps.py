"""Requests for functions of Azure Functions apps: each is made once, and so many at once."""

import asyncio
import json
import logging
import os
import signal
import tracemalloc
from asyncio import StreamWriter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
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
MEGABYTE = 1 << 20
THREADS = 4
"""Sync functions at once in a Python worker of these tests."""


STREAMS = "javascript, streams"


@pytest.fixture(params=[*LANGUAGES, STREAMS])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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

    async def until(self, text: str, count: int) -> None:
        await until(lambda: self.count(text) == count)

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
        setup = "app.setup({ enableHttpStream: true });\n" if language == STREAMS else ""
        (app / "app.js").write_text(JAVASCRIPT + setup)
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


# --- so many at once ------------------------------------------------------------------------------


@asynccontextmanager
async def asking(serve: Serving, name: str, body: bytes = b"") -> AsyncIterator[StreamWriter]:
    """A request whose caller is there until the block ends."""
    _, writer = await asyncio.open_connection("127.0.0.1", serve.port)
    head = f"POST /api/{name} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    try:
        yield writer
    finally:
        writer.close()


async def test_what_has_not_begun_is_dropped_when_its_caller_goes(
    way: str, noted: Noted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tenuto.http.access")
    root = made(way, tmp_path, maxConcurrentRequests=2)
    async with served(root, noted, access_log=True) as serve:
        async with asking(serve, "waits"), asking(serve, "waits"):
            await noted.until("waits", 2)
            for _ in range(5):
                async with asking(serve, "notes"):
                    pass
            await until(lambda: caplog.text.count("POST /api/notes") == 5)
            # One that is there, behind those that have gone.
            there = asyncio.create_task(serve.http.get("/api/pid"))
            noted.let_go()
            assert (await there).status_code == 200
        assert noted.count("notes") == 0


async def test_for_more_than_may_wait_there_is_no_room(
    way: str, noted: Noted, tmp_path: Path
) -> None:
    root = made(way, tmp_path, maxConcurrentRequests=1, maxOutstandingRequests=2)
    async with served(root, noted) as serve:
        async with asking(serve, "waits"):
            await noted.until("waits", 1)
            several = [asyncio.ensure_future(serve.http.get("/api/notes")) for _ in range(3)]
            await until(lambda: sum(one.done() for one in several) == 2)
            answers = [one.result() for one in several if one.done()]
            assert [one.status_code for one in answers] == [429, 429]
            assert "maxOutstandingRequests" in answers[0].json()["message"]
            assert answers[0].headers["retry-after"] == "1"
            noted.let_go()
            assert sorted(one.status_code for one in await asyncio.gather(*several)) == [
                *(200, 429, 429)
            ]
        assert (await serve.http.get("/api/pid")).status_code == 200


async def test_who_asks_and_goes_has_no_more_room_than_who_waits(
    way: str, noted: Noted, tmp_path: Path
) -> None:
    root = made(way, tmp_path, maxConcurrentRequests=2, maxOutstandingRequests=2)
    async with served(root, noted) as serve:
        for count in (1, 2):
            async with asking(serve, "waits"):
                await noted.until("waits", count)
        assert (await serve.http.get("/api/pid")).status_code == 429
        noted.let_go()
        while (await serve.http.get("/api/pid")).status_code != 200:
            pass


async def test_bodies_of_callers_that_have_gone_are_let_go(
    language: str, noted: Noted, tmp_path: Path
) -> None:
    body = bytes(2 * MEGABYTE)
    async with served(made(language, tmp_path), noted) as serve:
        pid = int((await serve.http.get("/api/pid")).text)
        tracemalloc.start()
        try:
            for count in range(1, 41):
                async with asking(serve, "waits", body):
                    running = min(count, THREADS) if language == "python" else count
                    await noted.until("waits", running)
            await until(lambda: tracemalloc.get_traced_memory()[0] < 5 * MEGABYTE)
        finally:
            tracemalloc.stop()
        if language == "python":
            # Of those that have not begun none is left in the worker either.
            await until(lambda: resident(pid) < 100 * MEGABYTE)


async def test_a_body_is_let_go_once_a_worker_has_it(
    language: str, noted: Noted, tmp_path: Path
) -> None:
    body = bytes(4 * MEGABYTE)
    async with served(made(language, tmp_path), noted) as serve, AsyncExitStack() as callers:
        tracemalloc.start()
        try:
            for count in range(1, THREADS + 1):
                await callers.enter_async_context(asking(serve, "waits", body))
                await noted.until("waits", count)
            await until(lambda: tracemalloc.get_traced_memory()[0] < 6 * MEGABYTE)
        finally:
            tracemalloc.stop()


async def test_bodies_without_a_key_have_a_bound_together(
    language: str, noted: Noted, tmp_path: Path
) -> None:
    body = bytes(2 * MEGABYTE)
    root = made(language, tmp_path)
    async with served(root, noted, anonymous_bytes=5 * MEGABYTE) as serve:
        async with asking(serve, "waits", body), asking(serve, "waits", body):
            await noted.until("waits", 2)
            answer = await serve.http.post("/api/waits", content=body)
            assert answer.status_code == 429
            assert "http.anonymous_bytes" in answer.json()["message"]
            assert (await serve.http.post("/api/notes", content=b"short")).text == "noted"
        # Their callers have gone, and so have they.
        noted.let_go()
        while (await serve.http.post("/api/waits", content=body)).status_code != 200:
            pass


def resident(pid: int) -> int:
    """The memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
