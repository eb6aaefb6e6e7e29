"""What kind of app a folder holds: told by its files, before anything of it runs."""

from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from tenuto.interop.azure_app.folder.json_text import read_json_object
from tenuto.model.errors import AppLoadError

PACKAGE_FILE: Final = "package.json"
DEFAULT_SCRIPT: Final = "function_app.py"
_BINDING_FILE: Final = "function.json"
_NEITHER: Final = "Tenuto runs Azure Functions apps in Python and JavaScript"
_OTHER_RUNTIMES: Final = {
    "dotnet": ".NET",
    "dotnet-isolated": ".NET",
    "java": "Java",
    "powershell": "PowerShell",
    "custom": "another language (a custom handler)",
}


class Language(StrEnum):
    """Named as the setting ``FUNCTIONS_WORKER_RUNTIME`` names it."""

    PYTHON = "python"
    NODE = "node"


class Kind(Struct, frozen=True, kw_only=True):
    """What kind of app it is.

    Attributes:
        language: Of the app.
        model: Its programming model: ``v1`` or ``v2`` of Python, ``v4`` of JavaScript.
        script: The file in which a Python app of the model v2 begins; else empty.
        main: ``main`` of ``package.json``: a file, or a pattern of files; else empty.
    """

    language: Language
    model: str
    script: str = ""
    main: str = ""

    def __str__(self) -> str:
        name = "Python" if self.language is Language.PYTHON else "JavaScript"
        return f"{name}, programming model {self.model}"


class Unsupported(Struct, frozen=True, kw_only=True):
    """An app that cannot be run here.

    Attributes:
        text: What it is.
        advice: What to do.
    """

    text: str
    advice: str


def kind_of(root: Path, runtime: str | None, script: str | None) -> Kind | Unsupported:
    """Find out what kind of app a folder holds.

    Args:
        root: The folder.
        runtime: The setting ``FUNCTIONS_WORKER_RUNTIME``; decides where a folder could be both.
        script: The setting ``PYTHON_SCRIPT_FILE_NAME``.

    Raises:
        AppLoadError: it holds no app, or a ``package.json`` that cannot be read.
    """
    hint = (runtime or "").lower()
    found = [one for one in (_python(root, script), _node(root)) if one is not None]
    wanted = [one for one in found if isinstance(one, Kind) and one.language == hint]
    if wanted:
        return wanted[0]
    running = [one for one in found if isinstance(one, Kind)]
    if len(running) > 1:
        raise AppLoadError(
            f"{str(root)!r} holds both a Python and a JavaScript app; say which one is meant by "
            "FUNCTIONS_WORKER_RUNTIME (python or node) in local.settings.json"
        )
    if running:
        return running[0]
    if found:
        return found[0]
    other = _other(root, hint)
    if other is not None:
        return other
    raise AppLoadError(_no_app(root, script))


def _no_app(root: Path, script: str | None) -> str:
    if script is not None:
        return (
            f"there is no file {script!r} in {str(root)!r}, which the setting "
            "PYTHON_SCRIPT_FILE_NAME names"
        )
    return (
        f"{str(root)!r} holds no Azure Functions app: there is neither {DEFAULT_SCRIPT}, nor a "
        f"folder with {_BINDING_FILE}, nor a {PACKAGE_FILE} with @azure/functions. Name the "
        "folder in which host.json is"
    )


def _python(root: Path, script: str | None) -> Kind | None:
    name = script or DEFAULT_SCRIPT
    if (root / name).is_file():
        return Kind(language=Language.PYTHON, model="v2", script=name)
    if any(_script_of(one).endswith(".py") for one in binding_files(root)):
        return Kind(language=Language.PYTHON, model="v1")
    return None


def _node(root: Path) -> Kind | Unsupported | None:
    scripts = {Path(_script_of(one)).suffix for one in binding_files(root)}
    is_old = not scripts.isdisjoint({".js", ".cjs", ".mjs", ".ts"})
    if not (root / PACKAGE_FILE).is_file():
        return _model_v3("folders with function.json") if is_old else None
    package = read_json_object(root / PACKAGE_FILE, PACKAGE_FILE)
    named = _dependencies(package)
    for name, least in (("@azure/functions", 4), ("durable-functions", 3)):
        major = _major(named.get(name))
        if major is not None and major < least:
            return _model_v3(f"{name} {major}")
    if "@azure/functions" in named or "durable-functions" in named:
        if is_old and not package.get("main"):
            return _model_v3("folders with function.json")
        return Kind(language=Language.NODE, model="v4", main=_main(package))
    return _model_v3("folders with function.json") if is_old else None


def _main(package: dict[str, Any]) -> str:
    main = package.get("main", "")
    if not isinstance(main, str):
        raise AppLoadError(f"{PACKAGE_FILE}: main must be the name of a file, or a pattern")
    return main


def _model_v3(sign: str) -> Unsupported:
    return Unsupported(
        text=f"a JavaScript app of the programming model v3 ({sign})",
        advice="Tenuto runs the model v4: move to @azure/functions 4 and durable-functions 3, "
        "where functions are registered in code by app.http(...) and df.app.orchestration(...)",
    )


def _dependencies(package: dict[str, Any]) -> dict[str, object]:
    named: dict[str, object] = {}
    for key in ("devDependencies", "peerDependencies", "dependencies"):
        given = package.get(key, {})
        if not isinstance(given, dict):
            raise AppLoadError(f"{PACKAGE_FILE}: {key} must be an object")
        named |= given
    return named


def _major(wanted: object) -> int | None:
    """The first number of ``^4.0.0``; None for what says none, such as ``latest``."""
    digits = str(wanted or "").lstrip("^~>=v ").partition(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _other(root: Path, hint: str) -> Unsupported | None:
    name = _OTHER_RUNTIMES.get(hint)
    if any(root.glob("*.csproj")) or any(root.glob("*.fsproj")):
        name = ".NET"
    elif (root / "pom.xml").is_file() or (root / "build.gradle").is_file():
        name = "Java"
    elif any(_script_of(one).endswith(".ps1") for one in binding_files(root)):
        name = "PowerShell"
    elif any(_script_of(one).endswith((".dll", ".csx")) for one in binding_files(root)):
        name = ".NET"
    if name is None:
        return None
    return Unsupported(text=f"an app in {name}", advice=_NEITHER)


# --- function.json ------------------------------------------------------------------------------


def binding_files(root: Path) -> list[Path]:
    """The files ``function.json`` of an app, in the order of their folders' names."""
    return sorted(root.glob(f"*/{_BINDING_FILE}"))


def _script_of(path: Path) -> str:
    """The script that a ``function.json`` is about: what it names, or what is there."""
    named = read_json_object(path, f"{path.parent.name}/{path.name}").get("scriptFile")
    if isinstance(named, str):
        return named
    usual = ("__init__.py", "main.py", "index.js", "index.cjs", "index.mjs", "run.ps1", "run.csx")
    return next((one for one in usual if (path.parent / one).is_file()), "")
