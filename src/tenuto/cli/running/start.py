"""``tenuto start``: an app as a server, until it is told to stop."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from msgspec import Struct

from tenuto.cli import terminal
from tenuto.cli.arguments import target_completion
from tenuto.cli.nearby import drop_old_notes, noted
from tenuto.cli.running.introducing import introduce
from tenuto.cli.running.opening import open_dashboard
from tenuto.cli.running.reloading import (
    Watched,
    files_of_azure_app,
    is_reloaded,
    serve_and_reload,
)
from tenuto.cli.running.stopping import say_stopping, stop_requests
from tenuto.host.azure import (
    AzureChoices,
    app_folder_around,
    azure_settings,
    is_azure_app,
    load_azure_app,
    read_azure_app,
)
from tenuto.host.deploying.channel import CHILD, ChildFacts, ChildLine
from tenuto.host.host import Host
from tenuto.host.loading import load_app
from tenuto.host.on_demand.idleness import Idleness
from tenuto.host.on_demand.line import SleeperLine, Woken
from tenuto.host.own_loop import run_on_fast_loop
from tenuto.host.programs import Hosted
from tenuto.host.server import Server
from tenuto.host.settings import DEFAULT, LoadedSettings, load_settings
from tenuto.http.server.socket import adopted, handed_in
from tenuto.insight.going_on import sentence
from tenuto.interop.azure_app.program import AzureProgram
from tenuto.model.errors import TenutoError
from tenuto.model.shown_urls import shown_url
from tenuto.storage import upkeep_of
from tenuto.telemetry.log_setup import configure_logging

_LOGGER: Final = logging.getLogger("tenuto.host")
_SYSTEMD: Final = "a socket of systemd"


@click.command(short_help="Serve an app: HTTP API, triggers, orchestrations.")
@click.argument("target", required=False, shell_complete=target_completion)
@click.argument("names", nargs=-1, metavar="")
@click.option("--storage", help="Storage URL, such as sqlite:///travel.db.")
@click.option(
    "--storage-direct",
    metavar="URL",
    help="PostgreSQL without the pooler of --storage, for notifications and leases.",
)
@click.option("--host", "http_host", help="Address to listen on; others than loopback need keys.")
@click.option(
    "-p",
    "--port",
    "http_port",
    type=click.IntRange(0, 65_535),
    help="Port to listen on (7071); 0: any.",
)
@click.option(
    "--cors",
    "--function-origins",
    "http_function_origins",
    metavar="ORIGINS",
    callback=lambda _context, _option, text: _origins(text),
    help="Web origins whose scripts may call functions, with commas between; * for all.",
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), help="For people, or for machines."
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="The least important lines that are shown.",
)
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Go on with a copy although its original's host had not stopped.",
)
@click.option(
    "--allow-deploy",
    is_flag=True,
    help="Take new versions of the app from whoever has an admin key.",
)
@click.option("--open", "is_shown", is_flag=True, help="Open the dashboard in a browser.")
@click.option("--reload", is_flag=True, help="Start anew when a file of the app changes.")
@click.option("--verbose", is_flag=True, help="Show everything: the same as --log-level debug.")
@click.option(
    "--functions", metavar="NAME...", help="Of an Azure Functions app: run only these functions."
)
@click.option(
    "--inspect",
    "debug_port",
    is_flag=False,
    flag_value="0",
    metavar="[PORT]",
    type=click.IntRange(0, 65_535),
    help="Of an Azure Functions app: let a debugger attach (9229 for Node, 9091 for Python).",
)
def start(
    target: str | None,
    names: tuple[str, ...],
    *,
    accept_loss: bool,
    is_shown: bool,
    reload: bool,
    functions: str | None,
    debug_port: int | None,
    **given: Any,
) -> int:
    """Serve an app until Ctrl-C or SIGTERM.

    TARGET is a file or module: travel.py, pkg.module, or either with the app behind a colon; or
    the folder of an Azure Functions app, which may be left out where it is the current one.
    Instances that a host left unfinished in the store go on. The exit code is 0 when it was
    stopped, 1 when it lost its store or another host owns it, 2 when app or settings are wrong.
    """
    if given.pop("verbose"):
        given["log_level"] = "debug"
    takes_versions = given.pop("allow_deploy")
    settings = load_settings(**given, given_as="option --{option}")
    target = target_or_here(target)
    child = _child_facts()
    if takes_versions and child is None:
        if os.environ.get("LISTEN_FDS"):
            raise click.UsageError(
                "--allow-deploy makes its own socket: it goes with none of systemd"
            )
        if reload or functions or debug_port is not None:
            raise click.UsageError(
                "--allow-deploy goes with none of --reload, --functions, --inspect"
            )
        from tenuto.cli.running.replacing import replaceable

        return replaceable(target, settings.values)
    if child is not None:
        target = child.target
    listening = adopted(child.listening) if child is not None else handed_in()
    if reload:
        if listening is not None:
            raise click.UsageError("--reload makes its own socket: it goes with none of systemd")
        is_app_folder = is_azure_app(target)
        return serve_and_reload(
            files_of_azure_app(Path(target)) if is_app_folder else Watched(folder=Path.cwd())
        )
    choices = AzureChoices(functions=chosen(functions, names), debug_port=debug_port)
    return serve(
        target,
        settings,
        Start(
            choices=choices,
            child=child,
            listening=listening,
            is_handed_in=child is None,
            is_shown=is_shown,
            accept_loss=accept_loss,
        ),
    )


class Start(Struct, frozen=True, kw_only=True):
    """How an app is to be served.

    Attributes:
        choices: Of an Azure Functions app.
        child: What a parent that takes new versions tells.
        listening: The socket, if there is one already.
        is_handed_in: Whether systemd has made it, at an address of its own.
        woken: What the small process gives of a server that is there on demand.
        is_shown: Whether a browser is to show it.
        accept_loss: Whether a copy goes on although its original's host had not stopped.
    """

    choices: AzureChoices
    child: ChildFacts | None = None
    listening: socket.socket | None = None
    is_handed_in: bool = False
    woken: Woken | None = None
    is_shown: bool = False
    accept_loss: bool = False


def serve(target: str, settings: LoadedSettings, how: Start) -> int:
    """Serve an app until it is told to stop, or sleeps; the exit code.

    Args:
        target: The app.
        settings: Those in force.
        how: Whose child it is, and the like.
    """
    began = time.perf_counter()
    child, is_again, is_shown = how.child, is_reloaded(), how.is_shown
    hosted, settings = _load(target, settings, how.choices)
    if how.listening is not None and how.is_handed_in:
        settings = settings_at(settings, how.listening)
    line = None if child is None else ChildLine(child, settings.values.deploy)
    if child is not None and line is not None:
        is_again, is_shown = child.is_again, is_shown and not child.is_again
        if not line.wait_to_go():
            return 0
    if how.accept_loss:
        upkeep_of(settings.values.storage, settings.values.storage_direct).accept_loss()
    # Commands are given in the folder of the app that they mean.
    home = hosted.app.root if isinstance(hosted, AzureProgram) else Path()
    drop_old_notes(home)
    try:
        began_as = _Beginning(
            target=target,
            home=home,
            began=began,
            is_again=is_again,
            is_shown=is_shown,
            listening=how.listening,
            line=line,
            woken=how.woken,
        )
        return run_on_fast_loop(_serve(hosted, settings, began_as))
    finally:
        if isinstance(hosted, AzureProgram):
            hosted.close()


def settings_at(settings: LoadedSettings, listening: socket.socket) -> LoadedSettings:
    """The settings with the address of a socket that somebody else has made: it counts, also for
    whether there must be keys.

    Args:
        settings: All others.
        listening: The socket.
    """
    host, port = listening.getsockname()[:2]
    http = msgspec.structs.replace(settings.values.http, host=host, port=port)
    return LoadedSettings(
        msgspec.structs.replace(settings.values, http=http),
        {**settings.sources, "http.host": _SYSTEMD, "http.port": _SYSTEMD},
    )


def _child_facts() -> ChildFacts | None:
    """What the parent of this process tells it; None without one that takes new versions."""
    told = os.environ.pop(CHILD, None)
    return None if told is None else msgspec.json.decode(told, type=ChildFacts)


def _load(
    target: str, settings: LoadedSettings, choices: AzureChoices
) -> tuple[Hosted, LoadedSettings]:
    """What is to be served, and the settings with what it says itself."""
    if is_azure_app(target) or target in {".", ".."}:
        app = read_azure_app(target)
        settings = azure_settings(app, settings)
        configure_logging(settings.values.log_format, settings.values.log_level)
        return load_azure_app(app, settings, choices), settings
    around = app_folder_around(target)
    if around is not None:
        raise click.UsageError(
            f"{target!r} is a file of an Azure Functions app; name its folder: "
            f"tenuto start {around}"
        )
    if choices != AzureChoices():
        raise click.UsageError("--functions and --inspect are for Azure Functions apps")
    hosted = load_app(target).app
    configure_logging(settings.values.log_format, settings.values.log_level)
    return hosted, settings


def target_or_here(given: str | None) -> str:
    """What was named, or the Azure Functions app that the current folder is.

    Raises:
        UsageError: nothing was named, and the folder is none.
    """
    if given is not None:
        return given
    if is_azure_app("."):
        return "."
    raise click.UsageError("Missing argument 'TARGET': the file, module or folder with the app.")


def _origins(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(one.strip().rstrip("/") for one in text.split(",") if one.strip())


def chosen(functions: str | None, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names behind ``--functions``, with spaces or commas between them."""
    if functions is None:
        if names:
            raise click.UsageError(f"Got unexpected extra argument ({names[0]})")
        return ()
    return tuple(name for one in (functions, *names) for name in one.split(",") if name)


class _Beginning(Struct, frozen=True, kw_only=True):
    """What is served, from which folder, since when, whether it was there a moment ago, whether a
    browser is to show it, the socket if there is one already, and the parent: where versions may
    take its place, or where it is there on demand.
    """

    target: str
    home: Path
    began: float
    is_again: bool
    is_shown: bool
    listening: socket.socket | None
    line: ChildLine | None
    woken: Woken | None


async def _serve(hosted: Hosted, settings: LoadedSettings, start: _Beginning) -> int:
    server = Server(
        hosted,
        settings=settings.values,
        sources=settings.sources,
        listening=start.listening,
        deployments=start.line,
    )
    with stop_requests(lambda: None, settings.values.drain_seconds) as stop:
        await server.start()
        try:
            with noted(settings, server.url, start.home):
                seconds = time.perf_counter() - start.began
                if start.woken is None or start.woken.is_first:
                    introduce(server, start.target, settings, seconds, is_again=start.is_again)
                if start.is_shown:
                    open_dashboard(server.dashboard_url)
                if start.line is not None:
                    await start.line.serving(stop)
                if start.woken is not None:
                    return await _serve_on_demand(server, settings, start.woken, stop)
                await _until_over(server.host, settings, [stop])
                if start.line is not None:
                    # Another version takes its place: callers wait only from here on.
                    await server.host.drain()
                    start.line.closing()
        finally:
            if start.line is not None:
                start.line.close()
            await server.stop()
    return 0


async def _serve_on_demand(
    server: Server, settings: LoadedSettings, woken: Woken, stop: "asyncio.Future[int]"
) -> int:
    """Until it is asked to stop, or has nothing to do: then it says until when."""
    line = SleeperLine(woken)
    line.serving(stop)
    idleness = Idleness(server, settings.values.on_demand, is_called=woken.is_called)
    resting = asyncio.ensure_future(idleness.rest())
    try:
        await _until_over(server.host, settings, [stop, resting])
        if resting.done():
            was_busy = await idleness.let_finish()
            await server.stop()
            await line.sleeps(resting.result(), settings.values, was_busy=was_busy)
    finally:
        resting.cancel()
        line.close()
    return 0


async def _until_over(
    host: Host, settings: LoadedSettings, ends: Sequence["asyncio.Future[Any]"]
) -> None:
    """Until one of these says that it is over; raises when the host has lost its store."""
    looking = asyncio.ensure_future(_say_what_goes_on(host, settings))
    lost = asyncio.ensure_future(host.until_lost())
    watched: list[asyncio.Future[Any]] = [*ends, lost]
    await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    if lost.done():
        raise lost.result()
    lost.cancel()
    looking.cancel()
    say_stopping(host)


async def _say_what_goes_on(host: Host, settings: LoadedSettings) -> None:
    """One line, once it is known; the log is told of what goes wrong."""
    try:
        found = await host.look_ahead()
    except TenutoError as error:
        _LOGGER.warning("what the store goes on with could not be read: %s", error)
        return
    if found.is_nothing:
        return
    is_default = settings.sources["storage"] == DEFAULT
    place = () if is_default else ("--storage", shown_url(settings.values.storage))
    text = sentence(found, place)
    if settings.values.log_format == "json":
        facts = {
            "waits": {str(kind): count for kind, count in found.waits.items()},
            "held": {str(reason): count for reason, count in found.held.items()},
            "has_more": found.has_more,
        }
        _LOGGER.info("%s", text, extra=facts)
    else:
        terminal.say(text)
