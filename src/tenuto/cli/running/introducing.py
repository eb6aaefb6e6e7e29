"""What a server says when it has begun: what it serves, and where."""

import logging
import sys
from collections.abc import Iterator
from typing import Final

from tenuto.cli import terminal
from tenuto.cli.running.stopping import stop_key
from tenuto.engine.program import HttpFunction, Program
from tenuto.host.azure import BESIDE_THE_APP
from tenuto.host.server import Server
from tenuto.host.settings import DEFAULT, LoadedSettings
from tenuto.host.timers import timer_lines
from tenuto.http.admin.event_functions import event_function_info
from tenuto.interop.azure_app.program import AzureProgram
from tenuto.model.shown_urls import shown_url

_LOGGER: Final = logging.getLogger("tenuto.host")
_UNCHOSEN: Final = {DEFAULT: "the default", BESIDE_THE_APP: BESIDE_THE_APP}
"""What is said of a store that nobody has chosen, by the source of the setting."""


def introduce(
    server: Server, target: str, settings: LoadedSettings, seconds: float, *, is_again: bool
) -> None:
    """Say what is served, and where; a line of the log when that is for machines.

    Args:
        server: What has begun.
        target: What was named to be served.
        settings: Those in force.
        seconds: How long it took.
        is_again: Whether it was there a moment ago, with other code.
    """
    program = server.host.program
    if settings.values.log_format == "json":
        urls = [f"{server.url}{one.path}" for one in server.triggers]
        facts = {
            "url": server.url,
            "dashboard": server.dashboard_url,
            "target": target,
            "orchestrators": list(program.orchestrators),
            "activities": list(program.activities),
            "functions": urls + [_url(server, one) for one in program.http_functions],
            "timers": [one.name for one in program.timers],
            "triggered": [one.name for one in program.triggered],
        }
        _LOGGER.info("listening on %s", server.url, extra=facts)
        return
    source = settings.sources["storage"]
    hint = f" ({_UNCHOSEN[source]}; --storage chooses another)" if source in _UNCHOSEN else ""
    app = program.app.root if isinstance(program, AzureProgram) else target
    shown = shown_url(settings.values.storage)
    lines = [f"app            {app}", f"store          {shown}{hint}"]
    if isinstance(program, AzureProgram):
        lines += _functions(server, program)
    else:
        lines += _orchestrations(server, program, settings, is_again=is_again)
    peers = server.host.engine.peers
    if peers is not None and peers.versions:
        lines.append(f"app version    {peers.versions.removeprefix('version ')}")
    lines.append(
        f"listening      {server.url} (ready after {seconds * 1000:.0f} ms; {stop_key()} stops it)"
    )
    if server.dashboard_url is not None:
        lines.append(f"look at it: {server.dashboard_url}")
    for line in lines:
        terminal.say(line)
    sys.stdout.flush()


def _orchestrations(
    server: Server, program: Program, settings: LoadedSettings, *, is_again: bool
) -> list[str]:
    lines = [
        f"orchestrators  {', '.join(program.orchestrators) or 'none'}",
        f"activities     {', '.join(program.activities) or 'none'}",
    ]
    lines += [f"{'/'.join(one.methods):<14} {server.url}{one.path}" for one in server.triggers]
    lines += [f"{'/'.join(one.methods):<14} {_url(server, one)}" for one in program.http_functions]
    now = server.host.clock.now()
    lines += [f"{'timer':<14} {line}" for line in timer_lines(program.timers, now)]
    lines += [f"{kind:<14} {what}" for kind, what in _triggered(server, program)]
    example = next(iter(program.orchestrators), None)
    if example is not None and not is_again:
        path = f"/runtime/webhooks/durabletask/orchestrators/{example}"
        key = " -H 'x-functions-key: KEY'" if settings.values.http.keys else ""
        lines.append(f"start one      curl -X POST {server.url}{path}{key} -d INPUT")
    return lines


def _triggered(server: Server, program: Program) -> Iterator[tuple[str, str]]:
    """What events start functions, and these."""
    for one in map(event_function_info, program.triggered):
        is_posted = one.trigger == "event"
        place = f"{server.url}{one.source}" if is_posted else f"{one.source} for {one.name}"
        yield one.trigger, place


def _functions(server: Server, program: AzureProgram) -> list[str]:
    """The functions of an app as Core Tools lists them."""
    now = server.host.clock.now()
    behind_http = {one.name: one for one in program.http_functions}
    timers = {one.name: one for one in program.timers}
    lines = [f"runs on        {program.runtime}", "", "Functions:", ""]
    for one in program.functions:
        http, timer = behind_http.get(one.name), timers.get(one.name)
        if http is not None:
            what = f"[{','.join(http.methods)}] {_url(server, http)}"
        elif timer is not None:
            what = f"timerTrigger {timer_lines([timer], now)[0].partition(' ')[2]}"
        else:
            what = str(one.trigger.get("type", "no trigger"))
        lines += [f"        {one.name}: {what}"]
    lines += [
        f"        {name}: disabled by the setting AzureWebJobs.{name}.Disabled"
        for name in program.names
        if program.app.settings.is_disabled(name)
    ]
    return [*lines, ""]


def _url(server: Server, function: HttpFunction) -> str:
    path = "/".join(part for part in (function.prefix, function.route) if part)
    return f"{server.url}/{path}"
