"""Running one orchestration in a host of its own, shown while it goes.

Stopped in the middle, it leaves the instance as it stands in the store and says which command goes
on from there.
"""

import asyncio
import shlex
import subprocess
import sys
from typing import Any, Final

from msgspec import Struct

from tenuto.cli import terminal
from tenuto.cli.command import FAILED
from tenuto.cli.connection import Place, connected
from tenuto.cli.instances.watch import CommitBell, Watcher
from tenuto.cli.instances.watching import watch_instance
from tenuto.cli.nearby import noted
from tenuto.cli.picture.view import Heading, View
from tenuto.cli.running.breakpoints import making_room_at_breakpoints
from tenuto.cli.running.stopping import say_stopping, stop_requests
from tenuto.client.starting import StartOptions, start_request
from tenuto.host.app import App
from tenuto.host.holdup import held_error, until_held
from tenuto.host.host import Host
from tenuto.host.settings import DEFAULT, LoadedSettings, Settings
from tenuto.insight.steps import Run, StepKind
from tenuto.insight.wording import one_line
from tenuto.model.errors import InputError, InstanceStateError, StorageError, StorageOwnedError
from tenuto.model.ids import InstanceId, new_instance_id
from tenuto.model.limits import Limits, limit_error
from tenuto.model.requests import StartRequest
from tenuto.model.shown_urls import shown_url
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.orchestration.references import AnyOrchestrator

_MOST_INSTANCES: Final = 100
_MEMORY: Final = "sqlite://"
_LONG_INPUT: Final = 200
"""Characters of an input that are not repeated in an error."""


class Order(Struct, frozen=True, kw_only=True):
    """What was asked for, checked as far as it can be without the store.

    Attributes:
        app: The app.
        orchestrator: What is to run.
        input: JSON text; None for no input.
        instance_id: The id that somebody chose; None for a fresh one.
        settings: The settings, with their sources.
        resume: The command that goes on, without the id.
    """

    app: App
    orchestrator: AnyOrchestrator
    input: str | None
    instance_id: InstanceId | None
    settings: LoadedSettings
    resume: tuple[str, ...]

    def resume_with(self, instance_id: str) -> str:
        """The command that goes on, as one types it."""
        return _typed([*self.resume, "--id", instance_id])

    def handed_over(self) -> str:
        """The command that lets another host on this store run it."""
        words = [*self.resume[: self.resume.index("run")], "instances", "start"]
        words.append(self.orchestrator.name)
        is_chosen = self.settings.sources["storage"].startswith("option")
        storage = shown_url(self.settings.values.storage) if is_chosen else None
        is_long = self.input is not None and len(self.input) > _LONG_INPUT
        text = "@FILE" if is_long else self.input
        given = {"--id": self.instance_id, "--input": text, "--storage": storage}
        words += [
            word for key, value in given.items() if value is not None for word in (key, value)
        ]
        return _typed(words)


def _typed(words: list[str]) -> str:
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


async def execute(order: Order, view: View) -> int:
    """Run what was ordered in a host of its own, or look on as another host does; the exit code."""
    try:
        return await _run(order, view)
    except StorageOwnedError as error:
        return await _look_on(order, view, error)


async def _run(order: Order, view: View) -> int:
    bell = CommitBell()
    host = Host(order.app, settings=order.settings.values, observer=bell, run_timers=False)
    instance_id = order.instance_id or new_instance_id(host.clock.now())

    def at_once() -> None:
        view.pause()
        _say_resume(order, instance_id)

    drain_seconds = order.settings.values.drain_seconds
    with (
        stop_requests(at_once, drain_seconds) as stop,
        making_room_at_breakpoints(view.pause),
    ):
        await host.start()
        try:
            with noted(order.settings):
                await _begin(host, order, instance_id, view)
                watcher = Watcher(host, bell, instance_id, most=_MOST_INSTANCES)
                run = await _follow(host, watcher, view, instance_id, stop)
            view.pause()
            if not run.record.status.is_finished:
                say_stopping(host)
        except StorageError:
            view.pause()
            _say_resume(order, instance_id)
            raise
        finally:
            view.pause()
            await host.stop()
        view.end(run, host.clock.now())
    if run.record.status.is_finished:
        _say_unfinished(run)
        return 0 if run.record.status is RuntimeStatus.COMPLETED else FAILED
    if run.record.hold is not None and not stop.done():
        terminal.complain(str(held_error(instance_id, run.record.hold)), InstanceStateError.code)
        return FAILED
    _say_resume(order, instance_id)
    return 128 + stop.result() if stop.done() else FAILED


async def _look_on(order: Order, view: View, owned: StorageOwnedError) -> int:
    """Another host owns the store: follow the instance that it runs, if there is one.

    Raises:
        StorageOwnedError: the instance is not there, and only that host could start it here.
    """
    async with connected(Place(storage=order.settings.values.storage)) as connection:
        known = None
        if order.instance_id is not None:
            known = await connection.gateway.get(order.instance_id)
        if known is None:
            raise StorageOwnedError(f"{owned}. To let it run this: {order.handed_over()}")
        _check_same(order, known)
        terminal.note("another host runs on this store, and this instance with it; watching")
        return await watch_instance(connection, known.instance_id, view)


async def _begin(host: Host, order: Order, instance_id: InstanceId, view: View) -> None:
    """Start the instance, or attach to the one that is there."""
    known = None
    if order.instance_id is not None:
        known = await host.engine.storage.get(instance_id)
    heading = Heading(
        storage=shown_url(host.settings.storage),
        is_default_storage=order.settings.sources["storage"] == DEFAULT,
        instance_id=instance_id,
        since=None if known is None else known.created_at,
    )
    if known is None:
        request = _request(order, instance_id, host.settings.limits, host.clock.now())
        view.begin(heading)  # before anything of the app can print
        await host.client.gateway.start(request)
    else:
        _check_same(order, known)
        view.begin(heading)


def _check_same(order: Order, known: InstanceRecord) -> None:
    name = order.orchestrator.name
    if known.name != name:
        raise InputError(
            f"instance {known.instance_id!r} runs {known.name!r}, not {name!r}; choose another "
            "--id, or name that orchestrator to attach to it"
        )
    if order.input is not None and order.input != known.input:
        terminal.note(f"instance {known.instance_id!r} keeps the input it was started with")


def _request(order: Order, instance_id: str, limits: Limits, now: Microseconds) -> StartRequest:
    orchestrator, text = order.orchestrator, order.input
    orchestrator.signature.decode_arguments(text)
    if text is not None and (size := len(text.encode())) > limits.payload_bytes:
        what = f"the input of {orchestrator.name!r} takes {size:,} bytes"
        raise limit_error("payload_bytes", limits.payload_bytes, what)
    return start_request(orchestrator, text, now, limits, StartOptions(instance_id=instance_id))


async def _follow(
    host: Host,
    watcher: Watcher,
    view: View,
    instance_id: InstanceId,
    stop: "asyncio.Future[int]",
) -> Run:
    """Show the run until it ends or is held, somebody wants to stop, or the store is lost."""
    ended = asyncio.ensure_future(host.client.gateway.wait(instance_id))
    lost = asyncio.ensure_future(host.until_lost())
    held = asyncio.ensure_future(until_held(host, instance_id))
    run = await watcher.read()
    moved = asyncio.ensure_future(watcher.next())
    try:
        said: set[tuple[str, int]] = set()
        while not any(one.done() for one in (ended, lost, stop, held)):
            _say_questions(host, view, run, said)
            view.show(run, host.clock.now())
            watched: set[asyncio.Future[Any]] = {ended, lost, stop, held, moved}
            await asyncio.wait(
                watched,
                timeout=view.frame_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if moved.done():
                run = moved.result()
                moved = asyncio.ensure_future(watcher.next())
        if lost.done():
            raise lost.result()
        if ended.done():
            ended.result()  # or its error
        elif held.done():
            held.result()  # or its error
        return await watcher.read()
    finally:
        for waiting in (ended, lost, held, moved):
            waiting.cancel()
        await asyncio.gather(ended, lost, held, moved, return_exceptions=True)


def _say_questions(host: Host, view: View, run: Run, said: set[tuple[str, int]]) -> None:
    """Somebody is asked, and this terminal shows the run: say once how it is answered."""
    instance_id = run.record.instance_id
    for step in run.steps:
        if step.run is not None:
            _say_questions(host, view, step.run, said)
        is_news = (instance_id, step.number) not in said
        if step.kind is StepKind.QUESTION and step.state.is_open and is_news:
            said.add((instance_id, step.number))
            if host.settings.storage == _MEMORY:
                continue  # no other process gets there
            storage = host.settings.storage
            place = () if storage == Settings().storage else ("--storage", shown_url(storage))
            words = ("tenuto", "instances", "answer", instance_id, "ANSWER", *place)
            view.pause()
            terminal.note(f"asks {one_line(step.name)!r}; to answer:\n  {_typed([*words])}")


# --- last words --------------------------------------------------------------------------------


def _say_resume(order: Order, instance_id: str) -> None:
    if order.settings.values.storage == _MEMORY:
        terminal.note("stopped; the store was in memory, so nothing is left of it")
        return
    terminal.note(f"stopped; to go on:\n  {order.resume_with(instance_id)}")


def _say_unfinished(run: Run) -> None:
    left = [
        step.instance_id for step in run.steps if step.kind is StepKind.CHILD and step.state.is_open
    ]
    if left:
        terminal.note(
            f"not finished, and nobody waits for it: {', '.join(map(str, left))}; "
            "it goes on when a host runs on this store"
        )
