"""The clients of both packages of Durable Functions, each in a process of its own."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.azure_programs import NODE, NODE_PACKAGES, PYTHON

CLIENTS = Path(__file__).with_name("clients")

_LONGEST_SECONDS = 60.0


class PackageError(Exception):
    """What the package raised."""


class PackageClient:
    """A client of one of the packages.

    Args:
        language: ``python`` or ``javascript``.
        process: Where it is.
    """

    def __init__(self, language: str, process: asyncio.subprocess.Process) -> None:
        self.language = language
        self._process = process

    async def take(self, binding: str) -> Any:  # noqa: ANN401 - any JSON
        """Make the client of a binding; the name of its task hub."""
        return await self._say({"binding": binding})

    async def call(self, name: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - any JSON
        """Call one of its methods.

        Raises:
            PackageError: it raised.
        """
        return await self._say({"call": name, "arguments": arguments, "options": options})

    async def _say(self, what: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        async with asyncio.timeout(_LONGEST_SECONDS):
            line = await self._process.stdout.readline()
        said = json.loads(line)
        if "error" in said:
            raise PackageError(said["error"])
        return said["result"]


class Calls:
    """What both packages can do, in the words of neither.

    Args:
        client: Of either.
    """

    def __init__(self, client: PackageClient) -> None:
        self.client = client
        self.is_python = client.language == "python"

    async def start(
        self,
        name: str,
        given: Any = None,  # noqa: ANN401 - any JSON
        *,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> Any:  # noqa: ANN401 - any JSON
        if self.is_python:
            return await self.client.call("start_new", name, instance_id, given, version)
        options = {"instanceId": instance_id, "input": given, "version": version}
        said = {key: value for key, value in options.items() if value is not None}
        return await self.client.call("startNew", name, said)

    async def status(self, instance_id: str, *, everything: bool = False) -> Any:  # noqa: ANN401 - any JSON
        if self.is_python:
            return await self.client.call("get_status", instance_id, *[everything] * 3)
        names = ("showHistory", "showHistoryOutput", "showInput")
        return await self.client.call("getStatus", instance_id, dict.fromkeys(names, everything))

    async def every(self) -> Any:  # noqa: ANN401 - any JSON
        return await self.client.call("get_status_all" if self.is_python else "getStatusAll")

    async def fitting(self, **filters: Any) -> Any:  # noqa: ANN401 - any JSON
        """Those that fit ``since``, ``until`` and ``statuses``."""
        return await self._filtered("get_status_by", "getStatusBy", filters)

    async def purge_fitting(self, **filters: Any) -> Any:  # noqa: ANN401 - any JSON
        """Delete those that fit."""
        return await self._filtered("purge_instance_history_by", "purgeInstanceHistoryBy", filters)

    async def _filtered(self, python: str, javascript: str, filters: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        given = {
            name: moment(value) if isinstance(value, datetime) else value
            for name, value in filters.items()
        }
        if self.is_python:
            if "statuses" in given:
                given["statuses"] = {"$statuses": given["statuses"]}
            return await self.client.call(python, **_renamed(given, _IN_PYTHON))
        return await self.client.call(javascript, _renamed(given, _IN_JAVASCRIPT))

    async def purge(self, instance_id: str) -> Any:  # noqa: ANN401 - any JSON
        name = "purge_instance_history" if self.is_python else "purgeInstanceHistory"
        return await self.client.call(name, instance_id)

    async def raise_event(self, instance_id: str, name: str, *data: Any) -> Any:  # noqa: ANN401 - any JSON
        method = "raise_event" if self.is_python else "raiseEvent"
        return await self.client.call(method, instance_id, name, *data)

    async def tell(self, word: str, instance_id: str, reason: str) -> Any:  # noqa: ANN401 - any JSON
        """Terminate, suspend, resume or rewind."""
        return await self.client.call(word, instance_id, reason)

    async def check_status(self, url: str, instance_id: str) -> Any:  # noqa: ANN401 - any JSON
        python = "create_check_status_response"
        name = python if self.is_python else "createCheckStatusResponse"
        return await self.client.call(name, request(url), instance_id)

    async def wait_or_check(self, url: str, instance_id: str, milliseconds: int) -> Any:  # noqa: ANN401 - any JSON
        given = (request(url), instance_id)
        if self.is_python:
            name = "wait_for_completion_or_create_check_status_response"
            return await self.client.call(name, *given, milliseconds, milliseconds)
        waiting = {
            "timeoutInMilliseconds": milliseconds,
            "retryIntervalInMilliseconds": milliseconds,
        }
        name = "waitForCompletionOrCreateCheckStatusResponse"
        return await self.client.call(name, *given, waiting)


_IN_PYTHON = {
    "since": "created_time_from",
    "until": "created_time_to",
    "statuses": "runtime_status",
}
_IN_JAVASCRIPT = {
    "since": "createdTimeFrom",
    "until": "createdTimeTo",
    "statuses": "runtimeStatus",
}


def _renamed(given: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names[name]: value for name, value in given.items()}


def moment(at: datetime) -> dict[str, str]:
    """A time, as the package's language has it."""
    return {"$moment": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def request(url: str) -> dict[str, str]:
    """A request that a function got."""
    return {"$request": url}


def entity(name: str, key: str) -> dict[str, list[str]]:
    """The id of an entity."""
    return {"$entity": [name, key]}


@asynccontextmanager
async def package_client(language: str) -> AsyncIterator[PackageClient]:
    """A client, which is given a binding before it is used."""
    python = [str(PYTHON), str(CLIENTS / "client.py")]
    node = [str(NODE), str(CLIENTS / "client.js")]
    assert PYTHON.exists(), f"{PYTHON} is missing: run `make azure-python`"
    assert NODE_PACKAGES.exists(), f"{NODE_PACKAGES} is missing: run `make node-packages`"
    process = await asyncio.create_subprocess_exec(
        *(python if language == "python" else node),
        env={
            "PATH": os.environ["PATH"],
            "NODE_PATH": str(NODE_PACKAGES),
            "WEBSITE_HOSTNAME": "localhost:7071",
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=64 * 1024 * 1024,
    )
    try:
        yield PackageClient(language, process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(_LONGEST_SECONDS):
            await process.wait()
