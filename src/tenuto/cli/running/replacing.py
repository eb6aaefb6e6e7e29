"""``tenuto start --allow-deploy``: the app in a child that another version can take the place of.

This process holds the socket, so that who calls while versions change waits instead of being
refused; it opens no store and runs no code of the app. A new version is loaded beside the one that
runs. Only then is that one stopped as by SIGTERM, and the new one opens the store.
"""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from tenuto.cli import terminal
from tenuto.cli.running.stopping import stop_signals
from tenuto.host.clock import SystemClock
from tenuto.host.deploying.channel import CHILD, CLOSING, GO, LOADED, SERVING, ChildFacts, Word
from tenuto.host.deploying.environments import ended, forget_unneeded, interpreter_for
from tenuto.host.deploying.versions import Versions
from tenuto.host.settings import Settings
from tenuto.http.options import Role, check_keys
from tenuto.http.server.socket import listen
from tenuto.model.deployments import (
    FAILED,
    ORIGINAL,
    REFUSED,
    RUNS,
    Deployment,
    DeploymentList,
    DeploymentOrder,
)
from tenuto.model.errors import DeploymentError, SettingsError, TenutoError

_NOT_ALL_GO_ON: Final = 1
_KILL_AFTER_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 1.0
_NAMED: Final = 5
_MOST_TRIED: Final = 100


def replaceable(target: str, settings: Settings) -> int:
    """Serve an app in a child, and take new versions of it; the exit code.

    Args:
        target: The app, as a path of a file below this folder; after a colon, its name.
        settings: Of the server.

    Raises:
        SettingsError: there is no admin key, the port is taken, or this system cannot do it.
        DeploymentError: the target cannot be replaced, or the folder of versions is damaged.
    """
    if sys.platform == "win32":
        raise SettingsError("--allow-deploy does not work on Windows")
    check_keys(settings.http)
    if not any(key.role is Role.ADMIN and not key.functions for key in settings.http.keys.values()):
        raise SettingsError(
            "--allow-deploy lets whoever has an admin key run code here, so there must be one: "
            "set http.keys (`tenuto key` makes a key)"
        )
    file, dot, name = target.partition(".py")
    path = Path(file + dot)
    if not dot or path.is_absolute() or ".." in path.parts or not path.is_file():
        raise DeploymentError(
            f"--allow-deploy takes the path of a Python file below this folder, such as travel.py "
            f"or src/travel.py:app, not {target!r}; modules and Azure Functions apps are not taken"
        )
    return asyncio.run(_Parent(settings, file + dot, name).run())


class _Child:
    """The process of one version."""

    def __init__(
        self, version: str, process: asyncio.subprocess.Process, writer: asyncio.StreamWriter
    ) -> None:
        self.version = version
        self._process = process
        self._writer = writer
        self.loaded = asyncio.Event()
        self.serving = asyncio.Event()
        self.closing = asyncio.Event()
        self.ended: asyncio.Task[int] = asyncio.create_task(process.wait(), name="tenuto-child")

    def say(self, word: Word) -> None:
        """Tell it something; nothing happens when it is gone."""
        with suppress(OSError):
            self._writer.write(msgspec.json.encode(word) + b"\n")

    async def has_come(self, event: asyncio.Event, seconds: float) -> bool:
        """Whether something comes in time, and before it ends."""
        coming = asyncio.create_task(event.wait())
        watched: list[asyncio.Task[Any]] = [coming, self.ended]
        await asyncio.wait(watched, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        coming.cancel()
        return event.is_set() and not self.ended.done()

    def stop(self) -> None:
        """Ask it to end, as by SIGTERM."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    async def end(self, seconds: float) -> None:
        """Ask it to end, and see it end; it is killed when it takes longer."""
        self.stop()
        await self.gone(seconds)

    async def gone(self, seconds: float) -> None:
        """See it end that was asked to; it is killed when it takes longer."""
        await asyncio.wait([self.ended], timeout=seconds)
        if not self.ended.done():
            with suppress(ProcessLookupError):  # with what it has begun, which may hold the socket
                os.killpg(self._process.pid, signal.SIGKILL)
        await self.ended
        self._writer.close()


class _Parent:
    """Holds the socket, and the version that runs.

    Args:
        settings: Of the server.
        file: The app's file, below the folder of a version.
        name: What follows it: nothing, or a colon and the app's name.
    """

    def __init__(self, settings: Settings, file: str, name: str) -> None:
        self._settings = settings
        self._file = file
        self._name = name
        self._versions = Versions(settings.deploy)
        self._clock = SystemClock()
        self._state = DeploymentList()
        self._listening: socket.socket = listen(settings.http)
        self._child: _Child | None = None
        self._children: set[_Child] = set()
        self._work: asyncio.Task[None] | None = None
        self._readers: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        self._begun = 0

    async def run(self) -> int:
        """Serve until a signal comes, or no version runs any more."""
        loop = asyncio.get_running_loop()
        stop: asyncio.Future[int] = loop.create_future()

        def asked(number: int) -> None:
            if stop.done():
                for child in self._children:
                    child.stop()  # again: at once
            else:
                stop.set_result(number)

        for number in stop_signals():
            loop.add_signal_handler(number, asked, number)
        self._state = await asyncio.to_thread(self._versions.prepare)
        serving = asyncio.create_task(self._serve_on(), name="tenuto-serve")
        try:
            watched: list[asyncio.Future[Any]] = [serving, stop]
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            return serving.result() if serving.done() else 0
        finally:
            for task in (serving, self._work):
                if task is not None:
                    task.cancel()
            patience = self._settings.drain_seconds + _KILL_AFTER_SECONDS
            await asyncio.gather(*(child.end(patience) for child in set(self._children)))
            self._listening.close()

    async def _serve_on(self) -> int:
        """Have the version served that should run, as long as it can; the code of its end."""
        while True:
            async with self._changing:
                child = self._child
                if child is None or child.ended.done():
                    child = await self._begun_child(self._state.runs)
                    child.say(Word(kind=GO))
                    self._child = child
                    if not await child.has_come(child.serving, self._settings.deploy.seconds):
                        await child.end(0)
                        return child.ended.result() or _NOT_ALL_GO_ON
            code = await asyncio.shield(child.ended)
            if child is self._child and not self._changing.locked():
                terminal.note(f"the app's process has ended ({code}); it is started again")
                await asyncio.sleep(_PAUSE_SECONDS)

    # --- children --------------------------------------------------------------------------------

    async def _begun_child(self, version: str) -> _Child:
        """A child that has begun to load a version."""
        ours, theirs = socket.socketpair()
        is_original = version == ORIGINAL
        python, target = sys.executable, f"{self._file}{self._name}"
        if not is_original:
            code = self._versions.code_of(version)
            python = await self._python_of(version)
            target = f"{code / self._file}{self._name}"
        facts = ChildFacts(
            listening=self._listening.fileno(),
            channel=theirs.fileno(),
            target=target,
            is_again=self._begun > 0,
        )
        self._begun += 1
        with theirs:
            process = await asyncio.create_subprocess_exec(
                python,
                *("-P", "-m", "tenuto", *sys.argv[1:]),
                env={**os.environ, CHILD: msgspec.json.encode(facts).decode()},
                pass_fds=(self._listening.fileno(), theirs.fileno()),
                start_new_session=True,
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        child = _Child(version, process, writer)
        self._children.add(child)
        child.ended.add_done_callback(lambda _: self._children.discard(child))
        reading = asyncio.create_task(self._listen_to(child, reader))
        self._readers.add(reading)
        reading.add_done_callback(self._readers.discard)
        return child

    async def _listen_to(self, child: _Child, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                try:
                    word = msgspec.json.decode(line, type=Word)
                except msgspec.MsgspecError as error:
                    terminal.note(f"the app's process has said what is not understood: {error}")
                    continue
                if word.kind == LOADED:
                    child.loaded.set()
                elif word.kind == SERVING:
                    child.serving.set()
                elif word.kind == CLOSING:
                    child.closing.set()
                elif word.order is not None:
                    child.say(await self._answer(word.number, word.order))

    async def _python_of(self, version: str) -> str:
        return await interpreter_for(
            self._versions.code_of(version),
            self._versions.environments,
            self._settings.deploy.seconds,
        )

    # --- deployments -----------------------------------------------------------------------------

    async def _answer(self, number: int, order: DeploymentOrder) -> Word:
        latest = self._state.deployments[-1:]
        if self._work is not None and not self._work.done():
            [goes_on] = latest
            if goes_on.ended_at is None:
                text = f"deployment {goes_on.number} goes on ({goes_on.state}); wait for its end"
                return Word(kind="answer", number=number, error=text)
            await asyncio.shield(self._work)  # its end is being noted
        deployment = Deployment(
            number=latest[0].number + 1 if latest else 1,
            kind=order.kind,
            label=order.label,
            commit=order.commit,
            state="loading" if order.kind == "rollback" else "unpacking",
            at=self._clock.now(),
        )
        try:
            await asyncio.to_thread(self._versions.begin, self._state, deployment)
        except OSError as error:
            text = f"it cannot be noted in {self._versions.folder}: {error}"
            return Word(kind="answer", number=number, error=text)
        self._work = asyncio.create_task(self._carry_out(deployment, order), name="tenuto-deploy")
        return Word(kind="answer", number=number, deployment=deployment)

    async def _carry_out(self, deployment: Deployment, order: DeploymentOrder) -> None:
        try:
            await self._prepare(deployment, order)
            await self._switch(deployment)
        except Exception as error:  # noqa: BLE001 - boundary: whatever it is, it is told
            if deployment.state != FAILED:
                deployment.state = REFUSED
            is_told = isinstance(error, TenutoError)
            deployment.message = str(error) if is_told else f"{type(error).__name__}: {error}"
        deployment.ended_at = self._clock.now()
        with suppress(OSError):
            await asyncio.to_thread(self._forget)
        await self._keep_at_last()
        terminal.note(_told(deployment))

    async def _keep_at_last(self) -> None:
        """Note how it stands, as soon as that can be written: people follow it there, and after a
        restart that version runs which stands there.
        """
        is_told = False
        while True:
            try:
                await self._keep()
            except OSError as error:
                if not is_told:
                    terminal.note(
                        f"what runs cannot be noted in {self._versions.folder}, and is tried again "
                        f"every second: {error}"
                    )
                is_told = True
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    def _forget(self) -> None:
        versions = self._versions
        versions.forget(self._state)
        kept = [versions.code_of(one) for one in versions.read().versions]
        forget_unneeded(versions.environments, kept)

    async def _step(self, deployment: Deployment, state: str) -> None:
        deployment.state = state
        await self._keep()

    async def _keep(self) -> None:
        await asyncio.to_thread(self._versions.write, self._state)

    async def _prepare(self, deployment: Deployment, order: DeploymentOrder) -> None:
        """All that can be done while the other version runs, and that may refuse the new one."""
        if order.kind == "rollback":
            deployment.version = order.version or self._state.before or ""
            if not deployment.version:
                raise DeploymentError("no version ran before this one")
            if deployment.version != ORIGINAL:
                self._versions.code_of(deployment.version)
        else:
            deployment.version = await asyncio.to_thread(self._versions.unpacked, order.file)
            code = self._versions.code_of(deployment.version)
            if not (code / self._file).is_file():
                raise DeploymentError(
                    f"the package has no {self._file}, which is what this server serves"
                )
            await self._step(deployment, "installing")
            python = await self._python_of(deployment.version)
            await self._step(deployment, "checking")
            await self._check(deployment, python, f"{code / self._file}{self._name}", order)
        await self._step(deployment, "loading")

    async def _check(
        self, deployment: Deployment, python: str, target: str, order: DeploymentOrder
    ) -> None:
        """Load the code in a process of its own, and replay what is unfinished with it.

        Raises:
            DeploymentError: it does not load, or instances would be held.
        """
        seconds = self._settings.deploy.seconds
        try:
            found = await ended(
                [python, "-P", "-m", "tenuto", "check-replay", target, "--json"],
                seconds,
                {**os.environ, "TENUTO_STORAGE": self._settings.storage},
            )
        except TimeoutError:
            if order.force:
                return
            raise DeploymentError(
                f"the unfinished instances were not checked in {seconds:g} s (deploy.seconds); "
                "--force deploys without"
            ) from None
        if found.code not in {0, _NOT_ALL_GO_ON}:
            raise DeploymentError(f"the new version does not load; {found.how}")
        report = _report_in(found.output)
        if report is None:
            raise DeploymentError(f"the check made no report; {found.how}")
        deployment.held, deployment.goes_on = report["held"], report["goesOn"]
        if deployment.held:
            text = _misfits(report)
            if not order.force:
                raise DeploymentError(
                    f"the new version would hold {deployment.held:,} of "
                    f"{deployment.held + deployment.goes_on:,} unfinished instances; --force "
                    f"deploys it all the same:\n{text}"
                )
            deployment.message = f"held by this version:\n{text}"

    async def _switch(self, deployment: Deployment) -> None:
        new = await self._begun_child(deployment.version)
        try:
            is_loaded = await new.has_come(new.loaded, self._settings.deploy.seconds)
            if is_loaded:
                async with self._changing:
                    await self._change_to(new, deployment)
        finally:
            if new is not self._child:
                await new.end(0)
        if not is_loaded:
            raise DeploymentError("the new version does not load; see the server's log")

    async def _change_to(self, new: _Child, deployment: Deployment) -> None:
        await self._step(deployment, "switching")
        old, self._child = self._child, new
        assert old is not None, "the order came from one"
        patience = self._settings.drain_seconds + _KILL_AFTER_SECONDS
        old.stop()
        await old.has_come(old.closing, patience)
        began = time.monotonic()
        await old.gone(_KILL_AFTER_SECONDS if old.closing.is_set() else 0)
        new.say(Word(kind=GO))
        if not await new.has_come(new.serving, self._settings.deploy.seconds):
            # Who serves on starts the version that the state names: the old one.
            await new.end(0)
            deployment.state = FAILED
            raise DeploymentError(
                f"version {deployment.version} loads but does not come to serve; "
                f"{old.version} runs again; see the server's log"
            )
        deployment.gap_seconds = round(time.monotonic() - began, 3)
        if deployment.version != self._state.runs:
            self._state.before, self._state.runs = self._state.runs, deployment.version
        deployment.state = RUNS
        with suppress(OSError):  # it is noted at the end, as soon as that can be done
            await self._keep()


def _report_in(output: bytes) -> dict[str, Any] | None:
    """The report of a check: the last that it has written, whatever the app has printed besides."""
    text = output.decode(errors="replace")
    decoder = json.JSONDecoder()
    for found in list(re.finditer(r'\{\n  "', text))[: -_MOST_TRIED - 1 : -1]:
        with suppress(ValueError, RecursionError):
            report, _ = decoder.raw_decode(text, found.start())
            if report.keys() >= {"held", "goesOn", "orchestrators"}:
                return dict(report)
    return None


def _misfits(report: dict[str, Any]) -> str:
    lines = [
        f"{', '.join(misfit['instanceIds'][:_NAMED])}: {misfit['message']}"
        for one in report["orchestrators"]
        for misfit in one["misfits"]
    ]
    more = [] if len(lines) <= _NAMED else [f"and {len(lines) - _NAMED} more kinds"]
    return "\n".join([*lines[:_NAMED], *more])


def _told(deployment: Deployment) -> str:
    text = f"{deployment.kind} {deployment.number}: {deployment.version} {deployment.state}"
    return f"{text}: {deployment.message}" if deployment.message else text
