"""``tenuto azure check``: what in an app is honoured, ignored, not supported. Runs none of it."""

from pathlib import Path
from typing import Any, Final

import click

from tenuto.cli import terminal
from tenuto.cli.command import FAILED
from tenuto.cli.instances.documents import encoded
from tenuto.cli.instances.looking import json_option
from tenuto.http.functions.route_templates import RouteTemplate
from tenuto.interop.azure_app.folder.checking import AppReport, check_app
from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.workers.protocol import FunctionFacts


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@json_option
def check(folder: Path, *, as_json: bool) -> int:
    """Say what in an Azure Functions app is not supported, before anything of it runs.

    Looks at the app in FOLDER (this one by default): language, host.json, local.settings.json,
    interpreter, packages, and the functions that its files seem to have: syntax, imports, routes,
    schedules, bindings. The values of settings are not shown. The exit code is 1 when something is
    not supported or keeps the app from being loaded, 2 when there is no app.
    """
    report = check_app(folder, parse_route=RouteTemplate)
    if as_json:
        terminal.say(encoded(_document(report)))
    else:
        _say(report)
    return 0 if report.is_supported else FAILED


# --- telling -----------------------------------------------------------------------------------

_MARKS: Final = {
    Level.HONOURED: "ok     ",
    Level.IGNORED: "ignored",
    Level.NOTE: "note   ",
    Level.UNSUPPORTED: "WRONG  ",
}
_COLOURS: Final = {
    Level.HONOURED: "green",
    Level.IGNORED: "yellow",
    Level.NOTE: "yellow",
    Level.UNSUPPORTED: "red",
}
_FUNCTIONS: Final = "functions"


def _say(report: AppReport) -> None:
    terminal.say(str(report.root))
    for topic in dict.fromkeys(one.topic for one in report.findings if one.topic != _FUNCTIONS):
        terminal.say(topic)
        for one in report.findings:
            if one.topic == topic:
                _say_finding(one)
    if report.is_guess:
        terminal.say("functions, as far as the files tell (what code computes is not seen)")
    elif report.functions:
        terminal.say(_FUNCTIONS)
    for function in report.functions:
        terminal.say(f"           {_function(function)}")
    for one in report.findings:
        if one.topic == _FUNCTIONS:
            _say_finding(one)
    terminal.say("")
    terminal.say(_summary(report))


def _summary(report: AppReport) -> str:
    """What was found, and no more: only a start shows that an app can be loaded."""
    count = sum(one.level is Level.UNSUPPORTED for one in report.findings)
    functions = len(report.functions)
    found = f"{functions or 'no'} {'function' if functions == 1 else 'functions'} found"
    if count:
        return f"{count} wrong or not supported; {found}"
    return f"nothing wrong that can be told without running the app; {found}"


def _say_finding(finding: Finding) -> None:
    where = f"{finding.place}  " if finding.place else ""
    mark = terminal.coloured(_MARKS[finding.level], _COLOURS[finding.level])
    terminal.say(f"  {mark}  {where}{finding.text}")
    # What a key does is said in the docs; why it does nothing, here.
    if finding.advice and finding.level is not Level.HONOURED:
        terminal.say(f"           -> {finding.advice}")


def _function(function: FunctionFacts) -> str:
    types = ", ".join(str(one.get("type", "?")) for one in function.bindings)
    return f"{_place(function)}  {function.name}: {types}"


def _place(function: FunctionFacts) -> str:
    return f"{function.file}:{function.line}" if function.line else str(function.file)


def _document(report: AppReport) -> dict[str, Any]:
    return {
        "folder": str(report.root),
        "supported": report.is_supported,
        "findings": [
            {
                "level": one.level.value,
                "topic": one.topic,
                "text": one.text,
                "advice": one.advice,
                "file": one.file,
                "line": one.line,
            }
            for one in report.findings
        ],
        "functionsAreGuessed": report.is_guess,
        "functions": [
            {
                "name": one.name,
                "bindings": [str(binding.get("type", "?")) for binding in one.bindings],
                "file": one.file,
                "line": one.line,
            }
            for one in report.functions
        ],
    }
