"""Azure Functions apps for a host: folder, interpreter and settings become a program."""

import logging
import os
import shlex
import socket
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from tenuto.functions.runner import RunnerOptions
from tenuto.host.notifications.options import NotificationSettings, NotificationTarget
from tenuto.host.settings import DEFAULT, DEFAULT_STORAGE, LoadedSettings
from tenuto.interop.azure_app.folder.app_folder import AppFolder, is_app_folder, read_app_folder
from tenuto.interop.azure_app.folder.environment import environment_for
from tenuto.interop.azure_app.folder.host_json import HOST_FILE, EventGridOptions, HostOptions
from tenuto.interop.azure_app.folder.interpreters import Interpreter, find_interpreter
from tenuto.interop.azure_app.folder.languages import DEFAULT_SCRIPT, Language
from tenuto.interop.azure_app.folder.settings import LOCAL_FILE
from tenuto.interop.azure_app.program import AzureProgram, ProgramOptions
from tenuto.interop.azure_functions.command import worker_command
from tenuto.interop.node import WORKER
from tenuto.interop.workers.executed import FUNCTIONS
from tenuto.interop.workers.launching import Launch
from tenuto.model.errors import AppLoadError, SettingsError
from tenuto.model.notices import NoticeKind

DEBUG_PORTS: Final[Mapping[Language, int]] = {Language.NODE: 9229, Language.PYTHON: 9091}
"""Where debuggers look for an app of each language when nobody says otherwise."""

BESIDE_THE_APP: Final = f"beside {HOST_FILE}"
"""The source of a store that belongs to the folder of an app, and not to the current one."""

_DEBUG_VARIABLE: Final = "TENUTO_DEBUGPY"
_USUAL_THREADS: Final = 4
_MOST_USUAL_THREADS: Final = 32
_LEVELS: Final = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}


class AzureChoices(Struct, frozen=True, kw_only=True):
    """What the one who starts an app decides about it.

    Attributes:
        functions: The only functions that are run; none named means what ``host.json`` says.
        debug_port: Where a debugger may attach; 0 for the language's usual port, None for not.
    """

    functions: tuple[str, ...] = ()
    debug_port: int | None = None


def is_azure_app(target: str) -> bool:
    """Whether what somebody wants to run is the folder of an Azure Functions app."""
    return is_app_folder(Path(target))


def app_folder_around(target: str) -> Path | None:
    """The folder of an Azure Functions app of which somebody has named a file that it is no app.

    Args:
        target: What somebody wants to run.
    """
    path = Path(target)
    is_of_python = path.suffix == ".py" and path.name != DEFAULT_SCRIPT
    if not path.is_file() or is_of_python:
        return None
    around = (one for one in path.parents if (one / HOST_FILE).is_file() and is_app_folder(one))
    return next(around, None)


def azure_settings(app: AppFolder, settings: LoadedSettings) -> LoadedSettings:
    """The host's settings, with what the app's folder says where nobody else says it.

    ``local.settings.json`` says how the server listens. The store is beside ``host.json``, from
    wherever the app is started: two apps never share one by chance.
    """
    local, sources, http = app.local, dict(settings.sources), settings.values.http
    storage = settings.values.storage
    if sources["storage"] == DEFAULT and app.root != Path.cwd():
        storage = storage_beside(app.root)
        sources["storage"] = BESIDE_THE_APP
    if local.port is not None and sources["http.port"] == DEFAULT:
        http = structs.replace(http, port=local.port)
        sources["http.port"] = LOCAL_FILE
    is_said = any(sources[f"http.{one}"] != DEFAULT for one in ("cors_origins", "function_origins"))
    if local.cors_origins and not is_said:
        # Of an app, so for its functions: what looks after the host is not the app's to open.
        http = structs.replace(http, function_origins=local.cors_origins)
        sources["http.function_origins"] = LOCAL_FILE
    values = structs.replace(settings.values, http=http, storage=storage)
    grid = app.host.durable.event_grid
    if grid is not None and sources["notifications.targets"] == DEFAULT:
        values = structs.replace(values, notifications=_told(app, grid))
        sources["notifications.targets"] = sources["notifications.hub"] = HOST_FILE
    return LoadedSettings(values, sources)


def _told(app: AppFolder, grid: EventGridOptions) -> NotificationSettings:
    """Whom ``host.json`` wants to be told what becomes of orchestrations.

    Raises:
        AppLoadError: the address cannot be used, or the app has no setting with the key.
    """
    key = app.settings.get(grid.key_setting)
    if not key:
        raise AppLoadError(
            f"{HOST_FILE}: there is no setting {grid.key_setting!r}, which notifications.eventGrid "
            "names for its key; put it into local.settings.json, or into the environment"
        )
    # As `func start` has it: settings of the app are variables of its host.
    os.environ.setdefault(grid.key_setting, key)
    pause = 1.0 if grid.interval is None else max(grid.interval.total_seconds(), 0.001)
    usual = NotificationTarget()
    try:
        return NotificationSettings(
            hub=app.host.durable.hub_name,
            targets={
                "event-grid": NotificationTarget(
                    event_grid=grid.endpoint,
                    secret_variable=grid.key_setting,
                    events=tuple(NoticeKind(one.lower()) for one in grid.event_types),
                    children=True,
                    attempts=usual.attempts if grid.retries is None else grid.retries + 1,
                    first_seconds=pause,
                    longest_seconds=usual.longest_seconds if grid.interval is None else pause,
                )
            },
        )
    except SettingsError as error:
        raise AppLoadError(f"{HOST_FILE}: {error}") from None


def storage_beside(root: Path) -> str:
    """The URL of the store that the app in a folder has when nobody chooses another."""
    name = DEFAULT_STORAGE.removeprefix("sqlite:///")
    return f"sqlite:///{(root / name).as_posix()}"


def load_azure_app(
    app: AppFolder, settings: LoadedSettings, choices: AzureChoices | None = None
) -> AzureProgram:
    """The program that an app's folder holds: a worker has loaded it.

    Raises:
        AppLoadError: it cannot be run; with file and line where they are known.
    """
    choices = choices or AzureChoices()
    if choices.functions:
        app = structs.replace(app, host=structs.replace(app.host, functions=choices.functions))
    values = settings.values
    debug_port = choices.debug_port
    if debug_port is not None:
        app = structs.replace(app, workers=1)  # one port, one worker
        debug_port = debug_port or DEBUG_PORTS[app.kind.language]
        _check_free(debug_port)
    address = values.http.address.partition("://")[2]
    program = AzureProgram(
        app,
        _launch(app, find_interpreter(app), address, debug_port, values.workers.load_seconds),
        ProgramOptions(
            compare_every=values.workers.compare_every,
            turn_seconds=values.workers.turn_seconds,
            memory_bytes=values.workers.memory_bytes,
            bounds=None if debug_port is not None else values.workers.bounds(app.workers),
            is_debugged=debug_port is not None,
            built_in=RunnerOptions(outbound=values.outbound),
        ),
    )
    try:
        _check_chosen(program, choices.functions)
    except AppLoadError:
        program.close()
        raise
    _set_log_levels(app.host, [one.name for one in program.functions], settings)
    return program


def read_azure_app(target: str) -> AppFolder:
    """The folder of an app.

    Raises:
        AppLoadError: it cannot be run here, or a file in it is wrong.
    """
    return read_app_folder(Path(target))


def azure_orchestrators(target: str, settings: LoadedSettings) -> frozenset[str]:
    """The names of the orchestrators of the app in a folder; a worker loads it and ends.

    Raises:
        AppLoadError: it cannot be run; with file and line where they are known.
    """
    program = load_azure_app(read_azure_app(target), settings)
    try:
        return frozenset(program.orchestrators)
    finally:
        program.close()


def _launch(
    app: AppFolder,
    interpreter: Interpreter,
    address: str,
    debug_port: int | None,
    load_seconds: float,
) -> Launch:
    environment = environment_for(app, address)
    # Not resolved: the Python of a virtual environment is a link.
    path = Path(os.path.abspath(interpreter.path))  # noqa: PTH100 - as said
    options = _own_arguments(app)
    if app.kind.language is Language.NODE:
        if debug_port is not None:
            options.append(f"--inspect=127.0.0.1:{debug_port}")
        program, *rest = [str(path), str(WORKER)]
    else:
        program, *rest = worker_command(path)
        if debug_port is not None:
            environment[_DEBUG_VARIABLE] = str(debug_port)
    command = [program, *options, *rest]
    name = "Node" if app.kind.language is Language.NODE else "Python"
    usual = min(_MOST_USUAL_THREADS, (os.cpu_count() or 1) + _USUAL_THREADS)
    return Launch(
        what=f"{name} worker",
        command=command,
        environment=environment,
        root=str(app.root),
        threads=app.threads or usual,
        load_seconds=load_seconds,
        secrets=app.settings.secrets,
    )


def _own_arguments(app: AppFolder) -> list[str]:
    """What the app wants its interpreter to be started with, such as ``--max-old-space-size``."""
    name = f"languageWorkers:{app.kind.language}:arguments"
    given = app.settings.get(name, name.replace(":", "__"))
    try:
        return shlex.split(given or "")
    except ValueError as error:
        raise AppLoadError(f"setting {name} cannot be read: {error}") from None


def _check_free(debug_port: int) -> None:
    """Node would only log that it cannot listen, and a debugger attach to somebody else."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", debug_port))
        except OSError as error:
            raise AppLoadError(
                f"a debugger cannot attach at 127.0.0.1:{debug_port}: {error.strerror}; choose "
                "another port: --inspect PORT"
            ) from None


def _check_chosen(program: AzureProgram, wanted: Sequence[str]) -> None:
    there = {one.name.casefold() for one in program.functions}
    missing = [name for name in wanted if name.casefold() not in there]
    if not missing:
        return
    if missing[0].casefold() in {one.casefold() for one in program.names}:
        raise AppLoadError(
            f"function {missing[0]!r} is switched off by a setting (AzureWebJobs.{missing[0]}."
            "Disabled); set it to false, or leave the name out"
        )
    close = get_close_matches(missing[0], program.names, n=1)
    advice = f"did you mean {close[0]!r}? It" if close else "it"
    names = ", ".join(program.names)
    raise AppLoadError(f"the app has no function {missing[0]!r}; {advice} has {names}")


def _set_log_levels(host: HostOptions, functions: Sequence[str], settings: LoadedSettings) -> None:
    """What ``logging.logLevel`` says of functions; the host's own lines have their setting.

    A category that is named there has its level. Of the others the setting ``log_level`` decides
    when somebody has chosen it, and else the ``default`` there.
    """
    is_chosen = settings.sources.get("log_level", DEFAULT) != DEFAULT
    usual = logging.NOTSET
    if not is_chosen and "default" in host.log_levels:
        usual = _LEVELS[host.log_levels["default"]]

    def level(category: str) -> int:
        named = host.named_log_level(category)
        return usual if named is None else _LEVELS[named]

    logging.getLogger("tenuto.app").setLevel(level("Function"))
    for name in functions:
        logging.getLogger(f"tenuto.app.{name}").setLevel(level(f"Function.{name}.User"))
        run = level(f"Function.{name}")
        # That each activity has run is shown to those who ask for it.
        is_asked_for = run == logging.INFO and host.named_log_level(f"Function.{name}") is not None
        shown = logging.DEBUG if is_asked_for else run
        logging.getLogger(f"{FUNCTIONS}.{name}").setLevel(shown)
