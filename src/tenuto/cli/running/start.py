"""``tenuto start``: an app as a server, until it is told to stop."""

import asyncio
import logging
import sys
import time
from typing import Any, Final

import click

from tenuto.cli import terminal
from tenuto.cli.arguments import target_completion
from tenuto.cli.nearby import drop_old_notes, noted
from tenuto.cli.running.reloading import is_reloaded, serve_and_reload
from tenuto.cli.running.stopping import say_stopping, stop_key, stop_requests
from tenuto.host.app import App
from tenuto.host.host import Host
from tenuto.host.loading import load_app
from tenuto.host.own_loop import run_on_fast_loop
from tenuto.host.server import Server
from tenuto.host.settings import DEFAULT, LoadedSettings, load_settings
from tenuto.insight.going_on import sentence
from tenuto.model.errors import TenutoError
from tenuto.storage import upkeep_of
from tenuto.telemetry.log_setup import configure_logging

_LOGGER: Final = logging.getLogger("tenuto.host")


@click.command(short_help="Serve an app: HTTP API, triggers, orchestrations.")
@click.argument("target", shell_complete=target_completion)
@click.option("--storage", help="Storage URL, such as sqlite:///travel.db.")
@click.option("--host", "http_host", help="Address to listen on; others than loopback need keys.")
@click.option(
    "--port", "http_port", type=click.IntRange(0, 65_535), help="Port to listen on (7071); 0: any."
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
@click.option("--reload", is_flag=True, help="Start anew when a Python file of the app changes.")
def start(
    target: str,
    *,
    accept_loss: bool,
    reload: bool,
    **given: Any,
) -> int:
    """Serve an app until Ctrl-C or SIGTERM.

    TARGET is a file or module: travel.py, pkg.module, or either with the app behind a colon.
    Instances that a host left unfinished in the store go on. The exit code is 0 when it was
    stopped, 1 when it lost its store, 2 when it could not start.
    """
    settings = load_settings(**given, given_as="option --{option}")
    if reload:
        return serve_and_reload()
    began = time.perf_counter()
    is_again = is_reloaded()
    loaded = load_app(target)
    configure_logging(settings.values.log_format, settings.values.log_level)
    if accept_loss:
        upkeep_of(settings.values.storage).accept_loss()
    drop_old_notes()
    return run_on_fast_loop(_serve(loaded.app, target, settings, began, is_again=is_again))


async def _serve(
    app: App, target: str, settings: LoadedSettings, began: float, *, is_again: bool
) -> int:
    server = Server(app, settings=settings.values, sources=settings.sources)
    with stop_requests(lambda: None, settings.values.drain_seconds) as stop:
        await server.start()
        try:
            with noted(settings, server.url):
                seconds = time.perf_counter() - began
                _introduce(server, target, settings, seconds, is_again=is_again)
                await _until_over(server.host, settings, stop)
        finally:
            await server.stop()
    return 0


async def _until_over(host: Host, settings: LoadedSettings, stop: "asyncio.Future[int]") -> None:
    """Until it is asked to stop; raises when it has lost its store."""
    looking = asyncio.ensure_future(_say_what_goes_on(host, settings))
    lost = asyncio.ensure_future(host.until_lost())
    watched: list[asyncio.Future[Any]] = [stop, lost]
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
    place = () if is_default else ("--storage", settings.values.storage)
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


def _introduce(
    server: Server, target: str, settings: LoadedSettings, seconds: float, *, is_again: bool
) -> None:
    """What is served, and where; a line of the log when that is for machines."""
    program = server.host.program
    if settings.values.log_format == "json":
        facts = {
            "url": server.url,
            "target": target,
            "orchestrators": list(program.orchestrators),
            "activities": list(program.activities),
            "functions": [f"{server.url}{one.path}" for one in server.triggers],
        }
        _LOGGER.info("listening on %s", server.url, extra=facts)
        return
    is_default = settings.sources["storage"] == DEFAULT
    hint = " (the default; --storage chooses another)" if is_default else ""
    lines = [
        f"app            {target}",
        f"store          {settings.values.storage}{hint}",
        f"orchestrators  {', '.join(program.orchestrators) or 'none'}",
        f"activities     {', '.join(program.activities) or 'none'}",
    ]
    lines += [f"{'/'.join(one.methods):<14} {server.url}{one.path}" for one in server.triggers]
    if not is_again:
        example = next(iter(program.orchestrators), None)
        if example is not None:
            path = f"/runtime/webhooks/durabletask/orchestrators/{example}"
            key = " -H 'x-functions-key: KEY'" if settings.values.http.keys else ""
            lines.append(f"start one      curl -X POST {server.url}{path}{key} -d INPUT")
    lines.append(
        f"listening      {server.url} (ready after {seconds * 1000:.0f} ms; {stop_key()} stops it)"
    )
    for line in lines:
        terminal.say(line)
    sys.stdout.flush()
