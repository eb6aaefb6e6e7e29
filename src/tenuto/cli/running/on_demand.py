"""``tenuto serve-on-demand``: an app whose process runs while it is used.

This process takes the socket and becomes the small one (``host.on_demand.sleeper``), which starts
the same command again for the app's own.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from tenuto.cli.running.start import Start, chosen, serve, settings_at, start, target_or_here
from tenuto.host.azure import AzureChoices, azure_settings, is_azure_app, read_azure_app
from tenuto.host.on_demand import sleeper
from tenuto.host.on_demand.line import woken
from tenuto.host.settings import LoadedSettings, load_settings
from tenuto.http.server.socket import adopted, handed_in, listen
from tenuto.model.errors import SettingsError

_MEMORY: Final = "sqlite://"
_NOT_HERE: Final = {
    "accept_loss",
    "takes_versions",
    "allow_deploy",
    "is_shown",
    "reload",
    "debug_port",
}
"""What is for a person who looks on, or done once."""


def _serve_on_demand(
    target: str | None, names: tuple[str, ...], *, functions: str | None, **given: Any
) -> int:
    """Serve an app whose process runs only while there is something to do.

    TARGET and options are those of `tenuto start`. Asleep, a small process holds the socket. A
    request, a timer that is due, or what comes through the store starts the app's; after
    on_demand.idle_seconds without anything to do it ends.
    """
    if given.pop("verbose"):
        given["log_level"] = "debug"
    settings = load_settings(**given, given_as="option --{option}")
    target = target_or_here(target)
    choices = AzureChoices(functions=chosen(functions, names))
    facts = woken()
    if facts is None:
        _become_sleeper(target, settings)
    how = Start(
        choices=choices,
        listening=adopted(facts.listening),
        is_handed_in=facts.is_handed_in,
        woken=facts,
    )
    return serve(target, settings, how)


def _become_sleeper(target: str, settings: LoadedSettings) -> NoReturn:
    """Take the socket, and be the small process from here on.

    Raises:
        SettingsError: the store would not outlive a sleep, the port is taken, or this is Windows.
    """
    if sys.platform == "win32":
        raise SettingsError("serve-on-demand does not work on Windows; use tenuto start")
    if is_azure_app(target):
        settings = azure_settings(read_azure_app(target), settings)
    if settings.values.storage == _MEMORY:
        raise SettingsError(
            "a store in memory (sqlite://) is gone when the app sleeps; name a file, such as "
            "sqlite:///tenuto.db"
        )
    listening = handed_in()
    is_handed_in = listening is not None
    if listening is None:
        listening = listen(settings.values.http)
    http = settings_at(settings, listening).values.http
    host = f"[{http.host}]" if ":" in http.host else http.host
    told = {
        "listening": listening.fileno(),
        "command": [sys.executable, "-P", "-m", "tenuto", *sys.argv[1:]],
        "folder": str(_folder_of(target)),
        "url": f"http://{host}:{http.port}",
        "log": settings.values.log_format,
        "drain_seconds": settings.values.drain_seconds,
        "is_handed_in": is_handed_in,
    }
    listening.set_inheritable(True)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(  # noqa: S606 - this very program, without all that it has loaded
        sys.executable, [sys.executable, "-P", "-m", sleeper.__name__, json.dumps(told)]
    )


def _folder_of(target: str) -> Path:
    """Where the code of an app is; of a module, the current folder."""
    path = Path(target.partition(".py")[0] + ".py") if ".py" in target else Path(target)
    if path.is_dir():
        return path.resolve()
    return path.resolve().parent if path.is_file() else Path.cwd()


serve_on_demand: click.Command = click.Command(
    "serve-on-demand",
    callback=_serve_on_demand,
    params=[one for one in start.params if one.name not in _NOT_HERE],
    help=_serve_on_demand.__doc__,
    short_help="Serve an app whose process runs while it is used.",
)
