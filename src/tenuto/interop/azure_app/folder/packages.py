"""The packages of an app: which are there, and whether they are of a version that is served.

Reads what package managers have written down; imports nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tenuto.interop.azure_app.folder.app_folder import AppFolder
from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.azure_app.folder.host_json import HOST_FILE
from tenuto.interop.azure_app.folder.interpreters import Interpreter
from tenuto.interop.azure_app.folder.json_text import read_json_object, unplain_line
from tenuto.interop.azure_app.folder.languages import Language
from tenuto.interop.azure_app.folder.patterns import files_of_pattern
from tenuto.interop.azure_app.folder.python_source import python_files
from tenuto.interop.azure_app.functions import is_durable
from tenuto.interop.workers.protocol import FunctionFacts

_TOPIC: Final = "packages"
_NODE_PACKAGES: Final = {"@azure/functions": 4, "durable-functions": 3}
"""The version that is served, of each; the first must be there."""
_PYTHON_DURABLE: Final = "azure-functions-durable"
_PYTHON_MODULE: Final = b"durable_functions"


def check_packages(app: AppFolder, interpreter: Interpreter) -> list[Finding]:
    """What is to be said of the packages of an app.

    Args:
        app: The app.
        interpreter: What runs it.
    """
    if app.kind.language is Language.PYTHON:
        return list(_python_packages(interpreter.packages))
    return [*_node_packages(app.root), *_entry_point(app)]


def check_plain_host_file(
    app: AppFolder, interpreter: Interpreter, functions: Sequence[FunctionFacts]
) -> Iterator[Finding]:
    """What the package for durable functions in Python would not read in ``host.json``.

    It reads the file when it is imported, so an app that does not import it runs all the same.

    Args:
        app: The app.
        interpreter: What runs it.
        functions: Those that it seems to have.
    """
    path = app.root / HOST_FILE
    is_python = app.kind.language is Language.PYTHON
    if not is_python or _PYTHON_DURABLE not in interpreter.packages or not path.is_file():
        return
    line = unplain_line(path)
    if line is None:
        return
    is_imported = any(map(is_durable, functions)) or any(
        _PYTHON_MODULE in path.read_bytes() for path in python_files(app.root)
    )
    yield Finding(
        level=Level.UNSUPPORTED if is_imported else Level.NOTE,
        topic=HOST_FILE,
        text=f"{_PYTHON_DURABLE} takes plain JSON alone, and fails when an app imports it",
        advice="take out comments, commas at the end, and a byte order mark",
        file=HOST_FILE,
        line=line,
    )


def installed_node_packages(root: Path) -> dict[str, str]:
    """Versions of the packages that matter, as Node would find them from the app's folder."""
    found = {}
    for name in _NODE_PACKAGES:
        for folder in (root, *root.parents):
            path = folder / "node_modules" / name / "package.json"
            if path.is_file():
                found[name] = str(read_json_object(path, str(path)).get("version", "?"))
                break
    return found


def _node_packages(root: Path) -> Iterator[Finding]:
    found = installed_node_packages(root)
    for name, major in _NODE_PACKAGES.items():
        version = found.get(name)
        if version is None:
            if name in _wanted(root):
                yield _wrong(f"{name} is not installed", f"in {str(root)!r} run: npm install")
        elif version.partition(".")[0] != str(major):
            yield _wrong(
                f"{name} {version}", f"{name} {major} is served: npm install {name}@{major}"
            )
        else:
            yield Finding(level=Level.HONOURED, topic=_TOPIC, text=f"{name} {version}")


def _wanted(root: Path) -> Mapping[str, Any]:
    wanted = read_json_object(root / "package.json", "package.json").get("dependencies", {})
    return {"@azure/functions": "", **wanted}


def _entry_point(app: AppFolder) -> Iterator[Finding]:
    main = app.kind.main
    if not main:
        yield Finding(
            level=Level.UNSUPPORTED,
            topic="app",
            text="package.json has no main, so that nothing of the app would be loaded",
            advice='name the files with functions: "main": "src/functions/*.js"',
            file="package.json",
        )
    elif not files_of_pattern(app.root, main):
        is_built = (app.root / "tsconfig.json").is_file()
        yield Finding(
            level=Level.UNSUPPORTED,
            topic="app",
            text=f"main of package.json is {main!r}, and there is no such file",
            advice="build the app: npm install, then npm run build" if is_built else "correct it",
            file="package.json",
        )


def _python_packages(packages: Mapping[str, str]) -> Iterator[Finding]:
    for name, version in packages.items():
        if name == _PYTHON_DURABLE and version.partition(".")[0] != "1":
            yield Finding(
                level=Level.NOTE,
                topic=_TOPIC,
                text=f"{name} {version} has another protocol, which is not served yet",
                advice='durable functions are refused; pip install "azure-functions-durable<2"',
            )
        else:
            yield Finding(level=Level.HONOURED, topic=_TOPIC, text=f"{name} {version}")


def _wrong(text: str, advice: str) -> Finding:
    return Finding(level=Level.UNSUPPORTED, topic=_TOPIC, text=text, advice=advice)
