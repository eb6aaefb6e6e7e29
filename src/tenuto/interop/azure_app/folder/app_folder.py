"""The folder of an Azure Functions app, read whole before anything of it runs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.azure_app.folder.host_json import HOST_FILE, HostOptions, read_host_file
from tenuto.interop.azure_app.folder.languages import Kind, Unsupported, kind_of
from tenuto.interop.azure_app.folder.settings import (
    LOCAL_FILE,
    AppSettings,
    LocalHost,
    read_local_settings,
)
from tenuto.model.errors import AppLoadError

WORKER_RUNTIME: Final = "FUNCTIONS_WORKER_RUNTIME"
_SCRIPT_NAME: Final = "PYTHON_SCRIPT_FILE_NAME"
_MOST_WORKERS: Final = 10
_MOST_THREADS: Final = 32


class AppFolder(Struct, frozen=True, kw_only=True):
    """The folder of an app.

    Attributes:
        root: The folder, absolute.
        kind: Language and programming model.
        host: What of ``host.json`` is in force.
        settings: The app's settings; they show no values.
        local: How ``local.settings.json`` wants the server to listen.
        workers: How many worker processes the app wants, 1 to 10.
        threads: How many sync functions may run at once in a Python worker, 1 to 32; None when
            nothing is said.
        findings: What became of each key and file.
    """

    root: Path
    kind: Kind
    host: HostOptions
    settings: AppSettings
    local: LocalHost
    workers: int = 1
    threads: int | None = None
    findings: tuple[Finding, ...] = ()


class UnsupportedApp(Struct, frozen=True, kw_only=True):
    """An app, but none that can be run here: the finding says why."""

    root: Path
    finding: Finding


def read_app_folder(path: Path, environment: Mapping[str, str] | None = None) -> AppFolder:
    """Read the folder of an Azure Functions app.

    Args:
        path: The folder in which ``host.json`` is.
        environment: Variables, which win over ``local.settings.json``; those of the process by
            default.

    Raises:
        AppLoadError: it is no app, one that cannot be run here, or one of its files is wrong; names
            file and key, and what to do.

    Example:
        ``read_app_folder(Path("travel")).host.http.route_prefix``
    """
    found = examine_app_folder(path, environment)
    if isinstance(found, UnsupportedApp):
        raise AppLoadError(f"{str(path)!r} holds {found.finding.text}. {found.finding.advice}")
    for one in found.findings:
        if one.level is Level.UNSUPPORTED:
            where = f"{one.place}: " if one.place else ""
            raise AppLoadError(f"{where}{one.text} is not supported: {one.advice}")
    return found


def examine_app_folder(
    path: Path, environment: Mapping[str, str] | None = None
) -> AppFolder | UnsupportedApp:
    """Read a folder as :func:`read_app_folder` does, but tell what is not supported as findings.

    Raises:
        AppLoadError: it is no app, or one of its files is wrong.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "is not there"
        raise AppLoadError(f"{str(path)!r} {what}; name the folder in which host.json is")
    root = path.resolve()
    local_values, local = read_local_settings(root)
    settings = AppSettings(local_values, os.environ if environment is None else environment)
    kind = kind_of(root, settings.get(WORKER_RUNTIME), settings.get(_SCRIPT_NAME))
    if isinstance(kind, Unsupported):
        finding = Finding(level=Level.UNSUPPORTED, topic="app", text=kind.text, advice=kind.advice)
        return UnsupportedApp(root=root, finding=finding)
    host = read_host_file(root, settings)
    return AppFolder(
        root=root,
        kind=kind,
        host=host.options,
        settings=settings,
        local=local,
        workers=_count(settings, "FUNCTIONS_WORKER_PROCESS_COUNT", _MOST_WORKERS) or 1,
        threads=_count(settings, "PYTHON_THREADPOOL_THREAD_COUNT", _MOST_THREADS),
        findings=(
            *_about_the_app(root, kind, settings),
            *_about_settings(settings, local),
            *host.findings,
        ),
    )


def is_app_folder(path: Path) -> bool:
    """Whether a path looks like the folder of an Azure Functions app, supported or not.

    Example:
        ``is_app_folder(Path("."))``
    """
    if not path.is_dir():
        return False
    if (path / HOST_FILE).is_file():
        return True
    try:
        kind_of(path, None, None)
    except AppLoadError:
        return False
    return True


def _count(settings: AppSettings, name: str, most: int) -> int | None:
    given = settings.get(name)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= most):
        raise AppLoadError(f"setting {name} must be a number from 1 to {most}")
    return int(given)


def _about_the_app(root: Path, kind: Kind, settings: AppSettings) -> list[Finding]:
    findings = [Finding(level=Level.HONOURED, topic="app", text=str(kind))]
    said = settings.get(WORKER_RUNTIME)
    if said is not None and said.lower() != kind.language:
        findings.append(
            Finding(
                level=Level.NOTE,
                topic="app",
                text=f"{WORKER_RUNTIME} names another language",
                advice=f"the app is run as what it is; set {WORKER_RUNTIME} to {kind.language}",
            )
        )
    if not (root / HOST_FILE).is_file():
        findings.append(
            Finding(
                level=Level.NOTE,
                topic="app",
                text=f"there is no {HOST_FILE}: its defaults are in force",
                advice='Azure and `func start` want one; the least is {"version": "2.0"}',
            )
        )
    return findings


def _about_settings(settings: AppSettings, local: LocalHost) -> list[Finding]:
    findings = []
    if settings.local_names:
        names = ", ".join(settings.local_names)
        findings.append(Finding(level=Level.HONOURED, topic=LOCAL_FILE, text=names))
    if "*" in local.cors_origins:
        findings.append(
            Finding(
                level=Level.NOTE,
                topic=LOCAL_FILE,
                text="Host.CORS is *: every web page that anybody opens who can reach this server "
                "may call the functions of the app, read what they answer, and steer the instances "
                "whose links they hand out; where no keys are set, nothing keeps it from that",
                advice="name the origins of your own pages instead, such as http://localhost:3000",
            )
        )
    if local.cors_credentials:
        findings.append(
            Finding(
                level=Level.IGNORED,
                topic=LOCAL_FILE,
                text="Host.CORSCredentials",
                advice="pages of other origins may call, but not with cookies",
            )
        )
    if settings.overridden_names:
        findings.append(
            Finding(
                level=Level.NOTE,
                topic=LOCAL_FILE,
                text=f"the environment wins for {', '.join(settings.overridden_names)}",
            )
        )
    return findings
