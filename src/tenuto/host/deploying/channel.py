"""The line between a server's parent and the child that runs a version: one JSON text per line."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from tenuto.host.deploying.options import DeploySettings
from tenuto.host.deploying.versions import Versions
from tenuto.model.deployments import Deployment, DeploymentList, DeploymentOrder
from tenuto.model.errors import HttpError, RequestTooLargeError

CHILD: Final = "_TENUTO_CHILD"
"""The variable that tells a process that it is a child, and of whom."""

LOADED: Final = "loaded"
GO: Final = "go"
SERVING: Final = "serving"
CLOSING: Final = "closing"


class ChildFacts(Struct, frozen=True, kw_only=True):
    """What a child is told.

    Attributes:
        listening: The descriptor of the socket that it serves on.
        channel: That of the line to its parent.
        target: The app, in place of the one that the command names; empty for that one.
        is_again: Whether another version has served before it.
    """

    listening: int
    channel: int
    target: str = ""
    is_again: bool = False


class Word(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line.

    Attributes:
        kind: ``loaded``, ``go``, ``serving``, ``closing``, ``order`` or ``answer``.
        number: Of an order, which its answer has as well.
        order: What is asked for.
        deployment: What was begun.
        error: Why nothing was.
    """

    kind: str
    number: int = 0
    order: DeploymentOrder | None = None
    deployment: Deployment | None = None
    error: str = ""


class ChildLine:
    """The child's end.

    Args:
        facts: What it was told.
        settings: Of deployments.
    """

    def __init__(self, facts: ChildFacts, settings: DeploySettings) -> None:
        self._socket = socket.socket(fileno=facts.channel)
        self._socket.set_inheritable(False)
        self._settings = settings
        self._versions = Versions(settings)
        self._asked: dict[int, asyncio.Future[Word]] = {}
        self._numbers = 0
        self._reading: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    def wait_to_go(self) -> bool:
        """Say that the app is loaded, and wait; False when the parent is gone."""
        self._send(Word(kind=LOADED))
        return bool(self._socket.recv(len(msgspec.json.encode(Word(kind=GO))) + 1))

    async def serving(self, gone: "asyncio.Future[int]") -> None:
        """Say that it serves.

        Args:
            gone: Gets a signal's number when the parent is gone.
        """
        reader, self._writer = await asyncio.open_connection(sock=self._socket)
        self._reading = asyncio.create_task(self._read(reader, gone), name="tenuto-parent")
        self._send(Word(kind=SERVING))

    def closing(self) -> None:
        """Say that callers are not answered any more; nobody hears it when the parent is gone."""
        with suppress(OSError):
            self._send(Word(kind=CLOSING))

    def close(self) -> None:
        """Nobody asks any more."""
        if self._reading is not None:
            self._reading.cancel()

    async def deploy(self, pieces: AsyncIterator[bytes], order: DeploymentOrder) -> Deployment:
        """Take in a package, and hand it on.

        Raises:
            RequestTooLargeError: it is larger than allowed.
            HttpError: another deployment goes on.
        """
        package = self._versions.new_package()
        try:
            await self._write(package, pieces)
            return await self._ask(msgspec.structs.replace(order, file=package.name))
        except BaseException:
            package.unlink(missing_ok=True)
            raise

    async def roll_back(self, order: DeploymentOrder) -> Deployment:
        """Hand on that another version is wanted.

        Raises:
            HttpError: another deployment goes on.
        """
        return await self._ask(order)

    async def all(self) -> DeploymentList:
        """What is there."""
        found = await asyncio.to_thread(self._versions.read)
        found.most_bytes = self._settings.archive_bytes
        return found

    async def _write(self, package: Path, pieces: AsyncIterator[bytes]) -> None:
        most, size = self._settings.archive_bytes, 0
        with os.fdopen(os.open(package, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            async for piece in pieces:
                size += len(piece)
                if size > most:
                    raise RequestTooLargeError(
                        f"the package is larger than {most:,} bytes (setting deploy.archive_bytes)"
                    )
                await asyncio.to_thread(file.write, piece)

    async def _ask(self, order: DeploymentOrder) -> Deployment:
        self._numbers += 1
        number = self._numbers
        answer: asyncio.Future[Word] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._send(Word(kind="order", number=number, order=order))
            word = await answer
        finally:
            del self._asked[number]
        if word.deployment is None:
            raise HttpError(word.error, status=409)
        return word.deployment

    def _send(self, word: Word) -> None:
        line = msgspec.json.encode(word) + b"\n"
        if self._writer is None:
            self._socket.sendall(line)
        else:
            self._writer.write(line)

    async def _read(self, reader: asyncio.StreamReader, gone: "asyncio.Future[int]") -> None:
        while line := await reader.readline():
            word = msgspec.json.decode(line, type=Word)
            if (asked := self._asked.get(word.number)) is not None and not asked.done():
                asked.set_result(word)
        if not gone.done():
            gone.set_result(signal.SIGTERM)
