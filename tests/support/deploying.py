"""A server that takes deployments, in processes of its own, and versions to be sent to it."""

import asyncio
import hashlib
import json
import os
import signal
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import httpx2

ROOT: Final = Path(__file__).parents[2]
ADMIN_KEY: Final = "mD7wq2Lk9Zx4Tn8Rb5Vc1Hs6"
OPERATE_KEY: Final = "pF3ye8Gj1Uo6Wi2Ka9Nd4Bt7"
PATH: Final = "/admin/deployments"
PATIENCE_SECONDS: Final = 60.0
MOST_BYTES: Final = 1_000_000
_KEYS: Final = {
    "ops": {"key": ADMIN_KEY, "role": "admin"},
    "operator": {"key": OPERATE_KEY, "role": "operate"},
}

APP: Final = """
import os
import time
from pathlib import Path

from tenuto import App

app = App()
LEDGER = Path(os.environ["LEDGER"])


@app.activity
def note(key: str) -> str:
    with LEDGER.open("a") as file:
        file.write(f"{key} VERSION\\n")
    return "VERSION"


@app.activity
def takes_long(key: str) -> str:
    note(key)
    while not LEDGER.with_name("finish").exists():
        time.sleep(0.02)
    return "VERSION"


@app.orchestrator
def lasts(ctx, name: str):
    first = yield ctx.call_activity(takes_long, f"{name}/1")
    second = yield ctx.call_activity(note, f"{name}/2")
    return [first, second]


@app.orchestrator
def main(ctx, name: str):
    first = yield ctx.call_activity(note, f"{name}/1")
    second = yield ctx.call_activity(note, f"{name}/2")
    return [first, second]


@app.orchestrator
def waits(ctx, name: str):
    first = yield ctx.call_activity(note, f"{name}/1")
    return (yield ctx.wait_for_external_event("go"))
"""


def version(name: str, more: str = "", **files: str) -> bytes:
    """A package with the app in a version of that name."""
    written = BytesIO()
    with zipfile.ZipFile(written, "w") as zipped:
        zipped.writestr("app.py", APP.replace("VERSION", name) + more)
        for file, content in files.items():
            zipped.writestr(file.replace("_txt", ".txt"), content)
    return written.getvalue()


class DeployServer:
    """A server with ``--allow-deploy`` in a folder.

    Args:
        folder: Where it runs.
        port: Where it listens.
        storage: The URL of its store; by default a file in its folder.
    """

    def __init__(self, folder: Path, port: int, storage: str | None = None) -> None:
        self.folder = folder
        self._options = () if storage is None else ("--storage", storage)
        self.ledger: Path = folder / "ledger.txt"
        self.url: str = f"http://127.0.0.1:{port}"
        self.client: httpx2.AsyncClient = self.client_with(ADMIN_KEY)
        self._port = port
        self._process: asyncio.subprocess.Process | None = None

    def client_with(self, key: str) -> httpx2.AsyncClient:
        """A client that has a key."""
        return httpx2.AsyncClient(
            base_url=self.url,
            headers={"x-functions-key": key},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        )

    async def begin(self, *more: str, keys: dict[str, Any] = _KEYS) -> None:
        """Start it, without waiting."""
        if not (self.folder / "app.py").exists():
            (self.folder / "app.py").write_text(APP.replace("VERSION", "original"))
        with (self.folder / "log.txt").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tenuto", "start", "app.py", "--allow-deploy"),
                *("--port", str(self._port), *self._options, *more),
                cwd=self.folder,
                env=os.environ
                | {
                    "PYTHONPATH": str(ROOT / "src"),
                    "LEDGER": str(self.ledger),
                    "TENUTO_HTTP_KEYS": json.dumps(keys),
                    "TENUTO_DEPLOY_SECONDS": "60",
                    "TENUTO_DEPLOY_ARCHIVE_BYTES": str(MOST_BYTES),
                },
                stdout=log,
                stderr=log,
            )

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        await self.begin()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self.answers():
                assert self._process is not None
                assert self._process.returncode is None, self.log
                await asyncio.sleep(0.05)

    async def answers(self) -> bool:
        """Whether it serves."""
        try:
            return (await self.client.get(PATH)).is_success
        except httpx2.TransportError:
            return False

    @property
    def log(self) -> str:
        """What it has written."""
        return (self.folder / "log.txt").read_text()

    def child(self) -> int:
        """The process that runs the app now."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0])

    async def has_noted(self, key: str) -> bool:
        """Whether an activity has written that down."""
        return self.ledger.exists() and key in self.ledger.read_text()

    async def is_at(self, number: int, state: str) -> bool:
        """Whether a deployment stands so now."""
        told = await self.client.get(f"{PATH}/{number}")
        return bool(told.json()["state"] == state)

    async def deploy(self, package: bytes, query: str = "") -> dict[str, Any]:
        """Send a package; what became of it."""
        begun = await self.client.post(f"{PATH}{query}", content=package)
        assert begun.status_code == 202, begun.text
        return await self.followed(begun.json()["number"])

    async def followed(self, number: int) -> dict[str, Any]:
        """What became of a deployment."""
        async with asyncio.timeout(PATIENCE_SECONDS * 2):
            while True:
                try:
                    told = await self.client.get(f"{PATH}/{number}")
                except httpx2.TransportError:
                    await asyncio.sleep(0.02)
                    continue
                found: dict[str, Any] = told.json()
                if "endedAt" in found or found["state"] == "interrupted":
                    return found
                await asyncio.sleep(0.05)

    async def run(self, name: str, orchestrator: str = "main") -> None:
        """Start an instance of that id; again, if the connection breaks."""
        execution_id = hashlib.sha256(name.encode()).hexdigest()[:32]
        body = {"name": orchestrator, "input": name, "instanceId": name}
        body["executionId"] = execution_id
        await self._tried("POST", "/admin/instances", json=body)

    async def result(self, name: str) -> dict[str, Any]:
        """The record of an instance, once it has ended."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                told = await self._tried("GET", f"/admin/instances/{name}", params={"wait": "10"})
                found: dict[str, Any] = told.json()
                if found["completedAt"] is not None:
                    return found

    async def _tried(self, method: str, path: str, **more: Any) -> httpx2.Response:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    return (await self.client.request(method, path, **more)).raise_for_status()
                except httpx2.TransportError:
                    await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """``kill -9`` of the parent."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def ended(self) -> int:
        """Its exit code."""
        assert self._process is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._process.wait()

    async def stop(self) -> int:
        """Stop it; its exit code."""
        await self.client.aclose()
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await self.ended()
