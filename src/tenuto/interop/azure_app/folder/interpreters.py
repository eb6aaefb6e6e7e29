"""The interpreter that runs an app: found, started once, and asked what it has.

The app itself is not imported here. A Python is looked for in the app's own environment first, for
that is where its packages are.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from tenuto.interop.azure_app.folder.app_folder import AppFolder
from tenuto.interop.azure_app.folder.languages import Language
from tenuto.interop.azure_app.folder.settings import AppSettings
from tenuto.model.errors import AppLoadError

PYTHON_SETTING: Final = "languageWorkers:python:defaultExecutablePath"
NODE_SETTING: Final = "languageWorkers:node:defaultExecutablePath"
LEAST_PYTHON: Final = (3, 9)
LEAST_NODE: Final = 20
ADVISED_NODE: Final = 22
DEPLOYED_PACKAGES: Final = ".python_packages/lib/site-packages"
"""Where Core Tools puts the packages of a Python app that it deploys."""

T = TypeVar("T")

_PATIENCE_SECONDS: Final = 30
_OWN_FOLDERS: Final = (".venv", "venv", "env")
_ASK_PYTHON: Final = """
import sys
sys.path[:] = [p for p in sys.path if p]  # before anything in the current folder is imported
import importlib.metadata, importlib.util, json
sys.path[:0] = sys.argv[1:]
packages = {}
for name in ("azure-functions", "azure-functions-durable", "debugpy",
             "azurefunctions-extensions-http-fastapi"):
    try:
        packages[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
try:
    is_there = importlib.util.find_spec("azure.functions") is not None
except ModuleNotFoundError:
    is_there = False
json.dump({"version": ".".join(map(str, sys.version_info[:3])), "packages": packages,
           "has_functions": is_there}, sys.stdout)
"""
_ASK_NODE: Final = "process.stdout.write(JSON.stringify({version: process.versions.node}))"


class Interpreter(Struct, frozen=True, kw_only=True):
    """What runs an app.

    Attributes:
        path: The program.
        version: Such as ``3.12.4`` or ``22.11.0``.
        found_by: Where it was found, in words.
        packages: Versions of the packages that matter, by name; of a Python.
    """

    path: Path
    version: str
    found_by: str
    packages: Mapping[str, str] = {}

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers."""
        return tuple(int(part) for part in self.version.split(".") if part.isdigit())


def find_interpreter(app: AppFolder) -> Interpreter:
    """Find the program that runs an app, and ask it for its version.

    Raises:
        AppLoadError: there is none, it is too old, or a Python has no package azure-functions;
            says where it was looked for, and what to do.

    Example:
        ``find_interpreter(read_app_folder(Path("."))).path``
    """
    if app.kind.language is Language.NODE:
        return _find_node(app.settings)
    return _find_python(app)


def ask_interpreter(
    interpreter: Interpreter, arguments: tuple[str, ...], kind: type[T], settings: AppSettings
) -> T:
    """What the interpreter of an app answers, in JSON, in the app's environment.

    Args:
        interpreter: The program.
        arguments: What it is started with.
        kind: What its answer is.
        settings: The app's.

    Raises:
        AppLoadError: it does not answer, or something else.
    """
    candidate = _Candidate(str(interpreter.path), interpreter.found_by)
    return _ask(candidate, arguments, kind, settings)


# --- Python -------------------------------------------------------------------------------------


class _Candidate(Struct, frozen=True):
    """A program that may be the one. What an app has of its own is final."""

    path: str
    found_by: str
    is_final: bool = False


class _PythonFacts(Struct, frozen=True):
    version: str
    packages: dict[str, str]
    has_functions: bool


def _find_python(app: AppFolder) -> Interpreter:
    looked_at = []
    for candidate in _pythons(app):
        arguments = ("-c", _ASK_PYTHON, str(app.root / DEPLOYED_PACKAGES))
        try:
            facts = _ask(candidate, arguments, _PythonFacts, app.settings)
        except AppLoadError:
            if candidate.is_final:
                raise
            looked_at.append(f"{candidate.path} (cannot be run)")
            continue
        found = Interpreter(
            path=Path(candidate.path),
            version=facts.version,
            found_by=candidate.found_by,
            packages=facts.packages,
        )
        if facts.has_functions and found.numbers >= LEAST_PYTHON:
            return found
        if candidate.is_final:
            raise AppLoadError(_unfit(found, facts, app.root))
        looked_at.append(f"{candidate.path} (Python {facts.version})")
    raise AppLoadError(
        f"no Python {'.'.join(map(str, LEAST_PYTHON))} or newer with the package azure-functions; "
        f"looked at {', '.join(dict.fromkeys(looked_at))}. {_make_one(app.root)}"
    )


def _unfit(found: Interpreter, facts: _PythonFacts, root: Path) -> str:
    what = f"{found.path} ({found.found_by}) is Python {found.version}"
    if facts.has_functions:
        least = ".".join(map(str, LEAST_PYTHON))
        return f"{what}; the app needs {least} or newer. {_make_one(root)}"
    return (
        f"{what} and has no package azure-functions; run "
        f"{found.path} -m pip install -r {root / 'requirements.txt'}"
    )


def _make_one(root: Path) -> str:
    return (
        f"In {str(root)!r} run: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"
    )


def _pythons(app: AppFolder) -> Iterator[_Candidate]:
    """Where a Python may be, the first that fits is taken."""
    if (set_one := _named_by_setting(app.settings, PYTHON_SETTING)) is not None:
        yield set_one
        return
    for name in _OWN_FOLDERS:
        if (path := _in_environment(app.root / name)) is not None:
            yield _Candidate(str(path), f"the app's own {name}", is_final=True)
            return
    active = app.settings.get("VIRTUAL_ENV")
    if active is not None and (path := _in_environment(Path(active))) is not None:
        yield _Candidate(str(path), "VIRTUAL_ENV")
    for name in ("python3", "python"):
        if (found := shutil.which(name, path=app.settings.get("PATH"))) is not None:
            yield _Candidate(found, f"{name} on the PATH")
            break
    yield _Candidate(sys.executable, "the Python that runs Tenuto")


def _in_environment(folder: Path) -> Path | None:
    places = ("Scripts/python.exe",) if os.name == "nt" else ("bin/python3", "bin/python")
    return next((folder / one for one in places if (folder / one).is_file()), None)


# --- Node ---------------------------------------------------------------------------------------


class _NodeFacts(Struct, frozen=True):
    version: str


def _find_node(settings: AppSettings) -> Interpreter:
    candidate = _named_by_setting(settings, NODE_SETTING)
    if candidate is None:
        path = shutil.which("node", path=settings.get("PATH"))
        if path is None:
            raise AppLoadError(
                f"the app is in JavaScript, and there is no node on the PATH; install Node.js "
                f"{ADVISED_NODE} or newer (https://nodejs.org), or name one by the setting "
                f"{NODE_SETTING}"
            )
        candidate = _Candidate(path, "node on the PATH")
    facts = _ask(candidate, ("-e", _ASK_NODE), _NodeFacts, settings)
    found = Interpreter(
        path=Path(candidate.path), version=facts.version, found_by=candidate.found_by
    )
    if found.numbers[0] < LEAST_NODE:
        raise AppLoadError(
            f"{found.path} ({found.found_by}) is Node.js {found.version}; the app needs "
            f"{LEAST_NODE} or newer, better {ADVISED_NODE}"
        )
    return found


# --- both ---------------------------------------------------------------------------------------


def _named_by_setting(settings: AppSettings, name: str) -> _Candidate | None:
    given = settings.get(name, name.replace(":", "__"))
    if given is None:
        return None
    path = shutil.which(given, path=settings.get("PATH"))
    if path is None:
        raise AppLoadError(f"setting {name} names no program that can be run")
    return _Candidate(path, f"setting {name}", is_final=True)


def _ask(
    candidate: _Candidate, arguments: tuple[str, ...], kind: type[T], settings: AppSettings
) -> T:
    """What a program answers, in the environment of the app; ends it when it does not."""
    try:
        done = subprocess.run(  # noqa: S603 - the program that is to run the app
            [candidate.path, *arguments],
            env=settings.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_SECONDS,
            check=True,
        )
        return msgspec.json.decode(done.stdout, type=kind)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else f"it ended with exit code {error.returncode}"
    except subprocess.TimeoutExpired:
        why = f"it did not answer within {_PATIENCE_SECONDS} seconds"
    except OSError as error:
        why = str(error.strerror)
    except msgspec.DecodeError:
        why = "it does not answer as such a program does"
    raise AppLoadError(f"{candidate.path} ({candidate.found_by}) cannot be run: {why}")
