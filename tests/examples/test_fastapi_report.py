"""A long job behind a FastAPI app, in process and as a real server that is killed in the middle."""

import asyncio
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from examples.fastapi_report import report_service
from tests.integration.conftest import OpenHost
from tests.support.http_in_process import with_state
from tests.support.ports import held_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def http(folder: Path) -> AsyncIterator[httpx2.AsyncClient]:
    # Its store is in the folder where it is loaded, and must not be one that somebody has left.
    api = importlib.reload(report_service).api
    async with (
        api.router.lifespan_context(api) as state,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(with_state(api, state)), base_url="http://localhost"
        ) as client,
    ):
        yield client


async def until_made(http: httpx2.AsyncClient, address: str) -> httpx2.Response:
    while (answer := await http.get(address)).status_code == 202:
        assert "of" in answer.text
        await asyncio.sleep(0.02)
    return answer


async def test_a_customer_gets_an_address_at_once_and_the_report_in_the_end(
    http: httpx2.AsyncClient, folder: Path
) -> None:
    order = {"customer": "ada", "months": 2, "seconds_per_month": 0}
    ordered = await http.post("/reports", json=order)
    assert ordered.status_code == 202
    assert ordered.headers["location"] == f"http://localhost/reports/{ordered.json()['id']}"
    report = await until_made(http, ordered.headers["location"])
    assert report.text == "ada\n2026-01       294\n2026-02       588\ntotal         882\n"
    managed = await http.get(ordered.json()["statusQueryGetUri"])
    assert managed.json()["runtimeStatus"] == "Completed"
    assert managed.json()["output"] == str(Path("reports/ada.txt"))


async def test_a_wrong_order_and_an_unknown_report_are_refused_by_the_web_app(
    http: httpx2.AsyncClient,
) -> None:
    assert (await http.post("/reports", json={"customer": "../etc"})).status_code == 422
    assert (await http.get("/reports/nothing")).status_code == 404


async def test_months_are_added_up_one_after_the_other(open_host: OpenHost, folder: Path) -> None:
    test = await open_host(report_service.app)
    assert await test.run(report_service.make_report, "bob", 12, 0.0) == str(
        Path("reports/bob.txt")
    )
    assert (folder / "reports" / "bob.txt").read_text("utf-8").count("2026-") == 12


@asynccontextmanager
async def running(port: int, folder: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """The command of the page, as a process."""
    module = "examples.fastapi_report.report_service:api"
    command = [sys.executable, "-m", "uvicorn", module, "--port", str(port), "--log-level", "error"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    process = subprocess.Popen(command, cwd=folder, env=environment)  # noqa: ASYNC220 - at once
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def reached(http: httpx2.AsyncClient, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            await http.get("/docs")
        except httpx2.TransportError:
            await asyncio.sleep(0.02)
        else:
            return
    raise AssertionError(f"the server ended with {process.returncode}")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM for processes on Windows")
async def test_durable_before_visible_a_report_goes_on_after_the_web_app_was_killed(
    folder: Path,
) -> None:
    order = {"customer": "ada", "months": 3, "seconds_per_month": 0.3}
    with held_port() as port:
        await _order_kill_and_fetch(port, folder, order)


async def _order_kill_and_fetch(port: int, folder: Path, order: dict[str, object]) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        async with running(port, folder) as process:
            await reached(http, process)
            address = (await http.post("/reports", json=order)).headers["location"]
            while (await http.get(address)).text != "1 of 3 months":  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.02)
        async with running(port, folder) as process:
            await reached(http, process)
            report = await until_made(http, address)
            assert report.text.startswith("ada\n2026-01       294\n")
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait, 20)
